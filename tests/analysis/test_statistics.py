from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from analysis.data import statistics
from analysis.data.published import published


def test_one_stratum_is_scipys_bootstrap() -> None:
    scores = np.random.default_rng(1).normal(size=8)
    theirs = scipy.stats.bootstrap(
        (scores,),
        np.mean,
        n_resamples=statistics.RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(statistics.SEED),
    ).confidence_interval
    interval = statistics.stratified_bootstrap([scores], least_seeds=8)
    assert interval == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_strata_are_resampled_apart() -> None:
    # Each stratum is constant, so no resample differs; resampling over all runs would give an interval around 50.
    assert statistics.stratified_bootstrap([np.zeros(3), np.full(3, 100.0)], least_seeds=3) == (50.0, 50.0)


def test_two_strata_by_enumeration() -> None:
    # Seeds {0, 1} and {0, 2}: a stratum's resampled sum is 0, 1, 2 (or twice that) with chances 1/4, 1/2, 1/4.
    strata = [np.array([0.0, 1.0]), np.array([0.0, 2.0])]
    low, high = statistics.stratified_bootstrap(strata, confidence=0.8, least_seeds=2)
    assert (low, high) == (0.25, 1.25)  # P(mean <= 0) = 1/16, P(mean <= 0.25) = 3/16, and symmetric about 0.75


def test_strata_may_differ_in_size_and_be_empty() -> None:
    strata = [np.array([1.0, 2.0, 3.0]), np.array([]), np.array([2.0])]
    low, high = statistics.stratified_bootstrap(strata, least_seeds=1)
    assert 1.0 <= low < high <= 3.0
    assert np.isnan(statistics.stratified_bootstrap([], least_seeds=0)).all()


def test_below_ten_seeds_in_a_stratum_there_is_no_bootstrap() -> None:
    ten, nine = np.arange(10.0), np.arange(9.0)
    assert np.isfinite(statistics.stratified_bootstrap([ten, ten, np.array([])])).all()
    assert np.isnan(statistics.stratified_bootstrap([ten, nine])).all()
    assert np.isfinite(statistics.improvement_interval([ten], [ten + 1])).all()
    assert np.isnan(statistics.improvement_interval([ten], [nine])).all()
    assert (statistics.enough_seeds([ten, ten]), statistics.enough_seeds([ten, nine])) == (True, False)
    assert not statistics.enough_seeds([np.array([])], least_seeds=0)


def test_iqm_is_scipys_trimmed_mean() -> None:
    scores = np.array([-100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 900.0])
    assert float(statistics.iqm(scores)) == scipy.stats.trim_mean(scores, 0.25) == 3.5


def test_rank_correlation() -> None:
    paper = published("table1")["score"].to_list()
    assert statistics.rank_correlation(paper, paper) == pytest.approx(1.0)
    assert statistics.rank_correlation([-x for x in paper], paper) == pytest.approx(-1.0)
    assert statistics.rank_correlation([1.0, 2.0, np.nan, 3.0], [10.0, 20.0, 0.0, 15.0]) == pytest.approx(0.5)
    assert np.isnan(statistics.rank_correlation([1.0, 2.0], [1.0, 2.0]))
    assert np.isnan(statistics.rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    # A range of exactly 1 is variation.
    assert statistics.rank_correlation([0.0, 0.5, 1.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)


def test_probability_of_improvement_by_hand() -> None:
    ours = [np.array([1.0, 3.0]), np.array([5.0]), np.array([])]
    theirs = [np.array([2.0, 3.0]), np.array([4.0]), np.array([1.0])]
    # Ties count half. First environment: 1 < 2, 1 < 3, 3 > 2, 3 = 3 -> 1.5 / 4; second: 1; third: no runs of ours.
    assert statistics.probability_of_improvement(ours, theirs) == pytest.approx((0.375 + 1) / 2)


def test_improvement_interval_resamples_both_sides() -> None:
    # {0, 1} against {0, 1}: the chance is 0 or 1 in one resample of 16 each, 1/4 or 3/4 in four, 1/2 in six. Were only
    # one side resampled, it would never be 0.
    two = [np.array([0.0, 1.0])]
    assert statistics.improvement_interval(two, two, confidence=0.9, least_seeds=2) == (0.0, 1.0)
    assert statistics.improvement_interval(two, two, confidence=0.8, least_seeds=2) == (0.25, 0.75)


def test_improvement_interval_over_two_environments() -> None:
    # {0, 1} against 0.5 twice: the mean of two chances, each 0, 1/2, 1 with 1/4, 1/2, 1/4.
    left, right = [np.array([0.0, 1.0])] * 2, [np.array([0.5])] * 2
    assert statistics.improvement_interval(left, right, confidence=0.8, least_seeds=1) == (0.25, 0.75)
    assert statistics.improvement_interval(left, right, least_seeds=1) == (0.0, 1.0)
    nowhere = [np.array([])] * 2
    assert all(np.isnan(statistics.improvement_interval(left, nowhere, least_seeds=0)))
    one_left = [np.array([2.0]), np.array([0.0, 1.0])]
    assert statistics.improvement_interval(one_left, [np.array([1.0]), np.array([])], least_seeds=1) == (1.0, 1.0)


def test_a_profile_and_its_band_by_hand() -> None:
    thresholds = np.array([0.0, 0.5, 1.0, 2.0])
    assert statistics.performance_profile(np.array([0.5, 1.5, 1.5, 0.2]), thresholds).tolist() == [1.0, 0.5, 0.5, 0.0]
    # One stratum is constant; of the other's two seeds above 0.5 lie none, one or both, with chances 1/4, 1/2, 1/4.
    low, high = statistics.profile_band([np.array([0.2, 1.5]), np.array([1.5, 1.5])], thresholds)
    assert low.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert high.tolist() == [1.0, 1.0, 1.0, 0.0]


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_triples_by_hand() -> None:
    """Triples are of different seeds, and environments are drawn independently."""
    # Of 0, 0, 0, 1 a triple has the 1 three times of four: mean 1/3, else 0; on each environment for itself.
    drawn = statistics.triples_of_seeds([np.array([0.0, 0.0, 0.0, 1.0])] * 2, generator(), draws=40_000)
    values, counts = np.unique(drawn.round(9), return_counts=True)
    assert values == pytest.approx([0, 1 / 6, 1 / 3])
    assert counts / 40_000 == pytest.approx([1 / 16, 6 / 16, 9 / 16], abs=0.01)


def test_three_seeds_have_one_triple() -> None:
    """Of three seeds there is one triple, and of two none."""
    strata = [np.array([1.0, 2.0, 6.0]), np.array([0.0, 0.0, 3.0])]
    assert statistics.triples_of_seeds(strata, generator(), draws=10) == pytest.approx(np.full(10, 2.0))
    for few in ([], [*strata, np.array([1.0, 2.0])]):
        with pytest.raises(ValueError, match="three seeds in every environment"):
            statistics.triples_of_seeds(few, generator())


def test_resampled_triples_may_have_a_seed_twice() -> None:
    # Of 0 and 1 the number of ones among three is binomial.
    drawn = statistics.resampled_triples([np.array([0.0, 1.0])], generator(), draws=40_000)
    values, counts = np.unique(drawn.round(9), return_counts=True)
    assert values == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert counts / 40_000 == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8], abs=0.01)


@pytest.mark.parametrize(("seeds", "different", "resampled"), [(5, 0.63, 0.89), (10, 0.84, 0.95)])
def test_triples_differ_less_than_new_seeds(seeds: int, different: float, resampled: float) -> None:
    """Triples differ less than those of new seeds, as the captions say, and as sampling theory has it."""
    scores = np.random.default_rng(seeds).normal(size=seeds)
    new = scores.std(ddof=1) / np.sqrt(3)
    for draw, expected in ((statistics.triples_of_seeds, different), (statistics.resampled_triples, resampled)):
        assert draw([scores], generator(), draws=40_000).std() / new == pytest.approx(expected, abs=0.01)


def test_rank_correlations_are_scipys_with_ties() -> None:
    theirs = published("table1")["score"].to_list()  # two rows have 0.71
    ours = np.random.default_rng(5).normal(size=(20, 11)).round(1)
    expected = [scipy.stats.spearmanr(row, theirs).statistic for row in ours]
    assert statistics.rank_correlations(ours, theirs) == pytest.approx(expected)


def test_central_share() -> None:
    """The central share leaves out as much on either side."""
    assert statistics.central(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
    assert statistics.central(np.arange(1001.0), share=0.5) == pytest.approx((250.0, 750.0))
