"""Train stacks in processes of this machine, one core each, and show how they go."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from experiments import worker
from experiments.planner import Stack
from experiments.store import StackFolder

POLL_SECONDS = 0.5
LOG_SECONDS = 30.0
"""Between two lines about a stack where the output is not a terminal."""


@dataclass
class Options:
    """How stacks are trained, whatever they are."""

    workers: int = 1
    device: str = "cpu"
    checkpoint_interval: float = 60.0
    tensorboard: bool = False


@dataclass
class Outcome:
    """What became of a set of stacks."""

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """stack name -> one line saying why"""
    busy: list[str] = field(default_factory=list)
    stopped: bool = False


def train(results: Path, stacks: Sequence[Stack], options: Options, console: Console) -> Outcome:
    """Train ``stacks`` (longest first), ``options.workers`` at a time. Ctrl-C or SIGTERM stops them cleanly.

    A worker that crashes does not stop the others; it is named in the outcome.
    """
    waiting = [_Job(stack, StackFolder(results / "stacks" / stack.name)) for stack in stacks]
    jobs, running, outcome = list(waiting), list[_Job](), Outcome()
    stops = (signal.SIGINT, signal.SIGTERM)  # SIGINT too: in the background of a script it would be ignored
    before = [signal.signal(number, signal.default_int_handler) for number in stops]
    display = _Display(console, jobs)
    try:
        with display:
            while waiting or running:
                while waiting and len(running) < options.workers:
                    job = waiting.pop(0)
                    job.start(options)
                    running.append(job)
                time.sleep(POLL_SECONDS)
                for job in [job for job in running if job.ended()]:
                    running.remove(job)
                    _settle(job, outcome)
                display.update()
    except KeyboardInterrupt:
        outcome.stopped = True
        console.print("stopping: each stack finishes its iteration and saves ...")
        for job in running:
            job.terminate()
        for job in running:
            job.wait()
            _settle(job, outcome)
    finally:
        for job in running:
            job.terminate()
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)
    return outcome


class _Job:
    """One stack and the process that trains it."""

    def __init__(self, stack: Stack, folder: StackFolder) -> None:
        self.stack = stack
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.state = "waiting"

    def start(self, options: Options) -> None:
        self.folder.create(self.stack)
        command = [sys.executable, "-m", "experiments.worker", str(self.folder.path), "--device", options.device]
        command += ["--checkpoint-interval", str(options.checkpoint_interval)]
        command += ["--tensorboard"] if options.tensorboard else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with self.folder.log.open("ab") as log:
            self.process = subprocess.Popen(  # in a session of its own, so that Ctrl-C reaches it through us, once
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        self.state = "training"

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        if self.process is not None:
            self.process.wait()

    def progress(self) -> dict[str, Any]:
        """What the worker posted last; {} if nothing yet."""
        try:
            data = json.loads(self.folder.progress.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}


def _settle(job: _Job, outcome: Outcome) -> None:
    code = job.process.returncode if job.process else None
    if code == worker.FINISHED:
        job.state = "finished"
        outcome.finished.append(job.stack.name)
    elif code == worker.STOPPED or (outcome.stopped and code == -signal.SIGTERM):  # or stopped before it could listen
        job.state = "stopped"
    elif code == worker.BUSY:
        job.state = "busy"
        outcome.busy.append(job.stack.name)
    else:
        job.state = "failed"
        outcome.failed[job.stack.name] = _why(job, code)


def _why(job: _Job, code: int | None) -> str:
    if job.folder.error.exists():
        reason = job.folder.error.read_text().strip()
    elif code is not None and code < 0:
        reason = f"{job.stack.name}: its process was killed by {signal.Signals(-code).name}"
    else:
        reason = f"{job.stack.name}: its process ended with code {code}"
    return f"{reason} (log: {job.folder.log})"


class _Display:
    """A live table on a terminal; elsewhere a line per stack now and then, which reads well in a log file."""

    def __init__(self, console: Console, jobs: Sequence[_Job]) -> None:
        self.console = console
        self.jobs = jobs
        self.start = time.monotonic()
        self.live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
        self.said: dict[str, tuple[float, str]] = {}

    def __enter__(self) -> None:
        if self.live:
            self.live.start()

    def __exit__(self, *_: object) -> None:
        self.update()
        if self.live:
            self.live.stop()

    def update(self) -> None:
        if self.live:
            self.live.update(self._table())
            return
        now = time.monotonic()
        for job in self.jobs:
            if job.state == "waiting":
                continue
            when, state = self.said.get(job.stack.name, (-LOG_SECONDS, ""))
            if state != job.state or (job.state == "training" and now - when >= LOG_SECONDS):
                self.said[job.stack.name] = (now, job.state)
                stamp = time.strftime("%H:%M:%S")
                self.console.print(f"{stamp} {job.state:9} {job.stack.name}  {_line(job.progress())}", soft_wrap=True)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("stack", "runs", "state", "steps", "steps/s", "score", "left"):
            table.add_column(column, justify="left" if column in ("stack", "state") else "right")
        shown = [job for job in self.jobs if job.state != "waiting"]
        for job in shown:
            cells = _cells(job.progress()) if job.state != "waiting" else ["", "", "", ""]
            name = f"{job.stack.runs[0].environment} {job.stack.runs[0].algorithm}"
            table.add_row(name, str(len(job.stack.runs)), job.state, *cells)
        waiting = len(self.jobs) - len(shown)
        done = sum(job.state == "finished" for job in self.jobs)
        elapsed = duration(time.monotonic() - self.start)
        return Group(table, Text(f"{done} of {len(self.jobs)} stacks finished, {waiting} waiting, {elapsed} so far"))


def _cells(progress: dict[str, Any]) -> list[str]:
    try:
        score, left = progress["score"], progress["seconds_left"]
        return [
            f"{progress['steps_done']:,} / {progress['total_timesteps']:,}",
            f"{progress['steps_per_second']:,.0f}",
            "" if score is None else f"{score:,.1f}",
            "" if left is None else duration(left),
        ]
    except (KeyError, TypeError, ValueError):  # nothing posted yet, or not by us
        return ["", "", "", ""]


def _line(progress: dict[str, Any]) -> str:
    if not progress:
        return ""
    steps, per_second, score, left = _cells(progress)
    diverged = f", {progress['diverged']} diverged" if progress.get("diverged") else ""
    return f"{steps} steps, {per_second} steps/s, score {score or '-'}, {left or '?'} left{diverged}"


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
