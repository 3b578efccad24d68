"""Every random number of a run comes from the run's own seed, so a run does not know its neighbours."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

PURPOSES = ("initialisation", "environment", "actions", "minibatches", "algorithm")
Purpose = Literal["initialisation", "environment", "actions", "minibatches", "algorithm"]


def sequence(seed: int, purpose: Purpose, index: int = 0) -> np.random.SeedSequence:
    """The stream for one ``purpose``; ``index`` is the iteration, or the environment's number within the run.

    Streams are addressed rather than consumed: iteration 7's action noise is the same whether the run got there
    in one go or was stopped and resumed, and nothing of it needs to be saved. ``SeedSequence`` keeps the streams of
    seeds 1, 2, 3 apart, where ``reset(seed=s)`` giving s + i to the i-th environment would make them share.
    """
    return np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), index))


def generator(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """A fresh numpy generator at the start of that stream."""
    return np.random.default_rng(sequence(seed, purpose, index))


def environment_seeds(seeds: Sequence[int], num_envs: int) -> list[int]:
    """One integer seed per environment row, for ``Env.reset(seed=...)``: ``num_envs`` rows for each run's seed."""
    return [
        int(sequence(seed, "environment", env).generate_state(1, np.uint64)[0])
        for seed in seeds
        for env in range(num_envs)
    ]
