"""The beginning of Flagrun harder with one setting changed that Table 4 leaves open: what moves it towards Figure 4."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.endings import WHOLE, endings
from analysis.data.labels import change_name, ordered
from analysis.data.load import RUN, Data
from analysis.data.published import published
from analysis.data.scores import learning_curves
from analysis.style.cells import seeds_cell
from analysis.style.formats import NOTHING, Table

WINDOW = 5_000_000
"""Steps over which a number is a mean."""
BIN = 1_000_000
"""Steps with the same weight in it, however many episodes ended there."""
WHOLE_THEN, DOWN_THEN = "whole", "never up"
"""Columns about the last window."""


def ours(data: Data) -> pd.DataFrame:
    """Return the means of our finished runs: RUN, `window` (its last step), `score` and the columns of `endings`."""
    finished = data.trained[data.trained["complete"]]
    last = int(data.fraction * data.trained["total_timesteps"].max()) // WINDOW * WINDOW
    episodes = data.episodes.merge(finished[RUN], on=RUN).query("step <= @last")
    curves = learning_curves(episodes, np.arange(BIN, last + 1, BIN), BIN)
    means = _means(curves.rename(columns={"mean_return": "return"}), RUN)
    parts = [endings(rows).assign(window=window) for window, rows in episodes.groupby(_window(episodes["step"]))]
    return means.merge(pd.concat(parts), on=[*RUN, "window"])


def papers(environment: str, last: int) -> pd.DataFrame:
    """Return the means of the paper's two digitised curves up to step `last`: `seed` (which of the two), `window`,
    `score`."""
    curves = published("fig4_curves").query("env == @environment").rename(columns={"run": "seed"})
    return _means(curves.assign(step=1e6 * curves["timesteps_M"]).query("0 < step <= @last"), ["seed"])


def _means(curves: pd.DataFrame, of: list[str]) -> pd.DataFrame:
    return (
        curves.assign(window=_window(curves["step"]))
        .groupby([*of, "window"], as_index=False)
        .agg(score=("return", "mean"))
    )


def _window(steps: pd.Series[int]) -> pd.Series[int]:
    return -(-steps // WINDOW) * WINDOW


def table(data: Data) -> Table:
    """Tabulate each change beside the paper's two runs; at least one run is finished."""
    (environment,) = data.trained["environment"].unique()
    measured = ours(data).assign(diverged_at=np.nan)
    paper = papers(environment, int(measured["window"].max())).assign(diverged_at=np.nan)
    windows = sorted(measured["window"].unique())
    cells = [{"Changed": "the paper's two", **_cells(paper, windows)}]
    for setting in ordered(measured["setting"], ("default",)):
        mine = measured[measured["setting"] == setting]
        at_end = mine[mine["window"] == windows[-1]]
        shares = {WHOLE_THEN: _shares(at_end["whole"]), DOWN_THEN: _shares(at_end["never_up"])}
        cells.append({"Changed": change_name(setting), **_cells(mine, windows), **shares})
    caption = (
        f"{environment} with time limits taken for ends of episodes, as in the first runs, and then with one more "
        f"setting changed that Table 4 leaves open; beside Figure 4, digitised: the mean return of the training "
        f"episodes over {WINDOW / 1e6:g}M steps each, in brackets each run. One seed, the schedules being those of "
        f"the whole training. Beside the last of these: of the same episodes the share that lasted {WHOLE:,} steps, "
        f"and the share that ended on the ground, where they began. Nothing was chosen by it."
    )
    title = "What moves the beginning of Flagrun harder"
    show = pd.DataFrame(cells).fillna(NOTHING)
    return Table("figure4_settings", titled(title, data), caption, show, measured, incomplete(data))


def _shares(each: pd.Series[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in each)


def _cells(runs: pd.DataFrame, windows: list[int]) -> dict[str, str]:
    return {f"up to {last / 1e6:g}M": seeds_cell(runs[runs["window"] == last]) for last in windows}
