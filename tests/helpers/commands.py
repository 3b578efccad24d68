"""The command ``ppo`` as its users have it: in this process, or as a process that can be disturbed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from experiments.cli.commands import main
from experiments.paper.profiles import PROFILES
from experiments.planning.planner import Stack
from experiments.run import Run
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import read_episodes
from experiments.training import worker
from experiments.training.options import Options
from tests.helpers.processes import ForkedCommand, forked_workers

PATIENCE = 60

T = TypeVar("T")

SECONDS = replace(
    PROFILES["quick"],
    environments=("InvertedPendulum-v4",),
    figure3_algorithms=("ppo", "cem"),
    total_timesteps=260,
    untrained_timesteps=130,
    figure2_seeds=(1, 2),
    humanoid_timesteps={},
)
"""A profile that is trained in seconds: one task and two algorithms, two seeds."""


def train_flags(out: Path, *more: object, workers: int = 1) -> list[str]:
    """Four short runs: two seeds, two clip ranges. ``more`` comes last and so wins."""
    flags = ["train", "InvertedPendulum-v4", "--total-timesteps", "4096", "--seeds", "1", "2"]
    flags += ["--clip-coef", "0.1", "0.2", "--num-steps", "256", "--update-epochs", "2"]
    return overriding([*flags, "--workers", str(workers), "--out", str(out)], *map(str, more))


def overriding(flags: Sequence[str], *more: str) -> list[str]:
    """``flags`` with ``more``, without those that ``more`` gives too."""
    kept: list[str] = []
    skipping = False
    for word in flags:
        skipping = word in more if word.startswith("--") else skipping
        kept += [] if skipping else [word]
    return [*kept, *more]


def train(out: Path, *more: object, workers: int = 1) -> int:
    """Train in this process (its workers are processes all the same, but forked); returns the exit code."""
    with forked_workers():
        return main(train_flags(out, *more, workers=workers))


def train_stack(stack: Path, **options: Any) -> int:
    """What the worker of ``stack`` does, without a process for it; returns its exit code."""
    return worker.train(StackFolder(stack), Options(**options), stop=False)


def begin(argv: Sequence[str], log: Path | None = None) -> "subprocess.Popen[str]":
    """The command as a process of its own; what it prints is for ``end``, or goes to the file ``log``."""
    command = [sys.executable, "-m", "experiments", *argv]
    if log is None:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with log.open("a") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, text=True)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started and that still are."""
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def end(process: "subprocess.Popen[str] | ForkedCommand") -> str:
    """What it printed, once it ended; never leaves it running."""
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def wait_for(happened: Callable[[], T | None]) -> T:
    """The first true value of ``happened()``."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := happened():
            return value
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def stacks_of(out: Path) -> list[Path]:
    """The folders of its stacks, by name."""
    return sorted((Path(out) / "stacks").glob("*"))


def working_on(stack: Path) -> int | None:
    """The process that trains ``stack``, and has saved a checkpoint; None if there is none yet."""
    try:
        progress = json.loads((stack / "progress.json").read_text())
    except (OSError, ValueError):
        return None
    return int(progress["pid"]) if (stack / "checkpoint.pt").exists() and progress["state"] == "training" else None


def same_episodes(out: Path, other: Path) -> bool:
    """Whether both folders hold exactly the same table."""
    pd.testing.assert_frame_equal(
        read_episodes(Path(out) / "episodes.parquet"), read_episodes(Path(other) / "episodes.parquet"), check_exact=True
    )
    assert (Path(out) / "episodes.parquet").read_bytes() == (Path(other) / "episodes.parquet").read_bytes()
    return True


def same_data(out: Path, other: Path) -> bool:
    """Whether both folders hold the same bytes of episodes and, apart from times and commits, the same manifest."""
    manifests: list[dict[str, Any]] = [
        json.loads((Path(folder) / "manifest.json").read_text()) for folder in (out, other)
    ]
    for manifest in manifests:
        for run in manifest["runs"]:
            del run["wall_time"], run["commit"]
    assert manifests[0] == manifests[1]
    return same_episodes(out, other)


def files_in(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file below ``folder`` with its bytes and when it was written, but for locks."""
    return {
        path: (path.read_bytes(), os.stat(path).st_mtime_ns)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def stack_in(folder: Path, runs: Sequence[Run]) -> StackFolder:
    """A stack that waits for its worker."""
    stack = StackFolder(folder / "stacks" / Stack(tuple(runs)).name)
    stack.create([run.record for run in runs])
    return stack


def work(stack: StackFolder, interval: float = 0.0, **options: Any) -> int:
    """All that the worker of ``stack`` does, in this process; its exit code."""
    return worker.main([str(stack.path), "--options", Options(checkpoint_interval=interval, **options).to_text()])


class AtIteration:
    """Does something once at the end of an iteration, where a worker asks whether to stop; it is not to stop."""

    def __init__(self, iteration: int, action: Callable[[], object]) -> None:
        self.left = iteration
        self.action = action

    def __bool__(self) -> bool:
        self.left -= 1
        if self.left == -1:
            self.action()
        return False


class Killed(BaseException):
    """As a kill, nothing catches it."""


def killed() -> None:
    raise Killed
