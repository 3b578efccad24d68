"""Table 1, the surrogate objectives: the table, the scores behind it, and a figure of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import calibration, intervals, scores, statistics
from analysis.data.completeness import incomplete, reasons, superseded, titled
from analysis.data.labels import ENVIRONMENTS, SETTINGS, ordered, setting_name, task
from analysis.data.load import Data
from analysis.data.published import published
from analysis.style.cells import INTERVAL, left_out, marks, seeds_cell
from analysis.style.colours import setting_colour
from analysis.style.drawing import (
    STYLE,
    Drawing,
    draw_interval,
    note_of,
    sentences,
    warn,
)
from analysis.style.formats import NOTHING, Table, interval, number, signed


@dataclass(frozen=True)
class Table1:
    """The scores behind Table 1, raw and normalised, and their scale."""

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
    """Score the complete runs, raw and on both scales."""
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
    """A row of Table 1 and of its CSV; scores are normalised, NaN if unknown."""

    setting: str
    ours: float
    """Mean over tasks of the means over seeds."""
    low: float
    high: float
    """95 % t interval of `ours` (`intervals.task_mean`)."""
    iqm: float
    ours_by_setting: float
    paper: float
    difference: float
    """NaN unless there are all seven tasks, as in the paper's number."""
    tasks: int
    runs: int
    planned: int
    diverged: int
    superseded: int
    chose: str
    """Marks of the choices made by this row (`calibration`)."""


def table1_rows(data: Data, parts: Table1) -> list[Row]:
    """List Table 1's rows: per setting the mean normalised score (section 6.1), and its statistics."""
    paper = published("table1").set_index("setting")["score"]
    return [_row(setting, data, parts, float(paper.get(setting, np.nan))) for setting in _settings(data)]


def _row(setting: str, data: Data, parts: Table1, paper: float) -> Row:
    planned = data.trained[data.trained["setting"] == setting]
    members = _scaled(parts, setting)
    estimate = _estimate(parts, setting)
    low, high = estimate.interval()
    tasks = set(members["task"])
    return Row(
        setting=setting,
        ours=estimate.value,
        low=low,
        high=high,
        iqm=float(statistics.iqm(members["by_run"].to_numpy(dtype=float))) if len(members) else float("nan"),
        ours_by_setting=float(members.groupby("task")["by_setting"].mean().mean()),
        paper=paper,
        difference=estimate.value - paper if tasks == set(ENVIRONMENTS) else float("nan"),
        tasks=len(tasks),
        runs=len(members),
        planned=len(planned),
        diverged=int(planned["diverged_at"].notna().sum()),
        superseded=int(superseded(members).sum()),
        chose=calibration.marks(members),
    )


def _scaled(parts: Table1, setting: str) -> pd.DataFrame:
    """Select the runs of a row that have a normalised score."""
    return parts.runs[(parts.runs["setting"] == setting) & parts.runs["by_run"].notna()]


def _estimate(parts: Table1, setting: str) -> intervals.Estimate:
    return intervals.task_mean(scores.by_task(_scaled(parts, setting), "by_run", ENVIRONMENTS))


def table1(data: Data, parts: Table1) -> Table:
    """Make Table 1 beside the paper's printed one."""
    rows = table1_rows(data, parts)
    show = pd.DataFrame([_cells(row) for row in rows])
    caption = (
        "Average normalised score of each surrogate objective (section 6.1). A run's score is the mean return of its "
        "last 100 training episodes; per environment the untrained policy (σ = 1, raw actions) is 0 and the best "
        "result is 1; the row is the mean over environments of the means over seeds. The paper does not say what the "
        "best result is: the main column takes the best single run of any setting, the other the best setting's mean "
        "over seeds (in brackets how much that changes). "
        f"{INTERVAL} Overlapping intervals do not show that two rows are equal, nor does the order of the rows show "
        "itself to be true: see the table of ranks. IQM: mean of the middle half of the runs. Ours − paper is given "
        "where all seven environments went in."
    )
    title = "Table 1. Surrogate objectives: average normalised score"
    frame = pd.DataFrame([asdict(row) for row in rows])
    return Table("table1", titled(title, data), caption, show, frame, _notes(data, parts, rows))


def ranks(data: Data, parts: Table1) -> Table:
    """Tabulate the probability of each rank of Table 1's rows, from the seeds' spreads.

    Each row's mean is drawn 20,000 times from value + error x t(freedom), whose middle 95 % is the row's interval, rows
    independently, and the ranks are counted (`intervals.rank_probabilities`).
    """
    settings = [setting for setting in _settings(data) if np.isfinite(_estimate(parts, setting).error)]
    chances = intervals.rank_probabilities([_estimate(parts, setting) for setting in settings])
    paper = published("table1").set_index("setting")["score"].rank(ascending=False)
    columns = [f"P(rank {rank + 1})" for rank in range(len(settings))]
    frame = pd.DataFrame(chances, columns=columns)
    frame.insert(0, "setting", settings)
    frame["paper_rank"] = frame["setting"].map(paper)
    marked = [setting_name(setting) + marks(_scaled(parts, setting)) for setting in settings]
    show = pd.DataFrame({"Setting": marked, **{column: frame[column].map(_two) for column in columns}})
    show["Paper's rank"] = frame["paper_rank"].map(lambda rank: number(rank, 1).removesuffix(".0"))
    caption = (
        "The probability that a row of Table 1 has each rank (1: the highest mean), as far as the spread of its seeds "
        f"tells: each row's mean is drawn {intervals.DRAWS:,} times from the t distribution whose middle 95 % is the "
        "row's interval, rows independently, and the ranks are counted. The paper's rank is that of its printed score; "
        "rows that are equal there share one. Rows without an interval are left out."
    )
    title = "How sure the order of Table 1 is"
    notes = (*calibration.notes(parts.runs), *incomplete(data))
    return Table("table1_ranks", titled(title, data), caption, show, frame, notes)


def raw_scores(data: Data, parts: Table1) -> Table:
    """Tabulate the scores behind Table 1, in raw returns: mean (each seed) per setting and environment."""
    rows = []
    for setting in _settings(data):
        members = parts.runs[parts.runs["setting"] == setting]
        cells = [members[members["task"] == name] for name in ENVIRONMENTS]
        rows.append([setting_name(setting), *(seeds_cell(cell) + calibration.marks(cell) for cell in cells)])
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
    columns = ["environment", "setting", "seed", "score", "episodes", "diverged_at", "superseded"]
    title = "Scores behind Table 1, in raw returns"
    show = pd.DataFrame(rows, columns=["Setting", *ENVIRONMENTS])
    notes = (*calibration.notes(parts.runs), *incomplete(data))
    return Table(
        "table1_scores", titled(title, data), caption, show, parts.runs[[*columns, "by_run", "by_setting"]], notes
    )


def normalised_by_environment(data: Data, parts: Table1) -> Table:
    """Tabulate Table 1 by environment."""
    rows, cells = [], []
    for setting in _settings(data):
        members = parts.runs[parts.runs["setting"] == setting]
        each = {name: members[members["task"] == name] for name in ENVIRONMENTS}
        rows.append({"setting": setting, **{name: float(runs["by_run"].mean()) for name, runs in each.items()}})
        shown = {name: _two(float(runs["by_run"].mean())) + marks(runs) for name, runs in each.items()}
        cells.append({"Setting": setting_name(setting), **shown})
    caption = (
        "Mean normalised score over seeds, per environment (best single run = 1). The paper says that “no clipping or "
        "penalty” is negative because of one environment, HalfCheetah."
    )
    title, notes = "Table 1 by environment", (*calibration.notes(parts.runs), *incomplete(data))
    show, frame = pd.DataFrame(cells), pd.DataFrame(rows)
    return Table("table1_by_environment", titled(title, data), caption, show, frame, notes)


def _settings(data: Data) -> list[str]:
    """List the settings of the planned runs in the paper's order; all of the paper's if no run is planned."""
    return ordered(data.trained["setting"], SETTINGS) or list(SETTINGS)


def _cells(row: Row) -> dict[str, str]:
    known = np.isfinite(row.ours)
    other = f"{number(row.ours_by_setting, 2)} ({signed(row.ours_by_setting - row.ours, 2)})"
    return {
        "Setting": setting_name(row.setting),
        "Ours [95 % interval]": interval(row.ours, row.low, row.high) + "†" * (row.superseded > 0) + row.chose,
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
    whole = [row for row in rows if row.tasks == len(ENVIRONMENTS)]
    in_paper = [row.paper for row in whole]
    main = statistics.rank_correlation([row.ours for row in whole], in_paper)
    other = statistics.rank_correlation([row.ours_by_setting for row in whole], in_paper)
    notes = [
        f"Rank correlation (Spearman) of the rows with the paper's: {number(main, 2)}; {number(other, 2)} where best "
        "is the best setting's mean.",
    ]
    notes = [
        *(notes if np.isfinite(main) else []),
        f"Runs scored: {sum(row.runs for row in rows)} of {sum(row.planned for row in rows)}; "
        f"diverged: {sum(row.diverged for row in rows)}.",
    ]
    return (*notes, *left_out(parts.runs), *calibration.notes(parts.runs), *incomplete(data))


def _two(value: float) -> str:
    return number(value, 2)


@matplotlib.rc_context(STYLE)
def table1_scores(rows: Sequence[Row], data: Data, runs: pd.DataFrame) -> Drawing:
    """Draw Table 1: our score and interval of each setting beside the paper's; `runs`: those of the rows."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    known = [value for row in rows for value in (row.ours, row.low) if np.isfinite(value)]
    left = max(-1.5, min([-0.5, *known]) - 0.1)  # one diverging setting must not squeeze the others together
    for height, row in enumerate(reversed(rows)):
        colour = setting_colour(row.setting)
        axes.plot([row.paper], [height], "D", color="white", markeredgecolor="#333333", markersize=6, zorder=4)
        draw_interval(axes, height, (row.ours, row.low, row.high), colour, "o", left)
    axes.axvline(0, color="#444444", linewidth=0.9, linestyle=":")
    axes.axvline(1, color="#444444", linewidth=0.9, linestyle=":")
    axes.set(xlim=(left, 1.04), xlabel="Average normalised score (0: untrained policy, 1: best run)")
    names = [setting_name(row.setting) + "†" * (row.superseded > 0) + row.chose for row in rows]
    axes.set_yticks(range(len(rows)), names[::-1])
    axes.grid(False, axis="y")
    paper_mark = Line2D([], [], color="#333333", linestyle="none", marker="D", markerfacecolor="white", label="paper")
    our_mark = Line2D([], [], color="#333333", marker="o", linewidth=2.4, label="ours, 95 % t interval")
    handles = [our_mark, paper_mark] if known else [paper_mark]
    axes.legend(handles=handles, loc="lower left")
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Table 1 as a picture: average normalised score of each setting with the 95 % t interval of its mean, and "
        "the paper's printed score. An arrow marks a score left of the axis."
    )
    caption = " ".join([caption, *calibration.notes(runs), *reasons(data.trained)])
    return Drawing("table1", "Table 1 as a picture", sentences(caption, note), figure)
