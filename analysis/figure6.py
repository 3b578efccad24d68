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

from analysis.atari import ALGORITHMS, FULL, frames_reached, paper_table6
from analysis.drawing import DASHES, STYLE, Drawing, draw_runs, frame_panel, legend_of_lines, note_of, sentences, warn
from analysis.load import RUN, Data, published_baselines, published_figure6
from analysis.names import algorithm_colour, frames_per_step, ordered, task
from analysis.scores import episode_curves
from analysis.status import reached, short

FEW = 9
"""Up to so many games are also drawn in large."""
SMOOTHING = "the mean over 101 episodes, 50 of them later ones, fewer at both ends: the paper's own smoothing"


def curves(data: Data, points: int) -> pd.DataFrame:
    """Our runs, those that still train included, at `points` evenly spaced frames up to where they are to end.

    Columns: RUN, `step` (in frames), `mean_return`, `diverged_at`, `game`.
    """
    trained = data.trained
    steps = round(data.fraction * int(trained["total_timesteps"].max())) if len(trained) else points
    spacing = max(steps // points, 1)
    grid = np.arange(spacing, steps + 1, spacing, dtype=np.int64)
    found = episode_curves(data.episodes, grid).merge(trained[[*RUN, "diverged_at"]], on=RUN)
    frames = found["step"] * found["environment"].map(frames_per_step)
    return found.assign(step=frames.astype("int64"), game=found["environment"].map(task))


@matplotlib.rc_context({**STYLE, "font.size": 6.5, "axes.titlesize": 7.5})
def figure6(data: Data) -> Drawing:
    """Figure 6: a panel per game, in the paper's order, over the paper's 40M frames."""
    games, ours = list(paper_table6().index), curves(data, points=max(round(100 * data.fraction), 20))
    figure = Figure(figsize=(13, 15))
    panels = figure.subplots(7, 7, sharex=True)
    figure.subplots_adjust(left=0.04, right=0.985, top=0.95, bottom=0.05, hspace=0.32, wspace=0.34)
    for axes, game in zip(panels.flat, games, strict=True):
        _panel(axes, ours[ours["game"] == game], game, FULL, width=1.1)
    figure.legend(handles=_legend(len(ours) > 0), ncols=6, fontsize=9, loc="center", bbox_to_anchor=(0.5, 0.015))
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Return of training episodes against frames (four to a step of the agent) on the 49 games. "
        f"{_ours(data, ours)} Dashed: the paper's three trials, digitised from Figure 6 (of ACER on Kangaroo it has "
        f"two). All curves: {SMOOTHING}."
    )
    return Drawing("figure6", "Figure 6. Learning curves on Atari", sentences(caption, note), figure)


def few(data: Data) -> list[str]:
    """The games that have episodes of ours, in the paper's order, if they are few enough to be drawn in large."""
    games = ordered(data.episodes["environment"].map(task), tuple(paper_table6().index))
    return games if len(games) <= FEW else []


@matplotlib.rc_context(STYLE)
def figure6_games(data: Data, games: Sequence[str]) -> Drawing:
    """The panels of `games` in large, over the frames that were run."""
    columns = min(len(games), 3)
    rows = -(-len(games) // columns)
    figure = Figure(figsize=(4.3 * columns + 0.6, 3.4 * rows + 0.9), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    ours, frames = curves(data, points=100), int(frames_reached(data))
    for axes, game in zip(panels, games, strict=False):
        _panel(axes, ours[ours["game"] == game], game, frames, width=2.0)
        _release(axes, game, frames)
        axes.set_xlabel("Frames")
    for axes in panels[len(games) :]:
        axes.axis("off")
    figure.supylabel("Episode return", fontsize=10)
    release = Line2D([], [], color="#333333", linewidth=1.2, linestyle=":", label="openai/baselines (digitised)")
    figure.legend(handles=[*_legend(True), release], ncols=min(7, 3 * columns), loc="outside lower center")
    note = note_of(data)
    warn(figure, note)
    where = reached(data) if data.fraction < 1 else f"over {short(frames)} frames"
    caption = (
        f"The games of ours in Figure 6, {where}. {_ours(data, ours)} Dashed: the paper's trials over the same frames, "
        f"digitised (a point every 0.4M frames). Both: {SMOOTHING}. Dotted, where it is known: the mean of six runs of "
        "openai/baselines' release of 2018, digitised from its benchmark page, which does not say how it smooths."
    )
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}" if abs(y) < 1000 else short(y)))


def _release(axes: Axes, game: str, frames: int) -> None:
    """openai/baselines' own curves of the game, where there are any."""
    for algorithm in ALGORITHMS:
        curve = published_baselines().get((game, algorithm))
        if curve is not None:
            points = np.append(curve.index[curve.index * 1e6 < frames], frames / 1e6)
            returns = np.interp(points, curve.index, curve)
            axes.plot(points * 1e6, returns, color=algorithm_colour(algorithm), linestyle=":", linewidth=1.6)


def _legend(ours: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=algorithm_colour(a), linewidth=2.2, label=name) for a, name in ALGORITHMS.items()]
    return [*handles, *legend_of_lines(ours)]


def _ours(data: Data, ours: pd.DataFrame) -> str:
    if ours.empty:
        return "No runs of ours yet."
    end = f" {reached(data)}, where they were stopped on purpose" if data.fraction < 1 else ""
    return f"Thin: our seeds{end}; thick: their mean, where every seed has a value. A cross marks where a run diverged."
