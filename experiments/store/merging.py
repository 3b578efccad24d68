"""Join results folders, such as those of a job array's shards, into one.

Everything is read and compared before anything is written, each file atomically. The sources are not changed. Joining
the same folders again changes nothing, and the same command completes a merge that was killed.
"""

import math
import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from experiments.store import results
from experiments.store.files import (
    BusyError,
    StoreError,
    check_tree,
    ensure_writable,
    locked,
    read_json,
    shared,
)
from experiments.store.manifest import read_manifest
from experiments.store.recording import write_recorded
from experiments.store.records import Known, RunRecord, completed, records_from_json
from experiments.store.results import DEFAULT_READING, FIRST_UPDATES, Recorded
from experiments.store.stack_folder import StackFolder, stack_folders
from experiments.store.tables import IDENTITY, INTERPOLATION_COLUMNS, read_episodes, read_table
from ppo.files import UNFINISHED, make_folder, sync_folder

INTERPOLATION = "interpolation.parquet"


def merge(
    destination: Path,
    sources: Sequence[Path],
    known: Known | None = None,
    mixed: bool = False,
    saved: Mapping[Path, int] = MappingProxyType({}),
) -> list[str]:
    """Join ``sources`` into ``destination``; return messages, a line each.

    ``saved``: the step of the newest valid checkpoint of each stack that is not finished, by its folder; only a stack
    that is further by these is taken. ``known`` is needed if records of one algorithm name different settings
    (``same_settings``). Raises ``StoreError`` for a source that is damaged or holds no results, and for results that do
    not belong together: of different versions or profiles, or different results of the same run. With ``mixed`` they
    are joined: of different results the first folder's is taken, and ``destination`` comes before all sources.
    """
    folders = [destination, *sources] if destination.exists() else list(sources)
    manifests: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for folder in folders:
        check_tree(folder)
        manifest_paths = _manifest_paths(folder)
        if not manifest_paths and not stack_folders(folder) and folder != destination:
            raise StoreError(f"{folder} holds no results: there is no manifest.json in it, nor in a folder of it")
        for path in manifest_paths:
            manifests.setdefault(str(path.parent.relative_to(folder)), []).append((path.parent, read_manifest(path)))
    lines: list[str] = []
    for listed in manifests.values():
        _same("profile", [(folder, manifest.get("profile")) for folder, manifest in listed], mixed, lines)
        readings = [(folder, manifest.get("reading", DEFAULT_READING)) for folder, manifest in listed]
        _same("reading", readings, mixed, lines)
    planned = {name: _planned(listed, known, mixed, lines) for name, listed in manifests.items()}
    records = _choose([(folder, _recorded(folder, known, folder != destination)) for folder in folders], mixed, lines)
    curves = {
        name: _curves(listed, mixed, lines) for name, listed in manifests.items() if Path(name).name == FIRST_UPDATES
    }
    ensure_writable(destination)
    with locked(destination, patience=math.inf):
        lines += _join_stacks(destination, sources, records, known, saved)
    for name, listed in manifests.items():
        about = _about(listed, planned[name], records)
        folder = destination / name
        make_folder(folder)
        if name not in curves:
            with locked(folder, patience=math.inf):
                results.write(folder, about, planned[name], records, known)
        elif (curve := curves[name]) and curve.parent != folder:
            with locked(folder, patience=math.inf):
                table, manifest = (
                    read_table(curve, INTERPOLATION_COLUMNS),
                    read_manifest(curve.with_name("manifest.json")),
                )
                write_recorded(folder / INTERPOLATION, table, INTERPOLATION_COLUMNS, manifest)
    return lines


def same_settings(folders: Sequence[Path]) -> bool:
    """Return whether all records of an algorithm in ``folders`` name the same settings.

    If not, some records are older than others and lack later settings.
    """
    names: dict[str, set[frozenset[str]]] = {}
    for folder in folders:
        check_tree(folder)
        for path in (*_manifest_paths(folder), *(stack.stack for stack in stack_folders(folder))):
            for run in records_from_json(path, read_json(path).get("runs")):
                names.setdefault(run.algorithm, set()).add(frozenset(run.settings))
    return all(len(different) == 1 for different in names.values())


def _manifest_paths(folder: Path) -> list[Path]:
    """List the manifests of protocols, of their first updates, and of ``folder`` itself."""
    return [
        path for where in ("*/", f"*/{FIRST_UPDATES}/", "") for path in sorted(folder.glob(f"{where}manifest.json"))
    ]


def _planned(
    manifests: Sequence[tuple[Path, dict[str, Any]]], known: Known | None, mixed: bool, lines: list[str]
) -> list[RunRecord]:
    """List the runs that any manifest of a protocol lists, each once."""
    planned: dict[tuple[Any, ...], tuple[Path, RunRecord]] = {}
    for folder, manifest in manifests:
        path = folder / "manifest.json"
        for run in completed(path, records_from_json(path, manifest["runs"]), known):
            first, listed = planned.setdefault((run.environment, run.algorithm, run.setting, run.seed), (folder, run))
            if listed.key != run.key:
                what = f"{run.environment} {run.setting} has other settings or another budget"
                _differ(what, first, folder, mixed, lines)
    return [run for _, run in planned.values()]


def _about(
    listed: Sequence[tuple[Path, dict[str, Any]]], planned: Sequence[RunRecord], records: dict[str, Recorded]
) -> dict[str, Any]:
    """Return what the joined manifest says of all its runs: with the largest fraction that each of them reaches."""
    about = {key: value for key, value in listed[0][1].items() if key != "runs"}
    fractions = {float(manifest.get("fraction", 1.0)) for _, manifest in listed} | {1.0}
    return results.with_fraction(about, fractions, [records[run.key] for run in planned if run.key in records])


def _recorded(folder: Path, known: Known | None, whole: bool) -> dict[str, Recorded]:
    """Read what is recorded; a destination need not be ``whole``: a merge that was killed is completed."""
    recorded, problems = results.recorded_runs(folder, known, whole=whole)
    if problems:
        raise StoreError(f"{problems[0]}: mend {folder} first, by the command that trained it")
    return recorded


def _choose(recorded: Sequence[tuple[Path, dict[str, Recorded]]], mixed: bool, lines: list[str]) -> dict[str, Recorded]:
    """Choose one result for each run: one that is not superseded, the longest, or the first folder's. Conflicts raise
    ``StoreError``, or with ``mixed`` are added to ``lines``."""
    _same_versions(
        [(path, record.entry.get("versions")) for path, runs in recorded for record in runs.values()], mixed, lines
    )
    results: dict[str, tuple[Path, Recorded]] = {}
    for folder, runs in recorded:
        for key, record in runs.items():
            first, known = results.setdefault(key, (folder, record))
            if record.worth > known.worth:
                results[key] = folder, record
            elif record.worth == known.worth and known.episodes != record.episodes and not _equal(known, record):
                _differ(f"{key} has other episodes", first, folder, mixed, lines)
    return {key: record for key, (_, record) in results.items()}


def _equal(record: Recorded, other: Recorded) -> bool:
    return record.entry.get("diverged_at") == other.entry.get("diverged_at") and _episodes(record).equals(
        _episodes(other)
    )


def _episodes(record: Recorded) -> pd.DataFrame:
    table = read_episodes(record.episodes)
    for name in IDENTITY:
        table = table[table[name] == record.entry[name]]
    return table.reset_index(drop=True)


def _same_versions(listed: Sequence[tuple[Path, Any]], mixed: bool, lines: list[str]) -> None:
    """Compare the versions of each library, among the runs that recorded it: older runs may lack a library."""
    recorded = [(folder, versions) for folder, versions in listed if isinstance(versions, dict)]
    about = [(folder, "some" if isinstance(versions, dict) else "none") for folder, versions in listed]
    _same("records of versions", about, mixed, lines)
    for name in dict.fromkeys(name for _, versions in recorded for name in versions):
        known = [(folder, versions[name]) for folder, versions in recorded if name in versions]
        _same(f"versions ({name})", known, mixed, lines)


def _same(what: str, values: Sequence[tuple[Path, Any]], mixed: bool, lines: list[str]) -> None:
    """Raise ``StoreError`` for values that differ, or with ``mixed`` add a line."""
    for folder, value in values[1:]:
        first, expected = values[0]
        if value != expected:
            return _differ(f"the {what} differ, {expected} and {value}", first, folder, mixed, lines)


def _differ(what: str, first: Path, other: Path, mixed: bool, lines: list[str]) -> None:
    if not mixed:
        raise StoreError(f"{what}, in {first} and {other}: nothing was merged (--mixed merges all the same)")
    lines.append(f"{what}, in {first} and {other}: where they differ, {first} is taken")


def _join_stacks(
    destination: Path,
    sources: Sequence[Path],
    results: dict[str, Recorded],
    known: Known | None,
    saved: Mapping[Path, int],
) -> list[str]:
    """Copy the stacks, with policies and checkpoints, that ``destination`` lacks or that are trained further; keep what
    they replace in ``stacks/.replaced``."""
    lines, steps = [], dict(saved)
    aside = destination / "stacks" / ".merging"  # stacks are not searched for here
    shutil.rmtree(aside, ignore_errors=True)  # copies, of a merge that was killed
    read = {result.episodes for result in results.values()}
    for source in sources:
        for folder in stack_folders(source):
            target = StackFolder(destination / "stacks" / folder.path.name)
            done = all(run.key in results for run in completed(folder.stack, folder.runs(), known))
            if done and not folder.finished:
                continue
            if _worth(folder, steps) <= _worth(target, steps) or target.episodes in read:
                if not folder.finished and folder.path not in steps and folder.progress.exists():
                    lines.append(f"{folder.path} has no checkpoint that is whole: {target.path} stays as it is")
                continue
            try:
                with shared(folder.path):
                    kept = _copy(folder.path, target.path, aside)
            except BusyError:
                lines.append(f"{folder.path} is still being trained: merge again once it is done")
                continue
            steps[target.path] = steps.get(folder.path, 0)
            if kept:
                lines.append(f"{target.path} is that of {source}, which is further: what was there is kept in {kept}")
    return lines


def _worth(folder: StackFolder, saved: Mapping[Path, int]) -> tuple[bool, int]:
    """Return whether a stack is finished, and its steps by its results or its checkpoint; -1 if it is not there."""
    if folder.finished:
        return True, min((run.get("steps_done", 0) for run in read_manifest(folder.manifest)["runs"]), default=0)
    return False, saved.get(folder.path, 0) if folder.stack.exists() else -1


def _copy(source: Path, target: Path, aside: Path) -> Path | None:
    """Copy ``source`` to ``target``, whole or not at all; return where the replaced stack is kept, if there was one."""
    kept = None
    try:
        ignored = shutil.ignore_patterns(".lock", f"*{UNFINISHED}")
        copy = Path(shutil.copytree(source, aside / "new", ignore=ignored, copy_function=_to_disk))
        for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            _let_write(folder)
            sync_folder(folder)
        if target.exists():
            with locked(target):
                kept = target.parent / ".replaced" / f"{target.name}.{time.time_ns()}"
                make_folder(kept.parent)
                target.rename(kept)
                sync_folder(kept.parent)
        copy.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return kept


def _to_disk(source: str, target: str) -> None:
    """Copy a file and wait until the disk has it."""
    shutil.copy2(source, target)
    _let_write(Path(target))
    with open(target, "rb") as file:
        os.fsync(file.fileno())


def _let_write(path: Path) -> None:
    """Let the owner write to a copy, also where the source may only be read: training goes on in it."""
    path.chmod(path.stat().st_mode | stat.S_IRWXU if path.is_dir() else path.stat().st_mode | stat.S_IWUSR)


def _curves(listed: Sequence[tuple[Path, dict[str, Any]]], mixed: bool, lines: list[str]) -> Path | None:
    """Return the file of a protocol's curves of first updates: a shard that measures them measures all."""
    paths = [folder / INTERPOLATION for folder, _ in listed if (folder / INTERPOLATION).exists()]
    tables = [read_table(path, INTERPOLATION_COLUMNS) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if not table.equals(tables[0]):
            _differ("the curves differ", paths[0], path, mixed, lines)
    return paths[0] if paths else None
