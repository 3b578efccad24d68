"""The cells and notes that several tables share."""

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
"""What captions say of the interval of a mean over tasks (`intervals.task_mean`)."""


def seeds_cell(runs: pd.DataFrame, digits: int | None = None) -> str:
    """'mean (seed · seed · seed)' of `score`, × behind a run that diverged; `digits` as for `number`.

    † behind it where a run is superseded.
    """
    if runs.empty:
        return NOTHING
    each = [
        number(run["score"], digits) + ("×" if np.isfinite(run["diverged_at"]) else "")
        for run in runs.sort_values("seed").to_dict("records")
    ]
    return f"{number(float(runs['score'].mean()), digits)} ({' · '.join(each)}){dagger(runs)}"


def paper_cell(name: str, algorithm: str) -> str:
    """'mean ± half width of the band' over the last 100k steps of the paper's Figure 3, digitised."""
    mean, band = paper_final(name, algorithm)
    return f"{number(mean)} ± {number(band)}" if np.isfinite(mean) else NOTHING


def marks(runs: pd.DataFrame) -> str:
    """Mark a number made from `runs`: superseded (†), used to choose (‡, §)."""
    return dagger(runs) + calibration.marks(runs)


def left_out(runs: pd.DataFrame) -> tuple[str, ...]:
    """The note on the tasks whose runs have a `score` and no normalised one (`by_run`)."""
    no_scale = sorted(set(runs.loc[runs["by_run"].isna() & runs["score"].notna(), "task"]))
    if not no_scale:
        return ()
    reason = "no random level, or no run better than it, so the scale has no meaning"
    return (f"Left out: {', '.join(no_scale)}: {reason}.",)
