"""The paper's Figures 1, 2 and 3, and Table 1 as pictures. Every function returns a finished `Drawing`."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.comparisons import CURVES
from analysis.drawing import (
    STYLE,
    Drawing,
    draw_runs,
    frame_panel,
    legend_of_lines,
    note_of,
    run_curves,
    sentences,
    warn,
)
from analysis.load import Data, published
from analysis.names import (
    ALGORITHMS,
    ENVIRONMENTS,
    SETTINGS,
    algorithm_colour,
    algorithm_name,
    ordered,
    setting_colour,
    setting_name,
    task,
)
from analysis.render import number
from analysis.scores import random_levels
from analysis.tables import Row


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
    return Drawing("figure2", "Figure 2. The surrogates along the first update", sentences(caption, note), figure)


@matplotlib.rc_context(STYLE)
def figure3(data: Data) -> Drawing:
    """Figure 3: learning curves of the algorithms on the seven tasks, the paper's digitised curves beside them."""
    figure = Figure(figsize=(12.5, 6.2), layout="constrained")
    panels = list(figure.subplots(2, 4).flat)
    paper = published("fig3_curves").assign(task=lambda frame: frame["env"].map(task))
    budget = max(1_000_000, int(data.trained["total_timesteps"].max())) if len(data.trained) else 1_000_000
    curves, window = run_curves(data)
    for axes, name in zip(panels, ENVIRONMENTS, strict=False):
        for algorithm in ALGORITHMS:
            _paper_curve(axes, paper[(paper["task"] == name)], algorithm)
        here = curves[curves["task"] == name]
        for algorithm in ordered(here["algorithm"], ALGORITHMS):
            draw_runs(axes, here[here["algorithm"] == algorithm], algorithm_colour(algorithm), width=2.2)
        frame_panel(axes, name, budget, empty="" if len(here) else "no runs of ours yet")
    figure.supxlabel("Environment steps", fontsize=10)
    figure.supylabel("Episode return", fontsize=10)
    drawn = ordered([*curves["algorithm"], *_drawn_in_paper(paper)], ALGORITHMS)
    handles = [Line2D([], [], color=algorithm_colour(a), linewidth=2.2, label=algorithm_name(a)) for a in drawn]
    panels[-1].axis("off")
    panels[-1].legend(handles=[*handles, *legend_of_lines(len(curves) > 0, band=True)], loc="center left", fontsize=10)
    note = note_of(data)
    warn(figure, note)
    ours = (
        f"Ours: thin lines are the seeds, the thick line their mean; at every step the mean return of the episodes "
        f"that ended within the last {window:,} steps. A cross marks where a run diverged."
        if len(curves)
        else "No runs of ours yet."
    )
    caption = (
        f"Return of training episodes against environment steps. {ours} Dashed: digitised from the paper's Figure 3, "
        "its shaded band lightly shaded (neither the band's meaning nor the number of seeds is stated there)."
    )
    return Drawing("figure3", "Figure 3. Algorithms compared on continuous control", sentences(caption, note), figure)


def _paper_curve(axes: Axes, paper: pd.DataFrame, algorithm: str) -> None:
    curve = paper[paper["algorithm"] == algorithm_name(algorithm)]
    colour = algorithm_colour(algorithm)
    axes.fill_between(curve["timestep"], curve["band_low"], curve["band_high"], color=colour, alpha=0.12, linewidth=0)
    axes.plot(curve["timestep"], curve["mean"], color=colour, linewidth=1.1, linestyle=(0, (3.5, 1.8)))


def _drawn_in_paper(paper: pd.DataFrame) -> list[str]:
    drawn = set(paper["algorithm"])
    return [algorithm for algorithm in ALGORITHMS if algorithm_name(algorithm) in drawn]


@matplotlib.rc_context(STYLE)
def table1_scores(rows: Sequence[Row], data: Data) -> Drawing:
    """Table 1 as a picture: our score and interval of each setting beside the paper's."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    known = [value for row in rows for value in (row.ours, row.low) if np.isfinite(value)]
    left = max(-1.5, min([-0.5, *known]) - 0.1)  # one exploding setting must not squeeze the others together
    for height, row in enumerate(reversed(rows)):
        colour = setting_colour(row.setting)
        axes.plot([row.paper], [height], "D", color="white", markeredgecolor="#333333", markersize=6, zorder=4)
        if not np.isfinite(row.ours):
            continue
        axes.plot([max(row.low, left), row.high], [height, height], color=colour, linewidth=2.4)
        axes.plot([row.ours], [height], "o", color=colour, markersize=7, zorder=3)
        if row.ours < left:
            axes.annotate(
                f"{number(row.ours, 2)}", xy=(left, height), xytext=(left + 0.12, height), va="center",
                arrowprops={"arrowstyle": "->", "color": colour},
            )  # fmt: skip
    axes.axvline(0, color="#444444", linewidth=0.9, linestyle=":")
    axes.axvline(1, color="#444444", linewidth=0.9, linestyle=":")
    axes.set(xlim=(left, 1.04), xlabel="Average normalised score (0: untrained policy, 1: best run)")
    axes.set_yticks(range(len(rows)), [setting_name(row.setting) for row in reversed(rows)])
    axes.grid(False, axis="y")
    paper_mark = Line2D([], [], color="#333333", linestyle="none", marker="D", markerfacecolor="white", label="paper")
    our_mark = Line2D([], [], color="#333333", marker="o", linewidth=2.4, label="ours, 95 % interval")
    handles = [our_mark, paper_mark] if known else [paper_mark]
    axes.legend(handles=handles, loc="lower left")
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Table 1 as a picture: average normalised score of each setting with its stratified bootstrap interval, and "
        "the paper's printed score. An arrow marks a score left of the axis."
    )
    return Drawing("table1", "Table 1 as a picture", sentences(caption, note), figure)


FAMILIES = {"Clipping": "clip-", "Adaptive KL": "adaptive-kl-", "Fixed KL": "fixed-kl-"}


@matplotlib.rc_context(STYLE)
def table1_curves(data: Data) -> Drawing:
    """The learning curves behind Table 1: a row per environment, a column per family of settings."""
    figure = Figure(figsize=(11, 14))
    panels = figure.subplots(len(ENVIRONMENTS), len(FAMILIES), sharex=True, sharey="row")
    figure.subplots_adjust(left=0.085, right=0.98, top=0.95, bottom=0.125, hspace=0.24, wspace=0.08)
    curves, window = run_curves(data)
    budget = int(data.trained["total_timesteps"].max()) if len(data.trained) else 1_000_000
    levels = {task(str(environment)): level for environment, level in random_levels(data.episodes).items()}
    for row, name in zip(panels, ENVIRONMENTS, strict=True):
        here = curves[curves["task"] == name]
        for axes, (family, prefix) in zip(row, FAMILIES.items(), strict=True):
            members = [s for s in ordered(here["setting"], SETTINGS) if s.startswith(prefix) or s == "none"]
            for setting in members:
                draw_runs(axes, here[here["setting"] == setting], setting_colour(setting), width=1.7)
            if name in levels:
                axes.axhline(levels[name], color="#444444", linewidth=0.9, linestyle=":")
            frame_panel(axes, f"{name}: {family}", budget, empty="" if len(here) else "no runs yet")
        _bound(row[0], here, levels.get(name))
    figure.supylabel("Episode return", fontsize=10)
    for axes, prefix in zip(panels[-1], FAMILIES.values(), strict=True):
        members = [setting for setting in SETTINGS if setting.startswith(prefix) or setting == "none"]
        lines = [Line2D([], [], color=setting_colour(s), linewidth=2, label=setting_name(s)) for s in members]
        axes.set_xlabel("Environment steps")
        axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.35))
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Learning curves of the runs behind Table 1 (an addition: the paper shows none). Thin lines are the seeds, "
        f"thick lines their mean; at every step the mean return of the episodes that ended within the last {window:,} "
        "steps. Dotted: the untrained policy. A cross marks where a run diverged; where curves leave the panel at the "
        "bottom, the panel says how far they fall."
    )
    return Drawing("table1_curves", "Learning curves behind Table 1", sentences(caption, note), figure)


def _bound(axes: Axes, curves: pd.DataFrame, random: float | None) -> None:
    """Limits the panel's depth to the random level less half the span above it, and says what lies below."""
    values = curves["mean_return"].dropna()
    if values.empty or random is None:
        return
    floor = random - 0.5 * (float(values.max()) - random)
    lowest = float(values.min())
    if lowest >= floor or floor >= random:
        return
    axes.set_ylim(floor, float(values.max()) + 0.1 * (random - floor))
    setting = setting_name(str(curves["setting"].to_numpy()[curves["mean_return"].to_numpy(dtype=float) == lowest][0]))
    text = f"{setting}: falls to {number(lowest)}"
    axes.text(0.98, 0.03, text, transform=axes.transAxes, ha="right", fontsize=7.5)
