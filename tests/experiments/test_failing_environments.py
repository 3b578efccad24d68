"""Environments that fail in some runs: those are named, recorded as failed and trained again; the others go on."""

import json

import gymnasium
import numpy as np
import pandas as pd
import pytest
from gymnasium.spaces import Box

from experiments.cli.commands import main
from experiments.planning.planner import Stack
from experiments.planning.remaining import left_to_train
from experiments.run import Run, known_settings
from experiments.store.manifest import read_manifest
from experiments.store.results import recorded_runs
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import read_episodes
from experiments.training import scheduler, worker
from experiments.training.executor import FAILED, FINISHED, STOPPED, Job
from experiments.training.options import Options
from ppo.envs.base import EnvironmentFailed
from ppo.ppo import PPO
from ppo.seeding import environment_seeds

SETTINGS = PPO.Settings(num_steps=50, minibatch_size=25, update_epochs=1, norm_obs=False)
SEEDS = (1, 2, 3)
WEAK = frozenset(environment_seeds([2], 1))


class Some(gymnasium.Env):
    """The nearer the action is to 0 the better, ten steps an episode; with seed 2 it fails at its 125th step."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)
    weak = WEAK

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.fails, self.steps = seed in self.weak, 0
        self.t = 0
        return self.np_random.normal(size=3).astype(np.float32), {}

    def step(self, action):
        self.t += 1
        self.steps += 1
        if self.fails and self.steps == 125:
            raise SystemExit(0)
        observation = self.np_random.normal(size=3).astype(np.float32)
        return observation, -float(np.square(action).sum()), False, self.t == 10, {}


class All(Some):
    """It fails with every seed."""

    weak = frozenset(environment_seeds(SEEDS, 1))


class CloseRaises(Some):
    weak = frozenset()

    def close(self):
        raise RuntimeError("the simulator is gone already")


class NeverEnds(Some):
    weak = frozenset()

    def step(self, action):
        return *super().step(action)[:3], False, {}


@pytest.fixture(autouse=True)
def _registered():
    kinds = (Some, All, CloseRaises, NeverEnds)
    for kind in kinds:
        gymnasium.register(f"{kind.__name__}-v0", kind)
    yield
    for kind in kinds:
        del gymnasium.registry[f"{kind.__name__}-v0"]


def runs_of(kind, seeds=SEEDS):
    return [Run(f"{kind.__name__}-v0", "ppo", "default", seed, 200, SETTINGS) for seed in seeds]


def stack_of(out, runs):
    stack = StackFolder(out / "stacks" / Stack(tuple(runs)).name)
    stack.create([run.record for run in runs])
    return stack


def rows_of(path, seed):
    table = read_episodes(path)
    return table[table["seed"] == seed].reset_index(drop=True)


def test_a_run_fails_alone_is_named_and_is_trained_again(tmp_path):
    runs = runs_of(Some)
    stack = stack_of(tmp_path / "three", runs)
    with pytest.raises(
        EnvironmentFailed, match=r"^Some-v0 ppo default seed 2 failed by step 150: .*SystemExit"
    ) as error:
        worker.train(stack, Options(), stop=False)
    assert "seed 1" not in str(error.value)
    others = stack_of(tmp_path / "two", runs_of(Some, (1, 3)))
    assert worker.train(others, Options(), stop=False) == FINISHED
    for seed in (1, 3):
        pd.testing.assert_frame_equal(rows_of(stack.episodes, seed), rows_of(others.episodes, seed), check_exact=True)
        assert len(rows_of(stack.episodes, seed)) == 20
    entries = read_manifest(stack.manifest)["runs"]
    assert [entry["status"] for entry in entries] == ["finished", "failed", "finished"]
    assert entries[1]["failed_at"] == 150
    assert entries[1]["diverged_at"] is None
    assert "raised SystemExit" in entries[1]["error"]
    recorded, problems = recorded_runs(tmp_path / "three", known_settings())
    assert not problems
    assert set(recorded) == {runs[0].key, runs[2].key}
    assert [stack.runs for stack in left_to_train(tmp_path / "three", runs, set(recorded), 1)] == [(runs[1],)]


class After:
    """Stops a training after ``iterations``."""

    def __init__(self, iterations):
        self.left = iterations

    def __bool__(self):
        self.left -= 1
        return self.left < 0


def test_a_training_with_a_failed_run_is_stopped_and_goes_on(tmp_path):
    stack, undisturbed = (stack_of(tmp_path / name, runs_of(Some)) for name in ("stopped", "undisturbed"))
    assert worker.train(stack, Options(), After(3)) == STOPPED
    for each in (stack, undisturbed):
        with pytest.raises(EnvironmentFailed, match="seed 2 failed by step 150"):
            worker.train(each, Options(), stop=False)
    assert stack.episodes.read_bytes() == undisturbed.episodes.read_bytes()


def test_where_every_run_fails_the_training_ends_before_it_is_saved(tmp_path):
    stack = stack_of(tmp_path, runs_of(All))
    with pytest.raises(EnvironmentFailed, match=r"seed 1 failed.*seed 2 failed.*seed 3 failed|seed 3.*seed 2.*seed 1"):
        worker.train(stack, Options(checkpoint_interval=0), stop=False)
    assert not stack.finished
    assert stack.checkpoint.exists(), "of the steps before"


def test_what_close_raises_is_logged_and_no_more(tmp_path, capsys):
    stack = stack_of(tmp_path, runs_of(CloseRaises, (1,)))
    assert worker.train(stack, Options(), stop=False) == FINISHED
    assert stack.finished
    assert (
        "closing the environments: close() raised RuntimeError: the simulator is gone already"
        in capsys.readouterr().out
    )


def test_a_process_that_ends_well_without_having_trained_has_failed(tmp_path):
    """As one does whose environment calls os._exit(0)."""

    class Ended(Job):
        def poll(self):
            return FINISHED

    job = Ended(Stack(tuple(runs_of(Some))), StackFolder(tmp_path / "stacks" / "one"))
    outcome = scheduler.Outcome()
    assert scheduler._is_finished(job, outcome)
    assert not outcome.finished
    assert "its process ended with code 0" in outcome.failed[job.stack.name]
    assert job.state == "failed"
    assert FAILED != FINISHED


def test_an_episode_that_does_not_end_is_cut_and_marked(tmp_path, capsys):
    stack = stack_of(tmp_path, runs_of(NeverEnds, (1,)))
    assert worker.train(stack, Options(), stop=False) == FINISHED
    assert main(["evaluate", str(tmp_path), "--episodes", "2", "--max-steps", "30"]) == 0
    said = capsys.readouterr().out
    assert "playing NeverEnds-v0 ppo default seed 1: 2 episodes, of 30 steps at most" in said
    assert "2 (2 cut)" in said


def test_evaluating_goes_on_after_a_policy_whose_environment_fails(tmp_path, capsys, monkeypatch):
    stack = stack_of(tmp_path, runs_of(Some, (1, 3)))
    assert worker.train(stack, Options(), stop=False) == FINISHED
    monkeypatch.setattr(Some, "weak", {*environment_seeds([7], 1)})
    monkeypatch.setattr(Some, "step", failing_once(Some.step))
    assert main(["evaluate", str(tmp_path), "--episodes", "1", "--seed", "7"]) == 1
    said = capsys.readouterr().out
    assert "failed: Some-v0 ppo default seed 1: step() raised RuntimeError: once" in said
    assert said.rstrip().splitlines()[-1].split()[:4] == ["Some-v0", "ppo", "default", "3"]


def failing_once(step):
    failed: list[bool] = []

    def once(self, action):
        if not failed:
            failed.append(True)
            raise RuntimeError("once")
        self.fails = False
        return step(self, action)

    return once


def test_status_shows_a_failed_run_of_a_manifest(tmp_path, capsys):
    run = {**runs_of(Some)[0].record.to_json(), "status": "failed", "failed_at": 150, "steps_done": 200, "error": "x"}
    (tmp_path / "manifest.json").write_text(json.dumps({"runs": [run]}))
    assert main(["status", "--results", str(tmp_path)]) == 0
    assert "0 of 1 runs finished" in capsys.readouterr().out
