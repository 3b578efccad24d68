"""The scores of the runs behind Table 1, raw and normalised, by environment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data import calibration, scores
from analysis.data.completeness import incomplete, titled
from analysis.data.labels import ENVIRONMENTS, setting_name, task
from analysis.data.load import Data
from analysis.sections.table1.table import Table1, settings
from analysis.style.cells import SCALE, marks, seeds_cell, spread_cell
from analysis.style.formats import Table, number


def raw_scores(data: Data, parts: Table1) -> Table:
    """Tabulate the scores behind Table 1 in raw returns: each of the paper's seeds, and the spread of all."""
    rows = []
    for setting in settings(data):
        members = parts.runs[parts.runs["setting"] == setting]
        for (seeds, runs), cell in zip(scores.conventions(members).items(), (seeds_cell, spread_cell), strict=False):
            cells = [runs[runs["task"] == name] for name in ENVIRONMENTS]
            rows.append([setting_name(setting), seeds, *(cell(each) + calibration.marks(each) for each in cells)])
    for label, level in (
        ("Random level (0)", parts.random),
        ("Best single run (1)", parts.best_run),
        ("Best setting's mean (1, other reading)", parts.best_setting),
    ):
        by_task = {task(str(environment)): value for environment, value in level.items()}
        rows.append([label, "1, 2, 3", *(number(by_task.get(name, np.nan)) for name in ENVIRONMENTS)])
    caption = (
        "Mean return of the last 100 training episodes. Of seeds 1, 2, 3: the mean, in brackets each; of all seeds: "
        "the mean ± the standard deviation, in brackets how many. × marks a run that diverged, scored on its last 100 "
        f"episodes before that. The last rows are the scale of Table 1. {SCALE}"
    )
    columns = ["environment", "setting", "seed", "score", "episodes", "diverged_at", "superseded"]
    title = "Scores behind Table 1, in raw returns"
    show = pd.DataFrame(rows, columns=["Setting", "Seeds", *ENVIRONMENTS])
    numbers = parts.runs[[*columns, "by_run", "by_setting"]]
    notes = (*calibration.notes(parts.runs), *incomplete(data))
    return Table("table1_scores", titled(title, data), caption, show, numbers, notes, text_columns=2)


def normalised_by_environment(data: Data, parts: Table1) -> Table:
    """Tabulate Table 1 by environment."""
    rows, cells = [], []
    for setting in settings(data):
        members = parts.runs[parts.runs["setting"] == setting]
        for seeds, runs in scores.conventions(members).items():
            each = {name: runs[runs["task"] == name] for name in ENVIRONMENTS}
            means = {name: float(of_task["by_run"].mean()) for name, of_task in each.items()}
            shown = {name: number(means[name], 2) + marks(each[name]) for name in ENVIRONMENTS}
            rows.append({"setting": setting, "seeds": seeds, **means})
            cells.append({"Setting": setting_name(setting), "Seeds": seeds, **shown})
    caption = (
        "Mean normalised score over seeds, per environment (best single run = 1). The paper says that “no clipping or "
        f"penalty” is negative because of one environment, HalfCheetah. {SCALE}"
    )
    title, notes = "Table 1 by environment", (*calibration.notes(parts.runs), *incomplete(data))
    show, frame = pd.DataFrame(cells), pd.DataFrame(rows)
    return Table("table1_by_environment", titled(title, data), caption, show, frame, notes, text_columns=2)
