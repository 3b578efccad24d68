"""What is planned and how far it is, read from outside: from the files alone, whether anything runs or not."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.paper.protocols import PROTOCOLS, Protocol, unknown
from experiments.planning.costs import CONSTANTS, Costs
from experiments.planning.planner import Stack, busy, seconds
from experiments.store.files import StackFolder, StoreError, held, read_json, stack_folders
from experiments.training.live_table import duration

QUIET_SECONDS = 600
"""A worker on another machine that has posted nothing for so long is taken for dead."""


def print_plan(
    console: Console,
    protocols: Sequence[Protocol],
    stacks: Sequence[Stack],
    workers: int,
    costs: Costs = CONSTANTS,
) -> None:
    """Which runs, stacks, steps and hours."""
    for protocol in protocols:
        updates = f" and {len(protocol.first_updates)} first updates" if protocol.first_updates else ""
        console.print(f"{protocol.name}: {len(protocol.runs)} runs{updates}, {protocol.about}")
    table = Table(box=None, pad_edge=False)
    for column in ("stack", "runs", "settings", "seeds", "steps each", "about"):
        table.add_column(column, justify="left" if column in ("stack", "settings", "seeds") else "right")
    for stack in stacks:
        first = stack.runs[0]
        settings = list(dict.fromkeys(run.setting for run in stack.runs))
        seeds = sorted({run.seed for run in stack.runs})
        named = settings[0] if len(settings) == 1 else f"{settings[0]} ... {settings[-1]} ({len(settings)})"
        cells = (
            str(len(stack.runs)),
            named,
            ",".join(map(str, seeds)),
            f"{first.total_timesteps:,}",
            duration(costs.seconds(stack.runs)),
        )
        table.add_row(f"{first.environment} {first.algorithm}", *cells)
    if stacks:
        console.print(table)
    steps = sum(stack.total_timesteps for stack in stacks)
    total = seconds(stacks, workers, costs)
    runs = sum(len(stack.runs) for stack in stacks)
    console.print(
        f"to train: {runs} runs in {len(stacks)} stacks, {steps:,} steps, about {duration(total)} "
        f"({total / 3600:.1f} h) with {workers} worker{'s' if workers > 1 else ''}"
        + (f", busy {busy(stacks, workers, costs):.0%} of it" if stacks else "")
    )


def show(console: Console, results: Path, names: Sequence[str]) -> int:
    """The state of every protocol in ``results``, and of every stack that is not finished."""
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(unknown("protocol", name, PROTOCOLS))
    if not results.is_dir():
        raise StoreError(f"there is no results folder {results}: `ppo run` makes it")
    for path in [*sorted(results.glob("*/manifest.json")), *sorted(results.glob("manifest.json"))]:
        if names and path.parent.name not in names:
            continue
        try:
            runs = read_json(path)["runs"]
            superseded = sum(bool(run.get("superseded")) for run in runs)
            done = sum(run["status"] == "finished" and not run.get("superseded") for run in runs)
            diverged = sum(run["diverged_at"] is not None for run in runs)
        except (StoreError, KeyError, TypeError, AttributeError) as error:
            console.print(f"{path.parent.name}: unreadable ({error})")
            continue
        again = f", {superseded} superseded: to be trained again" if superseded else ""
        console.print(f"{path.parent.name}: {done} of {len(runs)} runs finished, {diverged} diverged{again}")
    for folder in stack_folders(results):
        if not folder.finished or held(folder.path):
            console.print(f"  {folder.path.name}: {_state(folder)}")
    return 0


def _state(folder: StackFolder) -> str:
    try:
        progress: dict[str, Any] = read_json(folder.progress)
        done = f"{progress['steps_done']:,} of {progress['total_timesteps']:,} steps"
        if folder.error.exists():
            return f"failed at {done}: {folder.error.read_text().strip()}"
        if progress["state"] == "training" and _alive(folder, progress):
            left = progress["seconds_left"]
            score = progress["score"]
            said = f"training, {done}, {progress['steps_per_second']:,.0f} steps/s"
            said += "" if score is None else f", score {score:,.1f}"
            return said + ("" if left is None else f", {duration(left)} left")
        return f"stopped at {done}; the same command continues it"
    except FileNotFoundError:
        return "failed: " + folder.error.read_text().strip() if folder.error.exists() else "not begun"
    except (StoreError, KeyError, TypeError, OSError) as error:
        return f"unreadable ({error})"


def _alive(folder: StackFolder, progress: dict[str, Any]) -> bool:
    """Whether a worker holds the folder. Not every file system tells that to other machines."""
    if held(folder.path):
        return True
    return bool(progress["host"] != socket.gethostname() and abs(time.time() - progress["updated"]) < QUIET_SECONDS)
