"""From what was trained to one tidy table: which runs are finished, and where their episodes are.

RESULTS/<protocol>/episodes.parquet   one row per finished training episode of every finished run
RESULTS/<protocol>/manifest.json      every planned run: settings, versions, machine, status

A function that takes ``known`` compares runs by all the settings of this version; without, by those that are
recorded (``completed``).
"""

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
"""The folder of the curves of first updates: a protocol's own, or one in its folder, beside its episodes."""
DEFAULT_READING = "paper"
"""The reading of a manifest that names none."""
KEPT = ("finished", "running")
"""The states of runs that have episodes."""


@dataclass(frozen=True)
class Recorded:
    """A run that was trained to its end, or as far as was asked: its manifest entry, and the Parquet file that its
    episodes are in."""

    entry: dict[str, Any]
    episodes: Path

    def trained(self, fraction: float) -> bool:
        """Whether that part of its budget is trained."""
        return bool(self.entry["steps_done"] >= fraction * self.entry["total_timesteps"])

    def reaches(self, fraction: float) -> bool:
        """Whether that part of its budget is trained, and need not be trained again."""
        return self.trained(fraction) and not self.entry.get("superseded")

    @property
    def worth(self) -> tuple[bool, int]:
        """The most for the record that is to be taken of a run."""
        return not self.entry.get("superseded"), int(self.entry["steps_done"])


def recorded_runs(results: Path, known: Known | None, mend: bool = False) -> tuple[dict[str, Recorded], list[str]]:
    """Every recorded run in ``results`` by its key, from whichever file has most of it, and what is damaged.

    ``mend``: set damaged files aside, a manifest and its episodes together, so that their runs are trained again. What
    another version wrote is never touched: it raises ``OtherVersionError``. A run that any manifest calls superseded
    (a reason why it is to be trained again) is so in every file that has the same training of it.
    """
    found: list[tuple[str, Recorded]] = []
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
        found += [(key, Recorded(entry, episodes)) for key, entry in entries]
    reasons = {_training(key, own): own.entry["superseded"] for key, own in found if own.entry.get("superseded")}
    best: dict[str, Recorded] = {}
    for key, own in found:
        if (reason := reasons.get(_training(key, own))) and not own.entry.get("superseded"):
            own = Recorded({**own.entry, "superseded": reason}, own.episodes)
        if key not in best or best[key].worth < own.worth:
            best[key] = own
    if mend:
        _retire_superseded_stacks(results, best, known)
    return best, problems


def _retire_superseded_stacks(results: Path, recorded: Mapping[str, Recorded], known: Known | None) -> None:
    """Move finished stacks that are to be trained again as a whole out of the way: their checkpoints are at the end."""
    for folder in stack_folders(results):
        runs = completed(folder.stack, folder.runs(), known) if folder.finished else []
        if runs and all(run.key in recorded and recorded[run.key].entry.get("superseded") for run in runs):
            retired = results / "stacks" / ".superseded"  # not where stacks are looked for
            retired.mkdir(exist_ok=True)
            folder.path.rename(retired / f"{folder.path.name}.{time.time_ns()}")


def _training(key: str, own: Recorded) -> tuple[object, ...]:
    """The same for two records of one training of a run, whichever files they are in."""
    return key, own.entry.get("commit"), own.entry.get("wall_time")


def _mended(*paths: Path) -> str:
    try:
        return f"; set aside as {' and '.join(path.name for path in set_aside(*paths))}"
    except FileNotFoundError:  # by another command, which found it at the same time
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
    ``keep`` also the runs that the manifest there lists already. Returns what is damaged in ``results``."""
    check_inside(results, folder).mkdir(parents=True, exist_ok=True)
    with locked(folder, patience=math.inf):
        remove_unfinished(folder)
        recorded, problems = recorded_runs(results, known)
        path = folder / "manifest.json"
        if keep and path.exists():
            listed = completed(path, records_from_json(path, read_json(path)["runs"]), known)
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

    One that is not trained as far as the part of the budget that ``about`` names is running.
    """
    entries = []
    for run in runs:
        own = recorded.get(run.key)
        missing = {**run.to_json(), "status": "missing", "steps_done": 0, "diverged_at": None}
        status = "finished" if own and own.trained(about.get("fraction", 1.0)) else "running"
        entries.append({**own.entry, "setting": run.setting, "status": status} if own else missing)
    frames = _frames([(run, recorded[run.key]) for run in runs if run.key in recorded])
    table = pd.concat(frames, ignore_index=True) if frames else empty_episodes()
    table = table.sort_values([*IDENTITY, "step"], kind="stable", ignore_index=True)
    _keep_what_would_be_lost(folder, about, {run.key for run in runs}, table, known)
    write_episodes(folder / "episodes.parquet", table)
    write_json(folder / "manifest.json", {**about, "runs": entries})


def check_profile(folder: Path, profile: str) -> None:
    """Raise ``StoreError`` if ``folder`` holds results of another profile, which writing there would replace."""
    path = folder / "manifest.json"
    held = read_json(path).get("profile") if path.exists() else profile
    if held != profile:
        raise StoreError(
            f"{folder} holds results of the {held} profile: give the {profile} profile another --results folder"
        )


def check_reading(results: Path, reading: str) -> None:
    """Raise ``StoreError`` if ``results`` holds another reading of what the paper's text leaves open."""
    for path in [*sorted(results.glob("*/manifest.json")), *sorted(results.glob(f"*/{FIRST_UPDATES}/manifest.json"))]:
        held = read_json(path).get("reading", DEFAULT_READING)
        if held != reading:
            raise StoreError(
                f"{path.parent} holds results of the {held} reading: give {reading} another --results folder"
            )


def _keep_what_would_be_lost(
    folder: Path, about: dict[str, Any], planned: set[str], table: pd.DataFrame, known: Known | None
) -> None:
    """Keep copies of both files if the episodes there have a row that ``table``, which is to replace them, lacks:
    settings changed, say, or the manifest is damaged or gone.

    The files stay, for what is still planned may be nowhere else, and a kill may come before they are written anew. The
    manifest then names no run whose episodes the next table may not have.
    """
    manifest, episodes = folder / "manifest.json", folder / "episodes.parquet"
    if not episodes.exists():
        return
    try:
        if not _lacks(table, read_episodes(episodes)):
            return
    except StoreError:
        pass  # what cannot be read may hold anything
    keep_aside(manifest, episodes, why="replaced")
    try:
        entries = _recorded_entries(manifest, read_json(manifest), known)
    except (FileNotFoundError, StoreError):
        entries = []
    write_json(manifest, {**about, "runs": [entry for key, entry in entries if key in planned]})


def _lacks(table: pd.DataFrame, old: pd.DataFrame) -> bool:
    """Whether a row of ``old`` is not in ``table``, or less often."""
    kept, before = (pd.util.hash_pandas_object(rows, index=False).value_counts() for rows in (table, old))
    return bool((kept.reindex(before.index, fill_value=0) < before).any())


def _frames(wanted: Iterable[tuple[RunRecord, Recorded]]) -> list[pd.DataFrame]:
    by_file: dict[Path, list[tuple[RunRecord, Recorded]]] = {}
    for run, own in wanted:
        by_file.setdefault(own.episodes, []).append((run, own))
    frames = []
    for path, pairs in by_file.items():
        groups = dict(tuple(read_episodes(path).groupby(IDENTITY, sort=False)))
        for run, own in pairs:
            identity = (run.environment, run.algorithm, own.entry["setting"], run.seed)
            if identity in groups:  # a run may end before its first episode does
                frames.append(groups[identity].assign(setting=run.setting))
    return frames
