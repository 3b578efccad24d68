"""t intervals, tests and power against scipy's, closed forms and printed tables."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from analysis.data import intervals
from analysis.data.intervals import Estimate
from analysis.data.statistics import Array

HALF = np.array([-1.0, 1.0] * 3)
UNIT = HALF / HALF.std(ddof=1)
"""Six seeds with mean 0 and deviation 1."""


def normal(seed: int, *sizes: int) -> list[Array]:
    generator = np.random.default_rng(seed)
    return [generator.normal(place, 1 + place, size) for place, size in enumerate(sizes)]


def test_of_one_task_it_is_the_ordinary_t_interval() -> None:
    (scores,) = normal(1, 5)
    expected = scipy.stats.t.interval(0.95, 4, loc=scores.mean(), scale=scipy.stats.sem(scores))
    assert intervals.task_mean([scores]).interval() == pytest.approx(expected)


def test_over_tasks_by_hand() -> None:
    # Means 2 and 20; s^2 / n = 1 / 3 and 8 / 2. Over two tasks: variance (1/3 + 4) / 4, and Satterthwaite's freedom.
    estimate = intervals.task_mean([np.array([1.0, 2.0, 3.0]), np.array([]), np.array([18.0, 22.0])])
    assert estimate.value == 11.0
    assert estimate.error == pytest.approx(np.sqrt((1 / 3 + 4) / 4))
    assert estimate.freedom == pytest.approx((1 / 3 + 4) ** 2 / ((1 / 3) ** 2 / 2 + 4**2 / 1))


def test_a_difference_on_one_task_is_scipys_welch_test() -> None:
    ours, theirs = normal(2, 5, 7)
    estimate, expected = (
        intervals.task_difference([ours], [theirs]),
        scipy.stats.ttest_ind(ours, theirs, equal_var=False),
    )
    assert estimate.difference_p() == pytest.approx(expected.pvalue)
    for confidence in (0.95, 0.9):
        interval = expected.confidence_interval(confidence)
        assert estimate.interval(confidence) == pytest.approx((interval.low, interval.high))


def test_difference_from_published_moments_is_scipys_welch() -> None:
    """A difference from a published mean and deviation is scipy's Welch test on all the numbers."""
    ours, theirs = normal(3, 3, 5)
    estimate = intervals.published_difference(ours, theirs.mean(), theirs.std(ddof=1), len(theirs))
    expected = scipy.stats.ttest_ind(ours, theirs, equal_var=False)
    assert estimate.value == pytest.approx(ours.mean() - theirs.mean())
    assert estimate.difference_p() == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert estimate.interval() == pytest.approx((interval.low, interval.high))


def test_one_run_has_a_difference_and_no_interval() -> None:
    """One run beside published numbers has a difference and no interval."""
    estimate = intervals.published_difference(np.array([7.0]), 5.0, 1.0, 5)
    assert estimate.value == 2.0
    assert np.isnan(estimate.interval()).all()
    assert np.isnan(intervals.published_difference(np.array([]), 5.0, 1.0, 5).value)


def test_differences_are_paired_by_task() -> None:
    """A difference is paired by task, and leaves out what one side lacks."""
    easy, hard = np.array([100.0, 102.0]), np.array([1.0, 3.0])
    both = intervals.task_difference([easy + 5, hard + 1, np.array([7.0, 9.0])], [easy, hard, np.array([])])
    assert both.value == 3.0
    assert both.error == pytest.approx(1.0)  # each of the four means has variance 2 / 2; (1 + 1 + 1 + 1) / 4


@pytest.mark.filterwarnings("error")
def test_without_a_spread_there_is_no_interval() -> None:
    for strata in ([np.array([1.0])], [np.array([1.0]), np.array([1.0, 2.0])], [np.array([3.0, 3.0])], []):
        estimate = intervals.task_mean(strata)
        assert np.isnan(estimate.interval()).all()
        assert np.isnan([estimate.difference_p(), estimate.equivalence_p()]).all()
    assert intervals.task_mean([np.array([1.0]), np.array([2.0, 4.0])]).value == 2.0
    assert np.isnan(intervals.task_difference([np.array([1.0])], [np.array([])]).value)


def test_equivalence_is_the_larger_of_scipys_two_one_sided_tests() -> None:
    ours, theirs = normal(3, 9, 8)
    for margin in (1.0, 2.5):
        below = scipy.stats.ttest_ind(ours + margin, theirs, equal_var=False, alternative="greater").pvalue
        above = scipy.stats.ttest_ind(ours - margin, theirs, equal_var=False, alternative="less").pvalue
        p_value = intervals.task_difference([ours], [theirs]).equivalence_p(margin)
        assert p_value == pytest.approx(max(below, above))


def test_the_margin_of_equality_is_a_tenth_of_the_scale() -> None:
    assert intervals.MARGIN == 0.1


def test_holm_by_hand() -> None:
    # In order 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04; never smaller than the one before.
    assert intervals.holm([0.04, 0.01, np.nan, 0.03, 0.02]) == pytest.approx([0.06, 0.04, np.nan, 0.06, 0.06], nan_ok=1)
    assert intervals.holm([0.9, 0.8]) == [1.0, 1.0]
    assert intervals.holm([]) == []


def test_chance_of_the_first_rank_of_two_rows() -> None:
    """Of two rows the chance of the first rank is that of a normal difference."""
    many = 1e6  # degrees of freedom: normal
    first, second = Estimate(0.5, 0.3, many), Estimate(0.2, 0.4, many)
    chances = intervals.rank_probabilities([second, intervals.UNKNOWN, first])
    expected = scipy.stats.norm.cdf(0.3 / 0.5)
    assert chances[2, 0] == pytest.approx(expected, abs=0.01)
    assert chances[0] == pytest.approx([1 - expected, expected, 0.0], abs=0.01)
    assert np.isnan(chances[1]).all()
    assert chances[[0, 2]].sum(axis=0) == pytest.approx([1, 1, 0])
    assert (chances[[0, 2]] == intervals.rank_probabilities([second, intervals.UNKNOWN, first])[[0, 2]]).all()


def test_few_seeds_make_ranks_less_sure() -> None:
    def first(freedom: float) -> float:
        rows = [Estimate(1.0, 0.1, freedom), Estimate(0.6, 0.1, freedom)]
        return float(intervals.rank_probabilities(rows)[0, 0])

    assert first(2) < first(1e6) - 0.02


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17), (1.5, 9), (2.0, 6)])
def test_seeds_needed_are_those_of_a_power_table(effect: float, seeds: int) -> None:
    """R's power.t.test(delta, sd = 1, power = 0.8), rounded up: 393.4, 63.8, 25.5, 16.7, 8.1, 5.1."""
    assert intervals.seeds_needed([UNIT], [UNIT + effect]) == seeds
    assert intervals.seeds_needed([UNIT + effect], [UNIT]) == seeds


def test_seeds_needed_over_tasks_by_simulation() -> None:
    ours, theirs = [UNIT, 3 * UNIT, 0.2 * UNIT], [UNIT + 0.5, 2 * UNIT + 2, UNIT + 0.5]
    seeds = int(intervals.seeds_needed(ours, theirs))
    generator = np.random.default_rng(4)

    def found(count: int) -> float:
        drawn = [
            [[generator.normal(side.mean(), side.std(ddof=1), count) for side in sides] for sides in (ours, theirs)]
            for _ in range(1500)
        ]
        return float(np.mean([intervals.task_difference(*pair).difference_p() < 0.05 for pair in drawn]))

    assert 2 < seeds < 30
    assert found(seeds) == pytest.approx(0.8, abs=0.04)


def test_no_number_of_seeds_finds_no_difference() -> None:
    assert intervals.seeds_needed([UNIT], [UNIT]) == np.inf
    assert np.isnan(intervals.seeds_needed([np.array([1.0])], [UNIT]))
    assert intervals.seeds_needed([UNIT], [UNIT + 1e6]) == 2
    # Here scipy's noncentral t is NaN on the far side.
    assert intervals.seeds_needed([np.array([-1.0, 0.0, 1.0])], [np.array([10.0, 11.0, 12.0])]) == 2


def test_difference_with_unequal_seeds_by_hand() -> None:
    """A difference over tasks with other numbers of seeds on either side, by hand.

    Ten seeds against five on one task, three against five on another; equal numbers of seeds are no pairs.
    """
    sizes = ((10, 5), (3, 5))
    ours, theirs = zip(*(normal(place, *pair) for place, pair in enumerate(sizes)), strict=True)
    estimate = intervals.task_difference(ours, theirs)
    parts = [np.var(side, ddof=1) / len(side) / 4 for pair in zip(ours, theirs, strict=True) for side in pair]
    assert estimate.value == pytest.approx(np.mean([a.mean() - b.mean() for a, b in zip(ours, theirs, strict=True)]))
    assert estimate.error == pytest.approx(np.sqrt(sum(parts)))
    freedoms = [size - 1 for pair in sizes for size in pair]
    expected = sum(parts) ** 2 / sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    assert estimate.freedom == pytest.approx(expected)
    shuffled = intervals.task_difference([side[::-1] for side in ours], theirs)
    assert shuffled.interval() == pytest.approx(estimate.interval())
