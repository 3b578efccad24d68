"""Figure 4's runs against Table 4, the short runs that choose what it leaves out, and what becomes of wrong names."""

import argparse
import ast
import dataclasses
import inspect
import math
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import experiments
from experiments.cli.commands import main
from experiments.cli.flags.settings import add_settings_of_trained
from experiments.contract.divergence import check_divergence_stays_alone
from experiments.contract.neighbours import check_alone_and_in_any_stack
from experiments.contract.resumption import check_continues_from_a_checkpoint
from experiments.paper import settings as module
from experiments.paper.humanoid import figure4, figure4_readings, figure4_settings, figure4_tuning
from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import runs_with_saved_policy
from experiments.paper.settings import usual_settings
from experiments.planning.planner import busy, seconds, stacks
from experiments.store.tables import read_episodes
from ppo.ppo import PPO, PPOSettings

PAPER, QUICK = PROFILES["paper"], PROFILES["quick"]
LOCOMOTION = "RoboschoolHumanoid-v0"
FLAGRUN, HARDER = "RoboschoolHumanoidFlagrun-v0", "RoboschoolHumanoidFlagrunHarder-v0"
JULY = "{}(rules=1)".format


def test_figure_4_is_two_runs_of_each_task_as_long_as_its_axes():
    runs = figure4(PAPER).runs
    assert [(run.environment, run.seed, run.total_timesteps) for run in runs] == [
        (JULY(LOCOMOTION), 1, 50_000_000),
        (JULY(LOCOMOTION), 2, 50_000_000),
        (JULY(FLAGRUN), 1, 100_000_000),
        (JULY(FLAGRUN), 2, 100_000_000),
        (JULY(HARDER), 1, 100_000_000),
        (JULY(HARDER), 2, 100_000_000),
    ]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_run_has_the_numbers_of_table_4(profile):
    for run in figure4(profile).runs:
        own = run.settings
        assert isinstance(own, PPOSettings)
        assert (own.num_steps, own.update_epochs, own.minibatch_size) == (512, 15, 4096)
        assert (own.gamma, own.gae_lambda) == (0.99, 0.95)
        assert own.num_envs == (32 if run.environment == JULY(LOCOMOTION) else 128)
        assert (own.anneal_log_std, own.log_std_start, own.log_std_end) == (True, -0.7, -1.6)
        assert own.lr_kl_target > 0  # "adjusted based on the target value of the KL divergence"
        assert not own.anneal_lr
        assert (own.network, own.activation) == ("64-64", "tanh")


def test_its_settings_do_not_change_with_a_default():
    (call,) = (
        node.value
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_LOCOMOTION"
    )
    assert isinstance(call, ast.Call)
    left_out = {field.name for field in dataclasses.fields(PPOSettings)} - {word.arg for word in call.keywords}
    assert left_out == {"backward_dtype"}  # of networks for pictures


def test_every_run_is_trained_by_itself_and_two_cores_are_balanced():
    planned = stacks(figure4(PAPER).runs, workers=2)
    assert [len(stack.runs) for stack in planned] == [1] * 6
    assert busy(planned, 2) > 0.95
    assert 9 < seconds(planned, 2) / 3600 < 16  # hours; measured in parts, not run


def test_the_quick_profile_takes_minutes():
    assert {run.environment for run in figure4(QUICK).runs} == {*map(JULY, (LOCOMOTION, FLAGRUN, HARDER))}
    assert seconds(stacks(figure4(QUICK).runs), 1) < 300


@pytest.mark.parametrize(
    ("profile", "more"), [("benchmark", []), ("hour", []), ("paper", ["atari"]), ("quick", ["atari"])]
)
def test_make_benchmark_leaves_figure_4_out(profile, more):
    command = ["make", "-n", "benchmark", f"PROFILE={profile}", "INSTALLED="]
    said = subprocess.run(
        command, cwd=Path(experiments.__file__).parents[1], capture_output=True, text=True, check=True
    )
    (named,) = re.findall(r"ppo run (.*?) --profile", said.stdout)
    assert named.split() == ["table1", "figure1", "figure2", "figure3", *more]


def test_the_first_seed_of_each_task_keeps_its_policy():
    kept = [(run.environment, run.seed) for run in runs_with_saved_policy(PAPER) if "Roboschool" in run.environment]
    assert kept == [(JULY(LOCOMOTION), 1), (JULY(FLAGRUN), 1), (JULY(HARDER), 1)]


@pytest.mark.parametrize("named", ["{}", "{}(max_episode_steps=500)", "ppo.envs:{}", "ppo.envs:{}(width=64)"])
def test_training_by_hand_begins_with_table_4(named):
    """Whatever arguments the environment has, and in the flags' defaults too."""
    assert usual_settings(named.format(FLAGRUN), "ppo") == figure4(PAPER).runs[2].settings
    command = argparse.ArgumentParser()
    add_settings_of_trained(command, [named.format(FLAGRUN), "--out", "x"])
    assert "(default: 128)" in command.format_help()
    with pytest.raises(ValueError, match=f"{LOCOMOTION} has none"):
        usual_settings(LOCOMOTION, "ppo", "ppo2")


# The short runs


def test_every_combination_is_tried_with_two_seeds_and_a_network_beside_them():
    runs = figure4_tuning(PAPER).runs
    assert set(Counter(run.setting for run in runs).values()) == {2}
    assert {run.seed for run in runs} == {201, 202}
    settings: list[Any] = [run.settings for run in runs]
    small = [own for own in settings if own.network == "64-64"]
    assert {(own.lr_kl_target, own.norm_obs, own.norm_reward) for own in small} == {
        (target, observations, rewards)
        for target in (0.003, 0.01, 0.03)
        for observations in (True, False)
        for rewards in ("reset", "none")
    }
    assert len(small) == 24
    (large,) = {own for own in settings if own.network != "64-64"}
    assert (large.network, large.activation, large.lr_kl_target) == ("256-128", "relu", 0.01)
    assert (large.norm_obs, large.norm_reward) == (True, "reset")


def test_the_short_runs_take_less_than_two_hours_of_a_core():
    assert seconds(stacks(figure4_tuning(PAPER).runs), 1) < 2.2 * 3600


def test_a_short_run_has_the_log_std_of_the_beginning_of_a_long_one():
    for run in figure4_tuning(PAPER).runs:
        own = run.settings
        assert isinstance(own, PPOSettings)
        for part in (0.0, 0.5, 1.0):
            short = own.log_std_start + (own.log_std_end - own.log_std_start) * part
            long = -0.7 - 0.9 * part * run.total_timesteps / 50_000_000
            assert short == pytest.approx(long, abs=1e-12)


def test_the_short_runs_differ_from_figure_4s_in_what_they_try_alone():
    """And in the details that these tasks had then, with which they were trained first."""
    tried = {"lr_kl_target", "norm_obs", "norm_reward", "network", "activation", "log_std_end"}
    for run in figure4_tuning(PAPER).runs:
        assert run.environment == LOCOMOTION
        assert {*changed_from(run, figure4(PAPER).runs[0])} - tried <= {*FIRST, "bootstrap_truncation"}


PPO1 = {  # openai/baselines da99706, ppo1/pposgd_simple.py and mlp_policy.py, by this project's names
    "norm_reward": "none",  # no scaling of rewards
    "vf_coef": 1.0,  # total_loss = pol_surr + pol_entpen + vf_loss, of the plain square
    "clip_obs": 5.0,  # tf.clip_by_value((ob - ob_rms.mean) / ob_rms.std, -5.0, 5.0)
    "obs_filter": "batch",  # pi.ob_rms.update(ob) before the epochs
    "initialisation": "column-norm",  # U.normc_initializer
    "max_grad_norm": math.inf,  # MpiAdam clips nothing
    "norm_adv": "actor",  # (atarg - atarg.mean()) / atarg.std() in each process
    "minibatch_per_actor": True,  # each process draws from its own steps
    "vf_clip_range": math.inf,
    "adam_eps": 1e-5,
    "ent_coef": 0.0,
}
FIRST = {  # openai/baselines b05be68, ppo2, but for advantages of the whole batch and values that are not clipped
    "norm_reward": "reset",
    "vf_coef": 0.25,
    "clip_obs": 10.0,
    "obs_filter": "step",
    "initialisation": "orthogonal",
    "max_grad_norm": 0.5,
    "norm_adv": "batch",
    "minibatch_per_actor": False,
}


def changed_from(run, usual):
    """The settings of ``run`` that differ, with their values."""
    before, now = dataclasses.asdict(usual.settings), dataclasses.asdict(run.settings)
    return {name: value for name, value in now.items() if value != before[name]}


def test_what_table_4_leaves_open_is_the_authors_release():
    for run in figure4(PAPER).runs:
        own = dataclasses.asdict(run.settings)
        assert {name: own[name] for name in PPO1} == PPO1
        assert own["bootstrap_truncation"]  # as in modular_rl's core.py
        assert own["minibatch_size"] % own["num_envs"] == 0  # as many samples of each process


def test_the_experiments_change_what_table_4_leaves_out_and_nothing_else():
    protocol, seed = figure4_settings(PAPER), figure4(PAPER).runs[4]
    assert protocol.runs[0] in figure4_readings(PAPER).runs
    for run in protocol.runs:
        assert (run.environment, run.seed, run.total_timesteps) == (HARDER, 1, 100_000_000)
        first, ends, *changes = run.setting.split(",")
        assert (first, ends) == ("details=first", "bootstrap_truncation=False")
        named = {name: str(value) for name, value in changed_from(run, seed).items()}
        expected = {name: str(value) for name, value in FIRST.items()} | {"bootstrap_truncation": "False"}
        expected |= dict(change.split("=") for change in changes)
        usual = dataclasses.asdict(seed.settings)
        assert named == {name: value for name, value in expected.items() if value != str(usual[name])}
    assert figure4_settings(PROFILES["benchmark"]).runs == ()


def test_two_tasks_are_trained_with_the_first_details_too():
    usual = {(run.environment, run.seed): run for run in figure4(PAPER).runs}
    cuts, ends = "details=first", "details=first,bootstrap_truncation=False"
    protocol = figure4_readings(PAPER)
    assert [(run.environment, run.seed, run.setting) for run in protocol.runs] == [
        (LOCOMOTION, 1, cuts),
        (LOCOMOTION, 1, ends),
        (LOCOMOTION, 2, cuts),
        (LOCOMOTION, 2, ends),
        (HARDER, 1, ends),
        (HARDER, 2, ends),
    ]
    for run in protocol.runs:
        first = usual[JULY(run.environment), run.seed]
        limits = {"bootstrap_truncation": False} if run.setting == ends else {}
        assert changed_from(run, first) == {**FIRST, **limits}
        assert run.total_timesteps == first.total_timesteps


def test_no_short_run_lasts_to_a_time_limit():
    """So that it has the same bits whatever a time limit is."""
    episodes = read_episodes(Path(experiments.__file__).parents[1] / "results/figure4-tuning/episodes.parquet")
    assert 0 < episodes["episodic_length"].max() < 1000


# Wrong names


@pytest.mark.parametrize(
    ("argv", "nearest"),
    [
        (["plan", "figure4", "--environments", "RoboschoolHumanoid-v1"], LOCOMOTION),
        (["plan", "figure4", "--environments", "RoboschoolHumanoidFlagrunHarder-v2"], HARDER),
        (["plan", "figure4", "--environments", "RoboschoolHumanoidFlagrn-v0"], FLAGRUN),
        (["plan", "figur4"], "figure4"),
        (["train", "RoboschoolHumanoid-v1", "--out", "x"], LOCOMOTION),
        (["train", "RoboschoolHumanoidFlagrun-v2", "--out", "x"], FLAGRUN),
        (["train", "RoboschoolHumaniod-v0", "--out", "x"], LOCOMOTION),
        (["train", "roboschoolhumanoid-v0", "--out", "x"], LOCOMOTION),
    ],
)
def test_a_wrong_name_gets_the_nearest_in_one_line(argv, nearest, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert nearest in said
    assert list(tmp_path.iterdir()) == []


# A real training, of a few steps


def test_it_continues_from_a_checkpoint_to_the_bit(tmp_path):
    check_continues_from_a_checkpoint(PPO, tmp_path, HARDER, anneal_log_std=True, lr_kl_target=0.01, anneal_lr=False)


def test_it_is_the_same_alone_and_in_any_stack():
    check_alone_and_in_any_stack(PPO, HARDER, anneal_log_std=True)


@pytest.mark.parametrize("environment", [LOCOMOTION, FLAGRUN, HARDER])
def test_a_run_that_diverges_leaves_the_others_alone(environment):
    check_divergence_stays_alone(PPO, environment)


def test_a_run_is_trained_with_the_annealed_log_std(tmp_path):
    from experiments.training.build import build

    run = figure4(QUICK).runs[0]
    few = dataclasses.replace(run.settings, num_steps=16, minibatch_size=64, update_epochs=1)
    algorithm = build([dataclasses.replace(run, settings=few, total_timesteps=2 * 16 * 32)])
    assert isinstance(algorithm, PPO)
    for log_std in (-0.7, -1.15):
        algorithm.iterate()
        np.testing.assert_allclose(algorithm.policy.log_std.numpy(), log_std, rtol=1e-6)
    assert algorithm.steps_done == 1024
