"""Figure 1, the clipped objective; and Figure 2, the surrogates along the first update, drawn and in numbers."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from analysis.data import calibration
from analysis.data.completeness import dagger, incomplete, reasons, titled
from analysis.data.load import Data
from analysis.data.published import FIGURE2_CURVES, published
from analysis.style.drawing import STYLE, Drawing, legend_of_lines, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, number, signed


def clip_objective(ratio: npt.NDArray[np.float64], advantage: float, epsilon: float) -> npt.NDArray[np.float64]:
    """Compute one term of L^CLIP (equation 7): min(r A, clip(r, 1-eps, 1+eps) A), elementwise over `ratio`."""
    return np.minimum(ratio * advantage, np.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)


@matplotlib.rc_context(STYLE)
def figure1(epsilon: float = 0.2) -> Drawing:
    """Draw Figure 1: one term of L^CLIP against the probability ratio r, for A > 0 (left) and A < 0 (right)."""
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
        axes.text(
            0.05, top if advantage > 0 else bottom, "$L^{CLIP}$", ha="left", va=side, fontsize=10, parse_math=True
        )
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
    """Draw Figure 2: the surrogates on the line from theta_old to theta; `rows`: interpolation.parquet or None."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    paper = published("fig2_curves")
    colours = ("#0072B2", "#E69F00", "#009E73", "#D55E00")
    for (column, digitised, label), colour in zip(FIGURE2_CURVES, colours, strict=True):
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
    legend = axes.legend(
        handles=handles, loc="upper left", frameon=True, facecolor="white", edgecolor="none", framealpha=0.95
    )
    for entry in legend.get_texts():
        entry.set_parse_math(True)
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


def figure2_table(data: Data, rows: pd.DataFrame | None) -> Table:
    """Tabulate Figure 2: each curve at the updated policy (x = 1), at x = 2, and its maximum.

    `rows`: interpolation.parquet, or None; ours is the mean over its seeds.
    """
    paper = published("fig2_curves")
    cells, facts = [], []
    for column, digitised, label in FIGURE2_CURVES:
        in_paper = _points(paper["interp"], paper[digitised])
        ours = dict.fromkeys(in_paper, float("nan"))
        if rows is not None and not rows.empty:
            mean = rows.groupby("interpolation")[column].mean()
            ours = _points(pd.Series(mean.index.to_numpy(dtype=float)), mean.reset_index(drop=True))
        facts.append({"curve": column, **ours, **{f"paper_{name}": value for name, value in in_paper.items()}})
        cells.append({"Curve": label, **_shown("ours", ours, dagger(data.trained), "‡"), **_shown("paper", in_paper)})
    seeds = 0 if rows is None else rows["seed"].nunique()
    caption = (
        "Figure 2 in numbers: surrogate objectives between the policy before the first update (x = 0) and after it "
        f"(x = 1), Hopper. Ours: mean over seeds ({seeds}). Paper: digitised from Figure 2. The maximum is taken over "
        "the points of the curve; a maximum at x = 2 only means that the curve still rises there."
    )
    title, notes = "Figure 2 in numbers", (calibration.FIGURE2, *incomplete(data))
    return Table("figure2", titled(title, data), caption, pd.DataFrame(cells), pd.DataFrame(facts), notes)


def figure2_update(data: Data, rows: pd.DataFrame | None) -> Table:
    """Tabulate Figure 2's four numbers at the updated policy (x = 1): the paper's, among those of our seeds.

    `rows`: interpolation.parquet, or None.
    """
    mark, facts = dagger(data.trained) + "‡", _among(rows)
    cells = [
        {
            "Curve": label,
            "Paper": number(one["paper"], 4),
            "Ours: mean ± deviation": f"{_with_deviation(one)}{mark}" if one["seeds"] else NOTHING,
            "Ours: lowest to highest": f"{number(one['lowest'], 4)} to {number(one['highest'], 4)}"
            if one["seeds"]
            else NOTHING,
            "Paper inside our range": ("yes" if one["inside"] else "no") if one["seeds"] else NOTHING,
            "Paper − ours, in deviations": signed(one["deviations_away"], 1),
        }
        for (*_, label), one in zip(FIGURE2_CURVES, facts, strict=True)
    ]
    caption = (
        "The paper's Figure 2 shows the first update of one run. Its four numbers at the updated policy (x = 1, "
        f"digitised) among those of our seeds ({facts[0]['seeds']}): mean and standard deviation, lowest and highest, "
        "whether the paper's lies between these, and how many of our standard deviations it lies above our mean."
    )
    title = "Figure 2's update: the paper's numbers among our seeds'"
    notes = (calibration.FIGURE2, *incomplete(data))
    return Table("figure2_update", titled(title, data), caption, pd.DataFrame(cells), pd.DataFrame(facts), notes)


def figure2_settings(data: Data, rows: pd.DataFrame, usual: pd.DataFrame | None) -> Table:
    """Tabulate the four numbers of Figure 2's update with one of the paper's settings changed.

    `rows`: interpolation.parquet of these updates; `usual`: Figure 2's own, or None.
    """
    tried = {} if usual is None else {"nothing": _among(usual)}
    tried |= {str(name).partition("+")[2]: _among(update) for name, update in rows.groupby("setting", sort=False)}
    cells = []
    for name, numbers in tried.items():
        shown = {
            label: f"{_with_deviation(one)} ({signed(one['deviations_away'], 1)})"
            for (*_, label), one in zip(FIGURE2_CURVES, numbers, strict=True)
        }
        inside = sum(bool(one["inside"]) for one in numbers)
        cells.append({"Changed": name.replace("=", " = "), **shown, "Inside": f"{inside} of {len(numbers)}"})
    facts = [{"change": name, **one} for name, numbers in tried.items() for one in numbers]
    caption = (
        "Figure 2's four numbers at the updated policy with one setting changed that the text states, so none of these "
        "is a reading of it: mean ± standard deviation over seeds, in brackets how many of these deviations the "
        "paper's number lies above the mean. Inside: how many of the paper's four numbers lie between our lowest and "
        "our highest seed."
    )
    title = "What else moves Figure 2's update"
    return Table(
        "figure2_settings", titled(title, data), caption, pd.DataFrame(cells), pd.DataFrame(facts), incomplete(data)
    )


def _among(rows: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Describe each curve at x = 1: our seeds' mean, deviation, lowest and highest, and the paper's among them."""
    paper, each = published("fig2_curves"), [] if rows is None else [group for _, group in rows.groupby("seed")]
    facts = []
    for column, digitised, _ in FIGURE2_CURVES:
        in_paper = _points(paper["interp"], paper[digitised])["at_1"]
        ours = pd.Series([_points(seed["interpolation"], seed[column])["at_1"] for seed in each], dtype=float)
        mean, deviation, low, high = (float(ours.agg(what)) for what in ("mean", "std", "min", "max"))
        inside, away = low <= in_paper <= high, (in_paper - mean) / deviation if deviation > 0 else float("nan")
        numbers = {"mean": mean, "deviation": deviation, "lowest": low, "highest": high, "paper": in_paper}
        facts.append({"curve": column, "seeds": len(ours), **numbers, "inside": inside, "deviations_away": away})
    return facts


def _with_deviation(numbers: dict[str, Any]) -> str:
    return f"{number(numbers['mean'], 4)} ± {number(numbers['deviation'], 4)}"


def _points(x: pd.Series[float], y: pd.Series[float]) -> dict[str, float]:
    """Return the curve at x = 1 and x = 2 (linear between its points), its maximum, and the x of the maximum."""
    xs, ys = x.to_numpy(dtype=float), y.to_numpy(dtype=float)
    return {
        "at_1": float(np.interp(1.0, xs, ys)),
        "at_2": float(np.interp(2.0, xs, ys)),
        "maximum": float(ys.max()),
        "maximum_at": float(xs[ys.argmax()]),
    }


def _shown(who: str, points: dict[str, float], mark: str = "", chose: str = "") -> dict[str, str]:
    """Return the cells of a curve; `chose`: the mark of a number by which a choice was made."""
    peak = f"{number(points['maximum'], 4)} at {number(points['maximum_at'], 2)}"
    return {
        f"x = 1, {who}": number(points["at_1"], 4) + mark + (chose if np.isfinite(points["at_1"]) else ""),
        f"x = 2, {who}": number(points["at_2"], 4) + mark,
        f"Maximum, {who}": (peak if np.isfinite(points["maximum"]) else NOTHING) + mark,
    }
