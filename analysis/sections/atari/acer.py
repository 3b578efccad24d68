"""ACER on Breakout with one of its settings changed at a time: what moves its first steps towards the paper's."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.completeness import incomplete, titled
from analysis.data.labels import change_name, ordered
from analysis.data.load import Data
from analysis.sections.atari.figure6 import ours_at, paper_at, window_in_words
from analysis.sections.atari.places import finished, points_of
from analysis.sections.atari.prefix import spaced
from analysis.style.cells import seeds_cell
from analysis.style.formats import Table


def changes(data: Data, curves: pd.DataFrame) -> Table:
    """Tabulate the smoothed `curves` of each change beside the paper's three; at least one run is finished."""
    groups = {setting: runs for (setting, _, _), runs in finished(curves).items()}
    (game,), (algorithm,) = curves["game"].unique(), curves["algorithm"].unique()
    points = points_of(pd.concat(list(groups.values())))
    paper = pd.concat([paper_at(frames).assign(frames=frames) for frames in points])
    paper = paper[(paper["game"] == game) & (paper["algorithm"] == algorithm)]
    each = pd.concat([ours_at(curves, frames).assign(frames=frames) for frames in points])
    shown = spaced(points)
    cells = [{"Changed": "the paper's three", **_cells(paper, shown)}]
    cells += [
        {"Changed": change_name(setting), **_cells(each[each["setting"] == setting], shown)}
        for setting in ordered(groups, ("default",))
    ]
    numbers = each.groupby(["setting", "frames"])["score"].agg(["mean", "size"]).rename(columns={"size": "runs"})
    levels = paper.groupby("frames")["score"].agg(["min", "max"]).add_prefix("paper_")
    caption = (
        f"ACER on {game} with one setting changed at a time, beside Figure 6, digitised: the paper's curve begins "
        f"lower than ours and ends higher. {window_in_words()}. The mean over the seeds, in brackets each. Nothing was "
        "chosen by it."
    )
    title = f"What moves ACER's beginning on {game}"
    facts = numbers.reset_index().merge(levels.reset_index(), on="frames")
    return Table("atari_acer", titled(title, data), caption, pd.DataFrame(cells), facts, incomplete(data))


def _cells(runs: pd.DataFrame, points: NDArray[np.int64]) -> dict[str, str]:
    return {f"{frames / 1e6:g}M frames": seeds_cell(runs[runs["frames"] == frames], 1) for frames in points}
