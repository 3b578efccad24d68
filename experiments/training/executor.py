"""A stack on its way through an executor."""

import json
from typing import Any, Protocol

from experiments.planning.planner import Stack
from experiments.store.stack_folder import StackFolder

FINISHED, FAILED, STOPPED, BUSY = 0, 1, 3, 4
"""Exit codes of a worker: done; failed, and error.txt says why; stopped, to be continued; another process trains it."""


class Job:
    """One stack to train. Where its worker runs is what executors differ in, and nothing else."""

    def __init__(self, stack: Stack, folder: StackFolder) -> None:
        self.stack = stack
        self.folder = folder
        self.state = "waiting"
        self.refused: str | None = None
        """Why no worker could be started, if none could."""

    def create(self) -> None:
        """Write what the worker needs to train the stack."""
        self.folder.create([run.record for run in self.stack.runs])

    def start(self) -> None:
        """Have a worker started, now or as soon as there is room."""
        raise NotImplementedError

    def poll(self) -> int | None:
        """Return the worker's exit code; None while it is not over."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Ask the worker to save and end; harmless once it has ended."""
        raise NotImplementedError

    def progress(self) -> dict[str, Any]:
        """Read what the worker posted last; {} if nothing yet."""
        try:
            data = json.loads(self.folder.progress.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}


class Executor(Protocol):
    """Where workers run: this machine, or a cluster."""

    def slots(self) -> int:
        """Tell how many stacks can be trained at once."""

    def job(self, stack: Stack, folder: StackFolder) -> Job:
        """Return a job for ``stack``, not started yet."""
