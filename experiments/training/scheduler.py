"""Train stacks, longest first, as many at a time as the executor has room for, and show their progress."""

import contextlib
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from experiments.planning.planner import Stack
from experiments.store.files import write_bytes
from experiments.store.stack_folder import StackFolder
from experiments.training.executor import BUSY, FINISHED, STOPPED, Executor, Job
from experiments.training.live_table import Display

POLL_SECONDS = 0.5


@dataclass
class Outcome:
    """The outcome of training a set of stacks."""

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """stack name -> reason, in one line"""
    busy: list[str] = field(default_factory=list)
    stopped: bool = False


def train(
    results: Path, stacks: Sequence[Stack], executor: Executor, console: Console, until: float = math.inf
) -> Outcome:
    """Train ``stacks`` in order. Ctrl-C, SIGTERM or the time ``until``, of ``time.monotonic``, stops them cleanly.

    A worker that crashes does not stop the others; it is named in the outcome.
    """
    jobs = [executor.job(stack, StackFolder(results / "stacks" / stack.name)) for stack in stacks]
    waiting, running, outcome = list(jobs), list[Job](), Outcome()
    stops = (signal.SIGINT, signal.SIGTERM)  # also SIGINT, which a background job of a script ignores by default
    before = [signal.signal(number, signal.default_int_handler) for number in stops]
    display = Display(console, jobs)
    try:
        with display:
            while waiting or running:
                if time.monotonic() >= until:
                    raise KeyboardInterrupt  # stops as if somebody had asked
                while waiting and len(running) < executor.slots():
                    job = waiting.pop(0)
                    job.start()
                    running.append(job)
                time.sleep(POLL_SECONDS)
                running = [job for job in running if not _is_finished(job, outcome)]
                display.update()
    except KeyboardInterrupt:
        for number in stops:  # a second signal changes nothing: the stacks are already saving
            signal.signal(number, signal.SIG_IGN)
        outcome.stopped = True
        console.print("stopping: each stack finishes its iteration and saves ...")
        for job in running:
            job.terminate()
        while running := [job for job in running if not _is_finished(job, outcome)]:
            time.sleep(POLL_SECONDS / 5)
    finally:
        for job in running:
            job.terminate()
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)
    return outcome


def _is_finished(job: Job, outcome: Outcome) -> bool:
    """Return whether the job's worker has ended; if so, record it in the outcome."""
    code = job.poll()
    if code is None:
        return False
    if code == FINISHED and job.has_recorded():
        job.state = "finished"
        outcome.finished.append(job.stack.name)
    elif code == STOPPED or (
        outcome.stopped and code == -signal.SIGTERM
    ):  # or stopped before it could handle the signal
        job.state = "stopped"
        outcome.stopped = True
    elif code == BUSY:
        job.state = "busy"
        outcome.busy.append(job.stack.name)
    else:
        job.state = "failed"
        outcome.failed[job.stack.name] = _failure_reason(job, code)
    return True


def _failure_reason(job: Job, code: int) -> str:
    if job.refused:
        return f"{job.stack.name}: {job.refused}"
    error = job.folder.error
    if error.exists():
        reason = job.folder.failure()
    else:  # the worker had no time to say so itself
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}, without results"
        reason = f"{job.stack.name}: its process {how}"
        with contextlib.suppress(OSError):
            write_bytes(error, f"{reason}\n".encode(errors="backslashreplace"))
    return f"{reason} (log: {job.folder.log})"
