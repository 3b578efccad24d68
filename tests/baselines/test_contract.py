"""What every algorithm promises, held on all that are listed in ``baselines.ALGORITHMS``: adding one adds its tests.

A run does not know its neighbours; a run that diverges is its own trouble; the same seed gives the same bits; stop
anywhere, lose nothing; the budget is exact. All on the CPU and to the bit.
"""

import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import experiments
from baselines import ALGORITHMS
from experiments.planner import Stack
from experiments.protocols import Run
from experiments.store import StackFolder, episode_frame, read_episodes, write_episodes
from experiments.worker import build
from ppo import checkpoint
from ppo.algorithm import SettingsError
from ppo.checkpoint import CheckpointError
from ppo.on_policy import OnPolicy
from ppo.training import Training

REPOSITORY = Path(experiments.__file__).parents[1]

NAMES = sorted(ALGORITHMS)
CONTINUOUS, SEVERAL_ACTIONS, DISCRETE = "InvertedPendulum-v4", "Hopper-v4", "CartPole-v1"
ENVIRONMENTS = [CONTINUOUS, SEVERAL_ACTIONS, DISCRETE]

SMALL = {
    "num_envs": 1,
    "num_steps": 96,
    "minibatch_size": 32,
    "update_epochs": 2,
    "vf_minibatch_size": 32,
    "vf_epochs": 2,
    "population": 4,
    "replay_start": 96,
    "replay_capacity": 192,
}
"""Quick to train, with several updates from each batch; of these an algorithm gets the settings that it has."""

DIFFERENT = [
    {},
    {"learning_rate": 1e-3, "gamma": 0.9, "clip_coef": math.inf, "kl_coef": 1.0, "kl_target": 0.01},
    {"gae_lambda": 0.5, "max_grad_norm": math.inf, "clip_coef": 0.1, "ent_coef": 0.01, "vf_coef": 0.5},
    {"clip_vloss": 0.1, "max_grad_norm": 0.1, "kl_coef": 3.0, "learning_rate": 1e-4},
]
"""Settings that runs of one stack may differ in; every other float of an algorithm is varied too."""


def home(name, environment=CONTINUOUS):
    """The environment, or one of discrete actions where the algorithm is for these alone."""
    return environment if ALGORITHMS[name].continuous else DISCRETE


def settings_of(name, variant=0, **changes):
    """Small settings of the algorithm; ``variant`` counts through different values of all that are floats."""
    kind = ALGORITHMS[name].Settings
    fields = {field.name for field in dataclasses.fields(kind)}
    settings = dataclasses.replace(kind(), **{k: v for k, v in {**SMALL, **changes}.items() if k in fields})
    if variant == 0:
        return settings
    listed = DIFFERENT[variant % len(DIFFERENT)]
    known = set().union(*DIFFERENT)
    for field, value in dataclasses.asdict(settings).items():
        if field in changes or not isinstance(value, float):
            continue
        wanted = listed.get(field, value) if field in known else value * (1 - variant / 50)
        try:
            changed = dataclasses.replace(settings, **{field: wanted})
            changed.check()
        except SettingsError:
            continue
        if changed.structure() == settings.structure():
            settings = changed
    return settings


def run_of(name, environment=None, seed=1, total_timesteps=500, variant=0, **changes):
    settings = settings_of(name, variant, **changes)
    environment = environment or home(name)
    return Run(environment, name, f"variant-{variant}", seed, total_timesteps, settings)


def training_of(*runs):
    """A stack in training; skips what the algorithm says it does not do."""
    try:
        return Training(build(runs, reports=True))
    except SettingsError as error:
        pytest.skip(str(error))


def finish(training, iterations=10**9):
    """Train to the end, or for so many iterations; returns the training."""
    while not training.done and iterations > 0:
        training.iterate()
        iterations -= 1
    return training


def tensors_of(value, name=""):
    """Every array and number of a nested state, by path."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in tensors_of(item, f"{name}/{key}").items()}
    if isinstance(value, torch.Tensor):
        return {name: value.detach().numpy().copy()}
    return {name: np.array(value)}


def outcome(training, run):
    """Everything that one run of a stack ended with, to be compared to the bit: weights, episodes, normalisers,
    simulator, optimiser, schedules. In a state an array belongs to the runs row by row, or to all of them at once."""
    algorithm = training.algorithm
    episodes = training.episodes()
    mine = episodes["run"] == run
    result = {f"episodes/{key}": episodes[key][mine] for key in ("step", "episodic_return", "episodic_length")}
    result["diverged_at"] = np.array(algorithm.diverged_at[run] or -1)
    result["steps_done"] = np.array(algorithm.steps_done)
    for name, array in tensors_of(algorithm.state()).items():
        if array.ndim and len(array) == algorithm.runs:
            result[name] = array[run]
        elif array.ndim and len(array) == algorithm.env.rows:
            result[name] = array.reshape(algorithm.runs, -1, *array.shape[1:])[run]
        elif array.ndim == 0:
            result[name] = array
    return result


def assert_same(one, other, what=""):
    assert sorted(one) == sorted(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=f"{what} {name}")


def same(one, other):
    return all(np.array_equal(value, other[name], equal_nan=value.dtype.kind == "f") for name, value in one.items())


# --- A run does not know its neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("num_envs", [1, 2])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_the_same_alone_and_in_any_stack(name, environment, num_envs):
    """Three iterations, the last one cut short by the budget; neighbours of other seeds and settings."""
    budget = 250 * num_envs
    runs = [
        run_of(name, environment, seed, budget, variant=seed % len(DIFFERENT), num_envs=num_envs)
        for seed in range(1, 10)
    ]
    nine = finish(training_of(*runs))
    expected = [outcome(nine, run) for run in range(9)]
    assert nine.algorithm.iteration >= 2
    assert not same(expected[0], expected[8]), "different runs differ, or the comparison would be empty"
    for members in ([0], [4], [8], [6, 1, 3], [8, 7, 6, 5, 4, 3, 2, 1, 0]):
        stack = finish(training_of(*(runs[member] for member in members)))
        for place, member in enumerate(members):
            assert_same(outcome(stack, place), expected[member], f"run {member} in {members}:")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_the_same_alone_and_in_a_stack_at_full_size(name):
    """With the paper's 2048 steps and minibatches of 64: kernels may choose otherwise for other shapes."""
    size = {"num_steps": 2048, "minibatch_size": 64, "update_epochs": 1, "replay_start": 0, "replay_capacity": 2048}
    runs = [run_of(name, home(name, SEVERAL_ACTIONS), seed, 2048 + 200, variant=seed, **size) for seed in (1, 2, 3)]
    three = finish(training_of(*runs))
    alone = finish(training_of(runs[1]))
    assert_same(outcome(alone, 0), outcome(three, 1))


# --- A batch is data -------------------------------------------------------------------------------------------------


def fields_of(batch):
    """Every tensor of a batch by its path, the old policy's included."""
    found = {}
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        found |= (
            {field.name: value}
            if isinstance(value, torch.Tensor)
            else {f"{field.name}/{own.name}": getattr(value, own.name) for own in dataclasses.fields(value)}
        )
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(ALGORITHMS[name], OnPolicy)])
def test_an_update_leaves_its_batch_as_it_was(name, environment):
    """The old policy in it above all: were it a view of the parameters, it would follow the new one."""
    training = training_of(*(run_of(name, environment, seed, variant=seed) for seed in (1, 2)))
    algorithm, update, seen = training.algorithm, training.algorithm.update, []

    def watched_update(batch):
        before = {path: value.clone() for path, value in fields_of(batch).items()}
        parameters = algorithm.policy.parameters.detach().clone()
        metrics = update(batch)
        storage = algorithm.policy.parameters.untyped_storage().data_ptr()
        for path, value in fields_of(batch).items():
            assert value.untyped_storage().data_ptr() != storage, f"{path} shares memory with the parameters"
            torch.testing.assert_close(value, before[path], rtol=0, atol=0, msg=f"{path} was changed by the update")
        seen.append(not torch.equal(parameters, algorithm.policy.parameters))
        return metrics

    algorithm.update = watched_update
    finish(training, iterations=2)
    assert all(seen), "the parameters did change"


# --- A run that diverges is its own trouble --------------------------------------------------------------------------


def poisoned(training, run):
    with torch.no_grad():
        training.algorithm.policy.parameters[run] = math.nan


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_diverges_leaves_the_others_as_they_are_and_is_recorded(name, environment):
    runs = [run_of(name, environment, seed, 700, variant=seed - 1) for seed in (1, 2, 3)]
    healthy, sick = training_of(*runs), training_of(*runs)
    for training in (healthy, sick):
        finish(training, iterations=2)
    before = len(sick.episodes()["run"])
    poisoned(sick, 1)
    finish(sick, iterations=1)
    step = sick.algorithm.steps_done
    at_once = len(sick.episodes()["run"])
    finish(healthy)
    finish(sick)
    assert sick.done
    for run in (0, 2):
        assert_same(outcome(sick, run), outcome(healthy, run), f"run {run}:")
    assert sick.algorithm.diverged_at == [None, step, None]
    assert healthy.algorithm.diverged_at == [None] * 3
    episodes = sick.episodes()
    assert not (episodes["run"][at_once:] == 1).any(), "a policy that is no more has no episodes"
    assert (episodes["step"][episodes["run"] == 1] <= step).all()
    if environment != CONTINUOUS or before:
        assert (episodes["run"][at_once:] != 1).any(), "the others go on"
    if environment != DISCRETE:
        assert not np.isfinite(sick.algorithm.policy.parameters[1].detach().numpy()).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_blows_up_by_itself_is_its_own_trouble_too(name):
    """Through the loss, the gradient, the optimiser and the environment, as a mad learning rate does it."""
    fields = {field.name for field in dataclasses.fields(ALGORITHMS[name].Settings)}
    rates = [field for field in sorted(fields) if field.endswith("learning_rate")]
    if not rates:
        pytest.skip(f"{name} has no learning rate")
    runs = [
        run_of(name, home(name, SEVERAL_ACTIONS), seed, 480, **{rates[0]: rate})
        for seed, rate in ((1, 3e-4), (2, 1e30), (3, 3e-4))
    ]
    mad = finish(training_of(*runs))
    assert mad.algorithm.diverged_at[1] is not None
    assert 0 < mad.algorithm.diverged_at[1] <= 480
    for run in (0, 2):
        assert_same(outcome(mad, run), outcome(finish(training_of(runs[run])), 0), f"run {run}:")
    assert mad.algorithm.diverged_at[0] is mad.algorithm.diverged_at[2] is None


@pytest.mark.parametrize("name", NAMES)
def test_divergence_is_remembered_over_a_stop(name, tmp_path):
    runs = [run_of(name, seed=seed, total_timesteps=700) for seed in (1, 2)]
    training = training_of(*runs)
    poisoned(training, 0)
    finish(training, iterations=1)
    training.save(tmp_path / "c.pt", {})
    resumed = training_of(*runs)
    resumed.load(tmp_path / "c.pt", {})
    finish(training)
    finish(resumed)
    assert resumed.algorithm.diverged_at == training.algorithm.diverged_at == [96, None]
    for run in (0, 1):
        assert_same(outcome(resumed, run), outcome(training, run))


# --- Same seed, same bits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(name, environment):
    first, again, other = (
        finish(training_of(run_of(name, environment, seed, 300), run_of(name, environment, seed + 1, 300)))
        for seed in (5, 5, 7)
    )
    torch.manual_seed(0)  # the process's own generators must not matter
    np.random.seed(0)  # noqa: NPY002
    once_more = finish(training_of(run_of(name, environment, 5, 300), run_of(name, environment, 6, 300)))
    for run in (0, 1):
        expected = outcome(first, run)
        assert_same(outcome(again, run), expected)
        assert_same(outcome(once_more, run), expected)
        found = outcome(other, run)
        assert not np.array_equal(found["/parameters"], expected["/parameters"])
        assert not same({k: v for k, v in expected.items() if k.startswith("/collector")}, found)


# --- Stop anywhere, lose nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_training_loaded_from_a_checkpoint_continues_to_the_bit(name, environment, tmp_path):
    """At every iteration in turn, in a fresh algorithm; with schedules, so that they must be continued too."""
    changes = {"anneal_lr": True, "anneal_clip": True, "num_envs": 2, "num_steps": 48}
    runs = [run_of(name, environment, seed, 450, variant=seed, **changes) for seed in (1, 2)]
    whole = training_of(*runs)
    paths = []
    while not whole.done:
        paths.append(tmp_path / f"{len(paths)}.pt")
        whole.save(paths[-1], {"whose": "mine"})
        whole.iterate()
    assert len(paths) >= 3
    for path in paths:
        resumed = training_of(*runs)
        resumed.load(path, {"whose": "mine"})
        finish(resumed)
        for run in (0, 1):
            assert_same(outcome(resumed, run), outcome(whole, run), f"from {path.name}, run {run}:")
        np.testing.assert_array_equal(resumed.scores(), whole.scores())


@pytest.mark.parametrize("name", NAMES)
def test_a_state_holds_all_that_changes(name, tmp_path):
    """Saved, loaded in a fresh algorithm and saved again, nothing is lost: the two states are the same."""
    runs = [run_of(name, seed=seed, variant=seed) for seed in (1, 2)]
    training, resumed = finish(training_of(*runs), iterations=3), training_of(*runs)
    training.save(tmp_path / "c.pt", {})
    resumed.load(tmp_path / "c.pt", {})
    assert_same(tensors_of(resumed.algorithm.state()), tensors_of(training.algorithm.state()))


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_other_runs_is_refused_and_leaves_the_training_as_it_was(name, tmp_path):
    other = finish(training_of(run_of(name, seed=2), run_of(name, seed=3)), iterations=2)
    other.save(tmp_path / "c.pt", {"runs": "others"})
    training, untouched = training_of(run_of(name)), training_of(run_of(name))
    with pytest.raises(CheckpointError, match=r"c\.pt"):
        training.load(tmp_path / "c.pt", {"runs": "mine"})
    assert_same(outcome(finish(training), 0), outcome(finish(untouched), 0))


@pytest.mark.parametrize("part", ["optimizer", "collector"])
@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_that_does_not_fit_is_refused_and_leaves_the_training_as_it_was(name, part, tmp_path):
    """Or a training begun afresh, after the file was set aside, would have the first half of another's state."""
    run = run_of(name)
    finish(training_of(run), iterations=2).save(tmp_path / "c.pt", {})
    state = checkpoint.load(tmp_path / "c.pt")
    if part not in state["algorithm"]:
        pytest.skip(f"{name} has no {part}")
    state["algorithm"][part] = {"of": "another version"}
    checkpoint.save(tmp_path / "c.pt", state)
    training, untouched = training_of(run), training_of(run)
    with pytest.raises(CheckpointError, match=r"c\.pt"):
        training.load(tmp_path / "c.pt", {})
    assert_same(outcome(finish(training), 0), outcome(finish(untouched), 0))


def start_worker(folder):
    command = [sys.executable, "-m", "experiments.worker", str(folder.path), "--checkpoint-interval", "0"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_checkpoints(process, folder, count):
    """Until so many more checkpoints were written, or the worker ended."""
    seen, last = 0, None
    while seen <= count and process.poll() is None:
        try:
            now = folder.checkpoint.stat().st_mtime_ns
        except FileNotFoundError:
            now = None
        if now != last:
            seen, last = seen + 1, now
        time.sleep(0.0005)


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_killed_again_and_again_ends_with_what_an_undisturbed_one_ends_with(name, tmp_path):
    """SIGKILL, which nothing can catch, at moments that fall anywhere: in the environment, the update, a save."""
    runs = [run_of(name, seed=seed, total_timesteps=96 * 40 + 17, variant=seed) for seed in (1, 2, 3)]
    folder = StackFolder(tmp_path / "stack")
    folder.create(Stack(tuple(runs)))
    killed, resumed_at = 0, []
    for checkpoints, delay in ((1, 0.004), (8, 0.011)):
        process = start_worker(folder)
        wait_for_checkpoints(process, folder, checkpoints)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        resumed_at.append(process.stdout.read())
    assert killed >= 1, "killed at work, not after it; on a busy machine the last one may come too late"
    process = start_worker(folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "continuing at step" in output
    assert "set aside" not in output + "".join(resumed_at), "a kill damages no checkpoint"
    assert folder.finished

    whole = finish(training_of(*runs))
    expected = tmp_path / "expected.parquet"
    write_episodes(expected, episode_frame(runs, whole.episodes()))
    assert folder.episodes.read_bytes() == expected.read_bytes()
    assert len(read_episodes(expected)) > 50
    resumed = training_of(*runs)
    resumed.load(folder.checkpoint, {"runs": [run.to_json() for run in runs]})
    for run in range(len(runs)):
        assert_same(outcome(resumed, run), outcome(whole, run), f"run {run}:")


# --- The budget is exact ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_envs", "total_timesteps"), [(1, 1), (1, 95), (1, 192), (1, 203), (3, 300), (3, 600)])
@pytest.mark.filterwarnings("ignore:var.*degrees of freedom")
@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_spent_exactly(name, num_envs, total_timesteps):
    training = training_of(run_of(name, total_timesteps=total_timesteps, num_envs=num_envs))
    steps, step = [], training.algorithm.env.step
    training.algorithm.env.step = lambda actions: steps.append(len(actions)) or step(actions)
    finish(training)
    assert training.algorithm.steps_done == total_timesteps
    assert sum(steps) == total_timesteps, "as many steps as the environments were asked for"
    episodes = training.episodes()
    assert (episodes["step"] <= total_timesteps).all()
    assert episodes["episodic_length"].sum() <= total_timesteps


@pytest.mark.parametrize("name", NAMES)
def test_a_run_stopped_early_is_a_prefix_of_the_full_one(name):
    """Schedules belong to the declared budget, not to where a run was stopped."""
    run = run_of(name, total_timesteps=960, anneal_lr=True, anneal_clip=True)
    early, full = finish(training_of(run), iterations=4), finish(training_of(run))
    assert not early.done
    episodes, all_episodes = early.episodes(), full.episodes()
    count = len(episodes["run"])
    assert 0 < count < len(all_episodes["run"])
    for column, values in episodes.items():
        np.testing.assert_array_equal(values, all_episodes[column][:count])
    assert all_episodes["step"][count] > early.algorithm.steps_done
    assert_same(outcome(finish(early), 0), outcome(full, 0))


# --- What comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_numbers_of_each_run_under_known_names(name, environment):
    training = training_of(*(run_of(name, environment, seed) for seed in (1, 2, 3)))
    names = None
    while not training.done:
        metrics = training.iterate()
        assert metrics
        assert names in (None, set(metrics)), "the same ones in every iteration"
        names = set(metrics)
        for key, values in metrics.items():
            assert key.startswith(("losses/", "charts/")), key
            assert values.shape == (3,), key
            assert not values.requires_grad, key
            assert torch.isfinite(values).all(), key


@pytest.mark.parametrize(
    ("name", "changes"), [*((name, {}) for name in NAMES), ("ppo", {"kl_coef": 1.0, "kl_target": 0.001})]
)
def test_what_only_people_read_changes_nothing(name, changes):
    reporting, silent = (training_of(run_of(name, **changes)) for _ in range(2))
    silent.algorithm.reports = False
    assert_same(outcome(finish(reporting), 0), outcome(finish(silent), 0))


@pytest.mark.parametrize("name", NAMES)
def test_recorded_episodes_are_the_environments_own(name):
    """Added up from what the environment itself gave, before any normaliser saw it."""
    training = training_of(*(run_of(name, home(name, SEVERAL_ACTIONS), seed, 400, num_envs=2) for seed in (1, 2)))
    rewards, ended, step = [], [], training.algorithm.env.step

    def recording_step(actions):
        transition = step(actions)
        rewards.append(transition.rewards.reshape(2, 2).copy())
        ended.append((transition.terminated | transition.truncated).reshape(2, 2))
        return transition

    training.algorithm.env.step = recording_step
    finish(training)
    expected, starts = [], np.zeros((2, 2), int)
    for time_step, ends in enumerate(ended):
        for run, env in np.argwhere(ends).tolist():
            own = np.array(rewards)[starts[run, env] : time_step + 1, run, env]
            expected.append((run, 2 * (time_step + 1), own.sum(), len(own)))
            starts[run, env] = time_step + 1
    episodes = training.episodes()
    assert len(expected) > 10
    for column, values in zip(episodes, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(episodes[column], values, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_runs_that_differ_in_more_than_a_stack_can_hold_are_refused(name):
    settings = [settings_of(name), dataclasses.replace(settings_of(name), norm_obs=False)]
    with pytest.raises(SettingsError):
        build([dataclasses.replace(run_of(name), settings=own) for own in settings])


LEARNING = {CONTINUOUS: (50.0, 5.0), DISCRETE: (70.0, 2.5)}
"""The mean return of the last 100 episodes that 20,000 steps must lead to, in itself and as a multiple of the untrained
policy's, which holds the pendulum for some 8 steps and the cart's pole for some 22."""

FOR_SO_FEW_STEPS = {
    "a2c": {"learning_rate": 2e-3, "anneal_lr": False},
    "vpg": {"num_steps": 500},
    "cem": {"initial_std": 0.3},
    "acer": {"num_envs": 4, "replay_start": 200, "learning_rate": 3e-3},
}
"""Settings of algorithms whose defaults are meant for a million steps."""


@pytest.mark.parametrize("environment", LEARNING)
@pytest.mark.parametrize("name", NAMES)
def test_it_learns(name, environment):
    score, factor = LEARNING[environment]
    settings = ALGORITHMS[name].Settings(**FOR_SO_FEW_STEPS.get(name, {}))
    training = training_of(*(Run(environment, name, "default", seed, 20_000, settings) for seed in (1, 2)))
    finish(training)
    episodes = training.episodes()
    for run, learned in enumerate(training.scores()):
        untrained = episodes["episodic_return"][episodes["run"] == run][:50].mean()
        assert learned > score, f"run {run}"
        assert learned > factor * untrained, f"run {run}"
