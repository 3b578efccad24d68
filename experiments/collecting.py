"""From what was trained to one tidy table: which runs are finished, and where their episodes are."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import planner
from experiments.planner import Stack
from experiments.protocols import Run
from experiments.store import (
    IDENTITY,
    StoreError,
    empty_episodes,
    keep_aside,
    locked,
    read_episodes,
    read_json,
    remove_unfinished,
    runs_from_json,
    set_aside,
    stack_folders,
    within,
    write_episodes,
    write_json,
)

KEPT = ("finished", "running")
"""The states of runs that have episodes."""


@dataclass(frozen=True)
class Recorded:
    """A run that was trained to its end, or as far as was asked: its manifest entry, and the Parquet file that its
    episodes are in."""

    entry: dict[str, Any]
    episodes: Path

    def reaches(self, fraction: float) -> bool:
        """Whether that part of its budget is trained."""
        return bool(self.entry["steps_done"] >= fraction * self.entry["total_timesteps"])


def recorded_runs(results: Path, mend: bool = False) -> tuple[dict[str, Recorded], list[str]]:
    """Every recorded run in ``results`` by its key, from whichever file has most of it, and what is damaged.

    ``mend``: set damaged files aside, so that their runs are trained again.
    """
    found: dict[str, Recorded] = {}
    problems: list[str] = []
    manifests = [*sorted(results.glob("*/manifest.json")), *sorted(results.glob("manifest.json"))]
    manifests += [folder.manifest for folder in stack_folders(results) if folder.finished]
    for path in manifests:
        reading = path
        try:
            entries = _recorded_entries(path, read_json(path))
            reading = path.with_name("episodes.parquet")
            read_episodes(reading)
        except FileNotFoundError:
            continue
        except StoreError as error:
            problems.append(f"{error}{_mended(reading) if mend else ''}")
            continue
        for key, entry in entries.items():
            if key not in found or found[key].entry["steps_done"] < entry["steps_done"]:
                found[key] = Recorded(entry, reading)
    return found, problems


def _mended(path: Path) -> str:
    try:
        return f"; set aside as {set_aside(path).name}"
    except FileNotFoundError:  # by another command, which found it at the same time
        return ""


def _recorded_entries(path: Path, manifest: Any) -> dict[str, dict[str, Any]]:
    entries = manifest.get("runs")
    if not isinstance(entries, list):
        raise StoreError(f"{path} is not a manifest: it has no list of runs")
    runs = runs_from_json(path, entries)
    return {run.key: entry for run, entry in zip(runs, entries, strict=True) if entry.get("status") in KEPT}


def collect(results: Path, folder: Path, about: dict[str, Any], runs: Sequence[Run], keep: bool = False) -> list[str]:
    """Write ``folder``/episodes.parquet and manifest.json: ``about``, and each of ``runs``, finished or missing; with
    ``keep`` also the runs that the manifest there lists already. Returns what is damaged in ``results``."""
    within(results, folder).mkdir(parents=True, exist_ok=True)
    with locked(folder, patience=math.inf):
        remove_unfinished(folder)
        recorded, problems = recorded_runs(results)
        if keep and (folder / "manifest.json").exists():
            known = runs_from_json(folder, read_json(folder / "manifest.json")["runs"])
            runs = list({run.key: run for run in [*known, *runs]}.values())
        write(folder, about, runs, recorded)
    return problems


def write(folder: Path, about: dict[str, Any], runs: Sequence[Run], recorded: Mapping[str, Recorded]) -> None:
    """``folder``/episodes.parquet and manifest.json: ``about``, and each of ``runs``, ``recorded`` or missing. One that
    is not trained as far as the part of the budget that ``about`` names is running."""
    _keep_what_is_not_planned(folder, about, {run.key for run in runs})
    entries = []
    for run in runs:
        own = recorded.get(run.key)
        missing = {**run.to_json(), "status": "missing", "steps_done": 0, "diverged_at": None}
        status = "finished" if own and own.reaches(about.get("fraction", 1.0)) else "running"
        entries.append({**own.entry, "setting": run.setting, "status": status} if own else missing)
    frames = _frames([(run, recorded[run.key]) for run in runs if run.key in recorded])
    table = pd.concat(frames, ignore_index=True) if frames else empty_episodes()
    write_episodes(
        folder / "episodes.parquet", table.sort_values([*IDENTITY, "step"], kind="stable", ignore_index=True)
    )
    write_json(folder / "manifest.json", {**about, "runs": entries})


def left_to_train(
    results: Path, runs: Iterable[Run], finished: Container[str], workers: int, shard: tuple[int, int] = (1, 1)
) -> list[Stack]:
    """The stacks of part ``shard`` of ``runs`` that are not finished.

    What was begun and is wanted goes on in the stack in which it was begun, whatever is planned beside it now; only the
    rest is grouped anew. The parts depend on the runs alone, so that every shard sees the same ones.
    """
    index, count = shard
    part = planner.shard(planner.stacks(runs, count), index, count)
    waiting = {run.key: run for stack in part for run in stack.runs if run.key not in finished}
    begun = []
    for folder in stack_folders(results):
        try:
            stack = Stack(tuple(folder.runs()))
        except StoreError:
            continue
        if stack.runs and stack.name == folder.path.name and all(run.key in waiting for run in stack.runs):
            begun.append(stack)
            for run in stack.runs:
                del waiting[run.key]
    fresh = planner.stacks(waiting.values(), workers, begun)
    return sorted([*begun, *fresh], key=lambda stack: -stack.seconds)


def check_profile(folder: Path, profile: str) -> None:
    """Raises ``StoreError`` if ``folder`` holds results of another profile, which writing there would replace."""
    path = folder / "manifest.json"
    held = read_json(path).get("profile") if path.exists() else profile
    if held != profile:
        raise StoreError(
            f"{folder} holds results of the {held} profile: give the {profile} profile another --results folder"
        )


def _keep_what_is_not_planned(folder: Path, about: dict[str, Any], planned: set[str]) -> None:
    """Keep copies of the files if they hold finished runs that are planned no more (settings changed, say).

    The files stay, for what is still planned may be nowhere else, and a kill may come before they are written anew. The
    manifest then names no run whose episodes the next table may not have.
    """
    manifest, episodes = folder / "manifest.json", folder / "episodes.parquet"
    if not (manifest.exists() and episodes.exists()):
        return
    try:
        entries = _recorded_entries(manifest, read_json(manifest))
    except StoreError:
        entries = None
    if entries is None or not set(entries) <= planned:
        keep_aside(manifest, "replaced")
        keep_aside(episodes, "replaced")
        kept = [entry for key, entry in (entries or {}).items() if key in planned]
        write_json(manifest, {**about, "runs": kept})


def _frames(wanted: Iterable[tuple[Run, Recorded]]) -> list[pd.DataFrame]:
    by_file: dict[Path, list[tuple[Run, Recorded]]] = {}
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
