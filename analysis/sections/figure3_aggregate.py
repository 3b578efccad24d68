"""Figure 3 in one number per algorithm: normalised scores over the tasks, and PPO compared with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import calibration, intervals, scores, statistics
from analysis.data.completeness import incomplete, reasons, superseded, titled
from analysis.data.labels import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, paper_curve
from analysis.data.load import Data
from analysis.data.published import drawn_in_paper, published_figure3
from analysis.data.scores import by_task
from analysis.style.cells import INTERVAL, SCALE, left_out, seeds_counted, value_with_interval
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import STYLE, Drawing, draw_interval, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, interval, number, p_values

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """An algorithm, a row of the CSV; scores are normalised, NaN if unknown."""

    algorithm: str
    three: float
    """Over tasks, of the means over the paper's seeds, with its 95 % t interval (`intervals.task_mean`)."""
    three_low: float
    three_high: float
    mean: float
    """The same over all seeds; so are the numbers down to `p_equal_holm`."""
    mean_low: float
    mean_high: float
    iqm: float
    iqm_low: float
    """Stratified bootstrap: NaN below ten seeds."""
    iqm_high: float
    ppo_better: float
    """P(a run of PPO beats a run of this algorithm), averaged over the tasks where both have runs."""
    ppo_better_low: float
    """Stratified bootstrap: NaN below ten seeds."""
    ppo_better_high: float
    difference: float
    """PPO's mean less this algorithm's, paired by task, over the tasks where both have runs."""
    difference_low: float
    difference_high: float
    blind: float
    """The same over the tasks alone that chose nothing (`calibration.CHOSE_NOTHING`)."""
    blind_low: float
    blind_high: float
    p: float
    """Of no difference; `p_holm` corrected for the comparisons in this table."""
    p_holm: float
    p_equal: float
    """Of a difference of `intervals.MARGIN` or more, either way (two one-sided tests)."""
    p_equal_holm: float
    as_the_paper: float
    """Mean over tasks of the means over the paper's seeds of the last tenth, where 1 is the best algorithm's mean. NaN
    unless there are all seven tasks, as in the paper's number."""
    paper: float
    tasks: int
    """With runs of the paper's seeds."""
    runs: int
    planned: int
    diverged: int
    superseded: int
    chose: str
    """Marks of the choices made by these runs (`calibration`)."""


def normalised(data: Data) -> pd.DataFrame:
    """Add to `scores.scored`: `by_run` (last 100 episodes; 1: the best single run of any algorithm) and `by_algorithm`
    (last tenth; 1: the best algorithm's mean over seeds). 0: the untrained policy; both ends of the paper's seeds
    (`scores.of_scale`). NaN if there is no scale."""
    runs = scores.scored(data)
    random = scores.random_levels(scores.of_scale(data.episodes, data.runs))
    runs["by_run"] = scores.normalised_scores(runs, random, scores.best_runs(scores.of_scale(runs, data.runs)))
    late = runs.assign(score=runs["last_tenth"])
    best = scores.best_settings(scores.of_scale(late, data.runs))
    return runs.assign(by_algorithm=scores.normalised_scores(late, random, best))


def paper_aggregate() -> pd.Series[float]:
    """Return, by the name in the legend of the paper's Figure 3, the mean over tasks of its normalised last 100k steps.

    0 is the mean of its six curves at step 0, 1 its highest end in the task: a mean over its seeds, so lower than a
    best single run.
    """
    summary = published_figure3()
    final, initial = summary["mean_last_100k"].unstack(), summary["initial"].unstack().mean(axis=1)
    return final.sub(initial, axis=0).div(final.max(axis=1) - initial, axis=0).mean()


def rows(data: Data, runs: pd.DataFrame) -> list[Row]:
    """List a row per algorithm that is planned, or in the paper's figure; `runs`: from `normalised`."""
    paper = paper_aggregate()
    algorithms = ordered([*data.trained["algorithm"], *drawn_in_paper()], ALGORITHMS)
    made = [_row(algorithm, data, runs, float(paper.get(paper_curve(algorithm), NAN))) for algorithm in algorithms]
    p_values, equal = intervals.holm([row.p for row in made]), intervals.holm([row.p_equal for row in made])
    return [replace(row, p_holm=p, p_equal_holm=q) for row, p, q in zip(made, p_values, equal, strict=True)]


def _row(algorithm: str, data: Data, runs: pd.DataFrame, paper: float) -> Row:
    planned = data.trained[data.trained["algorithm"] == algorithm]
    members = runs[(runs["algorithm"] == algorithm) & runs["by_run"].notna()]
    strata = by_task(members, "by_run", ENVIRONMENTS)
    better, better_interval, apart, blind = NAN, (NAN, NAN), intervals.UNKNOWN, intervals.UNKNOWN
    if algorithm != "ppo":
        raw = _sides(runs, algorithm, "score")  # a comparison of two runs needs no normalisation
        better, better_interval = statistics.probability_of_improvement(*raw), statistics.improvement_interval(*raw)
        apart = intervals.task_difference(*_sides(runs, algorithm, "by_run"))
        blind = intervals.task_difference(*_sides(runs, algorithm, "by_run", calibration.CHOSE_NOTHING))
    papers = scores.papers_seeds(members)
    three, mean = intervals.task_mean(by_task(papers, "by_run", ENVIRONMENTS)), intervals.task_mean(strata)
    values = members["by_run"].to_numpy(dtype=float)
    tasks = papers["task"].nunique()
    return Row(
        algorithm,
        three.value,
        *three.interval(),
        mean.value,
        *mean.interval(),
        float(statistics.iqm(values)) if len(values) else NAN,
        *statistics.stratified_bootstrap(strata, statistics.iqm),
        better,
        *better_interval,
        apart.value,
        *apart.interval(),
        blind.value,
        *blind.interval(),
        p=apart.difference_p(),
        p_holm=NAN,
        p_equal=apart.equivalence_p(),
        p_equal_holm=NAN,
        as_the_paper=float(papers.groupby("task")["by_algorithm"].mean().mean()) if tasks == len(ENVIRONMENTS) else NAN,
        paper=paper,
        tasks=tasks,
        runs=len(members),
        planned=len(planned),
        diverged=int(planned["diverged_at"].notna().sum()),
        superseded=int(superseded(members).sum()),
        chose=calibration.marks(members),
    )


def _sides(
    runs: pd.DataFrame, algorithm: str, column: str, tasks: Sequence[str] = ENVIRONMENTS
) -> tuple[list[statistics.Array], list[statistics.Array]]:
    """Return PPO's and the algorithm's `column`, per task."""
    of_ppo, of_other = (by_task(runs[runs["algorithm"] == name], column, tasks) for name in ("ppo", algorithm))
    return of_ppo, of_other


def aggregate(data: Data, runs: pd.DataFrame, made: list[Row]) -> Table:
    """Tabulate one number per algorithm of Figure 3, and PPO's comparison with each."""
    caption = (
        "Figure 3 in one number per algorithm. A run's score is the mean return of its last 100 training episodes; per "
        "task the untrained policy (σ = 1, raw actions) is 0 and the best single run of any algorithm in the figure is "
        f"1. {SCALE} Mean: over tasks, of the means over seeds, of the paper's three (1, 2, 3) and of all that were "
        f"trained. {INTERVAL} All other columns but the last tenth are of all seeds. IQM: the mean of the middle half "
        "of the runs. PPO better: the probability that a run of PPO scores higher than a run of this algorithm on the "
        "same task, ties half, averaged over the tasks. These two have an interval (stratified bootstrap) from ten "
        "seeds on: with fewer it covers far less than it says. PPO − this: the difference of the means, paired by "
        f"task, with its t interval; beside it on the {len(calibration.CHOSE_NOTHING)} tasks alone that chose nothing "
        "of PPO's reading. p: of no difference (Welch, Satterthwaite); p, equal: of a difference of "
        f"{intervals.MARGIN:g} or more (two one-sided tests, the margin fixed beforehand); in brackets each after "
        "Holm's correction for the comparisons in this table. Shown: what holds at 5 % after it. Last tenth, like the "
        "paper's: mean over tasks of the last tenth of the curve of seeds 1, 2, 3, where 1 is the best algorithm's "
        "mean over seeds, ours by our best and the paper's by its own, so the two scales differ; the paper's 0 is the "
        "mean of its six curves at step 0. The paper's one TRPO stands beside both of ours."
    )
    title = "Figure 3 in one number per algorithm"
    show, numbers = pd.DataFrame([_cells(row) for row in made]), pd.DataFrame([asdict(row) for row in made])
    return Table("figure3_aggregate", titled(title, data), caption, show, numbers, _notes(data, made, runs))


def _cells(row: Row) -> dict[str, str]:
    return {
        "Algorithm": algorithm_name(row.algorithm),
        "Seeds 1, 2, 3: mean [95 % interval]": interval(row.three, row.three_low, row.three_high) + marks(row),
        "All seeds: mean [95 % interval]": interval(row.mean, row.mean_low, row.mean_high) + marks(row),
        "IQM": value_with_interval(row.iqm, row.iqm_low, row.iqm_high),
        "PPO better": value_with_interval(row.ppo_better, row.ppo_better_low, row.ppo_better_high),
        "PPO − this [95 % interval]": interval(row.difference, row.difference_low, row.difference_high),
        "On the tasks that chose nothing": interval(row.blind, row.blind_low, row.blind_high),
        "p (Holm)": p_values(row.p, row.p_holm),
        "p, equal (Holm)": p_values(row.p_equal, row.p_equal_holm),
        "Shown": shown(row),
        "Last tenth, best algorithm = 1: ours": number(row.as_the_paper, 2),
        "Paper": number(row.paper, 2),
        "Tasks": f"{row.tasks}/{len(ENVIRONMENTS)}",
        "Runs": f"{row.runs}/{row.planned}" if row.planned else NOTHING,
    }


def marks(row: Row) -> str:
    """Return the marks of the algorithm's numbers: superseded (†), used in a choice (‡, §)."""
    return "†" * (row.superseded > 0) + row.chose


def shown(row: Row) -> str:
    """Describe the result of the comparison with PPO at 5 %, corrected for the number of comparisons."""
    if row.p_holm < intervals.LEVEL:
        return "PPO better" if row.difference > 0 else "PPO worse"
    if row.p_equal_holm < intervals.LEVEL:
        return f"equal within {intervals.MARGIN:g}"
    return "neither" if np.isfinite(row.p_holm) else NOTHING


def _notes(data: Data, made: list[Row], runs: pd.DataFrame) -> tuple[str, ...]:
    short = [algorithm_name(row.algorithm) for row in made if 0 < row.tasks < len(ENVIRONMENTS)]
    notes = [f"Not all tasks, so not comparable: {', '.join(short)}."] if short else []
    return (*notes, *left_out(runs), *calibration.notes(runs), *incomplete(data))


@matplotlib.rc_context(STYLE)
def figure(rows: Sequence[Row], data: Data, runs: pd.DataFrame) -> Drawing:
    """Draw one number per algorithm of Figure 3: mean and IQM (left), and PPO's mean less the algorithm's (right).

    `runs`: those of the rows.
    """
    drawn = Figure(figsize=(10, 0.42 * len(rows) + 1.9), layout="constrained")
    left, right = drawn.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    edge = max(-1.0, min([-0.1, *(row.mean_low for row in rows if np.isfinite(row.mean_low))]) - 0.05)
    lines = algorithm_lines(row.algorithm for row in rows)
    for height, row in enumerate(reversed(rows)):
        colour = lines[row.algorithm].colour
        draw_interval(left, height + 0.14, (row.mean, row.mean_low, row.mean_high), colour, "o", edge)
        draw_interval(left, height - 0.14, (row.iqm, row.iqm_low, row.iqm_high), colour, "s", edge)
        draw_interval(right, height, (row.difference, row.difference_low, row.difference_high), colour, "o", -1.0)
    for x in (0, 1):
        left.axvline(x, color="#444444", linewidth=0.9, linestyle=":")
    right.axvspan(-intervals.MARGIN, intervals.MARGIN, color="#444444", alpha=0.08, linewidth=0)
    right.axvline(0, color="#444444", linewidth=0.9, linestyle=":")
    left.set(xlim=(edge, 1.04), xlabel="Normalised score (0: untrained policy, 1: best run of seeds 1, 2, 3)")
    right.set(xlabel="PPO's mean less the algorithm's")
    names = [algorithm_name(row.algorithm) + marks(row) for row in rows]
    left.set_yticks(range(len(rows)), names[::-1])
    for axes in (left, right):
        axes.grid(False, axis="y")
        axes.set_ylim(-0.6, len(rows) - 0.4)
    shapes = {"o": "mean, 95 % t interval", "s": "IQM (interval from ten seeds on)"}
    handles = [Line2D([], [], color="#333333", marker=m, linewidth=2, label=label) for m, label in shapes.items()]
    drawn.legend(handles=handles, loc="outside lower center", ncols=2)
    note = note_of(data)
    warn(drawn, note)
    caption = (
        "Figure 3 in one number per algorithm, as a picture of the table of that name: normalised scores of all "
        f"seeds{seeds_counted(runs, 'algorithm', algorithm_name)} (cut at the axis; an arrow: the value lies left of "
        "it), and PPO's mean less the algorithm's, paired by task, with 95 % t "
        "intervals, which are not corrected for the number of comparisons (the table's p values are). Grey: a "
        f"difference of less than {intervals.MARGIN:g}, the margin of equality."
    )
    caption = " ".join([caption, *calibration.notes(runs), *reasons(data.trained)])
    title = "Figure 3 in one number per algorithm, as a picture"
    return Drawing("figure3_aggregate", title, sentences(caption, note), drawn)
