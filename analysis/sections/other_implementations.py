"""The algorithms' scores beside the paper's and other published ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.data import calibration
from analysis.data.completeness import incomplete, titled
from analysis.data.labels import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, task
from analysis.data.load import Data
from analysis.data.published import drawn_in_paper, paper_final, published
from analysis.data.scores import conventions, scored
from analysis.style.cells import marks
from analysis.style.formats import NOTHING, Table, number

METRICS = {"score": "last 100 episodes", "last_tenth": "last tenth of the curve"}
_SOURCE = ["source", "environment_version", "steps", "seeds", "metric"]


def elsewhere(data: Data) -> Table:
    """Tabulate returns at the end of training, by algorithm: ours, the paper's, and other published ones."""
    runs, others = scored(data), published("elsewhere")
    algorithms = ordered([*runs["algorithm"], *others["algorithm"], *drawn_in_paper()], ALGORITHMS)
    lines, measured = [], []
    for algorithm in algorithms:
        name = algorithm_name(algorithm)
        members = runs[runs["algorithm"] == algorithm]
        for counted in [counted for counted in conventions(members).values() if len(counted)]:
            lines += [[name, *row] for row in _ours(counted)]
            measured += [_long(counted, column, metric) for column, metric in METRICS.items()]
        finals = [number(paper_final(environment, algorithm)[0]) for environment in ENVIRONMENTS]
        if set(finals) != {NOTHING}:
            lines.append([name, "PPO paper, Figure 3 (digitised)", "v1", "1,000,000", NOTHING, "last 100k", *finals])
        lines += [[name, *row] for row in _others(others[others["algorithm"] == algorithm])]
    caption = (
        "The algorithms on the seven tasks: ours (seeds 1, 2, 3 and all), the paper's Figure 3, and as published "
        "elsewhere. Environment versions, settings, budgets and what is called a score differ, as the columns say. ±: "
        "the spread its source gives; [ ]: what its source calls a 95 % interval. The paper's one TRPO stands under "
        "both of ours."
    )
    show = pd.DataFrame(
        lines, columns=["Algorithm", "Source", "Environments", "Steps", "Seeds", "Score", *ENVIRONMENTS]
    )
    numbers = pd.concat([*measured, others], ignore_index=True)[list(others.columns)]
    title, notes = "Scores as published elsewhere", (*calibration.notes(runs), *incomplete(data))
    return Table("elsewhere", titled(title, data), caption, show, numbers, notes, text_columns=6)


def _ours(runs: pd.DataFrame) -> list[list[str]]:
    versions = ", ".join(ordered((e.removeprefix(task(e)).lstrip("-") for e in runs["environment"]), ()))
    about = ["This project", versions, f"{int(runs['total_timesteps'].max()):,}", str(runs["seed"].nunique())]
    rows = []
    for column, metric in METRICS.items():
        each = [runs[runs["task"] == name] for name in ENVIRONMENTS]
        cells = [number(float(of_task[column].mean())) + marks(of_task) for of_task in each]
        rows.append([*about, metric, *cells])
    return rows


def _others(published_scores: pd.DataFrame) -> list[list[str]]:
    rows = []
    for _, group in published_scores.groupby(_SOURCE, sort=False, dropna=False):
        records = group.to_dict("records")
        first, cell = records[0], {row["environment"]: _published_score(row) for row in records}
        counts = [f"{first[key]:,.0f}" if np.isfinite(first[key]) else NOTHING for key in ("steps", "seeds")]
        facts = [first["source"], first["environment_version"], *counts, first["metric"]]
        rows.append([*facts, *(cell.get(name, NOTHING) for name in ENVIRONMENTS)])
    return rows


def _published_score(row: Mapping[Hashable, Any]) -> str:
    text = number(row["score"])
    if np.isfinite(row["plus_minus"]):
        return f"{text} ± {number(row['plus_minus'])}"
    if np.isfinite(row["interval_low"]):
        return f"{text} [{number(row['interval_low'])}, {number(row['interval_high'])}]"
    return text


def _long(runs: pd.DataFrame, column: str, metric: str) -> pd.DataFrame:
    """Return our means in the columns of elsewhere.csv (without those that do not apply)."""
    keys = ["algorithm", "task", "environment"]
    rows = runs.groupby(keys, as_index=False).agg(
        score=(column, "mean"), seeds=("seed", "nunique"), steps=("total_timesteps", "max")
    )
    rows = rows.assign(source="This project", metric=metric, environment_version=rows["environment"])
    blank = {"plus_minus": np.nan, "interval_low": np.nan, "interval_high": np.nan}
    return rows.assign(environment=rows["task"], **blank)
