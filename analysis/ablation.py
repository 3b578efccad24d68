"""What the text leaves open, and how much it matters: one change of a base reading at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.load import Data, paper_final, published_figure3
from analysis.names import paper_name, reading_name, setting_name, task
from analysis.render import NOTHING, Table, number, signed
from analysis.scores import scored
from analysis.status import incomplete, titled
from analysis.tables import paper_cell, seeds_cell

START = "as-in-ppo2"
"""The base reading, which the others change: openai/baselines' ppo2 of 2017-11, but for its value clipping, and for the
return behind the reward scaling, which ppo2 resets at episode ends only from 2018-09-06 (ad219e2) on."""
PAPERS_ROW = "clip-0.2"
"""The row that Figure 3 shows as PPO: the only one of which the paper has a number per task."""


NO_ROW = "none"
"""The row of -0.39: "for one environment (half cheetah) it leads to a very negative score, which is worse than the
initial random policy" (section 6.1)."""


def split(setting: str) -> tuple[str, str]:
    """'clip-0.2+annealed-lr' -> the row of Table 1 and the reading; without a plus the reading is empty."""
    row, _, reading = setting.partition("+")
    return row, reading


def measured(data: Data) -> pd.DataFrame:
    """One row per task, row of Table 1 and reading (in the manifest's order): means over the complete runs.

    `score` (last 100 episodes), `highest` (of a seed), `last_tenth`, `difference` (of `score` to the base reading on
    the same task and row: the mean over the seeds that both have), `runs`, `planned`, `diverged`, `paper` and
    `band` (mean over the last 100k steps of Figure 3's PPO, and half width there; NaN for other rows).
    """
    runs, facts = scored(data), []
    for name, row in _columns(data):
        here = data.trained[data.trained["environment"].map(task) == name]
        for reading in _readings(data):
            mine = _of(runs, name, row, reading)
            planned = here[here["setting"] == f"{row}+{reading}"]
            facts.append(
                {
                    "environment": name,
                    "row": row,
                    "reading": reading,
                    "score": float(mine["score"].mean()),
                    "highest": float(mine["score"].max()),
                    "last_tenth": float(mine["last_tenth"].mean()),
                    "difference": float((mine["score"] - _of(runs, name, row, START)["score"]).mean()),
                    "runs": len(mine),
                    "planned": len(planned),
                    "diverged": int(planned["diverged_at"].notna().sum()),
                    "paper": paper_final(name, "ppo")[0] if row == PAPERS_ROW else np.nan,
                    "band": paper_final(name, "ppo")[1] if row == PAPERS_ROW else np.nan,
                }
            )
    return pd.DataFrame(facts)


def judged(numbers: pd.DataFrame) -> pd.DataFrame:
    """What the preset is chosen by, per reading of ``numbers`` (`measured`'s), in their order.

    `distance`: of the clipped row's score to the paper's, in half widths of the paper's band, mean over the tasks (NaN
    where one lacks a score). `sinks`: whether every seed of the row without clipping or penalty ends below the paper's
    random policy. `chosen`: the least distance among the readings that sink.
    """
    clipped = numbers[numbers["row"] == PAPERS_ROW]
    distances = ((clipped["score"] - clipped["paper"]).abs() / clipped["band"]).groupby(clipped["reading"])
    without = numbers[numbers["row"] == NO_ROW]
    random = [published_figure3()["initial"].get((name, paper_name("ppo")), np.nan) for name in without["environment"]]
    sinks = (without["highest"] < np.array(random, dtype=float)).groupby(without["reading"]).all()
    readings = list(dict.fromkeys(numbers["reading"]))
    frame = pd.DataFrame({"reading": readings})
    frame["distance"] = frame["reading"].map(distances.mean().where(~distances.apply(lambda own: own.isna().any())))
    frame["sinks"] = frame["reading"].map(sinks).eq(True)
    frame["chosen"] = frame["sinks"] & (frame["distance"] == frame["distance"].where(frame["sinks"]).min())
    return frame


def _of(runs: pd.DataFrame, name: str, row: str, reading: str) -> pd.DataFrame:
    """The runs of one cell, by seed, so that differences are taken seed by seed."""
    mine = runs[(runs["task"] == name) & (runs["setting"] == f"{row}+{reading}")]
    return mine.set_axis(mine["seed"].to_numpy(), axis="index")


def ablation(data: Data) -> Table:
    """One row per reading, and of every task and row of Table 1 the score (each seed) and what the reading changes."""
    runs, numbers = scored(data), measured(data)
    show = pd.DataFrame(
        {"Reading": [*(reading_name(reading) or NOTHING for reading in _readings(data)), "Paper, last 100k"]}
    )
    for name, row in _columns(data):
        here = numbers[(numbers["environment"] == name) & (numbers["row"] == row)]
        column = f"{name}: {setting_name(row)}"
        each = [_of(runs, name, row, reading) for reading in here["reading"]]
        show[column] = [*map(seeds_cell, each), paper_cell(name, "ppo") if row == PAPERS_ROW else NOTHING]
        changes = here["difference"].where(here["reading"] != START)
        show[f"Change, {column}"] = [*map(signed, changes), NOTHING]
    verdicts = judged(numbers)
    told = [
        number(distance, 2) + (" ← chosen" if chosen else "")
        for distance, chosen in zip(verdicts["distance"], verdicts["chosen"], strict=True)
    ]
    show["Distance to the paper"] = [*told, NOTHING]
    numbers = numbers.merge(verdicts, on="reading")
    caption = (
        "What the text leaves open, one change of the base reading at a time: openai/baselines' ppo2 of 2017-11, but "
        "without its value clipping, and with the return behind the reward scaling reset at episode ends, as ppo2 does "
        "only from 2018-09-06 on. Never resetting it has not been tried here. Mean return of the last 100 training "
        "episodes: the mean over seeds, in brackets each; × marks a run that diverged. Change: mean over the seeds "
        "that both have of the difference to the first row; one within the spread of the seeds says nothing. The "
        "seeds are reported nowhere else. Paper: Figure 3's PPO, digitised, with the half width of its band; of the "
        "other rows of Table 1 the paper has no number per task. Distance: of the clipped row to the paper, in half "
        "widths of its band, mean over the tasks. Chosen: the nearest of those with which every seed without clipping "
        "or penalty ends below the random policy on HalfCheetah, as the paper says of it. All of this table is "
        "calibration: that what was chosen is near the paper here, or sinks here, is no evidence for the reading."
    )
    title = "Readings of what the text leaves open"
    return Table("ablation", titled(title, data), caption, show, numbers, incomplete(data))


def _readings(data: Data) -> list[str]:
    """In the manifest's order, the base reading first: the others are measured from it."""
    found = dict.fromkeys(split(setting)[1] for setting in data.trained["setting"])
    return sorted(found, key=lambda reading: reading != START)


def _columns(data: Data) -> list[tuple[str, str]]:
    """The (task, row of Table 1) pairs, in the manifest's order."""
    runs = data.trained
    return list(dict.fromkeys(zip(runs["environment"].map(task), (split(s)[0] for s in runs["setting"]), strict=True)))
