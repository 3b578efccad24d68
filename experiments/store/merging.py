"""Join results folders, such as those of a job array's shards, into one.

Everything is read and compared first; only then is anything written, each file atomically. The sources stay as they
are. Joining the same again changes nothing, and a merge that was killed is completed by the same command.
"""

import functools
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.paper.protocols import Run
from experiments.paper.readings import DEFAULT
from experiments.store import results
from experiments.store.files import (
    IDENTITY,
    INTERPOLATION_COLUMNS,
    BusyError,
    StackFolder,
    StoreError,
    locked,
    read_episodes,
    read_json,
    read_table,
    runs_from_json,
    stack_folders,
    writable,
    write_atomically,
    write_json,
)
from experiments.store.results import Recorded

INTERPOLATION = "interpolation.parquet"


def merge(destination: Path, sources: Sequence[Path], mixed: bool = False) -> list[str]:
    """Join ``sources`` into ``destination``; returns what there is to say, a line each.

    Raises ``StoreError`` for a source that is damaged or holds no results, and for results that do not belong together:
    of other versions or another profile, or different results of the same run. With ``mixed`` they are joined all the
    same: of different results the first folder's is taken, ``destination`` being the first of all.
    """
    folders = [destination, *sources] if destination.exists() else list(sources)
    manifests: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for folder in folders:
        paths = [path for where in ("*/", "*/figure2/", "") for path in sorted(folder.glob(f"{where}manifest.json"))]
        if not paths and not stack_folders(folder) and folder != destination:
            raise StoreError(f"{folder} holds no results: there is no manifest.json in it, nor in a folder of it")
        for path in paths:
            manifests.setdefault(str(path.parent.relative_to(folder)), []).append((path.parent, _manifest(path)))
    said: list[str] = []
    for held in manifests.values():
        _same("profile", [(folder, manifest.get("profile")) for folder, manifest in held], mixed, said)
        _same("reading", [(folder, manifest.get("reading", DEFAULT)) for folder, manifest in held], mixed, said)
    planned = {name: _planned(held, mixed, said) for name, held in manifests.items()}
    chosen = _choose([(folder, _recorded(folder)) for folder in folders], mixed, said)
    curves = {name: _curves(held, mixed, said) for name, held in manifests.items() if Path(name).name == "figure2"}
    writable(destination)
    with locked(destination, patience=math.inf):
        said += _join_stacks(destination, sources, chosen)
    for name, held in manifests.items():
        about = {key: value for key, value in held[0][1].items() if key != "runs"}
        folder = destination / name
        folder.mkdir(exist_ok=True, parents=True)
        if name not in curves:
            with locked(folder, patience=math.inf):
                results.write(folder, about, planned[name], chosen)
        elif (own := curves[name]) and own.parent != folder:
            write_atomically(folder / INTERPOLATION, functools.partial(shutil.copyfile, own))
            write_json(folder / "manifest.json", _manifest(own.with_name("manifest.json")))
    return said


def _manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path)
    if not isinstance(manifest.get("runs"), list):
        raise StoreError(f"{path} is not a manifest: it has no list of runs")
    return manifest


def _planned(held: Sequence[tuple[Path, dict[str, Any]]], mixed: bool, said: list[str]) -> list[Run]:
    """The runs that any manifest of a protocol lists, each once."""
    planned: dict[tuple[Any, ...], tuple[Path, Run]] = {}
    for folder, manifest in held:
        for run in runs_from_json(folder / "manifest.json", manifest["runs"]):
            first, known = planned.setdefault((run.environment, run.algorithm, run.setting, run.seed), (folder, run))
            if known.key != run.key:
                _differ(
                    f"{run.environment} {run.setting} has other settings or another budget", first, folder, mixed, said
                )
    return [run for _, run in planned.values()]


def _recorded(folder: Path) -> dict[str, Recorded]:
    recorded, problems = results.recorded_runs(folder)
    if problems:
        raise StoreError(f"{problems[0]}: mend {folder} first, by the command that trained it")
    return recorded


def _choose(found: Sequence[tuple[Path, dict[str, Recorded]]], mixed: bool, said: list[str]) -> dict[str, Recorded]:
    """One result for each run: one that is not superseded, the one that went further, or the first folder's; what is
    wrong with that is refused, or said."""
    _same_versions([(path, own.entry.get("versions")) for path, runs in found for own in runs.values()], mixed, said)
    chosen: dict[str, tuple[Path, Recorded]] = {}
    for folder, runs in found:
        for key, own in runs.items():
            first, known = chosen.setdefault(key, (folder, own))
            if own.worth > known.worth:
                chosen[key] = folder, own
            elif own.worth == known.worth and known.episodes != own.episodes and not _equal(known, own):
                _differ(f"{key} has other episodes", first, folder, mixed, said)
    return {key: own for key, (_, own) in chosen.items()}


def _equal(own: Recorded, other: Recorded) -> bool:
    return own.entry["diverged_at"] == other.entry["diverged_at"] and _episodes(own).equals(_episodes(other))


def _episodes(own: Recorded) -> pd.DataFrame:
    table = read_episodes(own.episodes)
    for name in IDENTITY:
        table = table[table[name] == own.entry[name]]
    return table.reset_index(drop=True)


def _same_versions(found: Sequence[tuple[Path, Any]], mixed: bool, said: list[str]) -> None:
    """The same of each library, as far as the runs recorded it: a run of before one was listed says nothing of it."""
    recorded = [(folder, versions) for folder, versions in found if isinstance(versions, dict)]
    about = [(folder, "some" if isinstance(versions, dict) else "none") for folder, versions in found]
    _same("records of versions", about, mixed, said)
    for name in dict.fromkeys(name for _, versions in recorded for name in versions):
        known = [(folder, versions[name]) for folder, versions in recorded if name in versions]
        _same(f"versions ({name})", known, mixed, said)


def _same(what: str, values: Sequence[tuple[Path, Any]], mixed: bool, said: list[str]) -> None:
    """Refuse values that differ, or say so."""
    for folder, value in values[1:]:
        first, held = values[0]
        if value != held:
            return _differ(f"the {what} differ, {held} and {value}", first, folder, mixed, said)


def _differ(what: str, first: Path, other: Path, mixed: bool, said: list[str]) -> None:
    if not mixed:
        raise StoreError(f"{what}, in {first} and {other}: nothing was merged (--mixed merges all the same)")
    said.append(f"{what}, in {first} and {other}: where they differ, {first} is taken")


def _join_stacks(destination: Path, sources: Sequence[Path], chosen: dict[str, Recorded]) -> list[str]:
    """Copy the stacks that ``destination`` lacks, with their policies and checkpoints, or holds less far trained."""
    said = []
    aside = destination / "stacks" / ".merging"  # not where stacks are looked for
    shutil.rmtree(aside, ignore_errors=True)  # of a merge that was killed
    for source in sources:
        for folder in stack_folders(source):
            target = StackFolder(destination / "stacks" / folder.path.name)
            try:
                done = all(run.key in chosen for run in folder.runs())
                if (done and not folder.finished) or _steps(folder) <= _steps(target):
                    continue
                with locked(folder.path):
                    _copy(folder.path, target.path, aside)
            except BusyError:
                said.append(f"{folder.path} is still being trained: merge again once it is done")
    return said


def _steps(folder: StackFolder) -> float:
    """How far a stack is trained; below 0 if it is not there."""
    if folder.finished:
        return float("inf")
    if not folder.stack.exists():
        return -1
    try:
        return float(read_json(folder.progress)["steps_done"])
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return 0


def _copy(source: Path, target: Path, aside: Path) -> None:
    """``source`` under the name ``target``, whole or not at all; what was there gives way to it."""
    try:
        copy = Path(shutil.copytree(source, aside / "new", ignore=shutil.ignore_patterns(".lock", "*.writing")))
        if target.exists():
            with locked(target):
                target.rename(aside / "old")
        copy.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _curves(held: Sequence[tuple[Path, dict[str, Any]]], mixed: bool, said: list[str]) -> Path | None:
    """The file of Figure 2's curves: every shard that measures them measures all."""
    paths = [folder / INTERPOLATION for folder, _ in held if (folder / INTERPOLATION).exists()]
    tables = [read_table(path, INTERPOLATION_COLUMNS) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if not table.equals(tables[0]):
            _differ("the curves differ", paths[0], path, mixed, said)
    return paths[0] if paths else None
