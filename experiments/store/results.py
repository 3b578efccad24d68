"""The results of a protocol: its finished runs and a table of their episodes, collected from stacks.

RESULTS/<protocol>/episodes.parquet   one row per finished training episode of every finished run
RESULTS/<protocol>/manifest.json      every planned run: settings, versions, machine, status

Functions with an argument ``known`` compare runs by all settings of this version; without it, by the recorded ones
(``completed``).
"""

import contextlib
import math
import os
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
    check_tree,
    locked,
    read_json,
    set_aside,
)
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.recording import recorded_entries, write_recorded
from experiments.store.records import Known, RunRecord, completed, records_from_json
from experiments.store.stack_folder import stack_folders
from experiments.store.tables import EPISODE_COLUMNS, IDENTITY, check_episodes, empty_episodes, read_episodes
from ppo.files import make_folder, remove_unfinished

FIRST_UPDATES = "figure2"
"""The folder of the curves of first updates, in a protocol's folder if that also has episodes."""
THINNED = "thinned"
"""The field of a manifest's run that says what there is of its episodes, if not all (`analysis/thinning.py`)."""
DEFAULT_READING = "paper"
"""The reading of a manifest without one."""


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
    def worth(self) -> tuple[bool, int, bool]:
        """Of several records of a run, the one with the largest worth is used."""
        return not self.entry.get("superseded"), int(self.entry["steps_done"]), self.whole

    @property
    def comparable(self) -> bool:
        """Return whether another training of it can be compared with it: not if it is superseded or an untrained
        policy."""
        return not self.entry.get("superseded") and self.entry["setting"] != "untrained"

    @property
    def whole(self) -> bool:
        """Return whether all of its episodes are kept."""
        return THINNED not in self.entry


def recorded_runs(
    results: Path, known: Known | None, mend: bool = False, whole: bool = False, first: Path | None = None
) -> tuple[dict[str, Recorded], list[str]]:
    """Return every recorded run in ``results`` by its key, in its longest version, and messages about damaged files.

    ``mend``: set damaged files aside, a manifest and its episodes together, so that their runs are trained again. A
    file of another version is never changed: it raises ``OtherVersionError``. A run that any manifest marks as
    superseded (with a reason to train it again) counts as superseded in every file with the same training of it.
    ``whole``: whether a table with runs that its manifest does not list counts as damaged; a kill leaves such a table,
    newer than its manifest, until the command that trains writes both again. ``first``: the folder whose record is
    taken where others are worth the same; what is left of a run's episodes may differ.
    """
    check_tree(results)
    if results.exists() and not results.is_dir():
        raise StoreError(f"{results} is no folder: name a results folder")
    candidates: list[tuple[str, Recorded]] = []
    problems: list[str] = []
    of_protocols = sorted(results.glob("*/manifest.json"), key=lambda path: (path.parent != first, path))
    manifests = [*of_protocols, *results.glob("manifest.json")]
    manifests += [folder.manifest for folder in stack_folders(results) if folder.finished]
    for path in manifests:
        episodes = path.with_name("episodes.parquet")
        try:
            manifest = read_manifest(path)
            entries = recorded_entries(path, manifest, known)
            check_episodes(episodes, read_episodes(episodes, most_rows(manifest)), manifest["runs"], whole)
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
    own, ``MODULE:CLASS``. A fraction in ``about`` that not every recorded run reaches yields to the manifest's own.
    Returns what is damaged in ``results``."""
    make_folder(check_inside(results, folder))
    with locked(folder, patience=math.inf):
        remove_unfinished(folder)
        recorded, problems = recorded_runs(results, known, first=folder)
        path = folder / "manifest.json"
        listed: list[RunRecord] = []
        fractions = {about.get("fraction", 1.0)}
        if "fraction" in about and path.exists():
            with contextlib.suppress(StoreError):  # what is damaged has been named already
                fractions.add(read_manifest(path).get("fraction", 1.0))
        if keep and path.exists():
            listed = completed(path, records_from_json(path, read_manifest(path)["runs"]), known)
        elif path.exists():
            with contextlib.suppress(StoreError):  # what is damaged has been named already
                listed = [run for run in records_from_json(path, read_manifest(path)["runs"]) if ":" in run.algorithm]
                listed = completed(path, listed, known)
        runs = list({run.key: run for run in [*listed, *runs]}.values())
        about = with_fraction(about, fractions, [recorded[run.key] for run in runs if run.key in recorded])
        write(folder, about, runs, recorded, known)
    return problems


def with_fraction(about: Mapping[str, Any], fractions: Iterable[float], runs: Sequence[Recorded]) -> dict[str, Any]:
    """Return ``about`` with the largest of ``fractions`` that each of ``runs`` is trained up to; none for the whole."""
    ordered = sorted(fractions, reverse=True)
    fraction = next((one for one in ordered if all(run.trained(one) for run in runs)), ordered[-1])
    others = {key: value for key, value in about.items() if key != "fraction"}
    return others if fraction == 1.0 else {**others, "fraction": fraction}


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
    write_recorded(folder / "episodes.parquet", table, EPISODE_COLUMNS, {**about, "runs": entries}, known)


def check_profile(folder: Path, profile: str) -> None:
    """Raise ``StoreError`` if ``folder`` holds results of another profile, which would be replaced."""
    path = folder / "manifest.json"
    recorded = read_json(path).get("profile") if path.exists() else profile
    if recorded != profile:
        raise StoreError(
            f"{folder} holds results of the {recorded} profile: give the {profile} profile another --results folder"
        )


def check_names(results: Path, runs: Sequence[RunRecord], known: Known | None) -> None:
    """Raise ``StoreError`` if a training in ``results`` has the name of one of ``runs`` and is another one: of another
    budget, say. Their episodes could not be told apart. Also if a name cannot be recorded, if there are two of one,
    and if ``results`` is a folder of `ppo run`."""
    if os.path.lexists(results) and not results.is_dir():
        raise StoreError(f"{results} is no folder: name a folder to train into")
    for run in runs:
        run.check()
    named = {run.name: run for run in runs}
    if len(named) < len(runs):
        raise StoreError("two of the runs have one environment, algorithm, setting and seed: name each seed once")
    for path in [results / "manifest.json", *results.glob("*/manifest.json")]:
        try:
            protocol = read_json(path).get("protocol")
        except (FileNotFoundError, NotADirectoryError, StoreError):
            continue
        if protocol is not None:
            raise StoreError(f"{path.parent} holds {protocol} of `ppo run`: train into another folder")
    for path in [results / "manifest.json", *(folder.stack for folder in stack_folders(results))]:
        try:
            held = completed(path, records_from_json(path, read_json(path).get("runs")), known)
        except (FileNotFoundError, NotADirectoryError, StoreError):
            continue
        for run in held:
            if run.name in named and run.key != named[run.name].key:
                asked = named[run.name].total_timesteps
                other = f"of {run.total_timesteps:,} steps" if run.total_timesteps != asked else "with other settings"
                raise StoreError(
                    f"{results} holds {' '.join(map(str, run.name))} {other}, and {asked:,} steps are asked for: "
                    "one name is one training, so choose another folder"
                )


def check_reading(results: Path, reading: str) -> None:
    """Raise ``StoreError`` if ``results`` holds another reading."""
    for path in [*sorted(results.glob("*/manifest.json")), *sorted(results.glob(f"*/{FIRST_UPDATES}/manifest.json"))]:
        recorded = read_json(path).get("reading", DEFAULT_READING)
        if recorded != reading:
            raise StoreError(
                f"{path.parent} holds results of the {recorded} reading: give {reading} another --results folder"
            )


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
