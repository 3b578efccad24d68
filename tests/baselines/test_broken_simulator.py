"""A simulator that gives no numbers any more: its run is recorded as diverged, and nobody else notices."""

import warnings
from functools import cache

import numpy as np
import pytest

from baselines import ALGORITHMS
from experiments.contract.stacks import DISCRETE, SEVERAL_ACTIONS, assert_same, finish, outcome, run_of, training_of

BROKEN_AT = 150
"""Vector steps before run 1's environment breaks: in the second iteration of most."""

BREAKS = {
    "observations": (np.nan, True, False),
    "one observation": (np.nan, True, False),
    "rewards": (np.nan, False, True),
    "both": (np.nan, True, True),
    "infinite observations": (np.inf, True, False),
    "infinite rewards": (-np.inf, False, True),
}


def broken(training, how, run=1):
    """From some step on, or at one alone, the environment of ``run`` gives what is no number."""
    value, in_observations, in_rewards = BREAKS[how]
    step, count = training.algorithm.env.step, 0

    def steps(actions):
        nonlocal count
        count += 1
        transition = step(actions)
        if count < BROKEN_AT or (how.startswith("one") and count > BROKEN_AT):
            return transition
        rows = transition.rewards.reshape(training.algorithm.runs, -1)
        if in_rewards:
            rows[run] = value
        if in_observations:
            observations = transition.observations.copy()
            observations.reshape(len(rows), rows.shape[1], -1)[run, 0, -1:] = value
            transition = transition._replace(observations=observations)
        return transition

    training.algorithm.env.step = steps
    return training


@cache
def whole_of(kind, environment):
    """Three runs, and what they come to with a simulator that is sound."""
    runs = [run_of(kind, environment, seed, 300, variant=seed - 1) for seed in (1, 2, 3)]
    return runs, finish(training_of(kind, *runs))


CASES = [
    *((name, how, SEVERAL_ACTIONS) for name in ALGORITHMS for how in ("one observation", "rewards")),
    *((name, "observations", DISCRETE) for name in ALGORITHMS),
    *(("ppo", how, SEVERAL_ACTIONS) for how in BREAKS),
]


@pytest.mark.parametrize(("name", "how", "environment"), dict.fromkeys(CASES))
def test_broken_simulator_leaves_the_others_alone(name, how, environment):
    """A run whose simulator breaks is recorded, and leaves the others as they are."""
    kind = ALGORITHMS[name].load()
    runs, whole = whole_of(kind, environment)
    sick = broken(training_of(kind, *runs), how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, about infinity minus infinity
        finish(sick)
    assert sick.done
    for run in (0, 2):
        assert_same(outcome(sick, run), outcome(whole, run), f"run {run}:")
    assert sick.algorithm.diverged_at[0] is sick.algorithm.diverged_at[2] is None
    assert BROKEN_AT <= sick.algorithm.diverged_at[1] <= 300
    episodes, before = sick.episodes(), whole.episodes()
    mine, then = (columns["run"] == 1 for columns in (episodes, before))
    for column in ("step", "episodic_return", "episodic_length"):  # what was recorded until then is kept, and no more
        np.testing.assert_array_equal(episodes[column][mine], before[column][then & (before["step"] < BROKEN_AT)])
    assert np.isfinite(episodes["episodic_return"]).all()


@pytest.mark.parametrize("kind", [record.load() for record in ALGORITHMS.values()], ids=ALGORITHMS)
def test_that_a_simulator_broke_is_remembered_over_a_stop(kind, tmp_path):
    runs = [run_of(kind, SEVERAL_ACTIONS, seed, 300) for seed in (1, 2)]
    sick = broken(training_of(kind, *runs), "one observation")
    while sick.algorithm.steps_done < BROKEN_AT:
        sick.iterate()
    sick.save(tmp_path / "c.pt", {})
    resumed = training_of(kind, *runs)
    resumed.load(tmp_path / "c.pt", {})
    for training in (sick, resumed):
        finish(training)
    assert resumed.algorithm.diverged_at == sick.algorithm.diverged_at
    for run in (0, 1):
        assert_same(outcome(resumed, run), outcome(sick, run))
