"""Compare a stack of the project with the referee's runs, trained one by one."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from experiments.run import Run
from experiments.training.build import build

TOLERANCE = 1e-4
"""Largest distance allowed between a run's final parameters and the referee's, in units of the distance moved."""


@dataclass
class Comparison:
    """Both sides after the training, for further assertions."""

    algorithm: object
    referees: list
    differences: list = field(default_factory=list)
    """Relative distance of each run's parameters; with ``replayed``, of each run in each iteration."""

    def episodes(self):
        return sum(len(referee.environments.episodes) for referee in self.referees)


def compare(name, referee_class, env_id, settings, total_timesteps, replayed=False, engine=None):
    """Train ``settings`` as one stack and run by run; assert equal parameters, episodes and metrics.

    ``replayed``: from the second iteration on, the referee starts each iteration with the project's parameters. For
    algorithms that amplify rounding (conjugate gradient, line search). Its environments, statistics and optimisers go
    on as they are.
    """
    seeds = range(1, len(settings) + 1)
    runs = [Run(env_id, name, str(seed), seed, total_timesteps, settings[seed - 1]) for seed in seeds]
    algorithm = build(runs, reports=True, engine=engine)
    assert engine in (None, algorithm.engine)
    starts = algorithm.policy.parameters.detach().double().clone()
    referees = [
        referee_class(env_id, run.settings, run.seed, total_timesteps, row)
        for run, row in zip(runs, starts, strict=True)
    ]
    result = Comparison(algorithm, referees)
    episodes: list[list[Any]] = [[] for _ in runs]
    while algorithm.steps_done < total_timesteps:
        if replayed:
            starts = algorithm.policy.parameters.detach().double().clone()
            for referee, row in zip(referees, starts, strict=True):
                referee.networks.fill(row)
        ended, metrics = algorithm.iterate()
        for run, step, episodic_return, length in ended:
            episodes[run].append((step, length, episodic_return))
        for run, referee in enumerate(referees):
            assert_same_metrics(metrics, referee.iterate(), run, algorithm.iteration)
        if replayed or algorithm.steps_done == total_timesteps:
            result.differences += relative_distances(algorithm.policy.parameters, referees, starts)
    assert all(referee.steps_done == total_timesteps and referee.iteration >= 2 for referee in referees)
    for run, referee in enumerate(referees):
        assert_same_episodes(episodes[run], referee.environments.episodes)
    assert all(difference < TOLERANCE for difference in result.differences), result.differences
    counts = f"{len(settings)} runs, {algorithm.iteration:>2} iterations, {result.episodes():>3} episodes"
    print(f"\n{name:<16} {env_id:<20} {counts}: worst relative difference {max(result.differences):.1e}", end="")
    return result


def relative_distances(parameters, referees, starts):
    """Of each run: L2 distance between project and referee over the L2 distance that the referee moved."""
    distances = []
    for row, referee, start in zip(parameters.detach().double(), referees, starts, strict=True):
        expected = referee.networks.values()
        moved = (expected - start).norm().item()
        assert moved > 0
        distances.append((row - expected).norm().item() / moved)
    return distances


def assert_same_metrics(metrics, expected, run, iteration):
    """Compare every metric but the policy's loss with a trust region: only its gradient has a meaning."""
    assert metrics.keys() - expected.keys() <= {"losses/policy_loss"}
    for name, value in expected.items():
        found = metrics[name][run].item()
        message = f"iteration {iteration}, run {run}: {name} is {found}, the referee's is {value}"
        assert found == pytest.approx(value, rel=1e-3, abs=2e-6), message


def assert_same_episodes(episodes, expected):
    """(step, length, return) of each, in order."""
    assert [episode[:2] for episode in episodes] == [episode[:2] for episode in expected]
    returns = [episode[2] for episode in episodes]
    assert all(map(math.isfinite, returns))
    np.testing.assert_allclose(returns, [episode[2] for episode in expected], rtol=1e-4)
