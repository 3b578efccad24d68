"""`ppo status`: planned runs and their progress, read from the files alone."""

import shlex
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.messages import duration
from experiments.paper.about import PROTOCOLS, unknown
from experiments.store.files import StoreError, check_tree, is_locked, read_json
from experiments.store.manifest import read_manifest
from experiments.store.stack_folder import StackFolder, stack_folders

QUIET_SECONDS = 600
"""Seconds without news after which a worker on another machine counts as dead."""


def show(console: Console, results: Path, names: Sequence[str]) -> int:
    """Print the state of every protocol in ``results``, and of every stack that is not finished."""
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(unknown(name))
    if not results.is_dir():
        raise StoreError(f"there is no results folder {results}: `ppo run` creates it")
    check_tree(results)
    for path in [*sorted(results.glob("*/manifest.json")), *sorted(results.glob("manifest.json"))]:
        if names and path.parent.name not in names:
            continue
        try:
            runs = read_manifest(path)["runs"]
            superseded = sum(bool(run.get("superseded")) for run in runs)
            done = sum(run["status"] == "finished" and not run.get("superseded") for run in runs)
            diverged = sum(run.get("diverged_at") is not None for run in runs)
            inexact = sum(bool(run.get("inexact")) for run in runs)
        except StoreError as error:
            console.print(f"{path.parent.name}: unreadable ({error})")
            continue
        again = f", {superseded} superseded: to be trained again" if superseded else ""
        again += f", {inexact} not exact after a stop" if inexact else ""
        console.print(f"{path.parent.name}: {done} of {len(runs)} runs finished, {diverged} diverged{again}")
    for folder in stack_folders(results):
        if not folder.finished or is_locked(folder.path):
            console.print(f"  {folder.path.name}: {_state(folder, results)}", markup=False)
    return 0


def _state(folder: StackFolder, results: Path) -> str:
    try:
        progress: dict[str, Any] = read_json(folder.progress)
        notes = "".join(f"; {note}" for note in progress.get("notes", ()))
        done = f"{progress['steps_done']:,} of {progress['total_timesteps']:,} steps"
        if folder.error.exists():
            return f"failed at {done}: {folder.failure()}"
        if progress["state"] == "training" and _alive(folder, progress):
            left = progress["seconds_left"]
            score = progress["score"]
            line = f"training, {done}, {progress['steps_per_second']:,.0f} steps/s"
            line += "" if score is None else f", score {score:,.1f}"
            return line + ("" if left is None else f", {duration(left)} left") + notes
        return f"stopped at {done}; {_command(progress, results)} continues it{notes}"
    except FileNotFoundError:
        return f"failed: {folder.failure()}" if folder.error.exists() else "not begun"
    except (StoreError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        return f"unreadable ({error})"


def _command(progress: dict[str, Any], results: Path) -> str:
    """Return the command that continues a training in ``results``: it may be a copy of the folder it was typed for."""
    typed = str(progress.get("command") or "the same command")
    try:
        words = shlex.split(typed)
    except ValueError:  # an unclosed quote: not of this project
        return typed
    flag = {"run": "--results", "train": "--out"}.get(words[1] if len(words) > 1 else "")
    if flag in words[:-1]:
        place = words.index(flag) + 1
        if Path(words[place]) == results:
            return typed
        words[place] = str(results)
    elif flag == "--results" and results != Path("results"):
        words += [flag, str(results)]
    else:
        return typed
    return shlex.join(words)


def _alive(folder: StackFolder, progress: dict[str, Any]) -> bool:
    """Return whether a worker holds the folder's lock. Some file systems do not show locks to other machines."""
    if is_locked(folder.path):
        return True
    return bool(progress["host"] != socket.gethostname() and abs(time.time() - progress["updated"]) < QUIET_SECONDS)
