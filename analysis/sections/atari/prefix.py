"""Trainings that were stopped early on purpose, beside the paper's curves at the same frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.completeness import incomplete, reached
from analysis.data.labels import ordered
from analysis.data.load import Data
from analysis.data.published import paper_table6
from analysis.sections.atari.figure6 import (
    ALGORITHMS,
    BIN,
    comparable_points,
    ours_at,
    paper_at,
    release_curve,
    window_in_words,
)
from analysis.style.cells import seeds_cell
from analysis.style.formats import NOTHING, Table, number, signed

ROWS = 4
"""Number of points of each curve that are listed: the last, and others evenly spaced before it."""


def prefix(data: Data, runs: pd.DataFrame, curves: pd.DataFrame) -> Table:
    """Tabulate our smoothed `curves` of `runs`, stopped on purpose, beside the paper's at comparable points."""
    points = comparable_points(data)
    listed = points[np.unique(np.ceil(np.arange(1, ROWS + 1) * len(points) / ROWS).astype(int)) - 1]
    compared = [(int(frames), ours_at(curves, frames), paper_at(frames)) for frames in listed]
    cells, rows = [], []
    for game in ordered(runs["game"], tuple(paper_table6().index)):
        for algorithm, name in ALGORITHMS.items():
            for frames, ours, paper in compared:
                our_runs, paper_runs = (
                    frame[(frame["game"] == game) & (frame["algorithm"] == algorithm)] for frame in (ours, paper)
                )
                row = _numbers(our_runs["score"], paper_runs["score"])
                row["baselines"] = float(release_curve(game, algorithm)[frames // BIN - 1])
                rows.append({"game": game, "algorithm": algorithm, "frames": frames, **row})
                cells.append(
                    {
                        "Game": game,
                        "Algorithm": name,
                        "Frames": f"{frames / 1e6:g}M",
                        "Ours": seeds_cell(our_runs, 1),
                        "Paper's trials": seeds_cell(paper_runs, 1),
                        "Ours − paper": signed(round(row["difference"], 1), 1),
                        "Ours lies": _place(row),
                        "openai/baselines": number(row["baselines"], 1),
                    }
                )
    caption = (
        f"Our runs {reached(data)}, where they were stopped on purpose, their schedules being those of the whole "
        f"training, beside Figure 6, digitised. {window_in_words()}. The mean over the finished seeds, in brackets "
        "each. openai/baselines: six runs of its release of 2018, digitised, averaged over the same window; how its "
        "curves were smoothed before is not known."
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


def _place(row: dict[str, float]) -> str:
    """Return the place of our mean among the paper's trials, at the precision shown."""
    if not np.isfinite(row["difference"]):
        return NOTHING
    ours, lowest, highest = (round(row[name], 1) for name in ("ours", "paper_lowest", "paper_highest"))
    return "above all" if ours > highest else "below all" if ours < lowest else "among them"
