"""What the page draws itself, with values on hover and lines that can be switched off: numbers for page.js."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from analysis.data.scores import by_seed, mean_curve
from analysis.style.colours import Line

DIGITS = 4
"""Significant digits of every number: what a panel can show, at a third of the size."""


@dataclass(frozen=True)
class Series:
    """One line of a panel, or one row of a chart of points."""

    name: str
    """The same in all panels: what a legend entry switches."""
    label: str
    line: Line
    values: dict[str, Any]
    """As page.js reads them: `x`, `y`, and `low` and `high` of a band; of points `value`, `bounds`, `paper_value`."""
    paper: bool = False


@dataclass(frozen=True)
class Panel:
    """One task."""

    title: str
    series: Sequence[Series]
    floor: float | None = None
    """What lies lower is cut off, so that one bad run does not flatten the rest."""


@dataclass(frozen=True)
class Chart:
    """Stands in place of the drawing of this name, where scripts run."""

    name: str
    panels: Sequence[Panel]
    kind: Literal["curves", "points"] = "curves"
    hidden: Sequence[str] = ()
    """Series that are switched off at first."""


def runs_series(name: str, label: str, line: Line, curves: pd.DataFrame) -> Series:
    """Return the mean of the seeds with the band from the lowest to the highest: one line of one panel."""
    seeds = by_seed(curves)
    steps, mean = [int(step) for step in seeds.index], mean_curve(seeds)
    low, high = seeds.min(axis=1), seeds.max(axis=1)
    return Series(name, label, line, {"x": steps, "y": rounded(mean), "low": rounded(low), "high": rounded(high)})


def paper_series(name: str, label: str, line: Line, x: Iterable[float], y: Iterable[float]) -> Series:
    """Return a digitised curve, dashed."""
    values = {"x": [int(step) for step in x], "y": rounded(y)}
    return Series(name, label, Line(line.colour, (3.5, 1.8)), values, paper=True)


def rounded(values: Iterable[float]) -> list[float | None]:
    """Round to DIGITS significant digits; None where there is no number, as JSON has no NaN."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in map(float, values)]


def to_json(chart: Chart) -> str:
    """Return the chart as page.js reads it, safe inside a script element."""
    panels = [
        {"title": panel.title, "floor": panel.floor, "series": [_series(each) for each in panel.series]}
        for panel in chart.panels
    ]
    about = {"name": chart.name, "kind": chart.kind, "hidden": list(chart.hidden), "panels": panels}
    return json.dumps(about, separators=(",", ":"), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def _series(series: Series) -> dict[str, Any]:
    dashes = " ".join(f"{length:g}" for length in series.line.dashes)
    about = {"name": series.name, "label": series.label, "colour": series.line.colour, "dashes": dashes}
    return {**about, "paper": series.paper, **series.values}
