"""The tables: Table 1 and what it is made of. (Tables beside Figures 2 and 3: comparisons.py.)"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from analysis import scores, statistics
from analysis.load import Data, paper_final, published
from analysis.names import ENVIRONMENTS, SETTINGS, ordered, setting_name, task
from analysis.render import NOTHING, Table, number, signed
from analysis.status import incomplete, titled


@dataclass(frozen=True)
class Table1:
    """Everything that Table 1 is made of, in raw returns and normalised."""

    runs: pd.DataFrame
    """One row per complete run: environment, task, setting, seed, diverged_at, score (raw), by_run and by_setting
    (normalised by the best single run, and by the best setting's mean)."""
    random: pd.Series[float]
    """The random level per environment: 0 of the scale."""
    best_run: pd.Series[float]
    """The best single run per environment: 1 of the main reading."""
    best_setting: pd.Series[float]
    """The best setting's mean per environment: 1 of the other reading."""


def evaluate(data: Data) -> Table1:
    """Scores of the complete runs, raw and on both scales."""
    runs = scores.scored(data)
    random, best_run, best_setting = (
        scores.random_levels(data.episodes),
        scores.best_runs(runs),
        scores.best_settings(runs),
    )
    runs["by_run"] = scores.normalised_scores(runs, random, best_run)
    runs["by_setting"] = scores.normalised_scores(runs, random, best_setting)
    return Table1(runs, random, best_run, best_setting)


@dataclass(frozen=True)
class Row:
    """One row of Table 1, as it goes into the CSV; scores are normalised, NaN where unknown."""

    setting: str
    ours: float
    low: float
    high: float
    iqm: float
    ours_by_setting: float
    paper: float
    difference: float
    runs: int
    planned: int
    diverged: int


def table1_rows(data: Data, parts: Table1) -> list[Row]:
    """Table 1: per setting the mean over its runs of the normalised score (section 6.1), and what stands beside it."""
    paper = published("table1").set_index("setting")["score"]
    rows = []
    for setting in _settings(data):
        planned = data.trained[data.trained["setting"] == setting]
        mine = parts.runs[(parts.runs["setting"] == setting) & parts.runs["by_run"].notna()]
        strata = [group["by_run"].to_numpy(dtype=float) for _, group in mine.groupby("environment", sort=True)]
        low, high = statistics.stratified_bootstrap(strata)
        values = mine["by_run"].to_numpy(dtype=float)
        ours = float(values.mean()) if len(values) else float("nan")
        theirs = float(paper.get(setting, np.nan))
        rows.append(
            Row(
                setting=setting,
                ours=ours,
                low=low,
                high=high,
                iqm=float(statistics.iqm(values)) if len(values) else float("nan"),
                ours_by_setting=float(mine["by_setting"].mean()),
                paper=theirs,
                difference=ours - theirs,
                runs=len(mine),
                planned=len(planned),
                diverged=int(planned["diverged_at"].notna().sum()),
            )
        )
    return rows


def table1(data: Data, parts: Table1) -> Table:
    """Table 1 beside the paper's printed one."""
    rows = table1_rows(data, parts)
    show = pd.DataFrame([_cells(row) for row in rows])
    caption = (
        "Average normalised score of each surrogate objective (section 6.1). A run's score is the mean return of its "
        "last 100 training episodes; per environment the untrained policy (σ = 1, raw actions) is 0 and the best "
        "result is 1; the row is the mean over its runs. The paper does not say what the best result is: the main "
        "column takes the best single run of any setting, the other the best setting's mean over seeds (in brackets "
        "how much that changes). Interval: stratified bootstrap, seeds resampled within each environment, "
        f"{statistics.RESAMPLES:,} resamples, normalisation held fixed; with three seeds it is a lower bound of the "
        "uncertainty. IQM: mean of the middle half of the runs."
    )
    title = "Table 1. Surrogate objectives: average normalised score"
    frame = pd.DataFrame([asdict(row) for row in rows])
    return Table("table1", titled(title, data), caption, show, frame, _notes(data, parts, rows))


def raw_scores(data: Data, parts: Table1) -> Table:
    """The scores behind Table 1, in raw returns: mean (each seed) per setting and environment."""
    rows = []
    for setting in _settings(data):
        mine = parts.runs[parts.runs["setting"] == setting]
        rows.append([setting_name(setting), *(seeds_cell(mine[mine["task"] == name]) for name in ENVIRONMENTS)])
    for label, level in (
        ("Random level (0)", parts.random),
        ("Best single run (1)", parts.best_run),
        ("Best setting's mean (1, other reading)", parts.best_setting),
    ):
        by_task = {task(str(environment)): value for environment, value in level.items()}
        rows.append([label, *(number(by_task.get(name, np.nan)) for name in ENVIRONMENTS)])
    caption = (
        "Mean return of the last 100 training episodes: the mean over seeds, in brackets each seed. × marks a run that "
        "diverged, scored on its last 100 episodes before that. The last rows are the scale of Table 1."
    )
    data_columns = ["environment", "setting", "seed", "score", "episodes", "diverged_at", "by_run", "by_setting"]
    title = "Scores behind Table 1, in raw returns"
    show = pd.DataFrame(rows, columns=["Setting", *ENVIRONMENTS])
    return Table("table1_scores", titled(title, data), caption, show, parts.runs[data_columns], incomplete(data))


def normalised_by_environment(data: Data, parts: Table1) -> Table:
    """Table 1 before the mean over environments: which task makes a row what it is."""
    means = parts.runs.groupby(["setting", "task"])["by_run"].mean()
    rows = []
    for setting in _settings(data):
        values = [float(means.get((setting, name), np.nan)) for name in ENVIRONMENTS]
        rows.append({"setting": setting, **dict(zip(ENVIRONMENTS, values, strict=True))})
    frame = pd.DataFrame(rows)
    show = pd.DataFrame({"Setting": frame["setting"].map(setting_name)})
    for name in ENVIRONMENTS:
        show[name] = frame[name].map(_two)
    caption = (
        "Mean normalised score over seeds, per environment (best single run = 1). The paper says that the negative "
        "score of “no clipping or penalty” comes from HalfCheetah alone."
    )
    title = "Table 1 by environment"
    return Table("table1_by_environment", titled(title, data), caption, show, frame, incomplete(data))


def _settings(data: Data) -> list[str]:
    """The settings of the planned runs in the paper's order; the paper's own where nothing is planned."""
    return ordered(data.trained["setting"], SETTINGS) or list(SETTINGS)


def _cells(row: Row) -> dict[str, str]:
    known = np.isfinite(row.ours)
    interval = f"{number(row.ours, 2)} [{number(row.low, 2)}, {number(row.high, 2)}]"
    other = f"{number(row.ours_by_setting, 2)} ({signed(row.ours_by_setting - row.ours, 2)})"
    return {
        "Setting": setting_name(row.setting),
        "Ours [95 % interval]": interval if known else NOTHING,
        "IQM": number(row.iqm, 2),
        "Ours, best = best setting": other if known else NOTHING,
        "Paper": number(row.paper, 2),
        "Ours − paper": signed(row.difference, 2),
        "Runs": f"{row.runs}/{row.planned}" if row.planned else NOTHING,
        "Diverged": str(row.diverged) if row.planned else NOTHING,
    }


def _notes(data: Data, parts: Table1, rows: list[Row]) -> tuple[str, ...]:
    if data.problem:
        return incomplete(data)
    theirs = [row.paper for row in rows]
    main = statistics.rank_correlation([row.ours for row in rows], theirs)
    other = statistics.rank_correlation([row.ours_by_setting for row in rows], theirs)
    notes = [
        f"Rank correlation (Spearman) of the rows with the paper's: {number(main, 2)}; {number(other, 2)} where best "
        "is the best setting's mean.",
        f"Runs scored: {sum(row.runs for row in rows)} of {sum(row.planned for row in rows)}; "
        f"diverged: {sum(row.diverged for row in rows)}.",
    ]
    return (*notes, *left_out(parts.runs), *incomplete(data))


def left_out(runs: pd.DataFrame) -> tuple[str, ...]:
    """The note on the tasks whose runs have a `score` and no normalised one (`by_run`)."""
    no_scale = sorted(set(runs.loc[runs["by_run"].isna() & runs["score"].notna(), "task"]))
    if not no_scale:
        return ()
    reason = "no random level, or no run better than it, so the scale has no meaning"
    return (f"Left out: {', '.join(no_scale)}: {reason}.",)


def seeds_cell(runs: pd.DataFrame, digits: int | None = None) -> str:
    """'mean (seed · seed · seed)' of `score`, × behind a run that diverged; `digits` as for `number`."""
    if runs.empty:
        return NOTHING
    each = [
        number(run["score"], digits) + ("×" if np.isfinite(run["diverged_at"]) else "")
        for run in runs.sort_values("seed").to_dict("records")
    ]
    return f"{number(float(runs['score'].mean()), digits)} ({' · '.join(each)})"


def paper_cell(name: str, algorithm: str) -> str:
    """'mean ± half width of the band' over the last 100k steps of the paper's Figure 3, digitised."""
    mean, band = paper_final(name, algorithm)
    return f"{number(mean)} ± {number(band)}" if np.isfinite(mean) else NOTHING


def _two(value: float) -> str:
    return number(value, 2)
