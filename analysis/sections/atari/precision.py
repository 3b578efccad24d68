"""PPO on Pong with the backward pass in bfloat16 and in float32 (not in the paper)."""

from __future__ import annotations

import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.load import Data
from analysis.style.formats import NOTHING, Table, number

NAMES = {"default": "float32", "bfloat16": "bfloat16"}
"""The precision of the backward pass, by setting."""
POINTS = 5
"""Rows of the table, at equal steps."""
LAST = 100
"""Number of games in a mean."""


def measured(data: Data) -> pd.DataFrame:
    """Return the mean of the last `LAST` games at each point: a row per step, a column per setting; NaN before that
    many games have ended."""
    steps = int(data.trained["steps_done"].min())
    points = [steps * point // POINTS for point in range(1, POINTS + 1)]
    columns = {}
    for setting in NAMES:
        games = data.episodes[data.episodes["setting"] == setting].sort_values("step", kind="stable")
        ended = [games.loc[games["step"] <= point, "episodic_return"].tail(LAST) for point in points]
        columns[setting] = [float(last.mean()) if len(last) == LAST else float("nan") for last in ended]
    return pd.DataFrame(columns, index=pd.Index(points, name="step"), dtype=float)


def table(data: Data) -> Table:
    """Tabulate the scores of the two runs at equal steps."""
    numbers = measured(data).reset_index()
    shown = pd.DataFrame({"Steps": [f"{step:,}" for step in numbers["step"]]})
    for setting, name in NAMES.items():
        shown[name] = [number(value, 1) if value == value else NOTHING for value in numbers[setting]]
    caption = (
        f"Pong, one seed: mean points of the last {LAST} games, with the backward pass of the gradients in float32 and "
        "in bfloat16 (the forward pass is exact in both). The two trainings differ after a few updates, so "
        "one seed of each cannot show whether one of them learns faster. The gradient's error is measured on single "
        "minibatches (tests/ppo/test_bfloat16.py), the speed by `make throughput`."
    )
    return Table("atari_precision", titled("Gradients in bfloat16", data), caption, shown, numbers, incomplete(data))
