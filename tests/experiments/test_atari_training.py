"""Short trainings on Atari: the promises of the stack hold on pictures too, and dead emulators are survived."""

import os
import signal
import subprocess
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import atari
from experiments.paper.settings import ATARI
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


def test_ppo_has_the_numbers_of_table_5():
    own = ATARI["ppo"]
    assert isinstance(own, PPOSettings)
    assert (own.num_steps, own.num_envs, own.update_epochs, own.minibatch_size) == (128, 8, 3, 32 * 8)
    assert (own.learning_rate, own.clip_coef, own.gamma, own.gae_lambda) == (2.5e-4, 0.1, 0.99, 0.95)
    assert (own.vf_coef, own.ent_coef, own.anneal_lr, own.anneal_clip) == (1.0, 0.01, True, True)
    assert np.isinf(own.vf_clip_range)
