"""Figure 6: learning curves on the Atari games, all of them, and those that were run in large."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from analysis.data.completeness import dagger, reached, reasons, short
from analysis.data.labels import algorithm_colour, ordered, task
from analysis.data.load import Data, published_figure6
from analysis.sections.atari_curves import FULL, POINTS, comparable_points, release_curve, window_in_words
from analysis.sections.atari_scores import ALGORITHMS, paper_table6
from analysis.style.drawing import (
    DASHES,
    STYLE,
    Drawing,
    draw_runs,
    frame_panel,
    legend_of_lines,
    note_of,
    sentences,
    warn,
)

FEW = 9
"""Up to so many games are also drawn in large."""


@matplotlib.rc_context({**STYLE, "font.size": 6.5, "axes.titlesize": 7.5})
def figure6(data: Data, ours: pd.DataFrame) -> Drawing:
    """Figure 6: a panel per game, in the paper's order, over the paper's 40M frames.

    `ours`: our runs as smoothed by `atari_curves`.
    """
    games = list(paper_table6().index)
    figure = Figure(figsize=(13, 15))
    panels = figure.subplots(7, 7, sharex=True)
    figure.subplots_adjust(left=0.04, right=0.985, top=0.94, bottom=0.05, hspace=0.32, wspace=0.34)
    for axes, game in zip(panels.flat, games, strict=True):
        _panel(axes, ours[ours["game"] == game], game, FULL, width=1.1)
    figure.legend(handles=_legend(data, len(ours) > 0), ncols=6, fontsize=9, loc="center", bbox_to_anchor=(0.5, 0.015))
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Return of training episodes against frames (four to a step of the agent) on the 49 games. "
        f"{_ours(data, ours)} Dashed: the paper's three trials, digitised from Figure 6 (of ACER on Kangaroo it has "
        f"two). {window_in_words()}."
    )
    caption = " ".join([caption, *reasons(data.trained)])
    return Drawing("figure6", "Figure 6. Learning curves on Atari", sentences(caption, note), figure)


def few(data: Data) -> list[str]:
    """The games that have episodes of ours, in the paper's order, if they are few enough to be drawn in large.

    None while the runs are too short for a point that can be compared.
    """
    games = ordered(data.episodes["environment"].map(task), tuple(paper_table6().index))
    return games if len(games) <= FEW and len(comparable_points(data)) else []


@matplotlib.rc_context(STYLE)
def figure6_games(data: Data, ours: pd.DataFrame, games: Sequence[str]) -> Drawing:
    """The panels of `games` in large, over the frames at which ours can be held against the paper's."""
    columns = min(len(games), 3)
    rows = -(-len(games) // columns)
    figure = Figure(figsize=(4.3 * columns + 0.6, 3.4 * rows + 0.9), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    frames = int(comparable_points(data)[-1])
    for axes, game in zip(panels, games, strict=False):
        _panel(axes, ours[ours["game"] == game], game, frames, width=2.0)
        _release(axes, game, frames)
        axes.set_xlabel("Frames")
    for axes in panels[len(games) :]:
        axes.axis("off")
    figure.supylabel("Episode return", fontsize=10)
    release = Line2D([], [], color="#333333", linewidth=1.2, linestyle=":", label="openai/baselines (digitised)")
    figure.legend(handles=[*_legend(data, True), release], ncols=min(7, 3 * columns), loc="outside lower center")
    note = note_of(data)
    warn(figure, note)
    where = f"up to {short(frames)} frames"
    caption = (
        f"The games of ours in Figure 6, {where}. {_ours(data, ours)} Dashed: the paper's trials, digitised. "
        f"{window_in_words()}. Dotted, where it is known: the mean of six runs of openai/baselines' release of 2018, "
        "digitised from its benchmark page and averaged over the same window; how it was smoothed before is not known."
    )
    caption = " ".join([caption, *reasons(data.trained)])
    return Drawing("figure6_games", f"Figure 6 in part: {', '.join(games)}, {where}", sentences(caption, note), figure)


def _panel(axes: Axes, ours: pd.DataFrame, game: str, frames: int, width: float) -> None:
    paper = published_figure6()
    shown = paper[paper.index * 1e6 <= frames]
    for algorithm in ALGORITHMS:
        colour, mine = algorithm_colour(algorithm), ours[ours["algorithm"] == algorithm]
        theirs = shown[game][algorithm]
        axes.plot(theirs.index * 1e6, theirs, color=colour, linewidth=0.55 * width, linestyle=DASHES, alpha=0.75)
        if len(mine):
            draw_runs(axes, mine, colour, width=width)
    frame_panel(axes, game, frames, empty="")
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: (f"{y:g}" if abs(y) < 1000 else short(y)).replace("-", "−"))
    )


def _release(axes: Axes, game: str, frames: int) -> None:
    """openai/baselines' own curves of the game, where there are any."""
    shown = frames >= POINTS
    for algorithm in ALGORITHMS:
        returns = release_curve(game, algorithm)[shown]
        if np.isfinite(returns).any():
            colour = algorithm_colour(algorithm)
            axes.plot(POINTS[shown], returns, color=colour, linestyle=":", linewidth=1.6)


def _legend(data: Data, ours: bool) -> list[Line2D]:
    names = {a: name + dagger(data.trained[data.trained["algorithm"] == a]) for a, name in ALGORITHMS.items()}
    handles = [Line2D([], [], color=algorithm_colour(a), linewidth=2.2, label=names[a]) for a in names]
    return [*handles, *legend_of_lines(ours)]


def _ours(data: Data, ours: pd.DataFrame) -> str:
    if ours.empty:
        return "No runs of ours yet." if data.episodes.empty else "Our runs reach no point that can be compared."
    end = f", stopped on purpose {reached(data)}" if data.fraction < 1 else ""
    return f"Thin: our seeds{end}; thick: their mean, where every seed has a value. A cross marks where a run diverged."
