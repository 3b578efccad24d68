"""Shared parts of figures: style, curves of runs, marks of partial data, and saving.

There is no global state (no pyplot), and `pictures` returns the same bytes for the same data and versions.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from analysis.data.completeness import mark, partial
from analysis.data.load import Data
from analysis.data.scores import by_seed, mean_curve
from analysis.style.colours import LineStyle
from analysis.style.formats import number

STYLE: dict[Any, Any] = {
    **seaborn.axes_style("whitegrid"),
    **seaborn.plotting_context("paper"),
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "grid.color": "#e6e6e6",  # lighter than seaborn's: thin lines of single seeds lie on it
    "axes.titley": 1.0,  # above the axes; without it every draw looks for a tick label in the title's way
    "legend.frameon": False,
    "text.parse_math": False,  # a name may hold dollars; a formula asks for it itself
    "svg.hashsalt": "ppo-reproduction",  # ids in the SVG, otherwise random
}
"""seaborn's theme for figures in print, as rc parameters: no global state is set."""
DPI = 160
"""Of the pictures in pixels."""
WARNING = "#B03A2E"
UNDER_TEXT = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}
"""Box behind text that lines may cross."""
_PATHS, _DECIMALS = re.compile(rb' d="[^"]*"'), re.compile(rb"-?\d+\.\d{3,}")
_CURVE, _NEXT_LINE = re.compile(rb"[CQ]"), re.compile(rb"(?<=\d) \nL ")
"""What makes a path more than lines, and what stands between two lines of it."""
DASHES = (0, (3.5, 1.8))
"""Line style of the paper's curves."""


@dataclass(frozen=True)
class Drawing:
    """A finished figure with its caption."""

    name: str
    title: str
    caption: str
    figure: Figure


def pictures(drawing: Drawing) -> dict[str, bytes]:
    """Render the figure as {"png": ..., "svg": ...}, without dates or program versions in the files.

    The canvases are called directly: `Figure.savefig` lays the figure out and draws it twice for every file.
    """
    svg = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        drawing.figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(drawing.figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        drawing.figure.set_layout_engine("none")  # it stays as laid out
        FigureCanvasSVG(drawing.figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return {"png": _png(pixels), "svg": _PATHS.sub(_rounded, svg.getvalue())}


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Return the picture with a palette of 256 colours: a third of the size, and nobody sees it."""
    png = io.BytesIO()
    picture = Image.fromarray(pixels).convert("RGB").quantize(256, Image.Quantize.MEDIANCUT)
    picture.save(png, "PNG", optimize=True, dpi=(DPI, DPI))
    return png.getvalue()


def _rounded(path: re.Match[bytes]) -> bytes:
    """Round the coordinates of a path to a hundredth of a point, and leave out the letter of a line that follows
    another: two thirds of the size, and nobody sees it."""
    rounded = _DECIMALS.sub(lambda number: b"%.2f" % float(number.group()), path.group())
    return rounded if _CURVE.search(rounded) else _NEXT_LINE.sub(b" ", rounded)


def draw_runs(
    axes: Axes,
    curves: pd.DataFrame,
    colour: str,
    width: float,
    band: bool = False,
    style: LineStyle = "-",
) -> None:
    """Draw the runs of one line: their mean thick, a cross where one diverged, and the seeds as thin lines, or (`band`)
    the range from the lowest to the highest seed."""
    seeds = by_seed(curves)
    steps = seeds.index.to_numpy()
    if band:
        axes.fill_between(steps, seeds.min(axis=1), seeds.max(axis=1), color=colour, alpha=0.13, linewidth=0)
    else:
        axes.plot(steps, seeds.to_numpy(), color=colour, linewidth=0.6, alpha=0.4)
    for seed in sorted(set(curves.loc[curves["diverged_at"].notna(), "seed"])):
        drawn = seeds[seed].dropna()
        axes.plot(drawn.index[-1:], drawn.iloc[-1:], "x", color=colour, markersize=6, markeredgewidth=1.6)
    axes.plot(steps, mean_curve(seeds).to_numpy(), color=colour, linewidth=width, linestyle=style)


Values = Mapping[str, "pd.Series[float]"]
"""Name of a line -> its numbers."""


def bound_below(axes: Axes, values: Values, base: float) -> None:
    """Limit the panel's lower end (`limits_above`), and name the line that falls deepest below it."""
    if limits := limits_above(values, base):
        axes.set_ylim(*limits)
        tell_lowest(axes, values, limits[0])


def limits_above(values: Values, base: float) -> tuple[float, float] | None:
    """Return limits from `base` less half the span above it, so that one bad run does not flatten the rest; None if no
    value lies lower."""
    known = pd.concat(list(values.values())).dropna() if values else pd.Series(dtype=float)
    if known.empty or not np.isfinite(base):
        return None
    top = float(known.max())
    floor = base - 0.5 * (top - base)
    return (floor, top + 0.1 * (base - floor)) if known.min() < floor < base else None


def tell_lowest(axes: Axes, values: Values, floor: float) -> None:
    """Write in the corner which line falls deepest below `floor`, and how far."""
    lowest = {name: float(column.min()) for name, column in values.items() if (column < floor).any()}
    if lowest:
        name = min(lowest, key=lowest.__getitem__)
        text = f"{name}: falls to {number(lowest[name])}"
        axes.text(0.98, 0.03, text, transform=axes.transAxes, ha="right", fontsize=7.5, bbox=UNDER_TEXT)


def draw_interval(
    axes: Axes, height: float, point: tuple[float, float, float], colour: str, marker: str, edge: float
) -> None:
    """Draw a point (value, low, high) with a horizontal interval, if it has one; an arrow if it lies left of `edge`."""
    value, low, high = point
    if not np.isfinite(value):
        return
    if np.isfinite(low):
        axes.plot([max(low, edge), max(high, edge)], [height, height], color=colour, linewidth=2.4)
    axes.plot([value], [height], marker, color=colour, markersize=7, zorder=3)
    if value < edge:
        axes.annotate(
            number(value, 2), xy=(edge, height), xytext=(edge + 0.12, height), va="center", bbox=UNDER_TEXT,
            arrowprops={"arrowstyle": "->", "color": colour},
        )  # fmt: skip


def frame_panel(axes: Axes, title: str, budget: int, empty: str) -> None:
    """Add title, step axis in millions (thousands for a short budget), and a text if there is no curve of ours."""
    axes.set_title(title)
    axes.set_xlim(0, budget)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    unit, letter = (1e6, "M") if budget >= 1e6 else (1e3, "k")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / unit:g}{letter}" if x else "0"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if empty:
        axes.text(0.5, 0.02, empty, transform=axes.transAxes, ha="center", color=WARNING, fontsize=8)


def legend_of_lines(ours: bool, band: bool = False) -> list[Line2D]:
    """Return the legend's entries for line styles: ours and the paper's; `band`: as in `draw_runs`."""
    handles = []
    if ours:
        handles.append(Line2D([], [], color="#333333", linewidth=2.2, label="ours, mean"))
        if band:
            handles.append(
                Line2D([], [], color="#333333", alpha=0.2, linewidth=8, label="ours, lowest to highest seed")
            )
        else:
            handles.append(Line2D([], [], color="#333333", linewidth=0.6, label="ours, each seed"))
    handles.append(Line2D([], [], color="#333333", linewidth=1.2, linestyle=DASHES, label="paper (digitised)"))
    return handles


def note_of(data: Data) -> str:
    """Return what a figure must warn of: fewer steps than the paper (`mark`), or stopped early; "" for nothing."""
    return "; ".join(part for part in (mark(data), partial(data)) if part)


def warn(figure: Figure, note: str) -> None:
    """Write the note above the figure, in the colour of warnings."""
    if note:
        wrapped = textwrap.fill(note, int(10 * figure.get_figwidth()))
        figure.suptitle(wrapped, color=WARNING, fontsize=10, fontweight="bold")


def sentences(caption: str, note: str) -> str:
    """Return the caption with the note as its last sentence."""
    return f"{caption} {note[0].upper()}{note[1:]}." if note else caption
