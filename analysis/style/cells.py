"""Cells and notes that several tables share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.data import calibration
from analysis.data.completeness import dagger
from analysis.data.published import paper_final
from analysis.style.formats import NOTHING, interval, number

INTERVAL = (
    "In brackets: the 95 % t interval over the seeds, with degrees of freedom by Satterthwaite, environments and "
    "normalisation held fixed; a dash where an environment has one run, or where no environment has any spread."
)
"""Sentence in captions about the interval of a mean over tasks (`intervals.task_mean`)."""

SCALE = "Both ends of the scale are those of seeds 1, 2, 3, so that more seeds do not move it."
"""Sentence in captions about `scores.of_scale`."""


def seeds_cell(runs: pd.DataFrame, digits: int | None = None) -> str:
    """Format `score` as 'mean (seed · seed · seed)', with × behind a run that diverged; `digits`: as in `number`.

    † behind the cell if a run is superseded.
    """
    if runs.empty:
        return NOTHING
    each = [
        number(score, digits) + ("×" if np.isfinite(diverged_at) else "")
        for _, score, diverged_at in sorted(zip(runs["seed"], runs["score"], runs["diverged_at"], strict=True))
    ]
    return f"{number(float(runs['score'].mean()), digits)} ({' · '.join(each)}){dagger(runs)}"


def spread_cell(runs: pd.DataFrame, digits: int | None = None) -> str:
    """Format `score` as 'mean ± deviation (10)' with the number of seeds; × and † as in `seeds_cell`."""
    if runs.empty:
        return NOTHING
    diverged = "×" if np.isfinite(runs["diverged_at"]).any() else ""
    deviation = f" ± {number(float(runs['score'].std()), digits)}" if len(runs) > 1 else ""
    return f"{number(float(runs['score'].mean()), digits)}{deviation} ({len(runs)}{diverged}){dagger(runs)}"


def seeds_counted(runs: pd.DataFrame, column: str, name: Callable[[str], str]) -> str:
    """Format the number of seeds behind the lines of `column`: ' (10 of TRPO, 5 of the others)'; "" without runs."""
    counts = runs.groupby(column)["seed"].nunique()
    if counts.empty:
        return ""
    usual = int(counts.mode().min())
    others = [
        f"{count} of {', '.join(name(str(line)) for line in counts.index[counts == count])}"
        for count in sorted(set(counts) - {usual}, reverse=True)
    ]
    return f" ({', '.join([*others, f'{usual} of the others'])})" if others else f" ({usual} each)"


def value_with_interval(value: float, low: float, high: float) -> str:
    """Format '0.80 [0.73, 0.87]', or '0.80' if there is no interval (a bootstrap needs ten seeds)."""
    return interval(value, low, high) if np.isfinite(low) else number(value, 2)


def paper_cell(name: str, algorithm: str) -> str:
    """Format the last 100k steps of the paper's Figure 3, digitised, as 'mean ± half width of the band'."""
    mean, band = paper_final(name, algorithm)
    return f"{number(mean)} ± {number(band)}" if np.isfinite(mean) else NOTHING


def marks(runs: pd.DataFrame) -> str:
    """Return the marks of a number computed from `runs`: superseded (†), used in a choice (‡, §)."""
    return dagger(runs) + calibration.marks(runs)


def left_out(runs: pd.DataFrame) -> tuple[str, ...]:
    """Return the note on tasks whose runs have a `score` but no normalised one (`by_run`)."""
    no_scale = sorted(set(runs.loc[runs["by_run"].isna() & runs["score"].notna(), "task"]))
    if not no_scale:
        return ()
    reason = "no random level, or no run better than it, among the seeds of the scale, so it has no meaning"
    return (f"Left out: {', '.join(no_scale)}: {reason}.",)
