"""Trainings that were stopped early on purpose, beside the paper's curves at the same frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.completeness import incomplete, reached
from analysis.data.labels import ordered
from analysis.data.load import Data
from analysis.data.published import paper_table6
from analysis.sections.atari.figure6 import ALGORITHMS, BIN, ours_at, paper_at, release_curve, window_in_words
from analysis.sections.atari.places import finished, outside, place, points_of
from analysis.style.cells import seeds_cell
from analysis.style.formats import Table, number, signed

ROWS = 4
"""Number of points of each curve that are shown: the last, and others evenly spaced before it. The CSV has all."""


def spaced(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Select the last of `points` and others evenly spaced before it, ROWS at most."""
    chosen = np.unique(np.ceil(np.arange(1, ROWS + 1) * len(points) / ROWS).astype(int)) - 1
    return np.asarray(points[chosen])


def prefix(data: Data, curves: pd.DataFrame) -> Table:
    """Tabulate our smoothed `curves`, stopped on purpose, beside the paper's at every comparable point."""
    groups = finished(curves)
    keys = [
        (game, algorithm)
        for game in ordered((game for _, game, _ in groups), tuple(paper_table6().index))
        for algorithm in ALGORITHMS
        if ("default", game, algorithm) in groups
    ]
    cells, rows = [], []
    for game, algorithm in keys:
        runs = groups["default", game, algorithm]
        points, release = points_of(runs), release_curve(game, algorithm)
        shown_points = spaced(points)
        for frames in points:
            ours, paper = ours_at(runs, frames), paper_at(frames)
            paper = paper[(paper["game"] == game) & (paper["algorithm"] == algorithm)]
            row = _numbers(ours["score"], paper["score"])
            row["baselines"] = float(release[frames // BIN - 1])
            rows.append({"game": game, "algorithm": algorithm, "frames": int(frames), **row})
            if frames in shown_points:
                cells.append(
                    {
                        "Game": game,
                        "Algorithm": ALGORITHMS[algorithm],
                        "Frames": f"{frames / 1e6:g}M",
                        "Ours": seeds_cell(ours, 1),
                        "Paper's trials": seeds_cell(paper, 1),
                        "Ours − paper": signed(round(row["difference"], 1), 1),
                        "Ours lies": place(outside(row["ours"], row["paper_lowest"], row["paper_highest"])),
                        "openai/baselines": number(row["baselines"], 1),
                    }
                )
    caption = (
        f"Our runs, stopped on purpose {reached(data)} or later, their schedules being those of the whole training, "
        f"beside Figure 6, digitised. {window_in_words()}. The mean over the finished seeds, in brackets each. Of each "
        f"curve at most {ROWS} points are shown; the CSV has all. openai/baselines: six runs of its release of 2018, "
        "digitised, averaged over the same window; how its curves were smoothed before is not known."
    )
    shown, numbers = pd.DataFrame(cells), pd.DataFrame(rows)
    return Table("atari_prefix", f"Atari {reached(data)}", caption, shown, numbers, incomplete(data), text_columns=2)


def _numbers(ours: pd.Series[float], paper: pd.Series[float]) -> dict[str, float]:
    return {
        "runs": len(ours),
        "ours": float(ours.mean()),
        "paper": float(paper.mean()),
        "paper_lowest": float(paper.min()),
        "paper_highest": float(paper.max()),
        "difference": float(ours.mean() - paper.mean()),
    }
