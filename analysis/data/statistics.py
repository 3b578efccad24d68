"""Aggregates over runs: IQM, performance profile, probability of improvement, rank correlation, stratified bootstrap.

numpy in, numpy out. The methods are those of Agarwal et al. 2021 ("Deep RL at the edge of the statistical precipice").

With three seeds the percentile bootstrap's 95 % interval of a mean covers 75 to 85 % (tests/analysis/test_coverage.py,
with our measured spreads): its spread is too small by sqrt(2/3), since it divides by n where n - 1 is unbiased, and it
uses no t quantile for three seeds. So below LEAST_SEEDS there is no bootstrap, and means have the intervals of
`intervals`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.stats

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]

RESAMPLES = 10_000
LEAST_SEEDS = 10
"""Seeds in each stratum that a bootstrap needs: its 95 % intervals then cover 91 to 94 % (the same test)."""
SEED = 20170720
"""Fixed, so that the same data give the same interval (the date of the paper's first version)."""


def mean(samples: Array) -> Array:
    """Compute the mean over the last axis."""
    return np.asarray(samples.mean(axis=-1))


def iqm(samples: Array) -> Array:
    """Compute the interquartile mean over the last axis: without the lowest and the highest quarter of the runs."""
    return np.asarray(scipy.stats.trim_mean(samples, proportiontocut=0.25, axis=-1))


def stratified_bootstrap(
    strata: Sequence[Array],
    statistic: Statistic = mean,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    least_seeds: int = LEAST_SEEDS,
) -> tuple[float, float]:
    """Compute the percentile interval of `statistic` over all runs, resampling seeds within each stratum (environment).

    `strata` holds one array [seeds] of scores per environment, of any lengths; `statistic` reduces the last axis of
    [resamples, runs]. Resampling within an environment keeps the mix of tasks. The normalisation is fixed: the interval
    ignores that "best" and "random" are themselves measured. (NaN, NaN) if empty, or if a stratum that is not empty has
    fewer than `least_seeds` runs.
    """
    if not enough_seeds(strata, least_seeds):
        return float("nan"), float("nan")
    low, high = _percentile_interval(statistic(_resampled(strata, resamples)), confidence)
    return float(low), float(high)


def enough_seeds(strata: Sequence[Array], least_seeds: int = LEAST_SEEDS) -> bool:
    """Return whether there are runs, and at least `least_seeds` in each stratum that is not empty."""
    return min((len(stratum) for stratum in strata if len(stratum)), default=0) >= max(least_seeds, 1)


def performance_profile(samples: Array, thresholds: Array) -> Array:
    """Compute the share of the runs (last axis of `samples`) that score above each threshold: [..., thresholds]."""
    shares = [(samples > threshold).mean(axis=-1) for threshold in thresholds]
    return np.stack(shares, axis=-1)


def profile_band(
    strata: Sequence[Array], thresholds: Array, resamples: int = RESAMPLES, confidence: float = 0.95
) -> tuple[Array, Array]:
    """Compute the percentile interval of `performance_profile` at each threshold, as `stratified_bootstrap` does.

    The strata must have `enough_seeds`, which is not checked.
    """
    return _percentile_interval(performance_profile(_resampled(strata, resamples), thresholds), confidence)


def _resampled(strata: Sequence[Array], resamples: int) -> Array:
    """Resample the runs within each stratum: [resamples, runs]."""
    filled = [np.asarray(stratum, dtype=np.float64) for stratum in strata if len(stratum)]
    generator = np.random.default_rng(SEED)
    drawn = [stratum[generator.integers(0, len(stratum), (resamples, len(stratum)))] for stratum in filled]
    return np.concatenate(drawn, axis=1)


def triples_of_seeds(strata: Sequence[Array], generator: np.random.Generator, draws: int = RESAMPLES) -> Array:
    """Draw averages over environments of three different seeds each: [draws].

    In each stratum (environment) one of the n!/(3!(n-3)!) triples of different seeds, all equally likely; environments
    independently, since equal seeds of two environments have only their number in common; then the mean over all.
    Raises ValueError if a stratum has fewer than three seeds.
    """
    if min(map(len, strata), default=0) < 3:
        raise ValueError("a triple needs three seeds in every environment")
    means = [np.array(list(itertools.combinations(stratum, 3))).mean(axis=1) for stratum in strata]
    return np.asarray(np.mean([generator.choice(of_stratum, draws) for of_stratum in means], axis=0))


def resampled_triples(strata: Sequence[Array], generator: np.random.Generator, draws: int = RESAMPLES) -> Array:
    """Draw averages over environments of three seeds each, with replacement: [draws].

    As `triples_of_seeds`, but each of the three is any of the n seeds. The standard deviation is sqrt(1 - 1/n) of that
    of three new seeds; with different seeds it is sqrt(1 - 3/n).
    """
    means = [stratum[generator.integers(0, len(stratum), (draws, 3))].mean(axis=1) for stratum in strata]
    return np.asarray(np.mean(means, axis=0))


def central(values: Array, share: float = 0.95) -> tuple[float, float]:
    """Return the bounds of the central `share` of the values."""
    low, high = _percentile_interval(values, share)
    return float(low), float(high)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute Spearman's rank correlation over the pairs without NaN; NaN with fewer than three, or no variation."""
    pairs = np.asarray([first, second], dtype=np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < 3 or np.ptp(pairs, axis=1).min() == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(pairs[0], pairs[1]).statistic)


def rank_correlations(first: Array, second: Sequence[float]) -> Array:
    """Compute Spearman's rank correlation of each row of `first`, [draws, values], with `second`: [draws]; no NaN."""
    left, right = (
        ranks - ranks.mean(axis=-1, keepdims=True)
        for ranks in (scipy.stats.rankdata(side, axis=-1) for side in (first, second))
    )
    return np.asarray((left @ right) / np.sqrt((left**2).sum(axis=-1) * (right**2).sum()))


def probability_of_improvement(first: Sequence[Array], second: Sequence[Array]) -> float:
    """Compute P(a run of `first` beats a run of `second`), ties counting half, averaged over environments.

    One array [seeds] per environment on each side, environments in the same order; those without runs on either side
    are left out. NaN if none remains.
    """
    chances = [float(_chance(left, right)) for left, right in _pairs(first, second)]
    return float(np.mean(chances)) if chances else float("nan")


def improvement_interval(
    first: Sequence[Array],
    second: Sequence[Array],
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    least_seeds: int = LEAST_SEEDS,
) -> tuple[float, float]:
    """Compute the percentile interval of `probability_of_improvement`, resampling seeds per environment and side.

    (NaN, NaN) if an environment that counts has fewer than `least_seeds` runs on either side.
    """
    pairs = _pairs(first, second)
    if not enough_seeds([side for pair in pairs for side in pair], least_seeds):
        return float("nan"), float("nan")
    generator = np.random.default_rng(SEED)
    chances = [
        _chance(*(side[generator.integers(0, len(side), (resamples, len(side)))] for side in pair)) for pair in pairs
    ]
    low, high = _percentile_interval(np.mean(chances, axis=0), confidence)
    return float(low), float(high)


def _pairs(first: Sequence[Array], second: Sequence[Array]) -> list[tuple[Array, Array]]:
    both = [(np.asarray(left), np.asarray(right)) for left, right in zip(first, second, strict=True)]
    return [(left, right) for left, right in both if len(left) and len(right)]


def _chance(left: Array, right: Array) -> Array:
    """Compute P(left > right) + P(left = right) / 2 over all pairs of the last axis."""
    difference = left[..., :, None] - right[..., None, :]
    wins: Array = (difference > 0) + 0.5 * (difference == 0)
    return np.asarray(wins.mean(axis=(-2, -1)))


def _percentile_interval(values: Array, confidence: float) -> tuple[Array, Array]:
    """Return the percentile interval over the first axis, the resamples."""
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values, [tail, 100 - tail], axis=0)
    return low, high
