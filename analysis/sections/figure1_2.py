"""Figures 1 and 2, and scores as pictures (learning curves: curves.py). Every function returns a finished `Drawing`."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import calibration, intervals
from analysis.data.completeness import reasons
from analysis.data.labels import algorithm_colour, algorithm_name, setting_colour, setting_name
from analysis.data.load import Data, published
from analysis.sections import figure3_aggregate
from analysis.sections.comparisons import CURVES
from analysis.sections.table1 import Row
from analysis.style.drawing import STYLE, Drawing, legend_of_lines, note_of, sentences, warn
from analysis.style.formats import number


def clip_objective(ratio: npt.NDArray[np.float64], advantage: float, epsilon: float) -> npt.NDArray[np.float64]:
    """One term of L^CLIP (equation 7): min(r A, clip(r, 1-eps, 1+eps) A), elementwise over `ratio`."""
    return np.minimum(ratio * advantage, np.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)


@matplotlib.rc_context(STYLE)
def figure1(epsilon: float = 0.2) -> Drawing:
    """Figure 1: one term of L^CLIP against the probability ratio r, for A > 0 (left) and A < 0 (right)."""
    figure = Figure(figsize=(8, 2.9), layout="constrained")
    panels = figure.subplots(1, 2)
    ratio = np.linspace(0, 1.6, 321)
    for axes, advantage, kink, sign in ((panels[0], 1.0, 1 + epsilon, ">"), (panels[1], -1.0, 1 - epsilon, "<")):
        at_kink = float(clip_objective(np.array([kink]), advantage, epsilon)[0])
        bottom, top = (-0.12, 1.55) if advantage > 0 else (-1.75, 0.14)
        axes.plot(ratio, clip_objective(ratio, advantage, epsilon), color="black", linewidth=1.8)
        axes.plot([kink, kink], [0, at_kink], color="#888888", linewidth=1, linestyle=(0, (1, 2)))
        axes.plot([1, 1], [0, advantage], color="#888888", linewidth=1, linestyle=(0, (1, 2)))
        axes.plot([1], [advantage], "o", color="#D62728", markersize=6, zorder=3)
        axes.set(xlim=(-0.12, 1.7), ylim=(bottom, top), title=f"A {sign} 0")
        axes.grid(False)
        axes.spines[["left", "bottom"]].set_visible(False)
        arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=(1.7, 0), xytext=(-0.05, 0), arrowprops=arrow)
        axes.annotate("", xy=(0, top), xytext=(0, bottom), arrowprops=arrow)
        gap, side = (-0.05, "top") if advantage > 0 else (0.05, "bottom")
        names = {1.0: "1", kink: "1 + ε" if advantage > 0 else "1 − ε"}
        for position, label in names.items():
            axes.text(position, gap, label, ha="center", va=side, fontsize=9)
        axes.text(-0.04, gap, "0", ha="right", va=side, fontsize=9)
        axes.text(1.7, gap, "r", ha="right", va=side, fontsize=10, style="italic")
        axes.text(0.05, top if advantage > 0 else bottom, "$L^{CLIP}$", ha="left", va=side, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    caption = (
        "One term (a single timestep t) of the surrogate L^CLIP as a function of the probability ratio r, for a "
        "positive advantage (left) and a negative one (right), drawn from equation 7 with ε = 0.2. The red dot is the "
        "starting point of the optimisation, r = 1. L^CLIP sums many of these terms."
    )
    return Drawing("figure1", "Figure 1. The clipped objective", caption, figure)


@matplotlib.rc_context(STYLE)
def figure2(data: Data, rows: pd.DataFrame | None) -> Drawing:
    """Figure 2: the surrogates along the line from theta_old to theta; `rows` is interpolation.parquet or None."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    paper = published("fig2_curves")
    colours = ("#0072B2", "#E69F00", "#009E73", "#D55E00")
    for (column, digitised, label), colour in zip(CURVES, colours, strict=True):
        axes.plot(paper["interp"], paper[digitised], color=colour, linewidth=1.3, linestyle=(0, (4, 2)))
        text = {"kl": "E[KL]", "surrogate_cpi": "$L^{CPI}$ = E[r A]", "surrogate_clip": "$L^{CLIP}$"}.get(column, label)
        axes.plot([], [], color=colour, linewidth=2.2, label=text)
        if rows is not None:
            for _, seed in rows.groupby("seed"):
                axes.plot(seed["interpolation"], seed[column], color=colour, linewidth=0.6, alpha=0.45)
            mean = rows.groupby("interpolation")[column].mean()
            axes.plot(mean.index.to_numpy(dtype=float), mean.to_numpy(), color=colour, linewidth=2.2)
    for x in (0, 1):
        axes.axvline(x, color="#444444", linewidth=0.9, linestyle=":")
    axes.axhline(0, color="#444444", linewidth=0.9, linestyle=":")
    low, high = axes.get_ylim()
    axes.set(xlim=(-0.5, 2), ylim=(min(low, -0.02), max(high, 0.14)), xlabel="Linear interpolation factor")
    axes.set_ylabel("Objective, KL divergence")
    handles = [*axes.get_legend_handles_labels()[0], *legend_of_lines(rows is not None)]
    axes.legend(handles=handles, loc="upper left", frameon=True, facecolor="white", edgecolor="none", framealpha=0.95)
    note = note_of(data)
    warn(figure, note)
    seeds = 0 if rows is None else rows["seed"].nunique()
    ours = f"Ours: thin lines are the {seeds} seeds, the thick line their mean." if seeds else "No data of ours yet."
    caption = (
        "Surrogate objectives on the line from the initial policy (0) through the policy after the first update (1) "
        f"and on, Hopper, settings of section 6.1. {ours} Dashed: digitised from the paper's Figure 2."
    )
    caption = " ".join([caption, calibration.FIGURE2, *reasons(data.trained)])
    return Drawing("figure2", "Figure 2. The surrogates along the first update", sentences(caption, note), figure)


@matplotlib.rc_context(STYLE)
def table1_scores(rows: Sequence[Row], data: Data, runs: pd.DataFrame) -> Drawing:
    """Table 1 as a picture: our score and interval of each setting beside the paper's; `runs` are those of the rows."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    known = [value for row in rows for value in (row.ours, row.low) if np.isfinite(value)]
    left = max(-1.5, min([-0.5, *known]) - 0.1)  # one exploding setting must not squeeze the others together
    for height, row in enumerate(reversed(rows)):
        colour = setting_colour(row.setting)
        axes.plot([row.paper], [height], "D", color="white", markeredgecolor="#333333", markersize=6, zorder=4)
        _interval(axes, height, (row.ours, row.low, row.high), colour, "o", left)
    axes.axvline(0, color="#444444", linewidth=0.9, linestyle=":")
    axes.axvline(1, color="#444444", linewidth=0.9, linestyle=":")
    axes.set(xlim=(left, 1.04), xlabel="Average normalised score (0: untrained policy, 1: best run)")
    names = [setting_name(row.setting) + "†" * (row.superseded > 0) + row.chose for row in rows]
    axes.set_yticks(range(len(rows)), names[::-1])
    axes.grid(False, axis="y")
    paper_mark = Line2D([], [], color="#333333", linestyle="none", marker="D", markerfacecolor="white", label="paper")
    our_mark = Line2D([], [], color="#333333", marker="o", linewidth=2.4, label="ours, 95 % t interval")
    handles = [our_mark, paper_mark] if known else [paper_mark]
    axes.legend(handles=handles, loc="lower left")
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Table 1 as a picture: average normalised score of each setting with the 95 % t interval of its mean, and "
        "the paper's printed score. An arrow marks a score left of the axis."
    )
    caption = " ".join([caption, *calibration.notes(runs), *reasons(data.trained)])
    return Drawing("table1", "Table 1 as a picture", sentences(caption, note), figure)


@matplotlib.rc_context(STYLE)
def aggregate_figure(rows: Sequence[figure3_aggregate.Row], data: Data, runs: pd.DataFrame) -> Drawing:
    """Figure 3 in one number per algorithm: mean and IQM (left), and PPO's mean less the algorithm's (right).

    `runs` are those of the rows.
    """
    figure = Figure(figsize=(10, 0.42 * len(rows) + 1.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    edge = max(-1.0, min([-0.1, *(row.mean_low for row in rows if np.isfinite(row.mean_low))]) - 0.05)
    for height, row in enumerate(reversed(rows)):
        colour = algorithm_colour(row.algorithm)
        _interval(left, height + 0.14, (row.mean, row.mean_low, row.mean_high), colour, "o", edge)
        _interval(left, height - 0.14, (row.iqm, row.iqm_low, row.iqm_high), colour, "s", edge)
        _interval(right, height, (row.difference, row.difference_low, row.difference_high), colour, "o", -1.0)
    for x in (0, 1):
        left.axvline(x, color="#444444", linewidth=0.9, linestyle=":")
    right.axvspan(-intervals.MARGIN, intervals.MARGIN, color="#444444", alpha=0.08, linewidth=0)
    right.axvline(0, color="#444444", linewidth=0.9, linestyle=":")
    left.set(xlim=(edge, 1.04), xlabel="Normalised score (0: untrained policy, 1: best run)")
    right.set(xlabel="PPO's mean less the algorithm's")
    names = [algorithm_name(row.algorithm) + figure3_aggregate.marks(row) for row in rows]
    left.set_yticks(range(len(rows)), names[::-1])
    for axes in (left, right):
        axes.grid(False, axis="y")
        axes.set_ylim(-0.6, len(rows) - 0.4)
    marks = {"o": "mean, 95 % t interval", "s": "IQM (interval from ten seeds on)"}
    handles = [Line2D([], [], color="#333333", marker=m, linewidth=2, label=label) for m, label in marks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Figure 3 in one number per algorithm, as a picture of the table of that name: normalised scores (cut at the "
        "axis; an arrow: the value lies left of it), and PPO's mean less the algorithm's, paired by task, with 95 % t "
        "intervals, which are not corrected for the number of comparisons (the table's p values are). Grey: a "
        f"difference of less than {intervals.MARGIN:g}, the margin of equality."
    )
    caption = " ".join([caption, *calibration.notes(runs), *reasons(data.trained)])
    title = "Figure 3 in one number per algorithm, as a picture"
    return Drawing("figure3_aggregate", title, sentences(caption, note), figure)


def _interval(
    axes: Axes, height: float, point: tuple[float, float, float], colour: str, marker: str, edge: float
) -> None:
    """A point (value, low, high) on a horizontal interval, if it has one; an arrow where it lies left of `edge`."""
    value, low, high = point
    if not np.isfinite(value):
        return
    if np.isfinite(low):
        axes.plot([max(low, edge), max(high, edge)], [height, height], color=colour, linewidth=2.4)
    axes.plot([value], [height], marker, color=colour, markersize=7, zorder=3)
    if value < edge:
        axes.annotate(
            number(value, 2), xy=(edge, height), xytext=(edge + 0.12, height), va="center",
            arrowprops={"arrowstyle": "->", "color": colour},
        )  # fmt: skip
