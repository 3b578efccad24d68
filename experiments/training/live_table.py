"""A live table of the progress of stacks, from the files that their workers write."""

import socket
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from experiments.messages import duration
from experiments.training.executor import Job

LOG_SECONDS = 30.0
"""Between two lines about a stack if the output is not a terminal."""


class Display:
    """A live table on a terminal; otherwise a line per stack from time to time, for log files."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self.console = console
        self.jobs = jobs
        self.start = time.monotonic()
        redraws = console.is_terminal and not console.is_dumb_terminal
        self.live = Live(console=console, refresh_per_second=2) if redraws else None
        self.noted: set[tuple[str, str]] = set()
        self.printed: dict[str, tuple[float, str]] = {}

    def __enter__(self) -> None:
        if self.live:
            self.live.start()

    def __exit__(self, *_: object) -> None:
        self.update()
        if self.live:
            self.live.stop()

    def update(self) -> None:
        self._print_notes()
        if self.live:
            self.live.update(self._table())
            return
        now = time.monotonic()
        for job in self.jobs:
            if job.state == "waiting":
                continue
            when, state = self.printed.get(job.stack.name, (-LOG_SECONDS, ""))
            if state != job.state or (job.state == "training" and now - when >= LOG_SECONDS):
                self.printed[job.stack.name] = (now, job.state)
                stamp = time.strftime("%H:%M:%S")
                self.console.print(f"{stamp} {job.state:9} {job.stack.name}  {_line(job.progress())}", soft_wrap=True)

    def _print_notes(self) -> None:
        """Print what a worker wants known, once."""
        for job in self.jobs:
            notes = job.progress().get("notes") if job.state != "waiting" else None
            for note in notes if isinstance(notes, list) else ():
                if (job.stack.name, str(note)) not in self.noted:
                    self.noted.add((job.stack.name, str(note)))
                    self.console.print(f"{job.stack.name}: {note}", markup=False, soft_wrap=True)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("stack", "runs", "state", "steps", "steps/s", "score", "left"):
            table.add_column(column, justify="left" if column in ("stack", "state") else "right")
        shown = [job for job in self.jobs if job.state != "waiting"]
        for job in sorted(
            shown, key=lambda job: job.state == "finished"
        ):  # last, because a small terminal cuts the end
            progress = job.progress()
            name = f"{job.stack.runs[0].environment} {job.stack.runs[0].algorithm}{_where(progress)}"
            table.add_row(name, str(len(job.stack.runs)), job.state, *_cells(progress))
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
    except (KeyError, TypeError, ValueError):  # no progress yet, or not of this project
        return ["", "", "", ""]


def _line(progress: dict[str, Any]) -> str:
    if not progress:
        return ""
    steps, per_second, score, left = _cells(progress)
    diverged = f", {progress['diverged']} diverged" if progress.get("diverged") else ""
    ends = "" if progress.get("steps_done") == progress.get("total_timesteps") else f", {left or '?'} left"
    return f"{steps} steps, {per_second} steps/s, score {score or '-'}{ends}{diverged}{_where(progress)}"


def _where(progress: dict[str, Any]) -> str:
    """Name the machine, if it is not this one."""
    host = progress.get("host", socket.gethostname())
    return "" if host == socket.gethostname() else f" on {host}"
