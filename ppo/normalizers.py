"""Running normalisation of observations and rewards, one set of statistics per run.

After openai/baselines' VecNormalize (2017-11), with its constants. Gymnasium's own wrappers compute other things (they
drop the return on a terminal step and run on over time limits), so these are ours.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class RunningMeanStd:
    """Mean and variance of everything seen, per run (Chan et al.'s parallel formula)."""

    def __init__(self, runs: int, shape: tuple[int, ...]) -> None:
        self.mean = np.zeros((runs, *shape))
        self.var = np.ones((runs, *shape))
        self.count = 1e-4  # the same for every run of a stack: they step together

    def update(self, batch: NDArray[np.floating]) -> None:
        """``batch``: ``[runs, envs, *shape]``, the newest values of each run."""
        size = batch.shape[1]
        total = self.count + size
        batch_mean = batch[:, 0] if size == 1 else batch.mean(axis=1)
        delta = batch_mean - self.mean
        self.mean += delta * (size / total)
        self.var *= self.count / total
        self.var += delta * delta * (self.count * size / (total * total))
        if size > 1:
            self.var += batch.var(axis=1) * (size / total)
        self.count = total

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"mean": self.mean, "var": self.var, "count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self.mean, self.var, self.count = state["mean"].copy(), state["var"].copy(), state["count"]


EPSILON = 1e-8


def _clipped(values: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """``np.clip`` in a third of its time for a few values."""
    return np.minimum(np.maximum(values, -bound, out=values), bound, out=values)


class ObservationNormalizer:
    """(x - mean) / std, clipped to +-``clip``; float32 for the network."""

    def __init__(self, runs: int, shape: tuple[int, ...], clip: float = 10.0) -> None:
        self.statistics = RunningMeanStd(runs, shape)
        self.clip = clip

    def update(self, observations: NDArray[np.floating]) -> None:
        """Take ``[runs, envs, *shape]`` into the statistics."""
        self.statistics.update(observations)

    def __call__(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Normalise ``[runs, envs, *shape]`` with the statistics as they are."""
        std = np.sqrt(self.statistics.var + EPSILON)
        normalised = (observations - self.statistics.mean[:, None]) / std[:, None]
        return _clipped(normalised, self.clip).astype(np.float32)


class RewardNormalizer:
    """Rewards divided by the standard deviation of the discounted return so far, clipped to +-``clip``.

    The return starts afresh after every episode, however it ended.
    """

    def __init__(self, gamma: NDArray[np.floating], envs: int, clip: float = 10.0) -> None:
        """``gamma``: ``[runs, 1]``."""
        self.gamma = gamma
        self.returns = np.zeros((len(gamma), envs))
        self.statistics = RunningMeanStd(len(gamma), ())
        self.clip = clip

    def __call__(self, rewards: NDArray[np.float64], ended: NDArray[np.bool_]) -> NDArray[np.float64]:
        """``rewards``, ``ended``: ``[runs, envs]``; returns the scaled rewards."""
        self.returns *= self.gamma
        self.returns += rewards
        self.statistics.update(self.returns)
        scaled = rewards / np.sqrt(self.statistics.var + EPSILON)[:, None]
        self.returns[ended] = 0.0
        return _clipped(scaled, self.clip)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"returns": self.returns, **self.statistics.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self.returns = state["returns"].copy()
        self.statistics.load_state(state)
