"""The tables beside Figures 2 and 3, and PPO's scores as others have published them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis import scores
from analysis.load import Data, published
from analysis.names import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, task
from analysis.render import NOTHING, Table, number, signed
from analysis.status import incomplete, titled
from analysis.tables import seeds_cell

# Figure 2's curves: our column, the digitised file's column, and the label of the paper's legend.
CURVES = (
    ("kl", "KL", "E[KL]"),
    ("surrogate_cpi", "L_CPI", "L_CPI = E[r A]"),
    ("surrogate_clipped", "E[clip(r)A]", "E[clip(r, 1−ε, 1+ε) A]"),
    ("surrogate_clip", "L_CLIP", "L_CLIP"),
)


def figure2(data: Data, rows: pd.DataFrame | None) -> Table:
    """Figure 2 in numbers: each curve at the updated policy (x = 1), at x = 2, and where it is largest.

    `rows` is interpolation.parquet (None if there is none); ours is the mean over its seeds.
    """
    paper = published("fig2_curves")
    cells, facts = [], []
    for column, digitised, label in CURVES:
        theirs = _points(paper["interp"], paper[digitised])
        ours = dict.fromkeys(theirs, float("nan"))
        if rows is not None and not rows.empty:
            mean = rows.groupby("interpolation")[column].mean()
            ours = _points(pd.Series(mean.index.to_numpy(dtype=float)), mean.reset_index(drop=True))
        facts.append({"curve": column, **ours, **{f"paper_{name}": value for name, value in theirs.items()}})
        cells.append({"Curve": label, **_shown("ours", ours), **_shown("paper", theirs)})
    seeds = 0 if rows is None else rows["seed"].nunique()
    caption = (
        "Figure 2 in numbers: surrogate objectives between the policy before the first update (x = 0) and after it "
        f"(x = 1), Hopper. Ours: mean over seeds ({seeds}). Paper: digitised from Figure 2. The maximum is taken over "
        "the points of the curve; a maximum at x = 2 only means that the curve still rises there."
    )
    title = "Figure 2 in numbers"
    return Table("figure2", titled(title, data), caption, pd.DataFrame(cells), pd.DataFrame(facts), incomplete(data))


def figure3(data: Data) -> Table:
    """Figure 3 in numbers, like with like: the mean over the last 100k steps; and the last-100-episodes score."""
    paper = published("fig3_summary").assign(task=lambda frame: frame["env"].map(task)).set_index(["task", "algorithm"])
    means, bands = paper["mean_last_100k"].astype(float), paper["band_halfwidth_last_100k"].astype(float)
    runs = _scored(data)
    algorithms = ordered([*data.trained["algorithm"], *_published_algorithms()], ALGORITHMS)
    cells, facts = [], []
    for name in ENVIRONMENTS:
        for algorithm in algorithms:
            mine = runs[(runs["task"] == name) & (runs["algorithm"] == algorithm)]
            key = (name, algorithm_name(algorithm))
            theirs = float(means.get(key, np.nan))
            band = float(bands.get(key, np.nan))
            last = mine.assign(score=mine["last_tenth"])
            ours = float(last["score"].mean())
            facts.append(
                {
                    "environment": name,
                    "algorithm": algorithm,
                    "runs": len(mine),
                    "last_100_episodes": float(mine["score"].mean()),
                    "last_tenth": ours,
                    "paper_last_100k": theirs,
                    "paper_band_halfwidth": band,
                    "difference": ours - theirs,
                }
            )
            cells.append(
                {
                    "Environment": name,
                    "Algorithm": algorithm_name(algorithm),
                    "Ours, last 100 episodes": seeds_cell(mine),
                    "Ours, last tenth": seeds_cell(last),
                    "Paper, last 100k": f"{number(theirs)} ± {number(band)}" if np.isfinite(theirs) else NOTHING,
                    "Ours − paper": signed(ours - theirs),
                }
            )
    caption = (
        "Returns at the end of training, Figure 3. Last 100 episodes: mean return of a run's last 100 training "
        "episodes. Last tenth: mean of a run's curve (episodes ended in each hundredth of the budget) over the last "
        "tenth of its budget, which at 1M steps is the last 100k, as the paper's curve is read. In brackets each seed; "
        "× marks a run that diverged. Paper: digitised from Figure 3, with the half width of its shaded band, whose "
        "meaning and number of seeds the paper does not state. Ours − paper compares the last tenth."
    )
    title = "Figure 3 in numbers"
    show, numbers = pd.DataFrame(cells), pd.DataFrame(facts)
    return Table("figure3", titled(title, data), caption, show, numbers, incomplete(data), text_columns=2)


def elsewhere(data: Data) -> Table:
    """PPO's returns at the end of training: ours, the paper's, and those others have published."""
    runs = _scored(data)
    ours = runs[runs["algorithm"] == "ppo"]
    paper = published("fig3_summary").query("algorithm == 'PPO (Clip)'").assign(task=lambda f: f["env"].map(task))
    others = published("ppo_elsewhere")
    heads = ["Source", "Environments", "Steps", "Seeds", "Score"]
    versions = ordered((e.removeprefix(task(e)).lstrip("-") for e in ours["environment"]), ())
    steps = f"{int(data.trained['total_timesteps'].max()):,}" if len(ours) else NOTHING
    mine = [", ".join(versions) or NOTHING, steps, str(ours["seed"].nunique()) if len(ours) else NOTHING]
    lines = [
        ["This project", *mine, "last 100 episodes", *_by_task(ours, "score")],
        ["This project", *mine, "last tenth of the curve", *_by_task(ours, "last_tenth")],
        [
            "PPO paper, Figure 3 (digitised)",
            "v1",
            "1,000,000",
            NOTHING,
            "last 100k",
            *_by_task(paper, "mean_last_100k"),
        ],
    ]
    keys = ["source", "environment_version", "steps", "seeds", "metric"]
    for _, group in others.groupby(keys, sort=False, dropna=False):
        cell = {row["environment"]: _published_score(row) for row in group.to_dict("records")}
        first = group.to_dict("records")[0]
        counts = [f"{first[key]:,.0f}" if np.isfinite(first[key]) else NOTHING for key in ("steps", "seeds")]
        facts = [first["source"], first["environment_version"], *counts, first["metric"]]
        lines.append([*facts, *(cell.get(name, NOTHING) for name in ENVIRONMENTS)])
    measured = pd.concat([_long(ours, "score", "last 100 episodes"), _long(ours, "last_tenth", "last tenth")])
    caption = (
        "PPO on the seven tasks as published elsewhere, for calibration: environment versions, settings, budgets and "
        "what is called a score differ, as the columns say. ±: the spread its source gives; [ ]: a 95 % interval."
    )
    show = pd.DataFrame(lines, columns=[*heads, *ENVIRONMENTS])
    numbers = pd.concat([measured, others], ignore_index=True)[list(others.columns)]
    title = "PPO elsewhere"
    return Table("ppo_elsewhere", titled(title, data), caption, show, numbers, incomplete(data), text_columns=5)


def _scored(data: Data) -> pd.DataFrame:
    """Complete runs with `score` (last 100 episodes), `last_tenth`, `task` and `diverged_at`."""
    complete = data.trained[data.trained["complete"]]
    runs = scores.final_scores(data.episodes, complete)
    runs["last_tenth"] = scores.last_tenth(data.episodes, complete)["score"]
    runs["diverged_at"] = complete["diverged_at"].to_numpy(dtype=float)
    runs["task"] = runs["environment"].map(task)
    return runs


def _published_algorithms() -> list[str]:
    drawn = set(published("fig3_summary")["algorithm"])
    return [algorithm for algorithm in ALGORITHMS if algorithm_name(algorithm) in drawn]


def _by_task(frame: pd.DataFrame, column: str) -> list[str]:
    means = frame.groupby("task")[column].mean().astype(float)
    return [number(float(means.get(name, np.nan))) for name in ENVIRONMENTS]


def _long(runs: pd.DataFrame, column: str, metric: str) -> pd.DataFrame:
    """Our means in the columns of ppo_elsewhere.csv (without those that do not apply)."""
    rows = runs.groupby(["task", "environment"], as_index=False).agg(score=(column, "mean"), seeds=("seed", "nunique"))
    rows = rows.assign(source="This project", metric=metric, environment_version=rows["environment"])
    blank = {"steps": np.nan, "plus_minus": np.nan, "interval_low": np.nan, "interval_high": np.nan}
    return rows.assign(environment=rows["task"], **blank)


def _published_score(row: Mapping[Hashable, Any]) -> str:
    text = number(row["score"])
    if np.isfinite(row["plus_minus"]):
        return f"{text} ± {number(row['plus_minus'])}"
    if np.isfinite(row["interval_low"]):
        return f"{text} [{number(row['interval_low'])}, {number(row['interval_high'])}]"
    return text


def _points(x: pd.Series[float], y: pd.Series[float]) -> dict[str, float]:
    """The curve at x = 1 and x = 2 (linear between its points), its largest value, and the x of that."""
    xs, ys = x.to_numpy(dtype=float), y.to_numpy(dtype=float)
    return {
        "at_1": float(np.interp(1.0, xs, ys)),
        "at_2": float(np.interp(2.0, xs, ys)),
        "maximum": float(ys.max()),
        "maximum_at": float(xs[ys.argmax()]),
    }


def _shown(who: str, points: dict[str, float]) -> dict[str, str]:
    peak = f"{number(points['maximum'], 4)} at {number(points['maximum_at'], 2)}"
    return {
        f"x = 1, {who}": number(points["at_1"], 4),
        f"x = 2, {who}": number(points["at_2"], 4),
        f"Maximum, {who}": peak if np.isfinite(points["maximum"]) else NOTHING,
    }
