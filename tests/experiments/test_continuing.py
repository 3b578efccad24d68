"""A training that goes on is the same, or says from which step on it may not be; it never begins anew unasked."""

import json
import shutil

import numpy as np
import pytest
import torch

import tests.experiments.odd  # noqa: F401 (its environments are asked for by name)
from experiments.cli import commands as cli
from experiments.run import Run, trainable
from experiments.store import provenance
from experiments.store.files import read_json
from experiments.store.tables import read_episodes
from experiments.training import worker
from experiments.training.build import build
from experiments.training.executor import FAILED, FINISHED
from experiments.training.options import Options
from experiments.training.records.entries import trains_with
from ppo import checkpoint
from ppo.envs.gymnasium import GymnasiumVectorEnv
from ppo.ppo import PPO
from ppo.training import Training
from tests.helpers.commands import AtIteration, Killed, killed, same_data, same_episodes, stack_in, work
from tests.helpers.processes import forked_workers

STEPS = 50
ALWAYS = 0.0


def runs_of(environment, seeds=(1,), num_envs=2, iterations=8):
    settings = PPO.Settings(num_envs=num_envs, num_steps=STEPS // num_envs, update_epochs=1, minibatch_size=25)
    return [Run(environment, "ppo", "default", seed, STEPS * iterations, settings) for seed in seeds]


def train_until(stack, iteration, **options):
    """Train, and be killed at the end of an iteration."""
    with pytest.raises(Killed):
        worker.train(stack, Options(checkpoint_interval=ALWAYS, **options), AtIteration(iteration, killed))


def state_of(stack):
    return checkpoint.load(stack.checkpoint)


def progress_of(stack):
    return json.loads(stack.progress.read_text())


# --- environments that cannot be put back


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_put_back_costs_the_episodes_under_way_and_is_said(tmp_path, capsys, seed):
    """Stopped at random, again and again: parameters, optimiser, statistics, steps and episodes are those saved."""
    rng = np.random.default_rng(seed)
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:OwnRandomness-v0", seeds=(1, 2)))
    at, stops = 0, []
    while at + 2 < 8:
        step = int(rng.integers(1, 3))
        train_until(stack, step)
        at += step
        stops.append(at * STEPS)
        before = state_of(stack)
        training = Training(build([*_runs(stack)]))
        training.load(stack.checkpoint, before["about"])
        after = training.algorithm.state()
        for name in ("steps_done", "iteration", "diverged_at"):
            assert after[name] == before["algorithm"][name]
        assert torch.equal(after["parameters"], before["algorithm"]["parameters"])
        for name, value in before["algorithm"]["optimizer"].items():
            assert torch.equal(after["optimizer"][name], value)
        np.testing.assert_equal(
            after["collector"]["observation_normalizer"], before["algorithm"]["collector"]["observation_normalizer"]
        )
        assert not after["collector"]["episodic_lengths"].any(), "new episodes in these rows"
        for name, rows in before["episodes"].items():
            np.testing.assert_array_equal(training.episodes()[name], checkpoint.decompressed(rows, 10**6))
    assert work(stack) == FINISHED
    said = capsys.readouterr().out
    assert said.count("beginning") == 1
    assert "damaged" not in said
    for step in stops:
        assert f"not exact from step {step:,}: 4 of 4 environments begin a new episode" in said
    for run in read_json(stack.manifest)["runs"]:
        assert [step for step, _ in run["inexact"]] == stops
    lengths = read_episodes(stack.episodes)["episodic_length"]
    assert set(lengths) == {20}, "no episode is recorded that was not played to its end"


def _runs(stack):
    return trainable(stack.stack, stack.runs())


def test_the_other_rows_are_put_back(tmp_path):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:HalfOwn-v0", seeds=(1, 2, 3), num_envs=5))
    train_until(stack, 3)
    algorithm = build(_runs(stack))
    assert isinstance(algorithm.env, GymnasiumVectorEnv)
    odd = {row for row, env in enumerate(algorithm.env._envs) if env.get_wrapper_attr("own")}
    assert 0 < len(odd) < 15
    Training(algorithm).load(stack.checkpoint, state_of(stack)["about"])
    assert set(algorithm.collector.restarted) == odd
    lengths = algorithm.collector.episodic_lengths.ravel()
    saved = state_of(stack)["algorithm"]["collector"]["episodic_lengths"].ravel()
    assert [length for row, length in enumerate(lengths) if row not in odd] == [
        length for row, length in enumerate(saved) if row not in odd
    ]
    assert not lengths[sorted(odd)].any()


def test_it_is_found_out_at_the_first_save(tmp_path, capsys):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:OwnRandomness-v0"))
    train_until(stack, 2)
    line = "2 of 2 environments cannot be put back"
    assert capsys.readouterr().out.count(line) == 1
    other = stack_in(tmp_path / "exact", runs_of("tests.experiments.odd:OwnRandomness-v0"))
    assert work(other, exact=True) == FAILED
    assert line in other.error.read_text()
    assert state_of(other)["algorithm"]["iteration"] == 1, "before the second iteration"


def test_looking_ahead_leaves_the_training_as_it_is(tmp_path):
    """Also one whose randomness all copies of the environment share."""
    import random

    tables = []
    for interval in (ALWAYS, 1e9):
        random.seed(7)
        stack = stack_in(tmp_path / str(interval), runs_of("tests.experiments.odd:OwnRandomness-v0"))
        assert work(stack, interval) == FINISHED
        tables.append(stack.episodes.read_bytes())
    assert tables[0] == tables[1]


def test_exact_refuses_what_cannot_be_put_back_and_leaves_it(tmp_path):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:OwnRandomness-v0"))
    train_until(stack, 3)
    before = stack.checkpoint.read_bytes()
    assert work(stack, exact=True) == FAILED
    assert "cannot be continued exactly: 2 of 2 environments begin a new episode" in stack.error.read_text()
    assert stack.checkpoint.read_bytes() == before
    assert work(stack) == FINISHED


def test_exact_stands_in_no_way_of_what_is_exact(tmp_path, undisturbed_plain):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:Plain-v0"))
    train_until(stack, 3, exact=True)
    assert work(stack, exact=True) == FINISHED
    assert same_data(stack.path, undisturbed_plain)


@pytest.fixture(scope="module")
def undisturbed_plain(tmp_path_factory):
    stack = stack_in(tmp_path_factory.mktemp("plain"), runs_of("tests.experiments.odd:Plain-v0"))
    assert worker.train(stack, Options(), stop=False) == FINISHED
    return stack.path


def test_a_state_of_another_version_of_an_engine_begins_new_episodes(tmp_path, capsys):
    """As MuJoCo's, whose state has another size in another version."""
    stack = stack_in(tmp_path, runs_of("InvertedPendulum-v4"))
    train_until(stack, 3)
    state = state_of(stack)
    env = state["algorithm"]["collector"]["env"]
    env["simulation"] = np.pad(env["simulation"], ((0, 0), (0, 3)))
    checkpoint.save(stack.checkpoint, state)
    assert work(stack) == FINISHED
    said = capsys.readouterr().out
    assert f"continuing at step {3 * STEPS} of" in said
    assert f"not exact from step {3 * STEPS}: 2 of 2 environments begin a new episode" in said
    assert "'simulation' is float64" in said


def test_versions_that_changed_are_said_from_where_on(tmp_path, monkeypatch, capsys):
    stack = stack_in(tmp_path, runs_of("InvertedPendulum-v4"))
    train_until(stack, 3)
    now = trains_with()
    monkeypatch.setattr(worker, "trains_with", lambda: {**now, "mujoco": "99.0"})
    line = f"not exact from step {3 * STEPS}: mujoco was {now['mujoco']}, and is 99.0"
    assert work(stack, exact=True) == FAILED
    assert line.split(": ")[1] in stack.error.read_text()
    train_until(stack, 2)
    assert line in capsys.readouterr().out
    assert line in progress_of(stack)["notes"]
    assert work(stack) == FINISHED
    (run,) = read_json(stack.manifest)["runs"]
    assert run["inexact"] == [[3 * STEPS, line.partition(": ")[2]]], "said once, not at each stop after it"
    assert "began_with" not in run, "it began with what it ended with"


def test_what_a_run_began_with_is_recorded_where_it_ended_with_something_else(tmp_path, monkeypatch):
    stack = stack_in(tmp_path, runs_of("InvertedPendulum-v4"))
    now = provenance.versions()
    with monkeypatch.context() as before:
        before.setattr(provenance, "versions", lambda: {**now, "mujoco": "1.0"})
        train_until(stack, 3)
    assert work(stack) == FINISHED
    (run,) = read_json(stack.manifest)["runs"]
    assert run["versions"] == now
    assert run["began_with"] == {
        **now,
        "mujoco": "1.0",
        "processor": provenance.processor(),
        "commit": provenance.commit(),
    }


# --- checkpoints of our own, and what is lost


def test_a_checkpoint_of_many_rows_loads(tmp_path):
    """Each of Gymnasium's rows has texts of its own in a checkpoint."""
    state = {"starts": [f"generator {row}" for row in range(200_000)], "actions": ["[]"] * 200_000}
    checkpoint.save(tmp_path / "c.pt", state)
    assert checkpoint.load(tmp_path / "c.pt") == state


def test_a_list_that_is_saved_twice_is_loaded_twice(tmp_path):
    """What is saved has a byte at least for each value, which is what can be loaded."""
    shared = ["text"] * 1000
    state = {"lists": [shared] * 500}
    checkpoint.save(tmp_path / "c.pt", state)
    assert checkpoint.load(tmp_path / "c.pt") == state


@pytest.mark.parametrize("trouble", [MemoryError, OSError])
def test_trouble_of_the_machine_is_not_damage(tmp_path, monkeypatch, trouble):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:Plain-v0"))
    train_until(stack, 3)
    before = {path.name: path.read_bytes() for path in stack.path.glob("checkpoint*")}

    def fail(*arguments):
        raise trouble("none left")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load", fail)
        assert work(stack) == FAILED
    assert {path.name: path.read_bytes() for path in stack.path.glob("checkpoint*")} == before
    assert work(stack) == FINISHED


def one_run_for_both(state):
    state["algorithm"]["parameters"] = state["algorithm"]["parameters"][:1].clone()


def other_lengths(state):
    state["algorithm"]["collector"]["episodic_lengths"] = np.zeros((2, 5), np.int64)


def other_moments(state):
    moments = state["algorithm"]["optimizer"]
    moments["mean"] = moments["mean"][:, :1].clone()


def one_mean(state):
    statistics = state["algorithm"]["collector"]["observation_normalizer"]
    statistics["mean"] = statistics["mean"][:1].copy()


UNFIT = {
    "an array for whose it is": lambda state: state.update(about=np.zeros(3)),
    "the parameters of one run for two": one_run_for_both,
    "lengths of another shape": other_lengths,
    "moments that would be spread": other_moments,
    "statistics of one run for two": one_mean,
    "steps beyond the budget": lambda state: state["algorithm"].update(steps_done=10**9),
    "a text for steps": lambda state: state["algorithm"].update(steps_done="all"),
    "episodes gone": lambda state: state.pop("episodes"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_checkpoint_that_does_not_fit_gives_way_to_the_one_before(tmp_path, kind, undisturbed_two, capsys):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:Plain-v0", seeds=(1, 2)))
    train_until(stack, 3)
    state = state_of(stack)
    UNFIT[kind](state)
    checkpoint.save(stack.checkpoint, state)
    assert work(stack) == FINISHED
    said = capsys.readouterr().out
    assert "set aside as checkpoint.pt.damaged-1" in said
    assert f"continuing at step {3 * STEPS} of" in said
    assert same_data(stack.path, undisturbed_two)


@pytest.fixture(scope="module")
def undisturbed_two(tmp_path_factory):
    stack = stack_in(tmp_path_factory.mktemp("two"), runs_of("tests.experiments.odd:Plain-v0", seeds=(1, 2)))
    assert worker.train(stack, Options(), stop=False) == FINISHED
    return stack.path


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


LOST = {
    "both damaged": lambda stack: [cut(path) for path in (stack.checkpoint, stack.checkpoint_before)],
    "both gone": lambda stack: [path.unlink() for path in (stack.checkpoint, stack.checkpoint_before)],
    "one gone, one damaged": lambda stack: [stack.checkpoint.unlink(), cut(stack.checkpoint_before)],
    "both of another training": lambda stack: [
        checkpoint.save(stack.checkpoint, {**state_of(stack), "about": {}}) for _ in range(2)
    ],
}


@pytest.mark.parametrize("kind", LOST)
def test_what_is_lost_is_not_begun_anew_unasked(tmp_path, kind, undisturbed_plain):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:Plain-v0"))
    train_until(stack, 3)
    LOST[kind](stack)
    before = {path.name: path.read_bytes() for path in stack.path.glob("checkpoint*")}
    for _ in range(2):
        assert work(stack) == FAILED
        said = stack.error.read_text()
        assert "checkpoint.pt" in said
        assert said.endswith("nothing is changed: put a whole one there, or say --begin-anew\n")
    assert {path.name: path.read_bytes() for path in stack.path.glob("checkpoint*")} == before
    assert work(stack, begin_anew=True) == FINISHED
    assert same_data(stack.path, undisturbed_plain)
    kept = {path.read_bytes() for path in stack.path.glob("checkpoint*")}
    assert set(before.values()) <= kept


def test_a_finished_part_whose_checkpoint_is_gone_keeps_its_episodes(tmp_path, undisturbed_plain):
    stack = stack_in(tmp_path, runs_of("tests.experiments.odd:Plain-v0"))
    assert work(stack, fraction=0.5) == FINISHED
    before = read_episodes(stack.episodes)
    for path in stack.path.glob("checkpoint*"):
        path.unlink()
    assert work(stack) == FAILED
    assert read_episodes(stack.episodes).equals(before)
    assert work(stack, begin_anew=True) == FINISHED
    assert same_episodes(stack.path, undisturbed_plain)


# --- one name is one training


def train(out, steps, *more):
    flags = ["--num-steps", "50", "--minibatch-size", "25", "--update-epochs", "1", "--workers", "1"]
    with forked_workers():
        return cli.main(["train", "CartPole-v1", *flags, "--total-timesteps", str(steps), "--out", str(out), *more])


def test_another_budget_under_one_name_is_refused(tmp_path, capsys):
    out = tmp_path / "out"
    assert train(out, 400) == 0
    table = (out / "episodes.parquet").read_bytes()
    for steps in (800, 200, 800):
        capsys.readouterr()
        assert train(out, steps) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"of 400 steps, and {steps} steps are asked for: one name is one training" in said
        assert (out / "episodes.parquet").read_bytes() == table
    assert train(out, 400, "--seeds", "1", "2") == 0
    assert len(read_episodes(out / "episodes.parquet").groupby("seed")) == 2
    shutil.rmtree(out / "stacks")
    assert train(out, 800) == 2, "also where the stack is gone"


def test_a_training_that_is_only_begun_has_its_name_too(tmp_path, capsys):
    out = tmp_path / "out"
    assert train(out, 400) == 0
    for path in [*out.glob("*.parquet"), *out.glob("*.json"), *out.glob("stacks/*/manifest.json")]:
        path.unlink()
    assert train(out, 800) == 2
    assert "of 400 steps" in capsys.readouterr().err
