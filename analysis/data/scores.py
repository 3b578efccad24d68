"""From episodes to scores: last-100-episode means, normalisation (section 6.1), learning curves.

Frames carry the run's name in the columns of `load.RUN`; scores are in units of raw episode return until normalised.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.labels import UNTRAINED, task
from analysis.data.load import RUN, Data


def scored(data: Data) -> pd.DataFrame:
    """The complete runs of the trained policies, in the manifest's order; a run that still trains has no score yet.

    RUN, `score` (last 100 episodes), `episodes` (how many went in), `last_tenth`, `total_timesteps`, `diverged_at`,
    `superseded`, `task`. A run that diverged before the last tenth of its budget has no curve there: its score stands
    for it, as no algorithm may gain by diverging.
    """
    complete = data.trained[data.trained["complete"]]
    runs = final_scores(data.episodes, complete)
    runs["last_tenth"] = last_tenth(data.episodes, complete)["score"].fillna(runs["score"])
    for column in ("total_timesteps", "diverged_at", "superseded"):
        runs[column] = complete[column].to_numpy()
    return runs.assign(task=runs["environment"].map(task))


def final_scores(episodes: pd.DataFrame, runs: pd.DataFrame, last: int = 100) -> pd.DataFrame:
    """Score of each run: the mean return of its last `last` training episodes (section 6.1: "last 100 episodes").

    `runs` needs the columns of RUN; the result is those columns, `score` (NaN for a run without episodes) and
    `episodes`, the number that went in (fewer than `last` if the run has fewer).
    """
    tail = episodes.sort_values([*RUN, "step"], kind="stable").groupby(RUN).tail(last)
    scores = tail.groupby(RUN, as_index=False).agg(
        score=("episodic_return", "mean"), episodes=("episodic_return", "size")
    )
    result = runs[RUN].merge(scores, on=RUN, how="left")
    return result.astype({"score": float}).fillna({"episodes": 0}).astype({"episodes": int})


def random_levels(episodes: pd.DataFrame) -> pd.Series[float]:
    """Per environment, the mean return over all episodes of the untrained policy: 0 on Table 1's scale."""
    untrained = episodes[episodes["setting"] == UNTRAINED]
    return untrained.groupby("environment")["episodic_return"].mean().astype(float)


def best_runs(scores: pd.DataFrame) -> pd.Series[float]:
    """Per environment the best single run of any setting: 1 on Table 1's scale in our main reading of "best result"."""
    return scores.groupby("environment")["score"].max()


def best_settings(scores: pd.DataFrame) -> pd.Series[float]:
    """Per environment the mean over seeds of the best setting of any algorithm: the other reading of "best result"."""
    return scores.groupby(["environment", "algorithm", "setting"])["score"].mean().groupby("environment").max()


def normalised_scores(scores: pd.DataFrame, random: pd.Series[float], best: pd.Series[float]) -> pd.Series[float]:
    """(score - random) / (best - random) per environment (section 6.1), aligned with the rows of `scores`.

    NaN where the environment has no random level, or where no run beat it: then the scale has no meaning.
    """
    low = scores["environment"].map(random).astype(float)
    span = scores["environment"].map(best).astype(float) - low
    return (scores["score"] - low) / span.where(span > 0)


def by_task(runs: pd.DataFrame, column: str, tasks: Iterable[str]) -> list[npt.NDArray[np.float64]]:
    """Split `column` of the runs into one array [seeds] per task, as statistics take them; NaN is left out."""
    known = runs[runs[column].notna()]
    return [known.loc[known["task"] == name, column].to_numpy(dtype=float) for name in tasks]


def curve_grid(budget: int) -> tuple[npt.NDArray[np.int64], int]:
    """The steps at which a learning curve is drawn, and its trailing window: budget/100 and five times that.

    At the paper's 1M steps: every 10,000 steps, over the last 50,000. Never finer than 1,000 steps, the length of an
    episode in most of these tasks, so that a window of a short (quick) run still holds episodes.
    """
    spacing = max(budget // 100, 1000)
    return np.arange(spacing, budget + 1, spacing, dtype=np.int64), 5 * spacing


def learning_curves(episodes: pd.DataFrame, grid: npt.NDArray[np.int64], window: int) -> pd.DataFrame:
    """Of each run, the mean return of the episodes that ended in (step - window, step], for each step of the grid.

    `grid` is evenly spaced and starts at its spacing (`curve_grid`). Result: the columns of RUN, `step`, `mean_return`;
    runs x grid rows. NaN where no episode ended in the window, and more than one spacing beyond the run's last episode:
    a run that stopped early draws no tail.
    """

    spacing = int(grid[0]) if len(grid) else 0
    pieces = []
    for run, rows in episodes.groupby(RUN, sort=True):
        steps = rows["step"].to_numpy()
        total = np.concatenate([[0.0], np.cumsum(rows["episodic_return"].to_numpy(dtype=float))])
        high = np.searchsorted(steps, grid, side="right")
        low = np.searchsorted(steps, grid - window, side="right")
        count = high - low
        mean = np.full(len(grid), np.nan)
        np.divide(total[high] - total[low], count, out=mean, where=count > 0)
        mean = np.where(grid < steps[-1] + spacing, mean, np.nan)
        names = dict(zip(RUN, run if isinstance(run, tuple) else (run,), strict=True))
        pieces.append(pd.DataFrame({**names, "step": grid, "mean_return": mean}))
    if not pieces:
        return pd.DataFrame(columns=[*RUN, "step", "mean_return"])
    return pd.concat(pieces, ignore_index=True)


def run_curves(data: Data) -> tuple[pd.DataFrame, int]:
    """Curves of the trained runs, those that still train included; and the trailing window, in steps.

    Columns: RUN, `step`, `mean_return`, `task`, `diverged_at`, `complete`.
    """
    trained = data.trained
    grid, window = curve_grid(int(trained["total_timesteps"].max()) if len(trained) else 1_000_000)
    wanted = data.episodes.merge(trained[RUN], on=RUN) if len(trained) else data.episodes
    curves = learning_curves(wanted, grid, window).merge(trained[[*RUN, "diverged_at", "complete"]], on=RUN)
    return curves.assign(task=curves["environment"].map(task)), window


def by_seed(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of one line (one algorithm and setting in one environment): a row per step, a column per seed."""
    return curves.pivot(index="step", columns="seed", values="mean_return").astype(float)


def mean_curve(seeds: pd.DataFrame) -> pd.Series[float]:
    """The mean over seeds at each step, only where every seed has a value.

    A mean that lost a diverged seed on its way would rise for no merit.
    """
    return seeds.mean(axis=1, skipna=False)


def last_tenth(episodes: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Of each run, the mean of its curve over the last tenth of its budget: the last 100k of 1M steps.

    The digitised curves of Figure 3 are summarised the same way (published/fig3_summary.csv). The curve here is
    taken at budget/100 with a window of one spacing, so every 10k steps weigh the same: a mean over episodes would
    let short, bad episodes weigh more. `runs` needs RUN and total_timesteps; the result is RUN and `score`.
    """
    pieces = []
    for budget, group in runs.groupby("total_timesteps"):
        grid, _ = curve_grid(int(str(budget)))
        curves = learning_curves(episodes.merge(group[RUN], on=RUN), grid, int(grid[0]) if len(grid) else 1)
        pieces.append(curves[curves["step"] > int(str(budget)) * 9 // 10])
    if not pieces:
        return runs[RUN].assign(score=np.nan)
    means = pd.concat(pieces).groupby(RUN, as_index=False).agg(score=("mean_return", "mean"))
    return runs[RUN].merge(means, on=RUN, how="left").astype({"score": float})
