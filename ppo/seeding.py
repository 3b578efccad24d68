"""Every random number of a run comes from the run's seed, so a run does not depend on its neighbours."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

PURPOSES = ("initialisation", "environment", "actions", "minibatches", "algorithm")
Purpose = Literal["initialisation", "environment", "actions", "minibatches", "algorithm"]


def sequence(seed: int, purpose: Purpose, index: int = 0) -> np.random.SeedSequence:
    """Return the stream for one ``purpose``; ``index``: the iteration, or the environment's number within the run.

    Streams are addressed rather than consumed: the action noise of iteration 7 is the same whether or not the run was
    stopped and resumed, and no generator state needs to be saved. ``SeedSequence`` makes the streams of seeds 1, 2, 3
    independent; seed s + i for the i-th environment would make neighbouring seeds share environments.
    """
    return np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), index))


def generator(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Return a fresh numpy generator at the start of that stream."""
    return np.random.default_rng(sequence(seed, purpose, index))


def environment_seeds(seeds: Sequence[int], num_envs: int) -> list[int]:
    """Return one integer seed per environment row, for ``Env.reset(seed=...)``: ``num_envs`` for each run's seed."""
    return [
        int(sequence(seed, "environment", env).generate_state(1, np.uint64)[0])
        for seed in seeds
        for env in range(num_envs)
    ]
