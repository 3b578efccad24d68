"""Table 1 and the curves behind it as charts for the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import pandas as pd

from analysis.data.labels import ENVIRONMENTS, SETTINGS, ordered, setting_name, task
from analysis.data.load import Data
from analysis.data.scores import of_scale, random_levels, run_curves
from analysis.style.chart import Chart, Panel, Series, rounded, runs_series
from analysis.style.colours import setting_line
from analysis.style.drawing import limits_above


class Row(Protocol):
    """A row of Table 1, as far as it is drawn."""

    @property
    def setting(self) -> str: ...
    @property
    def ours(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def paper(self) -> float: ...


def scores(rows: Iterable[Row]) -> Chart:
    """Return Table 1 as points: our score with its interval, and the paper's."""
    series = []
    for row in rows:
        value, low, high, paper = rounded([row.ours, row.low, row.high, row.paper])
        about = {"value": value, "bounds": None if low is None else [low, high], "paper_value": paper, "x": [], "y": []}
        series.append(Series(row.setting, setting_name(row.setting), setting_line(row.setting), about))
    return Chart("table1", [Panel("Average normalised score (circle: ours; diamond: paper)", series)], kind="points")


def curves(data: Data) -> Chart:
    """Return the learning curves behind Table 1, a panel per task, a line per setting."""
    every, _ = run_curves(data)
    untrained = random_levels(of_scale(data.episodes, data.runs))
    levels = {task(str(environment)): level for environment, level in untrained.items()}
    panels = []
    for name in ENVIRONMENTS:
        here = every[every["task"] == name]
        series = [
            runs_series(setting, setting_name(setting), setting_line(setting), here[here["setting"] == setting])
            for setting in ordered(here["setting"], SETTINGS)
        ]
        values: dict[str, pd.Series[float]] = {str(s): group["mean_return"] for s, group in here.groupby("setting")}
        limits = limits_above(values, levels.get(name, float("nan")))
        panels.append(Panel(name, series, limits[0] if limits else None))
    return Chart("table1_curves", panels)
