"""Ours against the paper's Figure 3, one algorithm a row."""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.data import calibration
from analysis.data.completeness import dagger, reasons
from analysis.data.labels import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered, paper_curve
from analysis.data.load import Data
from analysis.data.published import drawn_in_paper, paper_curves
from analysis.data.scores import full_budget, run_curves
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import (
    DASHES,
    STYLE,
    Drawing,
    draw_runs,
    frame_panel,
    legend_of_lines,
    limits_above,
    note_of,
    sentences,
    tell_lowest,
    warn,
)


@matplotlib.rc_context(STYLE)
def figure(data: Data) -> Drawing:
    """Draw a row per algorithm and a column per task: ours with the range of its seeds, the paper's dashed."""
    curves, window = run_curves(data)
    algorithms = ordered([*curves["algorithm"], *drawn_in_paper()], ALGORITHMS)
    lines, budget = algorithm_lines(algorithms), full_budget(data)
    paper = paper_curves(budget)
    drawn = Figure(figsize=(14, 1.75 * len(algorithms) + 0.9), layout="constrained")
    panels = drawn.subplots(len(algorithms), len(ENVIRONMENTS), sharex=True, sharey="col", squeeze=False)
    for row, algorithm in zip(panels, algorithms, strict=True):
        for axes, name in zip(row, ENVIRONMENTS, strict=True):
            here = curves[(curves["task"] == name) & (curves["algorithm"] == algorithm)]
            theirs = paper[(paper["task"] == name) & (paper["algorithm"] == paper_curve(algorithm))]
            line = lines[algorithm]
            if len(here):
                draw_runs(axes, here, line.colour, width=1.8, band=True)
            axes.plot(theirs["timestep"], theirs["mean"], color="#333333", linewidth=1.1, linestyle=DASHES)
            frame_panel(axes, name if algorithm == algorithms[0] else "", budget, empty="")
            axes.xaxis.set_major_locator(MaxNLocator(2))
        mark = dagger(data.trained[data.trained["algorithm"] == algorithm])
        row[0].set_ylabel(algorithm_name(algorithm) + mark, fontsize=9)
    for column, name in zip(panels.T, ENVIRONMENTS, strict=True):
        here, theirs = curves[curves["task"] == name], paper[paper["task"] == name]
        values = {str(algorithm): group["mean_return"] for algorithm, group in here.groupby("algorithm")}
        column[0].title.set_fontsize(9)  # the longest name is as wide as its panel
        if limits := limits_above({"paper": theirs["mean"], **values}, float(theirs["mean"].min())):
            column[0].set_ylim(*limits)
            for axes, algorithm in zip(column, algorithms, strict=True):
                own = {algorithm_name(algorithm): values[algorithm]} if algorithm in values else {}
                tell_lowest(axes, own, limits[0])
    panels[-1][len(ENVIRONMENTS) // 2].set_xlabel("Environment steps", fontsize=10)  # supxlabel would lie on the legend
    drawn.legend(handles=legend_of_lines(len(curves) > 0, band=True), loc="outside lower center", ncols=3)
    note = note_of(data)
    warn(drawn, note)
    caption = (
        "The same curves as Figure 3, one algorithm a row, each beside the paper's of that name: ours, the mean over "
        f"seeds with the range of the seeds, over the last {window:,} steps; the paper's, dashed, digitised. Both of "
        "our TRPOs stand beside its one. A panel without a dashed line: not in the paper's figure. A column has one "
        "scale."
    )
    caption = " ".join([caption, *calibration.notes(curves), *reasons(data.trained)])
    return Drawing("figure3_multiples", "Figure 3, ours against the paper's", sentences(caption, note), drawn)
