"""Read and validate measured data (results/). (The paper's numbers: published.py.)

A missing file raises FileNotFoundError, a damaged or foreign one ValueError, each with a one-line message that names
the file. `gather` turns both into a sentence for the report, so that one bad file never hides the other experiments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.labels import UNTRAINED, task
from experiments.store.files import one_line
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.tables import (
    EPISODE_COLUMNS,
    IDENTITY,
    INTERPOLATION_COLUMNS,
    MOST_ROWS,
    check_episodes,
    read_table,
)

RUN = IDENTITY
"""The four columns that name a run."""

PROFILES = ("paper", "hour", "benchmark", "quick")
"""Those of `ppo run`."""

_TEXT = {"environment", "algorithm", "setting"}
_RUN_FIELDS = [*RUN, "total_timesteps", "steps_done", "status", "diverged_at"]


@dataclass(frozen=True, eq=False)
class Data:
    """The data of one protocol: its planned runs and their episodes, or the reason why there are none.

    Equal only to itself, so that what is computed from it can be kept (`scores.once`).
    """

    protocol: str
    manifest: dict[str, Any]
    runs: pd.DataFrame
    """One row per planned run: environment, algorithm, setting, seed, total_timesteps, steps_done, status,
    diverged_at (step or NaN), complete (bool: finished or diverged), superseded (the reason to train it again, or
    "")."""
    episodes: pd.DataFrame
    """One row per finished episode, by run and step, without those after a run diverged."""
    problem: str | None
    """The reason why there are no data, in one line; None if there are."""

    @property
    def trained(self) -> pd.DataFrame:
        """The runs without the untrained policy's."""
        return self.runs[self.runs["setting"] != UNTRAINED]

    @property
    def fraction(self) -> float:
        """The fraction of the budget after which every run was stopped on purpose; 1 for whole trainings."""
        return float(self.manifest.get("fraction") or 1.0)

    @property
    def episodes_in_common(self) -> pd.DataFrame:
        """The episodes within `fraction` of the budget, also of a run that was trained farther."""
        if self.fraction == 1:
            return self.episodes
        steps = self.episodes[RUN].merge(self.runs[[*RUN, "total_timesteps"]], on=RUN, how="left")["total_timesteps"]
        return self.episodes[self.episodes["step"].to_numpy() <= self.fraction * steps.to_numpy()]


def episodes(directory: Path, most: int = MOST_ROWS) -> pd.DataFrame:
    """Read DIRECTORY/episodes.parquet: one row per finished training episode, sorted by run and step.

    Columns: environment, algorithm, setting (str), seed, step (int64; environment steps of the run when the episode
    ended), episodic_return (float64, raw), episodic_length (int32). `most`: rows that there can be.
    """
    path = directory / "episodes.parquet"
    frame = _table(path, EPISODE_COLUMNS, most)
    if (frame["step"] < 1).any() or (frame["episodic_length"] < 1).any():
        raise ValueError(f"{_label(path)} has an episode with a step or a length below 1")
    ordered: pd.DataFrame = frame.sort_values([*RUN, "step"], kind="stable", ignore_index=True)
    return ordered


def interpolation(results: Path, protocol: str = "figure2") -> pd.DataFrame:
    """Read RESULTS/<protocol>/interpolation.parquet: the surrogates on the line from theta_old (0) to theta (1) and
    on."""
    path = results / protocol / "interpolation.parquet"
    frame = _table(path, INTERPOLATION_COLUMNS)
    if frame.isna().any(axis=None):
        raise ValueError(f"{_label(path)} has empty cells")
    return frame.sort_values(["environment", "seed", "interpolation"], kind="stable", ignore_index=True)


def gather_updates(results: Path, protocol: str) -> tuple[pd.DataFrame | None, str | None]:
    """Read RESULTS/<protocol>/figure2/interpolation.parquet, as `interpolation`; or return the reason why there is
    none."""
    path = results / protocol / "figure2" / "interpolation.parquet"
    try:
        return _table(path, INTERPOLATION_COLUMNS), None
    except (FileNotFoundError, ValueError) as error:
        return None, f"{_nothing(protocol, path.parent, error, what=f'{protocol}: first updates').problem}"


def manifest(directory: Path, protocol: str | None) -> dict[str, Any]:
    """Read DIRECTORY/manifest.json: {"protocol", "profile", "runs": [one object per planned run]}.

    `protocol` is None for a folder of `ppo train`, which belongs to none.

    "fraction": after which part of their budget all runs were stopped on purpose, if so. "superseded", of a run: the
    reason to train it again, in one line, if there is one.
    """
    path = directory / "manifest.json"
    _demand(path)
    content = read_manifest(path)
    if content.get("protocol") != protocol:
        raise ValueError(f"{_label(path)} belongs to protocol {content.get('protocol')!r}, not {protocol!r}")
    if content.get("profile") not in (("train",) if protocol is None else PROFILES):
        raise ValueError(f"{_label(path)} names no known profile: {content.get('profile')!r}")
    fraction = content.get("fraction")
    if fraction is not None and not (isinstance(fraction, int | float) and 0 < fraction <= 1):
        raise ValueError(f"{_label(path)} names no fraction of the budget above 0 and up to 1: {fraction!r}")
    for run in content["runs"]:
        if missing := [field for field in _RUN_FIELDS if field not in run]:
            raise ValueError(f"{_label(path)} has a run without {', '.join(missing)}")
    return content


def gather(results: Path, protocol: str) -> Data:
    """Read the data of one protocol. Never raises: missing or damaged data are described in `problem`."""
    return _gather(results / protocol, protocol)


def gather_training(directory: Path) -> Data:
    """Read the data of a folder of `ppo train`, as `gather` does; `protocol` is the folder's name."""
    return _gather(directory, None)


def _gather(directory: Path, protocol: str | None) -> Data:
    name = protocol or directory.name
    try:
        content = manifest(directory, protocol)
        runs = runs_frame(content["runs"])
        _check_runs(directory / "manifest.json", runs)
        started = (runs["steps_done"] > 0).any()
        # Before the first episode has ended the file may not exist yet.
        exists = started or (directory / "episodes.parquet").exists()
        rows = episodes(directory, most_rows(content)) if exists else no_episodes()
        check_episodes(directory / "episodes.parquet", rows, content["runs"], whole=True)
    except (FileNotFoundError, ValueError) as error:
        return _nothing(name, directory, error)
    return Data(name, content, runs, before_divergence(rows, runs), None)


def gather_interpolation(results: Path, name: str = "figure2") -> tuple[Data, pd.DataFrame | None]:
    """Read Figure 2's data and rows (None if missing or damaged), or those of another protocol of first updates alone.
    The manifest is optional."""
    try:
        rows = interpolation(results, name)
    except (FileNotFoundError, ValueError) as error:
        return _nothing(name, results / name, error), None
    try:
        beside = (results / name / "manifest.json").exists()
        content: dict[str, Any] = manifest(results / name, name) if beside else {"protocol": name, "runs": []}
        return Data(name, content, runs_frame(content["runs"]), no_episodes(), None), rows
    except ValueError as error:
        return _nothing(name, results / name, error), None


def _table(path: Path, columns: dict[str, str], most: int = MOST_ROWS) -> pd.DataFrame:
    _demand(path)
    return read_table(path, columns, most)


def _demand(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(2, "No such file", _label(path))


def _nothing(protocol: str, directory: Path, error: Exception, what: str = "") -> Data:
    what = what or protocol
    if isinstance(error, FileNotFoundError):
        problem = f"{what}: no data ({error.filename} does not exist); `ppo run {protocol}` makes them."
    else:
        reason = str(error).replace(str(directory), protocol)  # the report must not depend on the location of results/
        problem = f"{what}: the data are unreadable: {reason}."
    return Data(protocol, {}, runs_frame([]), no_episodes(), problem)


def no_episodes() -> pd.DataFrame:
    """Return a table of episodes without a row."""
    return pd.DataFrame(columns=list(EPISODE_COLUMNS))


def runs_frame(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a manifest's runs, a row each. Raises ``ValueError`` for text where a number must be."""
    frame = pd.DataFrame([{field: run[field] for field in _RUN_FIELDS} for run in runs], columns=_RUN_FIELDS)
    try:
        for column in ("seed", "total_timesteps", "steps_done"):
            frame[column] = pd.to_numeric(frame[column]).astype("int64")
        frame["diverged_at"] = pd.to_numeric(frame["diverged_at"]).astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the manifest has a run whose numbers are none: {one_line(error)}") from error
    frame = frame.astype(dict.fromkeys(_TEXT, str))
    # A diverged run yields no more data, even while its stack still trains.
    frame["complete"] = (frame["status"] == "finished") | frame["diverged_at"].notna()
    frame["superseded"] = pd.Series([run.get("superseded") or "" for run in runs], dtype=str)
    return frame


def _check_runs(path: Path, runs: pd.DataFrame) -> None:
    if runs.duplicated(RUN).any():
        raise ValueError(f"{_label(path)} lists a run twice")
    versions = runs.assign(task=runs["environment"].map(task)).groupby("task")["environment"].unique()
    for ids in versions:
        if len(ids) > 1:
            raise ValueError(f"{_label(path)} mixes versions of one environment: {', '.join(sorted(ids))}")


def before_divergence(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes that count: of a run that diverged those before that, if their return is a number."""
    if runs["diverged_at"].isna().all():
        return rows
    joined = rows.merge(runs[[*RUN, "diverged_at"]], on=RUN, how="left")
    before = joined["diverged_at"].isna() | (joined["step"] <= joined["diverged_at"])
    finite = np.isfinite(joined["episodic_return"].to_numpy(dtype=float))
    usable: pd.DataFrame = rows[(before & finite).to_numpy()]
    return usable.reset_index(drop=True)


def _label(path: Path) -> str:
    """Return a file's name for messages, independent of the location of results/."""
    return f"{path.parent.name}/{path.name}"
