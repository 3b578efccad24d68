"""Figure 6, learning curves on the Atari games: the paper's, openai/baselines' and ours, with the same smoothing.

The paper's are smoothed: each point is a mean over the frames around it, cut off at the curve's ends (WINDOW, as
measured by `smoothing`). Raw curves are not comparable with them, so ours are averaged in the same way, and only at
points whose whole window was trained.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from analysis.data.completeness import budget, dagger, reached, reasons, short
from analysis.data.labels import frames_per_step, ordered, task
from analysis.data.load import RUN, Data
from analysis.data.published import paper_table6, published_baselines, published_figure6
from analysis.style.colours import algorithm_lines
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

Array = npt.NDArray[np.float64]

FULL = 40_000_000
"""Frames of the paper's runs."""
WINDOW = {"a2c": 4_100_000, "acer": 4_100_000, "ppo": 4_600_000}
"""Frames over which a point of Figure 6 is a mean, half of them later ones.

Measured on published/fig6_curves.csv (table `smoothing`); ACER's is less certain, and A2C's lies in its interval.
"""
BIN = 400_000
"""Frames between digitised points of Figure 6, and in each bin that is averaged."""
POINTS = BIN * np.arange(1, FULL // BIN + 1)
"""The frames of the digitised points: 0.4M to 40M."""


def window_in_words() -> str:
    """Describe the window of a point of Figure 6, for captions."""
    sharing = {window: [name.upper() for name in WINDOW if WINDOW[name] == window] for window in WINDOW.values()}
    halves = " or ".join(f"{window / 2e6:.3g}M ({', '.join(names)})" for window, names in sharing.items())
    return (
        f"Each point is a mean over the frames up to {halves} before and behind it, cut off at the ends of the "
        "training: the window that the paper's curves show, measured from their spectra. Ours are averaged over the "
        f"same window (whole bins of {BIN / 1e6:g}M frames) and end where it would reach beyond what was trained"
    )


def inside_window(window: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the bins in the window of each of POINTS, by their middles: [points, bins]."""
    middles = POINTS - BIN / 2
    return np.asarray(np.abs(middles - POINTS[:, None]) <= window / 2)


def smooth(bins: Array, window: int) -> Array:
    """Average a curve over the window around each of POINTS, cut off at both ends.

    `bins`: the curve's means in bins; it and the result: [POINTS]. A bin without an episode is NaN and does not count.
    """
    known = np.isfinite(bins)
    inside = inside_window(window)
    count = inside @ known.astype(float)
    total = inside @ np.where(known, bins, 0.0)
    return np.asarray(np.divide(total, count, out=np.full(len(POINTS), np.nan), where=count > 0))


def covered(window: int, end: float) -> npt.NDArray[np.bool_]:
    """Return a mask of the POINTS whose window, and every bin in it, lies inside a training of `end` frames.

    The window is cut off at FULL frames and at 0, as in the paper.
    """
    last_bin = np.where(inside_window(window), POINTS, 0).max(axis=1)
    return np.asarray(np.maximum(np.minimum(POINTS + window / 2, FULL), last_bin) <= end)


def frames_reached(data: Data) -> float:
    """Return the frames that the runs are to train; FULL if none is planned."""
    per_step = max(map(frames_per_step, data.trained["environment"]), default=1)
    return data.fraction * budget(data)[1] * per_step or FULL


def comparable_points(data: Data) -> npt.NDArray[np.int64]:
    """Select the POINTS at which the runs of every algorithm are comparable with Figure 6 once they are done."""
    return POINTS[np.all([covered(window, frames_reached(data)) for window in WINDOW.values()], axis=0)]


def smoothed(data: Data) -> pd.DataFrame:
    """Smooth our runs, unfinished ones included, as the paper's curves, at the points where that is possible.

    Columns: RUN, `step` (in frames, of POINTS), `mean_return`, `diverged_at`, `complete`, `superseded`, `game`.
    """
    columns = [*RUN, "step", "mean_return", "diverged_at", "complete", "superseded", "game"]
    episodes = {key: rows for key, rows in data.episodes.groupby(RUN)}
    pieces = [
        _smoothed_run(run, episodes[key])
        for run in data.trained[data.trained["algorithm"].isin(WINDOW)].to_dict("records")
        if (key := tuple(run[name] for name in RUN)) in episodes
    ]
    return pd.concat(pieces, ignore_index=True)[columns] if pieces else pd.DataFrame(columns=columns)


def _smoothed_run(run: dict[Hashable, Any], episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `smoothed` of one run; `run`: its row of `Data.runs`."""
    per_step, window = frames_per_step(run["environment"]), WINDOW[run["algorithm"]]
    bins = np.ceil(episodes["step"] * per_step / BIN)
    means = episodes.groupby(bins)["episodic_return"].mean().reindex(np.arange(1.0, len(POINTS) + 1))
    curve = pd.DataFrame({"step": POINTS, "mean_return": smooth(means.to_numpy(dtype=float), window)})
    shown = covered(window, per_step * np.fmin(run["steps_done"], run["diverged_at"]))
    columns = {name: run[name] for name in (*RUN, "diverged_at", "complete", "superseded")}
    return curve[shown].assign(**columns, game=task(run["environment"]))


def ours_at(curves: pd.DataFrame, frames: float) -> pd.DataFrame:
    """Return our finished runs' `curves` (`smoothed`) at `frames`: RUN, `game`, `score`, `diverged_at`, `superseded`.

    Only at POINTS. A run that diverged before has the last value of its curve.
    """
    before = curves[curves["complete"].astype(bool) & (curves["step"] <= frames)]
    last = before.sort_values([*RUN, "step"]).groupby(RUN).tail(1)
    there = last[(last["step"] == frames) | last["diverged_at"].notna()]
    return there.rename(columns={"mean_return": "score"})[[*RUN, "game", "score", "diverged_at", "superseded"]]


def paper_at(frames: float) -> pd.DataFrame:
    """Return the paper's digitised curves at `frames`: game, algorithm, seed (the paper's), score. Only at POINTS.

    ACER on Kangaroo has two curves.
    """
    curves = published_figure6()
    there = curves.reindex([frames / 1e6]).iloc[0].to_numpy(dtype=float)
    return curves.columns.to_frame(index=False).assign(score=there, diverged_at=np.nan).dropna(subset="score")


def release_curve(game: str, algorithm: str) -> Array:
    """Smooth openai/baselines' curve with the window, at POINTS; NaN if it has none.

    Its page does not describe its smoothing, which is much less, as it starts near the untrained level.
    """
    curve = published_baselines().get((game, algorithm))
    if curve is None:
        return np.full(len(POINTS), np.nan)
    return smooth(np.interp((POINTS - BIN / 2) / 1e6, curve.index, curve), WINDOW[algorithm])


ALGORITHMS = {"a2c": "A2C", "acer": "ACER", "ppo": "PPO"}
"""The columns of Tables 2 and 6: name here -> in the paper."""


FEW = 12
"""At most this many games are also drawn in large panels."""


@matplotlib.rc_context({**STYLE, "font.size": 6.5, "axes.titlesize": 7.5})
def figure6(data: Data, ours: pd.DataFrame) -> Drawing:
    """Draw Figure 6: a panel per game, in the paper's order, over the frames that ours cover; grey, over the paper's
    40M, without ours.

    `ours`: our runs, from `smoothed`.
    """
    games = list(paper_table6().index)
    figure = Figure(figsize=(13, 17))
    panels = figure.subplots(7, 7)
    figure.subplots_adjust(left=0.04, right=0.985, top=0.94, bottom=0.05, hspace=0.4, wspace=0.34)
    for axes, game in zip(panels.flat, games, strict=True):
        _panel(axes, ours, game, width=1.1)
    figure.legend(handles=_legend(data, len(ours) > 0), ncols=6, fontsize=9, loc="center", bbox_to_anchor=(0.5, 0.015))
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Return of training episodes against frames (four to a step of the agent) on the 49 games. "
        f"{_ours(data, ours)} {_axes(ours)}Dashed: the paper's three trials, digitised from Figure 6 (of ACER on "
        "Kangaroo it has "
        f"two). {window_in_words()}."
    )
    caption = " ".join([caption, *reasons(data.trained)])
    return Drawing("figure6", "Figure 6. Learning curves on Atari", sentences(caption, note), figure)


def few(ours: pd.DataFrame) -> list[str]:
    """List the games with a curve of ours (`smoothed`), in the paper's order, if they are few enough for large
    panels."""
    games = ordered(ours["game"], tuple(paper_table6().index))
    return games if len(games) <= FEW else []


@matplotlib.rc_context(STYLE)
def figure6_games(data: Data, ours: pd.DataFrame, games: Sequence[str]) -> Drawing:
    """Draw large panels of `games`, over the frames at which ours are comparable with the paper's."""
    columns = min(len(games), 3)
    rows = -(-len(games) // columns)
    figure = Figure(figsize=(4.3 * columns + 0.6, 3.4 * rows + 0.9), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, game in zip(panels, games, strict=False):
        _release(axes, game, _panel(axes, ours, game, width=2.0))
        axes.set_xlabel("Frames")
    for axes in panels[len(games) :]:
        axes.axis("off")
    figure.supylabel("Episode return", fontsize=10)
    release = Line2D([], [], color="#333333", linewidth=1.2, linestyle=":", label="openai/baselines (digitised)")
    figure.legend(handles=[*_legend(data, True), release], ncols=min(7, 3 * columns), loc="outside lower center")
    note = note_of(data)
    warn(figure, note)
    lasts = sorted({last_frames(ours, game) for game in games})
    where = f"up to {' or '.join(map(short, lasts))} frames"
    caption = (
        f"The games of ours in Figure 6, {where}. {_ours(data, ours)} Dashed: the paper's trials, digitised. "
        f"{window_in_words()}. Dotted, where it is known: the mean of six runs of openai/baselines' release of 2018, "
        "digitised from its benchmark page and averaged over the same window; how it was smoothed before is not known."
    )
    caption = " ".join([caption, *reasons(data.trained)])
    return Drawing("figure6_games", f"Figure 6 in part: {', '.join(games)}, {where}", sentences(caption, note), figure)


def last_frames(ours: pd.DataFrame, game: str) -> int:
    """Return the last frames at which a curve of ours can be seen; FULL if there is none on this game."""
    steps = ours.loc[ours["game"] == game, "step"]
    return int(steps.max()) if len(steps) else FULL


def _panel(axes: Axes, ours: pd.DataFrame, game: str, width: float) -> int:
    """Draw a game and return the frames that its axis ends at."""
    runs, frames = ours[ours["game"] == game], last_frames(ours, game)
    grey = len(ours) > 0 and runs.empty
    published = published_figure6()
    shown = published[published.index * 1e6 <= frames]
    for algorithm, line in algorithm_lines(ALGORITHMS).items():
        colour, seeds = "#b5b5b5" if grey else line.colour, runs[runs["algorithm"] == algorithm]
        paper = shown[game][algorithm]
        axes.plot(paper.index * 1e6, paper, color=colour, linewidth=0.55 * width, linestyle=DASHES, alpha=0.75)
        if len(seeds):
            draw_runs(axes, seeds, colour, width=width)
    frame_panel(axes, game, frames, empty="")
    if grey:
        axes.title.set_color("#8a8a8a")
        axes.tick_params(colors="#8a8a8a")
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: (f"{y:g}" if abs(y) < 1000 else short(y)).replace("-", "−"))
    )
    return frames


def _release(axes: Axes, game: str, frames: int) -> None:
    """Draw openai/baselines' curves of the game, if there are any."""
    shown = frames >= POINTS
    for algorithm, line in algorithm_lines(ALGORITHMS).items():
        returns = release_curve(game, algorithm)[shown]
        if np.isfinite(returns).any():
            axes.plot(POINTS[shown], returns, color=line.colour, linestyle=":", linewidth=1.6)


def _legend(data: Data, ours: bool) -> list[Line2D]:
    names = {a: name + dagger(data.trained[data.trained["algorithm"] == a]) for a, name in ALGORITHMS.items()}
    lines = algorithm_lines(names)
    handles = [Line2D([], [], color=lines[a].colour, linewidth=2.2, label=names[a]) for a in names]
    return [*handles, *legend_of_lines(ours)]


def _axes(ours: pd.DataFrame) -> str:
    """Describe the panels' axes, if they differ."""
    if ours.empty or ours["step"].max() == FULL:
        return ""
    return "The axis of a game of ours ends where they do; the others are grey, over all 40M frames. "


def _ours(data: Data, ours: pd.DataFrame) -> str:
    if ours.empty:
        return "No runs of ours yet." if data.episodes.empty else "Our runs reach no point that can be compared."
    end = f", stopped on purpose {reached(data)} or later" if data.fraction < 1 else ""
    return f"Thin: our seeds{end}; thick: their mean, where every seed has a value. A cross marks where a run diverged."
