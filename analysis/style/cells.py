"""Cells and notes that several tables share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data import calibration
from analysis.data.completeness import dagger
from analysis.data.published import paper_final
from analysis.style.formats import NOTHING, number

INTERVAL = (
    "In brackets: the 95 % t interval over the seeds, with degrees of freedom by Satterthwaite, environments and "
    "normalisation held fixed; a dash where an environment has one run, or where no environment has any spread."
)
"""Sentence in captions about the interval of a mean over tasks (`intervals.task_mean`)."""


def seeds_cell(runs: pd.DataFrame, digits: int | None = None) -> str:
    """Format `score` as 'mean (seed · seed · seed)', with × behind a run that diverged; `digits`: as in `number`.

    † behind the cell if a run is superseded.
    """
    if runs.empty:
        return NOTHING
    each = [
        number(run["score"], digits) + ("×" if np.isfinite(run["diverged_at"]) else "")
        for run in runs.sort_values("seed").to_dict("records")
    ]
    return f"{number(float(runs['score'].mean()), digits)} ({' · '.join(each)}){dagger(runs)}"


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
    reason = "no random level, or no run better than it, so the scale has no meaning"
    return (f"Left out: {', '.join(no_scale)}: {reason}.",)
