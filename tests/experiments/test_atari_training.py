"""Short trainings on Atari: the promises of the stack hold on pictures too, and dead emulators are survived."""

import os
import signal
import subprocess
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from analysis.data.published import published
from experiments.cli.commands import main
from experiments.paper.games import FOUR, TWELVE
from experiments.paper.profiles import GAMES, PROFILES
from experiments.paper.protocols import acer_on_breakout, atari, atari_readings, select
from experiments.paper.readings import DEFAULT
from experiments.paper.settings import ATARI, usual_settings
from experiments.planning.planner import Stack, stacks
from experiments.run import Run
from experiments.store.stack_folder import StackFolder
from experiments.training import worker
from experiments.training.build import build
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo import checkpoint
from ppo.ppo import PPOSettings
from ppo.training import Training

GAME = "BreakoutNoFrameskip-v4"
SMALL = {"network": "a3c", "num_envs": 2, "num_steps": 10}
SETTINGS = {
    "ppo": replace(ATARI["ppo"], **SMALL, minibatch_size=10, update_epochs=2),
    "a2c": replace(ATARI["a2c"], **SMALL),
    "acer": replace(ATARI["acer"], **SMALL, replay_start=10, replay_capacity=100),
}
STEPS = 160


def runs_of(algorithm, seeds=(1,)):
    return [Run(GAME, algorithm, "default", seed, STEPS, SETTINGS[algorithm]) for seed in seeds]


def finish(algorithm, seeds=(1,), processes=1):
    training = Training(build(runs_of(algorithm, seeds), processes=processes))
    while not training.done:
        training.iterate()
    training.algorithm.env.close()
    return training.algorithm


@pytest.fixture(scope="module", params=sorted(SETTINGS))
def undisturbed(request):
    return request.param, finish(request.param)


def test_a_run_is_the_same_beside_another_and_with_more_processes(undisturbed):
    name, alone = undisturbed
    stack = finish(name, seeds=(2, 1), processes=2)
    assert torch.equal(stack.policy.parameters[1], alone.policy.parameters[0])
    assert not torch.equal(stack.policy.parameters[0], alone.policy.parameters[0])


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_batch_has_the_policys_outputs(name):
    """What a batch says of its states is what the policy says of them.

    It was kept from acting, step by step, and is put together here; in the second iteration too.
    """
    algorithm: Any = build(runs_of(name, seeds=(1, 2)))
    batches, update = [], algorithm.update

    def before_the_update(batch):
        distribution, values = algorithm.policy(batch.observations)
        torch.testing.assert_close(batch.values, values, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(batch.distribution.logits, distribution.logits, rtol=1e-4, atol=1e-5)
        assert batch.values.std() > 1e-3
        batches.append(batch)
        return update(batch)

    algorithm.update = before_the_update
    for _ in range(2):
        algorithm.iterate()
    algorithm.env.close()
    assert len(batches) == 2


class KillsAnEmulator:
    """Asked after each iteration whether to stop; does not, but kills an emulator's process now and then."""

    def __init__(self, at):
        self.at, self.asked, self.killed = at, 0, 0

    def __bool__(self):
        self.asked += 1
        if self.asked in self.at:
            pids = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "atari_worker"], capture_output=True).stdout
            os.kill(int(pids.split()[0]), signal.SIGKILL)
            self.killed += 1
        return False


def test_killed_emulators_change_nothing(undisturbed, tmp_path, capsys):
    name, alone = undisturbed
    stack = Stack(tuple(runs_of(name)))
    folder = StackFolder(tmp_path / "stacks" / stack.name)
    folder.create([run.record for run in stack.runs])
    stop = KillsAnEmulator(at=(2, 6))
    options = Options(checkpoint_interval=0, processes=2)
    assert worker.train(folder, options, stop) == FINISHED
    said = capsys.readouterr().out
    assert stop.killed == said.count("was killed by SIGKILL; continuing from the last checkpoint") == 2
    state = checkpoint.load(folder.checkpoint)["algorithm"]
    assert torch.equal(state["parameters"], alone.policy.parameters)
    assert not (folder.path / "files").exists()


def test_a_part_of_the_schedule_is_a_prefix(undisturbed):
    """And what it learns with falls as it does in the whole."""
    name, alone = undisturbed
    training = Training(build(runs_of(name)), fraction=0.5)
    while not training.done:
        training.iterate()
    assert training.algorithm.steps_done == STEPS // 2
    assert training.algorithm.remaining() == 0.5
    state = training.algorithm.state()
    training.algorithm.env.close()
    rest = Training(build(runs_of(name)))
    rest.algorithm.load_state(state)
    while not rest.done:
        rest.iterate()
    rest.algorithm.env.close()
    assert torch.equal(rest.algorithm.policy.parameters, alone.policy.parameters)


def test_protocol_is_49_games():
    """The protocol is 49 games, 3 algorithms, 3 seeds of 40 million frames."""
    protocol = atari(PROFILES["paper"])
    assert len(protocol.runs) == 49 * 3 * 3
    assert {run.algorithm for run in protocol.runs} == {"ppo", "a2c", "acer"}
    assert {4 * run.total_timesteps for run in protocol.runs} == {40_000_000}
    assert len({run.environment for run in protocol.runs}) == 49
    for run in protocol.runs:
        run.settings.check()
        assert run.total_timesteps % run.settings.num_envs == 0


def test_runs_with_convolutions_are_not_stacked():
    assert {len(stack.runs) for stack in stacks(atari(PROFILES["paper"]).runs)} == {1}


def rises(game):
    """How much each of the paper's digitised curves of PPO rises between 0.4M and 4M frames."""
    curves = published("fig6_curves")
    shown = curves[(curves["game"] == game) & (curves["algorithm"] == "PPO")].set_index(["seed", "frames_M"])["return"]
    return [float(shown[seed, 4.0] - shown[seed, 0.4]) for seed in range(3)]


def test_the_games_keep_the_rule_by_which_they_were_chosen():
    """All of the paper's curves of PPO rise early on; A2C is above PPO on some of the games, and below on others."""
    assert {game: min(rises(game)) for game in TWELVE if min(rises(game)) <= 0} == {}
    assert sum(rises("Zaxxon")) < 0
    table6 = published("atari_table6").set_index("game")
    higher = {game for game in TWELVE if table6["a2c"][game] > table6["ppo"][game]}
    assert higher == {"BeamRider", "Breakout", "RoadRunner", "Seaquest"}
    assert min(table6.loc["Seaquest", ["a2c", "acer"]]) > table6["ppo"]["Seaquest"]
    assert len(set(TWELVE)) == 12
    assert set(FOUR) < set(TWELVE)
    assert set(TWELVE) < set(GAMES)


def test_a_name_stands_for_the_twelve_games(capsys):
    plan = ["plan", "atari", "--environments", "twelve-games", "--algorithms", "ppo", "--seeds", "1"]
    assert main([*plan, "--fraction", "0.1", "--results", "nowhere"]) == 0
    said = capsys.readouterr().out
    assert "12 runs in 12 stacks, 12,000,000 steps" in said.replace("\n", " ")
    assert all(f"{game}NoFrameskip-v4 ppo" in said for game in TWELVE)


def test_readings_are_tried_beside_the_usual_settings():
    protocol = atari_readings(PROFILES["paper"])
    assert {(run.environment, run.setting, run.seed) for run in protocol.runs} == {
        (f"{game}NoFrameskip-v4", setting, seed)
        for game in ("BankHeist", "Breakout")
        for setting in ("default", "ppo2", "ppo1", "a3c")
        for seed in (1, 2)
    }
    shared = {run.key for run in atari(PROFILES["paper"]).runs} & {run.key for run in protocol.runs}
    assert len(shared) == 4, "the usual settings are runs of `atari`"


def test_one_setting_of_acer_at_a_time_is_changed_on_breakout():
    protocol = acer_on_breakout(PROFILES["paper"])
    assert len({run.setting for run in protocol.runs}) == len(protocol.runs) == 5
    for run in protocol.runs:
        changed = {
            field.name: getattr(run.settings, field.name)
            for field in fields(run.settings)
            if getattr(run.settings, field.name) != getattr(ATARI["acer"], field.name)
        }
        named = [] if run.setting == "default" else [run.setting.split("=")]
        assert [(name, float(value)) for name, value in changed.items()] == [
            (name, 1.0 if value == "True" else float(value)) for name, value in named
        ]
    shared = {run.key for run in atari(PROFILES["paper"]).runs} & {run.key for run in protocol.runs}
    assert len(shared) == 1, "the usual settings are a run of `atari`"


def test_ppo1_is_table_5_with_the_details_of_its_release():
    own, usual = usual_settings(GAME, "ppo", "ppo1"), ATARI["ppo"]
    assert isinstance(own, PPOSettings)
    assert isinstance(usual, PPOSettings)
    assert (own.norm_adv, own.minibatch_per_actor, own.initialisation) == ("actor", True, "column-norm")
    assert own.minibatch_size / own.num_envs == 32
    assert np.isinf(own.max_grad_norm)
    assert np.isinf(own.vf_clip_range)
    changed = {"norm_adv", "minibatch_per_actor", "initialisation", "max_grad_norm"}
    assert {name: value for name, value in vars(own).items() if name not in changed} == {
        name: value for name, value in vars(usual).items() if name not in changed
    }


def test_ppo2_clips_values_as_far_as_ratios():
    """Which `anneal_clip` anneals together, as its one CLIPRANGE."""
    assert usual_settings(GAME, "ppo", "ppo2") == replace(ATARI["ppo"], vf_clip_range=0.1)


def test_the_network_that_the_paper_cites_is_a_reading():
    assert usual_settings(GAME, "ppo", "a3c") == replace(ATARI["ppo"], network="a3c")


@pytest.mark.parametrize("reading", ["ppo2", "ppo1", "a3c"])
def test_atari_in_another_reading_changes_ppo_and_nothing_else(reading):
    (usual,), (other,) = (select(["atari"], PROFILES["paper"], name) for name in (DEFAULT, reading))
    for before, after in zip(usual.runs, other.runs, strict=True):
        expected = usual_settings(GAME, "ppo", reading) if before.algorithm == "ppo" else before.settings
        assert after == replace(before, settings=expected)


def test_the_readings_can_be_trained():
    for reading in ("ppo2", "ppo1", "a3c"):
        settings = replace(usual_settings(GAME, "ppo", reading), num_envs=2, num_steps=10, minibatch_size=10)
        algorithm = build([Run(GAME, "ppo", reading, 1, 40, settings)])
        before = algorithm.policy.parameters.detach().clone()
        algorithm.iterate()
        algorithm.env.close()
        assert not torch.equal(algorithm.policy.parameters, before)
        assert algorithm.diverged_at == [None]


def test_ppo_has_the_numbers_of_table_5():
    own = ATARI["ppo"]
    assert isinstance(own, PPOSettings)
    assert (own.num_steps, own.num_envs, own.update_epochs, own.minibatch_size) == (128, 8, 3, 32 * 8)
    assert (own.learning_rate, own.clip_coef, own.gamma, own.gae_lambda) == (2.5e-4, 0.1, 0.99, 0.95)
    assert (own.vf_coef, own.ent_coef, own.anneal_lr, own.anneal_clip) == (1.0, 0.01, True, True)
    assert np.isinf(own.vf_clip_range)
