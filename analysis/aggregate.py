"""Figure 3 in one number per algorithm: normalised scores over the tasks, and how surely PPO is better."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from analysis import scores, statistics
from analysis.load import Data, drawn_in_paper, published_figure3
from analysis.names import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, paper_name
from analysis.render import NOTHING, Table, number
from analysis.status import incomplete, titled
from analysis.tables import left_out

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One algorithm, as it goes into the CSV; scores are normalised, NaN where unknown."""

    algorithm: str
    mean: float
    mean_low: float
    mean_high: float
    iqm: float
    iqm_low: float
    iqm_high: float
    ppo_better: float
    """P(a run of PPO beats a run of this algorithm), averaged over the tasks where both have runs."""
    ppo_better_low: float
    ppo_better_high: float
    as_the_paper: float
    """Mean over tasks of the means over seeds of the last tenth, where 1 is the best algorithm's mean."""
    paper: float
    tasks: int
    """Tasks that went in; fewer than seven are another average, and not to be compared."""
    runs: int
    planned: int
    diverged: int


def normalised(data: Data) -> pd.DataFrame:
    """`scores.scored` with `by_run` (last 100 episodes; 1: the best single run of any algorithm) and `by_algorithm`
    (last tenth; 1: the best algorithm's mean over seeds). 0: the untrained policy. NaN where there is no scale."""
    runs = scores.scored(data)
    random = scores.random_levels(data.episodes)
    runs["by_run"] = scores.normalised_scores(runs, random, scores.best_runs(runs))
    late = runs.assign(score=runs["last_tenth"])
    return runs.assign(by_algorithm=scores.normalised_scores(late, random, scores.best_settings(late)))


def paper_aggregate() -> pd.Series[float]:
    """The paper's Figure 3 by the name in its legend: mean over the tasks of its finals (last 100k steps), normalised.

    0 is the mean of its six curves at step 0, 1 its highest final of that task: a mean over its seeds, so a lower
    mark than a best single run.
    """
    summary = published_figure3()
    final, initial = summary["mean_last_100k"].unstack(), summary["initial"].unstack().mean(axis=1)
    return final.sub(initial, axis=0).div(final.max(axis=1) - initial, axis=0).mean()


def rows(data: Data, runs: pd.DataFrame) -> list[Row]:
    """One row per algorithm that is planned, or that the paper's figure has; `runs` as from `normalised`."""
    paper = paper_aggregate()
    algorithms = ordered([*data.trained["algorithm"], *drawn_in_paper()], ALGORITHMS)
    return [_row(algorithm, data, runs, float(paper.get(paper_name(algorithm), NAN))) for algorithm in algorithms]


def _row(algorithm: str, data: Data, runs: pd.DataFrame, paper: float) -> Row:
    planned = data.trained[data.trained["algorithm"] == algorithm]
    mine = runs[(runs["algorithm"] == algorithm) & runs["by_run"].notna()]
    strata = [group["by_run"].to_numpy(dtype=float) for _, group in mine.groupby("environment", sort=True)]
    values = mine["by_run"].to_numpy(dtype=float)
    better, interval = NAN, (NAN, NAN)
    if algorithm != "ppo":
        sides = _by_task(runs, "ppo"), _by_task(runs, algorithm)
        better, interval = statistics.probability_of_improvement(*sides), statistics.improvement_interval(*sides)
    mean, iqm = (statistics.stratified_bootstrap(strata, statistic) for statistic in (statistics.mean, statistics.iqm))
    return Row(
        algorithm,
        float(values.mean()) if len(values) else NAN,
        *mean,
        float(statistics.iqm(values)) if len(values) else NAN,
        *iqm,
        better,
        *interval,
        as_the_paper=float(mine.groupby("task")["by_algorithm"].mean().mean()),
        paper=paper,
        tasks=len(strata),
        runs=len(mine),
        planned=len(planned),
        diverged=int(planned["diverged_at"].notna().sum()),
    )


def _by_task(runs: pd.DataFrame, algorithm: str) -> list[statistics.Array]:
    """Raw scores per task: which run is better needs no normalisation."""
    mine = runs[(runs["algorithm"] == algorithm) & runs["score"].notna()]
    return [mine.loc[mine["task"] == name, "score"].to_numpy(dtype=float) for name in ENVIRONMENTS]


def aggregate(data: Data, runs: pd.DataFrame, made: list[Row]) -> Table:
    """Figure 3 in one number per algorithm, and the probability that a run of PPO beats one of its runs."""
    caption = (
        "Figure 3 in one number per algorithm. A run's score is the mean return of its last 100 training episodes; per "
        "task the untrained policy (σ = 1, raw actions) is 0 and the best single run of any algorithm in the figure is "
        "1. Mean, and IQM (mean of the middle half), over the runs; in brackets the 95 % interval of a stratified "
        f"bootstrap: seeds resampled within each task, {statistics.RESAMPLES:,} resamples, normalisation held fixed. "
        "PPO better: the probability that a run of PPO scores higher than a run of this algorithm on the same task, "
        "ties half, averaged over the tasks, with the interval of resampling both. Last tenth, like the paper's: mean "
        "over tasks of the last tenth of the curve, where 1 is the best algorithm's mean over seeds, ours by our best "
        "and the paper's by its own; the paper's 0 is the mean of its six curves at step 0. The paper's one TRPO "
        "stands beside both of ours."
    )
    title = "Figure 3 in one number per algorithm"
    show, numbers = pd.DataFrame([_cells(row) for row in made]), pd.DataFrame([asdict(row) for row in made])
    return Table("figure3_aggregate", titled(title, data), caption, show, numbers, _notes(data, made, runs))


def _cells(row: Row) -> dict[str, str]:
    def within(value: float, low: float, high: float) -> str:
        return f"{number(value, 2)} [{number(low, 2)}, {number(high, 2)}]" if np.isfinite(value) else NOTHING

    return {
        "Algorithm": algorithm_name(row.algorithm),
        "Mean [95 % interval]": within(row.mean, row.mean_low, row.mean_high),
        "IQM [95 % interval]": within(row.iqm, row.iqm_low, row.iqm_high),
        "PPO better [95 % interval]": within(row.ppo_better, row.ppo_better_low, row.ppo_better_high),
        "Last tenth, best algorithm = 1: ours": number(row.as_the_paper, 2),
        "Paper": number(row.paper, 2),
        "Tasks": f"{row.tasks}/{len(ENVIRONMENTS)}",
        "Runs": f"{row.runs}/{row.planned}" if row.planned else NOTHING,
    }


def _notes(data: Data, made: list[Row], runs: pd.DataFrame) -> tuple[str, ...]:
    short = [algorithm_name(row.algorithm) for row in made if 0 < row.tasks < len(ENVIRONMENTS)]
    notes = [f"Not all tasks, so not comparable: {', '.join(short)}."] if short else []
    return (*notes, *left_out(runs), *incomplete(data))
