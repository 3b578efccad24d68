"""What all figures share: the style, how runs become lines, the mark of quick and partial data, and saving.

Nothing here keeps state (no pyplot), and `pictures` gives the same bytes for the same data on the same versions.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import scores
from analysis.load import RUN, Data
from analysis.names import task
from analysis.status import mark, partial

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "ppo-reproduction",  # ids in the SVG, otherwise random
}
WARNING = "#B03A2E"


@dataclass(frozen=True)
class Drawing:
    """A finished figure with what stands under it."""

    name: str
    title: str
    caption: str
    figure: Figure


def pictures(drawing: Drawing) -> dict[str, bytes]:
    """The figure as {"png": ..., "svg": ...}, without dates or program versions in the files.

    The canvases are called directly: `Figure.savefig` lays the figure out and draws it twice for every file.
    """
    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(STYLE):
        drawing.figure.set_dpi(160)
        FigureCanvasAgg(drawing.figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
        drawing.figure.set_layout_engine("none")  # it stays as laid out
        FigureCanvasSVG(drawing.figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return {"png": png.getvalue(), "svg": svg.getvalue()}


def run_curves(data: Data) -> tuple[pd.DataFrame, int]:
    """Curves of the trained runs: RUN, step, mean_return, task, diverged_at; and the window, in steps."""
    trained = data.trained
    grid, window = scores.curve_grid(int(trained["total_timesteps"].max()) if len(trained) else 1_000_000)
    wanted = data.episodes.merge(trained[RUN], on=RUN) if len(trained) else data.episodes
    curves = scores.learning_curves(wanted, grid, window).merge(trained[[*RUN, "diverged_at"]], on=RUN)
    return curves.assign(task=curves["environment"].map(task)), window


def draw_runs(axes: Axes, curves: pd.DataFrame, colour: str, width: float) -> None:
    """The runs of one line: seeds thin, their mean thick, a cross where a run diverged."""
    seeds = curves.pivot(index="step", columns="seed", values="mean_return")
    steps = seeds.index.to_numpy()
    axes.plot(steps, seeds.to_numpy(dtype=float), color=colour, linewidth=0.6, alpha=0.4)
    for seed in sorted(set(curves.loc[curves["diverged_at"].notna(), "seed"])):
        drawn = seeds[seed].dropna()
        axes.plot(drawn.index[-1:], drawn.iloc[-1:], "x", color=colour, markersize=6, markeredgewidth=1.6)
    # Only where every seed has a value: a mean that loses a diverged seed on its way would rise for no merit.
    axes.plot(steps, seeds.mean(axis=1, skipna=False).to_numpy(), color=colour, linewidth=width)


def frame_panel(axes: Axes, title: str, budget: int, empty: str) -> None:
    """Title, step axis in millions (thousands for a short budget), and a word where nothing of ours is drawn."""
    axes.set_title(title)
    axes.set_xlim(0, budget)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    unit, letter = (1e6, "M") if budget >= 1e6 else (1e3, "k")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / unit:g}{letter}" if x else "0"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if empty:
        axes.text(0.5, 0.02, empty, transform=axes.transAxes, ha="center", color=WARNING, fontsize=8)


def legend_of_lines(ours: bool, band: bool = False) -> list[Line2D]:
    """The part of a legend that says whose line is whose."""
    handles = []
    if ours:
        handles += [
            Line2D([], [], color="#333333", linewidth=2.2, label="ours, mean"),
            Line2D([], [], color="#333333", linewidth=0.6, label="ours, each seed"),
        ]
    handles.append(Line2D([], [], color="#333333", linewidth=1.2, linestyle=(0, (3.5, 1.8)), label="paper (digitised)"))
    if band:
        handles.append(Line2D([], [], color="#333333", alpha=0.15, linewidth=7, label="paper's band"))
    return handles


def note_of(data: Data) -> str:
    return "; ".join(part for part in (mark(data), partial(data)) if part)


def warn(figure: Figure, note: str) -> None:
    if note:
        wrapped = textwrap.fill(note, int(10 * figure.get_figwidth()))
        figure.suptitle(wrapped, color=WARNING, fontsize=10, fontweight="bold")


def sentences(caption: str, note: str) -> str:
    return f"{caption} {note[0].upper()}{note[1:]}." if note else caption
