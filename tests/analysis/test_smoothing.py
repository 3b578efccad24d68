"""The width of a moving average, found on noisy learning curves that were smoothed with a known one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from analysis.data import smoothing

Array = npt.NDArray[np.float64]

FINE = 0.05
"""Million frames between two values of a raw curve; curves end at 40M frames, as Figure 6's."""
POINT = 0.4
"""Million frames between two points read off a curve, as digitised from Figure 6."""


def raw_curves(seed: int, count: int = 147) -> Array:
    """Noisy learning curves: a rise at a place and a pace of each one's own, white noise, and a random walk."""
    rng = np.random.default_rng(seed)
    frames = np.arange(FINE, 40 + FINE / 2, FINE)
    curves = []
    for _ in range(count):
        rise = 1 / (1 + np.exp(-(frames - rng.uniform(2, 25)) / rng.uniform(1, 8)))
        walk = np.cumsum(rng.normal(size=len(frames))) * rng.uniform(0.002, 0.01)
        curves.append(10 ** rng.uniform(0, 3) * (rise + 0.1 * rng.normal(size=len(frames)) + walk))
    return np.array(curves)


def moving_average(curves: Array, window: float) -> Array:
    """Centred, over the values within half a `window` (million frames), cut off at both ends."""
    half = round(window / FINE / 2)
    kernel = np.ones(2 * half + 1)
    weights = np.convolve(np.ones(curves.shape[1]), kernel, mode="same")
    return np.array([np.convolve(curve, kernel, mode="same") / weights for curve in curves])


def read_off(curves: Array, spacing: float = POINT) -> Array:
    every = round(spacing / FINE)
    return curves[:, every - 1 :: every]


@pytest.mark.parametrize("window", [2.0, 3.0, 4.1, 4.6])
def test_both_ways_find_the_window_that_was_used(window: float) -> None:
    """The zeros to 0.15M frames, the dip to a point of 0.4M."""
    curves = read_off(moving_average(raw_curves(seed=1), window))
    assert smoothing.width_by_zeros(curves).width * POINT == pytest.approx(window, abs=0.15)
    assert smoothing.width_by_autocorrelation(curves).width * POINT == pytest.approx(window, abs=POINT)
    low, high = smoothing.interval_by_zeros(curves)
    assert low * POINT - 0.15 < window < high * POINT + 0.15
    assert (high - low) * POINT < 0.3


def test_short_window_has_its_zeros_between_points() -> None:
    """A window of one million frames has its zeros between points of a fifth of it.

    It has one zero only that points of 0.4M frames could show: there the zeros say none, and the dip finds it.
    """
    curves = moving_average(raw_curves(seed=2), 1.0)
    assert smoothing.width_by_zeros(read_off(curves, 0.2)).width * 0.2 == pytest.approx(1.0, abs=0.1)
    assert np.isnan(smoothing.width_by_zeros(read_off(curves)).width)
    assert smoothing.width_by_autocorrelation(read_off(curves)).width * POINT == pytest.approx(1.0, abs=POINT)


@pytest.mark.parametrize("seed", range(3))
def test_curves_that_nobody_smoothed_have_no_window(seed: int) -> None:
    curves = read_off(raw_curves(seed))
    assert np.isnan(smoothing.width_by_zeros(curves).width)
    assert np.isnan(smoothing.width_by_autocorrelation(curves).width)


def test_exponential_smoothing_is_no_window() -> None:
    """A running mean with a time constant of 2M frames: smooth, and without a zero."""
    curves = raw_curves(seed=4)
    smooth = np.empty_like(curves)
    smooth[:, 0] = curves[:, 0]
    for i in range(1, curves.shape[1]):
        smooth[:, i] = smooth[:, i - 1] + FINE / 2.0 * (curves[:, i] - smooth[:, i - 1])
    assert np.isnan(smoothing.width_by_zeros(read_off(smooth)).width)
    assert np.isnan(smoothing.width_by_autocorrelation(read_off(smooth)).width)


def test_the_zeros_are_evenly_spaced() -> None:
    """At 1, 2, 3, 4 cycles in 4.6M frames, to 0.03 cycles per million frames."""
    curves = read_off(moving_average(raw_curves(seed=5), 4.6))
    found = smoothing.zeros(curves, 4.6 / POINT) / POINT
    np.testing.assert_allclose(found, np.array([1, 2, 3, 4]) / 4.6, atol=0.03)


def test_scale_level_and_trend_of_a_curve_do_not_matter() -> None:
    curves = read_off(moving_average(raw_curves(seed=6), 3.0))
    rng = np.random.default_rng(0)
    count = len(curves)
    slope = rng.normal(size=(count, 1)) * np.arange(curves.shape[1]) * curves.std(axis=1, keepdims=True)
    other = 10 ** rng.uniform(-3, 3, (count, 1)) * (curves + slope + rng.normal(size=(count, 1)))
    for estimate in (smoothing.width_by_zeros, smoothing.width_by_autocorrelation):
        assert estimate(other).width == pytest.approx(estimate(curves).width, abs=0.25)
        assert estimate(1e-6 * curves).width == estimate(curves).width
        assert estimate(1e-6 * curves).t == pytest.approx(estimate(curves).t)


def test_straight_curves_count_for_nothing_and_gaps_are_refused() -> None:
    curves = read_off(moving_average(raw_curves(seed=7), 4.6))
    straight = np.vstack([curves, np.zeros((5, 100)), np.tile(np.arange(100.0), (5, 1))])
    assert smoothing.width_by_zeros(straight) == smoothing.width_by_zeros(curves)
    with pytest.raises(ValueError, match="0 of 10 curves bend; at least 2 are needed"):
        smoothing.width_by_zeros(straight[len(curves) :])
    curves[3, 50] = np.nan
    with pytest.raises(ValueError, match="a curve has gaps"):
        smoothing.width_by_autocorrelation(curves)
