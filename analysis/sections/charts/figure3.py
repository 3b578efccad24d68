"""Figure 3 as a chart for the page."""

from __future__ import annotations

import pandas as pd

from analysis.data.imported import Imported, imported_curves
from analysis.data.labels import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, paper_curve
from analysis.data.load import Data
from analysis.data.published import drawn_in_paper, paper_curves
from analysis.data.scores import curve_grid, full_budget, run_curves
from analysis.style.chart import Chart, Panel, paper_series, runs_series
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import limits_above


def chart(data: Data, imports: list[Imported]) -> Chart:
    """Return Figure 3 for the page: every algorithm of ours, imported ones with our budget, and the paper's curves."""
    curves, _ = run_curves(data)
    budget = full_budget(data)
    foreign = imported_curves(imports, *curve_grid(budget))
    foreign = foreign[foreign["task"].isin(ENVIRONMENTS)]
    curves = pd.concat([curves, foreign]) if len(foreign) else curves
    algorithms = ordered([*curves["algorithm"], *drawn_in_paper()], ALGORITHMS)
    lines, paper = algorithm_lines(algorithms), paper_curves(budget)
    panels = []
    for name in ENVIRONMENTS:
        here, theirs = curves[curves["task"] == name], paper[paper["task"] == name]
        series = [
            runs_series(algorithm, algorithm_name(algorithm), lines[algorithm], here[here["algorithm"] == algorithm])
            for algorithm in algorithms
            if (here["algorithm"] == algorithm).any()
        ]
        for algorithm in drawn_in_paper():
            one = theirs[theirs["algorithm"] == paper_curve(algorithm)]
            label = f"{algorithm_name(algorithm)}, paper"
            series.append(paper_series(f"paper-{algorithm}", label, lines[algorithm], one["timestep"], one["mean"]))
        values = {str(a): group["mean_return"] for a, group in here.groupby("algorithm")}
        limits = limits_above({"paper": theirs["mean"], **values}, float(theirs["mean"].min()))
        panels.append(Panel(name, series, limits[0] if limits else None))
    beyond = [name for name in algorithms if name in ALGORITHMS and name not in drawn_in_paper()]
    return Chart("figure3", panels, hidden=beyond)
