"""Running normalisation of observations and rewards, one set of statistics per run.

After openai/baselines' VecNormalize, with its constants, and the filter of its ppo1 and trpo_mpi. Gymnasium's own
wrappers compute other things (they drop the return on a terminal step and run on over time limits).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppo.checkpoint import fill
from ppo.settings import Settings


class RunningMeanStd:
    """Mean and variance of all values so far, per run (Chan et al.'s parallel formula)."""

    def __init__(self, runs: int, shape: tuple[int, ...], count: float = 1e-4) -> None:
        """Start at mean 0 and variance 1, which weigh as much as ``count`` values."""
        self.mean = np.zeros((runs, *shape))
        self.var = np.ones((runs, *shape))
        self.count = count  # the same for every run of a stack: they step together

    def update(self, batch: NDArray[np.floating]) -> None:
        """Take in ``batch`` ``[runs, envs, *shape]``, the newest values of each run."""
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
        """Return what a checkpoint holds."""
        return {"mean": self.mean, "var": self.var, "count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        fill(self.mean, state["mean"])
        fill(self.var, state["var"])
        self.count = float(state["count"])


EPSILON = 1e-8


def _clipped(values: NDArray[np.float64], bound: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Do ``np.clip``, for a few values in a third of its time."""
    return np.minimum(np.maximum(values, -bound, out=values), bound, out=values)


class ObservationNormalizer:
    """(x - mean) / std, clipped to +-``clip``; float32 for the network. Renewed at every step."""

    every_step = True
    """Whether the statistics are updated at every step; if not, at the end of each batch."""
    first_count = 1e-4
    """The number of observations that the initial mean of 0 and variance of 1 weigh as much as."""
    epsilon, least_variance = EPSILON, 0.0
    """The deviation is sqrt(max(variance + epsilon, least_variance))."""

    def __init__(self, runs: int, shape: tuple[int, ...], clip: ArrayLike = 10.0) -> None:
        """Start without observations; ``clip``: ``[runs]``, or one for all."""
        self.statistics = RunningMeanStd(runs, shape, self.first_count)
        self.clip = np.broadcast_to(np.asarray(clip, np.float64), runs).copy()

    def update(self, observations: NDArray[np.floating]) -> None:
        """Update the statistics with observations ``[runs, envs, *shape]``."""
        self.statistics.update(observations)

    def __call__(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Normalise ``[runs, envs, *shape]`` with the current statistics."""
        std = np.sqrt(np.maximum(self.statistics.var + self.epsilon, self.least_variance))
        normalised = (observations - self.statistics.mean[:, None]) / std[:, None]
        clip = self.clip.reshape(len(self.clip), *(1 for _ in observations.shape[1:]))
        return _clipped(normalised, clip).astype(np.float32)


class BatchObservationNormalizer(ObservationNormalizer):
    """The filter of openai/baselines' ppo1 and trpo_mpi (mpi_running_mean_std.py, 2017-07-20): updated once per batch,
    with another initial weight and a variance of at least 0.01."""

    every_step = False
    first_count = 1e-2
    epsilon, least_variance = 0.0, 1e-2


def observation_normalizer(settings: Sequence[Settings], shape: tuple[int, ...]) -> ObservationNormalizer | None:
    """Return the normaliser of observations of ``shape`` that the settings of a stack's runs name, or None."""
    if not settings[0].norm_obs:
        return None
    kind = ObservationNormalizer if settings[0].obs_filter == "step" else BatchObservationNormalizer
    return kind(len(settings), shape, np.array([run.clip_obs for run in settings]))


class RewardNormalizer:
    """Rewards divided by the standard deviation of the discounted return so far, clipped to +-``clip``.

    With ``reset`` the return starts at 0 after every episode, for any kind of end, as in openai/baselines from ad219e2
    (2018-09-06) on; without, it runs on over all episodes, as in the releases of 2017-11 (b05be68) and 2018-08
    (ea68f3b). Where rewards are dense and episodes end early these are scales of another order of magnitude.
    """

    def __init__(self, gamma: NDArray[np.float64], envs: int, reset: bool = True, clip: float = 10.0) -> None:
        """Start without rewards; ``gamma``: ``[runs, 1]``."""
        self.gamma = gamma
        self.reset = reset
        self.returns = np.zeros((len(gamma), envs))
        self.statistics = RunningMeanStd(len(gamma), ())
        self.clip = clip

    def __call__(self, rewards: NDArray[np.float64], ended: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the scaled ``rewards``; ``rewards``, ``ended``: ``[runs, envs]``."""
        self.returns *= self.gamma
        self.returns += rewards
        self.statistics.update(self.returns)
        scaled = rewards / np.sqrt(self.statistics.var + EPSILON)[:, None]
        if self.reset:
            self.returns[ended] = 0.0
        return _clipped(scaled, self.clip)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"returns": self.returns, **self.statistics.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        fill(self.returns, state["returns"])
        self.statistics.load_state(state)
