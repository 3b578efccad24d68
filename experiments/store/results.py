"""The results of a protocol: its finished runs and a table of their episodes, collected from stacks.

RESULTS/<protocol>/episodes.parquet   one row per finished training episode of every finished run
RESULTS/<protocol>/manifest.json      every planned run: settings, versions, machine, status

Functions with an argument ``known`` compare runs by all settings of this version; without it, by the recorded ones
(``completed``).
"""

import contextlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.store.files import (
    OtherVersionError,
    StoreError,
    check_inside,
    keep_aside,
    locked,
    read_json,
    remove_unfinished,
    set_aside,
    write_json,
)
from experiments.store.records import Known, RunRecord, completed, records_from_json
from experiments.store.stack_folder import stack_folders
from experiments.store.tables import IDENTITY, empty_episodes, read_episodes, write_episodes

FIRST_UPDATES = "figure2"
"""The folder of the curves of first updates, in a protocol's folder if that also has episodes."""
DEFAULT_READING = "paper"
"""The reading of a manifest without one."""
KEPT = ("finished", "running")
"""The states of runs that have episodes."""


@dataclass(frozen=True)
class Recorded:
    """A run that was trained to its end or up to --fraction: its manifest entry, and the Parquet file of its
    episodes."""

    entry: dict[str, Any]
    episodes: Path

    def trained(self, fraction: float) -> bool:
        """Return whether it is trained up to this ``fraction`` of its budget."""
        return bool(self.entry["steps_done"] >= fraction * self.entry["total_timesteps"])

    def reaches(self, fraction: float) -> bool:
        """Return whether it is trained up to this ``fraction`` of its budget and not superseded."""
        return self.trained(fraction) and not self.entry.get("superseded")

    @property
    def worth(self) -> tuple[bool, int]:
        """Of several records of a run, the one with the largest worth is used."""
        return not self.entry.get("superseded"), int(self.entry["steps_done"])


def recorded_runs(results: Path, known: Known | None, mend: bool = False) -> tuple[dict[str, Recorded], list[str]]:
    """Return every recorded run in ``results`` by its key, in its longest version, and messages about damaged files.

    ``mend``: set damaged files aside, a manifest and its episodes together, so that their runs are trained again. A
    file of another version is never changed: it raises ``OtherVersionError``. A run that any manifest marks as
    superseded (with a reason to train it again) counts as superseded in every file with the same training of it.
    """
    candidates: list[tuple[str, Recorded]] = []
    problems: list[str] = []
    manifests = [*sorted(results.glob("*/manifest.json")), *sorted(results.glob("manifest.json"))]
    manifests += [folder.manifest for folder in stack_folders(results) if folder.finished]
    for path in manifests:
        episodes = path.with_name("episodes.parquet")
        try:
            entries = _recorded_entries(path, read_json(path), known)
            read_episodes(episodes)
        except FileNotFoundError:
            continue
        except OtherVersionError:
            raise
        except StoreError as error:
            problems.append(f"{error}{_mended(path, episodes) if mend else ''}")
            continue
        candidates += [(key, Recorded(entry, episodes)) for key, entry in entries]
    reasons = {
        _training(key, record): record.entry["superseded"]
        for key, record in candidates
        if record.entry.get("superseded")
    }
    best: dict[str, Recorded] = {}
    for key, record in candidates:
        if (reason := reasons.get(_training(key, record))) and not record.entry.get("superseded"):
            record = Recorded({**record.entry, "superseded": reason}, record.episodes)
        if key not in best or best[key].worth < record.worth:
            best[key] = record
    if mend:
        _retire_superseded_stacks(results, best, known)
    return best, problems


def _retire_superseded_stacks(results: Path, recorded: Mapping[str, Recorded], known: Known | None) -> None:
    """Move finished stacks of only superseded runs aside: their checkpoints are at the end of the budget."""
    for folder in stack_folders(results):
        runs = completed(folder.stack, folder.runs(), known) if folder.finished else []
        if runs and all(run.key in recorded and recorded[run.key].entry.get("superseded") for run in runs):
            retired = results / "stacks" / ".superseded"  # stacks are not searched for here
            retired.mkdir(exist_ok=True)
            folder.path.rename(retired / f"{folder.path.name}.{time.time_ns()}")


def _training(key: str, record: Recorded) -> tuple[object, ...]:
    """Identify a training of a run: equal for its records in different files."""
    return key, record.entry.get("commit"), record.entry.get("wall_time")


def _mended(*paths: Path) -> str:
    try:
        return f"; set aside as {' and '.join(path.name for path in set_aside(*paths))}"
    except FileNotFoundError:  # another command set it aside at the same time
        return ""


def _recorded_entries(path: Path, manifest: dict[str, Any], known: Known | None) -> list[tuple[str, dict[str, Any]]]:
    """List the entries of the runs that have episodes, each with its run's key."""
    entries = manifest.get("runs")
    if not isinstance(entries, list):
        raise StoreError(f"{path} is not a manifest: it has no list of runs")
    runs = completed(path, records_from_json(path, entries), known)
    return [(run.key, entry) for run, entry in zip(runs, entries, strict=True) if entry.get("status") in KEPT]


def collect(
    results: Path,
    folder: Path,
    about: dict[str, Any],
    runs: Sequence[RunRecord],
    known: Known | None,
    keep: bool = False,
) -> list[str]:
    """Write ``folder``/episodes.parquet and manifest.json: ``about``, and each of ``runs``, finished or missing; with
    ``keep`` also the runs that the manifest there lists already; without, of these the runs of algorithms of somebody's
    own, ``MODULE:CLASS``. Returns what is damaged in ``results``."""
    check_inside(results, folder).mkdir(parents=True, exist_ok=True)
    with locked(folder, patience=math.inf):
        remove_unfinished(folder)
        recorded, problems = recorded_runs(results, known)
        path = folder / "manifest.json"
        listed: list[RunRecord] = []
        if keep and path.exists():
            listed = completed(path, records_from_json(path, read_json(path)["runs"]), known)
        elif path.exists():
            with contextlib.suppress(StoreError, KeyError):  # what is damaged has been named already
                listed = [run for run in records_from_json(path, read_json(path)["runs"]) if ":" in run.algorithm]
                listed = completed(path, listed, known)
        runs = list({run.key: run for run in [*listed, *runs]}.values())
        write(folder, about, runs, recorded, known)
    return problems


def write(
    folder: Path,
    about: dict[str, Any],
    runs: Sequence[RunRecord],
    recorded: Mapping[str, Recorded],
    known: Known | None,
) -> None:
    """Write ``folder``/episodes.parquet and manifest.json: ``about``, and each of ``runs``, ``recorded`` or missing.

    A run that is not trained up to the fraction of the budget in ``about`` has the status running.
    """
    entries = []
    for run in runs:
        record = recorded.get(run.key)
        missing = {**run.to_json(), "status": "missing", "steps_done": 0, "diverged_at": None}
        status = "finished" if record and record.trained(about.get("fraction", 1.0)) else "running"
        entries.append({**record.entry, "setting": run.setting, "status": status} if record else missing)
    frames = _frames([(run, recorded[run.key]) for run in runs if run.key in recorded])
    table = pd.concat(frames, ignore_index=True) if frames else empty_episodes()
    table = table.sort_values([*IDENTITY, "step"], kind="stable", ignore_index=True)
    _keep_what_would_be_lost(folder, about, {run.key for run in runs}, table, known)
    write_episodes(folder / "episodes.parquet", table)
    write_json(folder / "manifest.json", {**about, "runs": entries})


def check_profile(folder: Path, profile: str) -> None:
    """Raise ``StoreError`` if ``folder`` holds results of another profile, which would be replaced."""
    path = folder / "manifest.json"
    recorded = read_json(path).get("profile") if path.exists() else profile
    if recorded != profile:
        raise StoreError(
            f"{folder} holds results of the {recorded} profile: give the {profile} profile another --results folder"
        )


def check_reading(results: Path, reading: str) -> None:
    """Raise ``StoreError`` if ``results`` holds another reading."""
    for path in [*sorted(results.glob("*/manifest.json")), *sorted(results.glob(f"*/{FIRST_UPDATES}/manifest.json"))]:
        recorded = read_json(path).get("reading", DEFAULT_READING)
        if recorded != reading:
            raise StoreError(
                f"{path.parent} holds results of the {recorded} reading: give {reading} another --results folder"
            )


def _keep_what_would_be_lost(
    folder: Path, about: dict[str, Any], planned: set[str], table: pd.DataFrame, known: Known | None
) -> None:
    """Copy both files aside if the present episodes have a row that ``table``, their replacement, lacks: for example
    because settings changed, or the manifest is damaged or missing.

    The files stay in place: they may hold the only copy of planned runs, and the process may be killed before they are
    replaced. The manifest then lists no run whose episodes the next table may lack.
    """
    manifest, episodes = folder / "manifest.json", folder / "episodes.parquet"
    if not episodes.exists():
        return
    try:
        if not _lacks(table, read_episodes(episodes)):
            return
    except StoreError:
        pass  # an unreadable file may hold such rows
    keep_aside(manifest, episodes, why="replaced")
    try:
        entries = _recorded_entries(manifest, read_json(manifest), known)
    except (FileNotFoundError, StoreError):
        entries = []
    write_json(manifest, {**about, "runs": [entry for key, entry in entries if key in planned]})


def _lacks(table: pd.DataFrame, old: pd.DataFrame) -> bool:
    """Return whether a row of ``old`` is missing from ``table``, or stands there less often."""
    new, before = (pd.util.hash_pandas_object(rows, index=False).value_counts() for rows in (table, old))
    return bool((new.reindex(before.index, fill_value=0) < before).any())


def _frames(runs: Iterable[tuple[RunRecord, Recorded]]) -> list[pd.DataFrame]:
    by_file: dict[Path, list[tuple[RunRecord, Recorded]]] = {}
    for run, record in runs:
        by_file.setdefault(record.episodes, []).append((run, record))
    frames = []
    for path, pairs in by_file.items():
        groups = dict(tuple(read_episodes(path).groupby(IDENTITY, sort=False)))
        for run, record in pairs:
            identity = (run.environment, run.algorithm, record.entry["setting"], run.seed)
            if identity in groups:  # a run may end before its first episode does
                frames.append(groups[identity].assign(setting=run.setting))
    return frames
