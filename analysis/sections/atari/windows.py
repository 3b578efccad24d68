"""The window with which each figure's curves in the paper are smoothed, measured in two ways."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from analysis.data import smoothing
from analysis.data.published import published, published_figure6
from analysis.sections.atari.figure6 import ALGORITHMS, BIN, WINDOW
from analysis.style.formats import NOTHING, Table, number

NONE = "none"


@dataclass(frozen=True)
class Row:
    """The window of a family of curves, a row of the CSV; in units of `unit`, NaN if there is none."""

    figure: str
    family: str
    unit: str
    curves: int
    by_zeros: float
    low: float
    high: float
    t_zeros: float
    by_autocorrelation: float
    t_autocorrelation: float
    used: float


def measured(figure: str, family: str, curves: smoothing.Array, spacing: float, unit: str, used: float) -> Row:
    """Measure the window of `curves` [curves, points], whose points are `spacing` units apart."""
    zeros, dip = smoothing.width_by_zeros(curves), smoothing.width_by_autocorrelation(curves)
    low, high = smoothing.interval_by_zeros(curves) if np.isfinite(zeros.width) else (float("nan"), float("nan"))
    return Row(
        figure,
        family,
        unit,
        len(curves),
        by_zeros=zeros.width * spacing,
        low=low * spacing,
        high=high * spacing,
        t_zeros=zeros.t,
        by_autocorrelation=dip.width * spacing,
        t_autocorrelation=dip.t,
        used=used,
    )


@functools.cache
def rows() -> tuple[Row, ...]:
    """Measure the windows of the paper's digitised curves: Figures 3, 4 and 6."""
    figure3 = _stack(values for _, values in published("fig3_curves").groupby(["env", "algorithm"])["mean"])
    figure4 = _stack(values for _, values in published("fig4_curves").groupby(["env", "run"])["return"])
    nothing = float("nan")
    made = [
        measured("Figure 3", "all algorithms", figure3, 1.0, "points", nothing),
        measured("Figure 4", "PPO", figure4, 1.0, "points", nothing),
    ]
    for algorithm, name in ALGORITHMS.items():
        curves = published_figure6().xs(algorithm, axis=1, level="algorithm").to_numpy(dtype=float).T
        used = WINDOW[algorithm] / 1e6
        made.append(measured("Figure 6", name, curves, BIN / 1e6, "million frames", used))
    return tuple(made)


def _stack(curves: Iterable[pd.Series[float]]) -> smoothing.Array:
    return np.stack([values.to_numpy(dtype=float) for values in curves])


def table() -> Table:
    """Tabulate the windows in the paper's figures, and those with which ours are smoothed for comparison."""
    made = rows()
    caption = (
        "Are the paper's curves moving averages, and over what? Measured from the digitised curves alone. By zeros: a "
        "centred mean over W leaves nothing of a curve's spectrum at 1/W, 2/W, ...; the width whose first "
        f"{smoothing.ZEROS} zeros are deepest in the mean spectrum of the second differences, in brackets the middle "
        "95 % of the widths found when the curves are resampled. By autocorrelation: the lag at which that of the "
        "first differences dips, to a whole point (0.4M frames in Figure 6). t: the mean depth in standard errors, "
        f"over the curves; none: chance, among all widths tried, would give as much in {smoothing.LEVEL:.0%} of cases "
        f"or more. Tried: {smoothing.WIDTHS[0]:g} to {smoothing.WIDTHS[-1]:.0f} of the curves' 100 or 101 points. Six "
        "curves (Figure 4) are too few to exclude a window: most draws of six of PPO's in Figure 6 do not show theirs. "
        "Used: what our curves are averaged over in Figure 6."
    )
    shown = pd.DataFrame(
        {
            "Figure": row.figure,
            "Curves": row.family,
            "How many": str(row.curves),
            "Window by zeros": _by_zeros(row),
            "t by zeros": number(row.t_zeros, 1),
            "Window by autocorrelation": _millions(row.by_autocorrelation),
            "t by autocorrelation": number(row.t_autocorrelation, 1),
            "Used": _millions(row.used) if np.isfinite(row.used) else NOTHING,
        }
        for row in made
    )
    numbers = pd.DataFrame([asdict(row) for row in made]).round(3)  # Fourier transforms differ between processors
    return Table("smoothing", "How the paper's curves are smoothed", caption, shown, numbers, text_columns=2)


def _by_zeros(row: Row) -> str:
    interval = f" [{number(row.low, 1)}, {number(row.high, 1)}]" if np.isfinite(row.low) else ""
    return f"{_millions(row.by_zeros)}{interval}"


def _millions(frames: float) -> str:
    return f"{number(frames, 1)}M" if np.isfinite(frames) else NONE
