"""How often intervals that say 95 % hold the truth: simulated scores, with the spreads of rows of Table 1."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analysis.data import intervals, statistics
from analysis.data.published import PUBLISHED

MEANS = {
    "none": (-1.017, 0.044, 0.012, 0.078, -4.769, 0.003, 0.010),
    "clip-0.2": (0.663, 0.667, 0.818, 0.954, 0.985, 0.788, 0.735),
    "fixed-kl-10": (0.365, 0.525, 0.695, 0.985, 0.954, 0.869, 0.388),
}
"""Of each row and task, as measured on Table 1's scale with ten, ten and five seeds at e37efef."""
SPREADS = {
    "none": (0.558, 0.050, 0.017, 0.109, 4.614, 0.171, 0.024),
    "clip-0.2": (0.276, 0.188, 0.090, 0.053, 0.005, 0.140, 0.195),
    "fixed-kl-10": (0.053, 0.146, 0.084, 0.008, 0.005, 0.078, 0.158),
}
"""The standard deviation over seeds, of the same runs."""

Sample = list[statistics.Array]


def samples(row: str, seeds: int, count: int) -> list[Sample]:
    generator = np.random.default_rng([seeds, count])
    drawn = generator.normal(MEANS[row], SPREADS[row], (count, seeds, len(MEANS[row])))
    return [list(simulated.T) for simulated in drawn]


def coverage(interval: Callable[[Sample], tuple[float, float]], truth: float, drawn: list[Sample]) -> float:
    inside = [low <= truth <= high for low, high in map(interval, drawn)]
    return float(np.mean(inside))


def bootstrap(statistic: statistics.Statistic = statistics.mean) -> Callable[[Sample], tuple[float, float]]:
    return functools.partial(statistics.stratified_bootstrap, statistic=statistic, resamples=500, least_seeds=1)


def t_interval(strata: Sample) -> tuple[float, float]:
    return intervals.task_mean(strata).interval()


@pytest.mark.parametrize("row", SPREADS)
def test_t_interval_covers_where_the_bootstrap_does_not(row: str) -> None:
    """With three seeds the t interval covers what it says, and the bootstrap does not."""
    truth = float(np.mean(MEANS[row]))
    assert 0.93 <= coverage(t_interval, truth, samples(row, 3, 2000)) <= 0.97
    assert 0.72 <= coverage(bootstrap(), truth, samples(row, 3, 500)) <= 0.88
    assert all(np.isnan(statistics.stratified_bootstrap(samples(row, 3, 1)[0])))  # so it gives none


@pytest.mark.parametrize("row", SPREADS)
def test_from_ten_seeds_on_both_cover(row: str) -> None:
    truth = float(np.mean(MEANS[row]))
    assert 0.93 <= coverage(t_interval, truth, samples(row, 10, 2000)) <= 0.97
    assert 0.90 <= coverage(bootstrap(), truth, samples(row, 10, 500)) <= 0.95
    assert np.isfinite(statistics.stratified_bootstrap(samples(row, 10, 1)[0])).all()


def measured(row: str) -> Sample:
    """The row's normalised scores, an array per task."""
    scores = pd.read_csv(PUBLISHED.resolve().parent / "tables" / "scores.csv")
    mine = scores[(scores["protocol"] == "table1") & (scores["setting"] == row)]
    return [task.to_numpy() for _, task in mine.groupby("environment")["normalised"]]


@pytest.mark.parametrize("row", SPREADS)
def test_the_spreads_are_those_that_were_measured(row: str) -> None:
    assert [scores.mean() for scores in measured(row)] == pytest.approx(MEANS[row], abs=0.006)
    assert [scores.std(ddof=1) for scores in measured(row)] == pytest.approx(SPREADS[row], abs=0.006)


@pytest.mark.parametrize(
    ("row", "seeds", "low", "high"),
    [("none", 3, 0.90, 0.94), ("none", 10, 0.83, 0.89), ("clip-0.2", 3, 0.94, 0.98), ("clip-0.2", 10, 0.93, 0.97)],
)
def test_of_a_skewed_row_the_t_interval_covers_less(row: str, seeds: int, low: float, high: float) -> None:
    """Drawn from the row's own seeds: without clipping or penalty they fall to very different depths."""
    generator, strata = np.random.default_rng(seeds), measured(row)
    truth = float(np.mean([scores.mean() for scores in strata]))
    drawn = [[generator.choice(scores, seeds) for scores in strata] for _ in range(2000)]
    assert low <= coverage(t_interval, truth, drawn) <= high


def test_from_ten_seeds_on_the_iqms_interval_covers() -> None:
    row = "clip-0.2"
    many = np.random.default_rng(0).normal(MEANS[row], SPREADS[row], (200_000, len(MEANS[row])))
    truth = float(scipy.stats.trim_mean(many.ravel(), 0.25))
    assert 0.90 <= coverage(bootstrap(statistics.iqm), truth, samples(row, 10, 500)) <= 0.95


def two_rows(seeds: int, count: int) -> list[tuple[Sample, Sample]]:
    return list(zip(samples("clip-0.2", seeds, count), samples("fixed-kl-10", seeds, count + 1), strict=False))


def test_the_interval_of_a_difference_covers_with_three_seeds() -> None:
    truth = float(np.mean(MEANS["clip-0.2"]) - np.mean(MEANS["fixed-kl-10"]))
    bounds = [intervals.task_difference(*pair).interval() for pair in two_rows(3, 2000)]
    assert 0.93 <= np.mean([low <= truth <= high for low, high in bounds]) <= 0.97


@pytest.mark.parametrize(("seeds", "low", "high"), [(3, 0.75, 0.89), (10, 0.90, 0.96)])
def test_improvement_interval_covers_from_ten_seeds(seeds: int, low: float, high: float) -> None:
    """The interval of the probability of improvement covers what it says from ten seeds on."""
    apart = np.subtract(MEANS["clip-0.2"], MEANS["fixed-kl-10"])
    truth = float(scipy.stats.norm.cdf(apart / np.hypot(SPREADS["clip-0.2"], SPREADS["fixed-kl-10"])).mean())
    pairs = two_rows(seeds, 400)
    bounds = [statistics.improvement_interval(*pair, resamples=500, least_seeds=1) for pair in pairs]
    assert low <= np.mean([below <= truth <= above for below, above in bounds]) <= high
    assert np.isnan(statistics.improvement_interval(*pairs[0])[0]) == (seeds < 10)


def test_false_equality_is_rare() -> None:
    """Rows further apart than the margin are called equal in one of twenty cases at most.

    At a true difference of exactly the margin.
    """
    shift = intervals.MARGIN - float(np.mean(MEANS["clip-0.2"]) - np.mean(MEANS["fixed-kl-10"]))
    estimates = [intervals.task_difference([a + shift for a in ours], theirs) for ours, theirs in two_rows(3, 2000)]
    assert np.mean([estimate.equivalence_p() < 0.05 for estimate in estimates]) <= 0.06
    assert np.mean([estimate.equivalence_p(margin=0.3) < 0.05 for estimate in estimates]) > 0.5


@pytest.mark.parametrize(("left", "right"), [(10, 5), (5, 10), (3, 10)])
def test_interval_of_a_difference_covers_with_unequal_seeds(left: int, right: int) -> None:
    """The interval of a difference covers what it says with unequal numbers of seeds."""
    truth = float(np.mean(MEANS["clip-0.2"]) - np.mean(MEANS["fixed-kl-10"]))
    pairs = zip(samples("clip-0.2", left, 2000), samples("fixed-kl-10", right, 2001), strict=False)
    bounds = [intervals.task_difference(*pair).interval() for pair in pairs]
    assert 0.93 <= np.mean([low <= truth <= high for low, high in bounds]) <= 0.97
