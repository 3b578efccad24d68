"""The width of the window with which curves were smoothed, estimated from the curves alone in two ways.

A centred moving average over W points multiplies the spectrum of a curve by sin(pi f W) / (pi f W), which is 0 at
f = 1/W, 2/W, ... cycles per point. And it turns noise into pairs of steps, one up and W points later one down, so that
the steps of the curve are negatively correlated at a lag of W.

One curve is too noisy to show either; a family of curves with the same smoothing shows both. A width is accepted if its
t statistic over the curves has a p value below LEVEL, corrected for all widths tried (Bonferroni). That a window is cut
off near a curve's ends matters little: a taper hides the ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]

WIDTHS = np.arange(80, 500) / 20
"""Widths tried by the zeros, in points. For narrower windows the points resolve at most one zero."""
ZEROS = 4
"""Number of a window's zeros that are used: higher ones are hidden by the error of digitising."""
FREQUENCIES = 4096
"""Frequencies of a spectrum, from 0 to 1 cycle per point: fine enough to look between those of 100 points."""
FLOOR = 1e-4
"""Added to a power relative to its curve's mean, so that its logarithm is finite for a straight curve."""
LAGS = np.arange(3, 26)
"""Lags tried by the autocorrelation, in points."""
REACH = 3
"""A dip of the autocorrelation is compared with the values this many lags before and behind it."""
DEGREE = 8
"""Degree of the polynomial subtracted from the steps of a curve: a trend correlates them at every lag."""
LEVEL = 0.01
RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """The width of a window in points, and its t statistic."""

    width: float
    """NaN if no window was found."""
    t: float
    """Mean over the curves in standard errors, of the best width, accepted or not."""


def width_by_zeros(curves: Array) -> Estimate:
    """Estimate the width whose zeros are deepest in the mean spectrum of the second differences of `curves`.

    `curves` [curves, points], evenly spaced. Curves without a second difference (straight lines) are left out. Raises
    ValueError if fewer than two are left, or one has a gap.
    """
    depths = _depths(curves)
    scores = depths.mean(axis=0) / _standard_error(depths)
    best = int(scores.argmax())
    return _estimate(WIDTHS[best], scores[best], len(WIDTHS) * stats.norm.sf(scores[best]))


def interval_by_zeros(curves: Array) -> tuple[float, float]:
    """Resample the curves RESAMPLES times; return the range of the middle 95 % of the estimated widths."""
    depths = _depths(curves)
    count = len(depths)
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    best = (draws @ depths / _standard_error(depths)).argmax(axis=1)
    low, high = np.quantile(WIDTHS[best], [0.025, 0.975])
    return float(low), float(high)


def zeros(curves: Array, width: float) -> Array:
    """Locate the lowest point of the mean spectrum around each zero of a window of `width`: cycles per point."""
    spectrum = _log_power(curves).mean(axis=0)
    edges = (np.append(_orders(width), _orders(width)[-1] + 1) - 0.5) / width
    bounds = np.rint(edges * FREQUENCIES).astype(int)
    lowest = [low + int(spectrum[low:high].argmin()) for low, high in itertools.pairwise(bounds)]
    return np.array(lowest) / FREQUENCIES


def width_by_autocorrelation(curves: Array) -> Estimate:
    """Estimate the lag at which the autocorrelation of the first differences of `curves` dips, to a whole point.

    The best lag has the largest t statistic of fall before and rise behind it, of which the lower counts. `curves` and
    errors as in `width_by_zeros`.
    """
    steps = np.diff(_varying(curves), axis=1)
    count = steps.shape[1]
    trend, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, count), DEGREE))
    steps = steps - steps @ trend @ trend.T
    lagged = [(steps[:, lag:] * steps[:, : count - lag]).sum(axis=1) for lag in range(LAGS[-1] + REACH + 1)]
    correlation = np.stack(lagged, axis=1) / lagged[0][:, None]
    falls, rises = (correlation[:, LAGS + shift] - correlation[:, LAGS] for shift in (-REACH, REACH))
    t = np.minimum(_t_statistic(falls), _t_statistic(rises))
    best = int(t.argmax())
    return _estimate(LAGS[best], t[best], len(LAGS) * stats.t.sf(t[best], len(steps) - 1))


def _estimate(width: float, t: float, chance: float) -> Estimate:
    return Estimate(float(width) if chance < LEVEL else float("nan"), float(t))


def _standard_error(depths: Array) -> Array:
    """Compute the standard error of the mean depth at each of WIDTHS, with variances pooled over widths with as many
    zeros: few curves determine it badly at one width, and it is similar at widths with equally many zeros.
    """
    count = np.array([len(_orders(width)) for width in WIDTHS])
    variance = depths.var(axis=0, ddof=1)
    pooled = [variance[count == number].mean() for number in count]
    return np.asarray(np.sqrt(np.array(pooled) / len(depths)))


def _depths(curves: Array) -> Array:
    """Measure how much lower the log spectrum of each curve is at a width's zeros than half-way to the next:
    [curves, WIDTHS].

    The mean over the first ZEROS zeros whose neighbourhood lies below half a cycle per point.
    """
    power = _log_power(curves)

    def at(frequencies: Array) -> Array:
        return power[:, np.rint(frequencies * FREQUENCIES).astype(int)]

    depths = []
    for width in WIDTHS:
        zero = _orders(width)
        beside = (at((zero - 0.5) / width) + at((zero + 0.5) / width)) / 2
        depths.append((beside - at(zero / width)).mean(axis=1))
    return np.stack(depths, axis=1)


def _orders(width: float) -> Array:
    return np.arange(1.0, min(ZEROS, int(width / 2 - 0.5)) + 1)


def _log_power(curves: Array) -> Array:
    """Compute the log spectrum of each curve's second differences, relative to its mean: [curves, frequencies]."""
    bends = np.diff(_varying(curves), n=2, axis=1)
    taper = np.hanning(bends.shape[1] + 2)[1:-1]
    power = np.abs(np.fft.rfft(bends * taper, n=FREQUENCIES, axis=1)) ** 2
    return np.asarray(np.log(power / power.mean(axis=1, keepdims=True) + FLOOR))


def _varying(curves: Array) -> Array:
    if not np.isfinite(curves).all():
        raise ValueError("a curve has gaps; evenly spaced finite values are needed")
    varying: Array = curves[np.abs(np.diff(curves, n=2, axis=1)).max(axis=1) > 0]
    if len(varying) < 2:
        raise ValueError(f"{len(varying)} of {len(curves)} curves bend; at least 2 are needed")
    return varying


def _t_statistic(samples: Array) -> Array:
    """Return the mean over its standard error, of each column."""
    return np.asarray(samples.mean(axis=0) / (samples.std(axis=0, ddof=1) / np.sqrt(len(samples))))
