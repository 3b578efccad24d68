"""Table 1, the surrogate objectives: the table and its picture, on the paper's three seeds and on all of ours."""

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
from analysis.data.labels import ENVIRONMENTS, SETTINGS, ordered, setting_name
from analysis.data.load import Data
from analysis.data.published import published
from analysis.style.cells import INTERVAL, SCALE, left_out, seeds_counted, value_with_interval
from analysis.style.colours import setting_colour
from analysis.style.drawing import STYLE, Drawing, draw_interval, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, interval, number, signed

NEAR = 0.1
"""A row's distance to the paper's printed score up to which it is called within."""
LOWEST = "none"
"""The row that the paper makes an exception of: its score is negative because of one environment."""


@dataclass(frozen=True)
class Table1:
    """The scores behind Table 1, raw and normalised, and their scale."""

    runs: pd.DataFrame
    """One row per complete run: environment, task, setting, seed, diverged_at, score (raw), by_run and by_setting
    (normalised by the best single run, and by the best setting's mean)."""
    random: pd.Series[float]
    """The random level per environment: 0 of the scale. Like the other two, of the paper's seeds."""
    best_run: pd.Series[float]
    """The best single run per environment: 1 of the main reading."""
    best_setting: pd.Series[float]
    """The best setting's mean per environment: 1 of the other reading."""

    def scaled(self, setting: str) -> pd.DataFrame:
        """Select the runs of a row that have a normalised score."""
        return self.runs[(self.runs["setting"] == setting) & self.runs["by_run"].notna()]


def evaluate(data: Data) -> Table1:
    """Score the complete runs, raw and on both scales."""
    runs = scores.scored(data)
    of_scale = scores.of_scale(runs, data.runs)
    random = scores.random_levels(scores.of_scale(data.episodes, data.runs))
    best_run, best_setting = scores.best_runs(of_scale), scores.best_settings(of_scale)
    runs["by_run"] = scores.normalised_scores(runs, random, best_run)
    runs["by_setting"] = scores.normalised_scores(runs, random, best_setting)
    return Table1(runs, random, best_run, best_setting)


@dataclass(frozen=True)
class Row:
    """A row of Table 1 and of its CSV; scores are normalised, NaN if unknown."""

    setting: str
    three: float
    """Mean over tasks of the means over the paper's seeds, as the paper has it, with its 95 % t interval."""
    three_low: float
    three_high: float
    ours: float
    """The same over all seeds."""
    low: float
    high: float
    iqm: float
    """Over all seeds; the interval (stratified bootstrap) is NaN below ten."""
    iqm_low: float
    iqm_high: float
    three_by_setting: float
    """`three` in the other reading of the best result."""
    paper: float
    difference: float
    """`three` less the paper's; NaN unless there are all seven tasks, as in the paper's number."""
    tasks: int
    """With runs of the paper's seeds."""
    runs: int
    planned: int
    diverged: int
    superseded: int
    chose: str
    """Marks of the choices made by this row (`calibration`)."""


def table1_rows(data: Data, parts: Table1) -> list[Row]:
    """List Table 1's rows: per setting the mean normalised score (section 6.1), and its statistics."""
    paper = published("table1").set_index("setting")["score"]
    return [_row(setting, data, parts, float(paper.get(setting, np.nan))) for setting in settings(data)]


def _row(setting: str, data: Data, parts: Table1, paper: float) -> Row:
    planned = data.trained[data.trained["setting"] == setting]
    members = parts.scaled(setting)
    papers = scores.papers_seeds(members)
    three, every = estimate(papers), estimate(members)
    tasks = set(papers["task"])
    return Row(
        setting,
        three.value,
        *three.interval(),
        every.value,
        *every.interval(),
        float(statistics.iqm(members["by_run"].to_numpy(dtype=float))) if len(members) else float("nan"),
        *statistics.stratified_bootstrap(strata(members), statistics.iqm),
        three_by_setting=float(papers.groupby("task")["by_setting"].mean().mean()),
        paper=paper,
        difference=three.value - paper if tasks == set(ENVIRONMENTS) else float("nan"),
        tasks=len(tasks),
        runs=len(members),
        planned=len(planned),
        diverged=int(planned["diverged_at"].notna().sum()),
        superseded=int(superseded(members).sum()),
        chose=calibration.marks(members),
    )


def strata(runs: pd.DataFrame) -> list[statistics.Array]:
    """Split the normalised scores of a row by task."""
    return scores.by_task(runs, "by_run", ENVIRONMENTS)


def estimate(runs: pd.DataFrame) -> intervals.Estimate:
    """Estimate a row's score from its runs: the mean over tasks of the means over seeds."""
    return intervals.task_mean(strata(runs))


def settings(data: Data) -> list[str]:
    """List the settings of the planned runs in the paper's order; all of the paper's if no run is planned."""
    return ordered(data.trained["setting"], SETTINGS) or list(SETTINGS)


def table1(data: Data, parts: Table1) -> Table:
    """Make Table 1 beside the paper's printed one."""
    rows = table1_rows(data, parts)
    show = pd.DataFrame([_cells(row) for row in rows])
    caption = (
        "Average normalised score of each surrogate objective (section 6.1). A run's score is the mean return of its "
        "last 100 training episodes; per environment the untrained policy (σ = 1, raw actions) is 0 and the best "
        "result is 1; the row is the mean over environments of the means over seeds, of the paper's three (1, 2, 3) "
        "and of all that were trained. The paper does not say what the best result is: the main columns take the best "
        "single run of any setting, another the best setting's mean over seeds (in brackets how much that changes). "
        f"{SCALE} {INTERVAL} Overlapping intervals do not show that two rows are equal, nor does the order of the rows "
        "show itself to be true: see the table of ranks. IQM: mean of the middle half of all runs, with an interval "
        "(stratified bootstrap) from ten seeds on. Ours − paper compares the paper's three seeds, and is given where "
        "all seven environments went in. Runs: of all seeds."
    )
    title = "Table 1. Surrogate objectives: average normalised score"
    frame = pd.DataFrame([asdict(row) for row in rows])
    return Table("table1", titled(title, data), caption, show, frame, _notes(data, parts, rows))


def _cells(row: Row) -> dict[str, str]:
    mark = "†" * (row.superseded > 0) + row.chose
    other = f"{number(row.three_by_setting, 2)} ({signed(row.three_by_setting - row.three, 2)})"
    return {
        "Setting": setting_name(row.setting),
        "Seeds 1, 2, 3 [95 % interval]": interval(row.three, row.three_low, row.three_high) + mark,
        "All seeds [95 % interval]": interval(row.ours, row.low, row.high) + mark,
        "IQM, all seeds": value_with_interval(row.iqm, row.iqm_low, row.iqm_high),
        "Seeds 1, 2, 3, best = best setting": other if np.isfinite(row.three) else NOTHING,
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
    three, every, other = (
        statistics.rank_correlation(ours, in_paper)
        for ours in (
            [row.three for row in whole],
            [row.ours for row in whole],
            [row.three_by_setting for row in whole],
        )
    )
    correlation = (
        f"Rank correlation (Spearman) of the rows with the paper's: {number(three, 2)} on seeds 1, 2, 3 "
        f"({number(other, 2)} where best is the best setting's mean), {number(every, 2)} on all seeds."
    )
    return (
        *([correlation] if np.isfinite(three) else []),
        *within_the_papers(whole),
        f"Runs scored: {sum(row.runs for row in rows)} of {sum(row.planned for row in rows)}; "
        f"diverged: {sum(row.diverged for row in rows)}.",
        *left_out(parts.runs),
        *calibration.notes(parts.runs),
        *incomplete(data),
    )


def within_the_papers(rows: Sequence[Row]) -> list[str]:
    """Count the rows that end near the paper's score on the paper's seeds, and those of them that chose nothing."""
    judged = [row for row in rows if row.setting != LOWEST and np.isfinite(row.difference)]
    if not judged:
        return []
    near = [row for row in judged if abs(row.difference) <= NEAR]
    far = ", ".join(setting_name(row.setting) for row in judged if row not in near)
    clear = [row for row in judged if not row.chose]
    return [
        f"Within {NEAR:.2f} of the paper's score on seeds 1, 2, 3, besides “{setting_name(LOWEST)}”: {len(near)} of "
        f"{len(judged)} rows; of the {len(clear)} that chose nothing, {len([row for row in near if not row.chose])}."
        + (f" Not: {far}." if far else "")
    ]


@matplotlib.rc_context(STYLE)
def table1_scores(rows: Sequence[Row], data: Data, runs: pd.DataFrame) -> Drawing:
    """Draw Table 1: our scores and intervals of each setting beside the paper's; `runs`: those of the rows."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    known = [value for row in rows for value in (row.ours, row.low, row.three, row.three_low) if np.isfinite(value)]
    left = max(-1.5, min([-0.5, *known]) - 0.1)  # one diverging setting must not squeeze the others together
    for height, row in enumerate(reversed(rows)):
        colour = setting_colour(row.setting)
        axes.plot([row.paper], [height], "D", color="white", markeredgecolor="#333333", markersize=6, zorder=4)
        draw_interval(axes, height + 0.2, (row.three, row.three_low, row.three_high), colour, "s", left)
        draw_interval(axes, height - 0.2, (row.ours, row.low, row.high), colour, "o", left)
    axes.axvline(0, color="#444444", linewidth=0.9, linestyle=":")
    axes.axvline(1, color="#444444", linewidth=0.9, linestyle=":")
    axes.set(xlim=(left, 1.04), xlabel="Average normalised score (0: untrained policy, 1: best run of seeds 1, 2, 3)")
    names = [setting_name(row.setting) + "†" * (row.superseded > 0) + row.chose for row in rows]
    axes.set_yticks(range(len(rows)), names[::-1])
    axes.grid(False, axis="y")
    paper_mark = Line2D([], [], color="#333333", linestyle="none", marker="D", markerfacecolor="white", label="paper")
    our_marks = [
        Line2D([], [], color="#333333", marker=marker, linewidth=2.4, label=f"ours, {which}, 95 % t interval")
        for marker, which in (("s", "seeds 1, 2, 3"), ("o", "all seeds"))
    ]
    handles = [*(our_marks if known else []), paper_mark]
    axes.legend(handles=handles, loc="lower left", frameon=True, facecolor="white", edgecolor="none", framealpha=0.95)
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Table 1 as a picture: average normalised score of each setting with the 95 % t interval of its mean, on the "
        f"paper's three seeds and on all{seeds_counted(runs, 'setting', setting_name)}, and the paper's printed score. "
        "An arrow marks a score left of the axis."
    )
    caption = " ".join([caption, *calibration.notes(runs), *reasons(data.trained)])
    return Drawing("table1", "Table 1 as a picture", sentences(caption, note), figure)
