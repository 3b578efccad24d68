"""Scores from episodes: means of the last 100 episodes, normalisation (section 6.1), learning curves.

Frames carry the run's name in the columns of `load.RUN`; scores are in units of raw episode return until normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.labels import PAPER_SEEDS, UNTRAINED, task
from analysis.data.load import RUN, Data

LAST = 100
"""Episodes at the end of a run that make its score (section 6.1)."""


def once(compute: Callable[[Data], pd.DataFrame]) -> Callable[[Data], pd.DataFrame]:
    """Compute a frame once for each Data, as several tables and figures need it; each caller gets its own copy."""
    computed: WeakKeyDictionary[Data, pd.DataFrame] = WeakKeyDictionary()

    @wraps(compute)
    def kept(data: Data) -> pd.DataFrame:
        if data not in computed:
            computed[data] = compute(data)
        return computed[data].copy(deep=False)  # pandas copies what a caller writes to

    return kept


@once
def scored(data: Data) -> pd.DataFrame:
    """Score the complete runs of trained policies, in the manifest's order; an unfinished run has no score. Of runs
    that were stopped on purpose all are scored over as many steps.

    RUN, `score` (last 100 episodes), `episodes` (their number), `last_tenth`, `total_timesteps`, `diverged_at`,
    `superseded`, `task`. A run that diverged before the last tenth of its steps has no curve there: `last_tenth` is
    then its score, so that no algorithm gains by diverging.
    """
    complete, episodes = data.trained[data.trained["complete"]], data.episodes_in_common
    runs = final_scores(episodes, complete)
    runs["last_tenth"] = last_tenth(episodes, complete, data.fraction)["score"].fillna(runs["score"])
    for column in ("total_timesteps", "diverged_at", "superseded"):
        runs[column] = complete[column].to_numpy()
    return runs.assign(task=runs["environment"].map(task))


def final_scores(episodes: pd.DataFrame, runs: pd.DataFrame, last: int = LAST) -> pd.DataFrame:
    """Compute each run's score, the mean return of its last `last` training episodes (section 6.1: last 100).

    `runs` needs the columns of RUN; the result has these columns, `score` (NaN for a run without episodes) and
    `episodes`, the number used (fewer than `last` if the run has fewer).
    """
    tail = episodes.sort_values([*RUN, "step"], kind="stable").groupby(RUN).tail(last)
    scores = tail.groupby(RUN, as_index=False).agg(
        score=("episodic_return", "mean"), episodes=("episodic_return", "size")
    )
    result = runs[RUN].merge(scores, on=RUN, how="left")
    return result.astype({"score": float}).fillna({"episodes": 0}).astype({"episodes": int})


def papers_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of the seeds that are compared with the paper's numbers (`PAPER_SEEDS`)."""
    return frame[frame["seed"].isin(PAPER_SEEDS)]


def conventions(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split runs by whose seeds count: under "1, 2, 3" the paper's, and under "all 10" all, where there are others."""
    whole = {f"all {runs['seed'].nunique()}": runs}
    return {", ".join(map(str, PAPER_SEEDS)): papers_seeds(runs)} | (
        whole if len(papers_seeds(runs)) < len(runs) else {}
    )


def of_scale(frame: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    """Select the runs or episodes that make the scale of normalised scores: those of the paper's seeds.

    So the scale is the paper's, and stays as it is when rows have more seeds: the best single run of ten is higher than
    that of three. Of all seeds where the `planned` runs have none of the paper's (sweeps).
    """
    return papers_seeds(frame) if len(papers_seeds(planned)) else frame


def random_levels(episodes: pd.DataFrame) -> pd.Series[float]:
    """Compute, per environment, the mean return of all episodes of the untrained policy: 0 on Table 1's scale."""
    untrained = episodes[episodes["setting"] == UNTRAINED]
    return untrained.groupby("environment")["episodic_return"].mean().astype(float)


def best_runs(scores: pd.DataFrame) -> pd.Series[float]:
    """Find, per environment, the best single run: 1 on Table 1's scale in our main reading of it."""
    return scores.groupby("environment")["score"].max()


def best_settings(scores: pd.DataFrame) -> pd.Series[float]:
    """Find, per environment, the best setting's mean over seeds: 1 in the other reading of "best result"."""
    return scores.groupby(["environment", "algorithm", "setting"])["score"].mean().groupby("environment").max()


def normalised_scores(scores: pd.DataFrame, random: pd.Series[float], best: pd.Series[float]) -> pd.Series[float]:
    """Compute (score - random) / (best - random) per environment (section 6.1), aligned with the rows of `scores`.

    NaN if the environment has no random level, or if no run is better than it: the scale then has no meaning.
    """
    low = scores["environment"].map(random).astype(float)
    span = scores["environment"].map(best).astype(float) - low
    return (scores["score"] - low) / span.where(span > 0)


def by_task(runs: pd.DataFrame, column: str, tasks: Iterable[str]) -> list[npt.NDArray[np.float64]]:
    """Split `column` of the runs into one array [seeds] per task, without NaN."""
    known = runs[runs[column].notna()]
    return [known.loc[known["task"] == name, column].to_numpy(dtype=float) for name in tasks]


def curve_grid(budget: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return the steps at which a learning curve is drawn, and its trailing window: budget/100 and five times that.

    At the paper's 1M steps: every 10,000 steps, over the last 50,000. Never finer than 1,000 steps, the length of an
    episode in most of these tasks, so that a window of a short (quick) run still holds episodes.
    """
    spacing = max(budget // 100, 1000)
    return np.arange(spacing, budget + 1, spacing, dtype=np.int64), 5 * spacing


SPARSE = 0.2
"""The last part of each hundredth of the budget: a sparse curve is made of the episodes that ended in it."""


def full_budget(data: Data) -> int:
    """Return the environment steps of the longest run that is planned; the paper's million without any."""
    return int(data.trained["total_timesteps"].max()) if len(data.trained) else 1_000_000


def learning_curves(episodes: pd.DataFrame, grid: npt.NDArray[np.int64], window: int) -> pd.DataFrame:
    """Compute, for each run and step of the grid, the mean return of the episodes that ended in (step - window, step].

    `grid` is evenly spaced and starts at its spacing (`curve_grid`). Result: the columns of RUN, `step`, `mean_return`;
    runs x grid rows. NaN if no episode ended in the window, and more than one spacing after the run's last episode, so
    that the curve of a run that stopped early ends there.
    """

    spacing = int(grid[0]) if len(grid) else 0
    rows: dict[Any, Any] = episodes.groupby(RUN).indices
    runs = sorted(rows)
    every_step, every_return = episodes["step"].to_numpy(), episodes["episodic_return"].to_numpy(dtype=float)
    means = []
    for run in runs:
        steps = every_step[rows[run]]
        total = np.concatenate([[0.0], np.cumsum(every_return[rows[run]])])
        high = np.searchsorted(steps, grid, side="right")
        low = np.searchsorted(steps, grid - window, side="right")
        count = high - low
        mean = np.full(len(grid), np.nan)
        np.divide(total[high] - total[low], count, out=mean, where=count > 0)
        means.append(np.where(grid < steps[-1] + spacing, mean, np.nan))
    if not means:
        return pd.DataFrame(columns=[*RUN, "step", "mean_return"])
    curves = pd.DataFrame(runs, columns=RUN).loc[np.repeat(np.arange(len(runs)), len(grid))]
    return curves.reset_index(drop=True).assign(step=np.tile(grid, len(runs)), mean_return=np.concatenate(means))


def run_curves(data: Data) -> tuple[pd.DataFrame, int]:
    """Compute the curves of the trained runs, unfinished ones included; return them and the window, in steps.

    Columns: RUN, `step`, `mean_return`, `task`, `diverged_at`, `complete`.
    """
    return _run_curves(data), curve_grid(full_budget(data))[1]


@once
def _run_curves(data: Data) -> pd.DataFrame:
    trained = data.trained
    grid, window = curve_grid(full_budget(data))
    episodes = data.episodes.merge(trained[RUN], on=RUN) if len(trained) else data.episodes
    curves = learning_curves(episodes, grid, window).merge(trained[[*RUN, "diverged_at", "complete"]], on=RUN)
    return curves.assign(task=curves["environment"].map(task))


def by_seed(curves: pd.DataFrame) -> pd.DataFrame:
    """Arrange the curves of one algorithm and setting in one environment: a row per step, a column per seed."""
    return curves.pivot(index="step", columns="seed", values="mean_return").astype(float)


def mean_curve(seeds: pd.DataFrame) -> pd.Series[float]:
    """Compute the mean over seeds at each step where every seed has a value.

    Without this condition the mean would rise where a diverged seed drops out.
    """
    return seeds.mean(axis=1, skipna=False)


def last_tenth(episodes: pd.DataFrame, runs: pd.DataFrame, fraction: float = 1.0) -> pd.DataFrame:
    """Compute the mean of each run's curve over the last tenth of its steps: the last 100k of 1M, or of the `fraction`
    of its budget after which it was stopped on purpose.

    The digitised curves of Figure 3 are summarised in the same way (published/fig3_summary.csv). The curve has points
    every hundredth of these steps with a window of one spacing, so every 10k steps have the same weight: in a mean over
    episodes, short, bad episodes would weigh more. `runs` needs RUN and total_timesteps; the result is RUN and `score`.
    """
    pieces = []
    for budget, group in runs.groupby("total_timesteps"):
        steps = int(int(str(budget)) * fraction)
        grid, _ = curve_grid(steps)
        curves = learning_curves(episodes.merge(group[RUN], on=RUN), grid, int(grid[0]) if len(grid) else 1)
        pieces.append(curves[curves["step"] > steps * 9 // 10])
    if not pieces:
        return runs[RUN].assign(score=np.nan)
    means = pd.concat(pieces).groupby(RUN, as_index=False).agg(score=("mean_return", "mean"))
    return runs[RUN].merge(means, on=RUN, how="left").astype({"score": float})
