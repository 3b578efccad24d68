"""Runs that `ppo import` read from other programs' logs, as our own are known: RESULTS/imported/<name>/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.labels import task
from analysis.data.load import RUN, Data, no_episodes, runs_frame
from analysis.data.scores import learning_curves
from experiments.store.files import StoreError, one_line
from experiments.store.imported import FOLDER, imported_folders, read_imported


@dataclass(frozen=True)
class Imported:
    """One import."""

    data: Data
    """Its runs and episodes. Of averages there are no episodes and no complete run, so that nothing can score them."""
    averages: pd.DataFrame
    """RUN, `step`, `mean_return` as they were logged; empty where the log has episodes."""

    @property
    def name(self) -> str:
        """Return the folder's name."""
        return self.data.protocol.removeprefix(f"{FOLDER}/")

    @property
    def origin(self) -> str:
        """Say from what it was read, and what a row was."""
        kinds = " and ".join(self.data.manifest.get("kinds", ()))
        return f"{kinds}, {'averages' if self.data.manifest.get('values') == 'averages' else 'per episode'}"


def gather_imported(results: Path) -> list[Imported]:
    """Read every import in RESULTS. Never raises: what is damaged is told in its data's `problem`, and not used."""
    return [_gather(folder) for folder in imported_folders(results)]


def _gather(folder: Path) -> Imported:
    place = f"{FOLDER}/{folder.name}"
    nothing = pd.DataFrame(columns=[*RUN, "step", "mean_return"])
    try:
        about, rows = read_imported(folder)
        runs = runs_frame(about["runs"])
        if len(rows.merge(runs[RUN], on=RUN)) < len(rows) or runs.duplicated(RUN).any():
            raise StoreError("imported.json does not list each run of returns.parquet once")
        if not np.isfinite(rows["episodic_return"].to_numpy(dtype=float)).all():
            raise StoreError("returns.parquet holds a return that is no number")
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        reason = one_line(error).replace(str(folder), place)
        problem = f"{place}: the data are unreadable: {reason}."
        return Imported(Data(place, {}, runs_frame([]), no_episodes(), problem), nothing)
    rows = rows.sort_values([*RUN, "step"], kind="stable", ignore_index=True)
    if about["values"] == "episodes":
        return Imported(Data(place, about, runs, rows, None), nothing)
    averages = rows.rename(columns={"episodic_return": "mean_return"})
    return Imported(Data(place, about, runs.assign(complete=False), no_episodes(), None), averages)


def imported_curves(imports: list[Imported], grid: npt.NDArray[np.int64], window: int) -> pd.DataFrame:
    """Return the curves of all imports on our grid, as `scores.run_curves` has them.

    Of episodes the trailing mean, as of our own; averages as they were logged, between their points on a line.
    """
    pieces = []
    for one in imports:
        runs = one.data.runs
        drawn = [learning_curves(one.data.episodes, grid, window)] if len(one.data.episodes) else []
        drawn += [_between(run, grid) for _, run in one.averages.groupby(RUN)]
        pieces += [curve.merge(runs[[*RUN, "diverged_at", "complete"]], on=RUN) for curve in drawn]
    columns = [*RUN, "step", "mean_return", "diverged_at", "complete"]
    curves = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=columns)
    return curves.assign(task=curves["environment"].map(task))


def _between(run: pd.DataFrame, grid: npt.NDArray[np.int64]) -> pd.DataFrame:
    values = np.interp(grid, run["step"], run["mean_return"], left=np.nan, right=np.nan)
    return pd.DataFrame({**{name: run[name].iloc[0] for name in RUN}, "step": grid, "mean_return": values})
