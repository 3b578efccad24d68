"""A stack on its way through an executor."""

import json
from typing import Any, Protocol

from experiments.planning.planner import Stack
from experiments.store.files import StackFolder


class Job:
    """One stack to train. Where its worker runs is what executors differ in, and nothing else."""

    def __init__(self, stack: Stack, folder: StackFolder) -> None:
        self.stack = stack
        self.folder = folder
        self.state = "waiting"
        self.refused: str | None = None
        """Why no worker could be started, if none could."""

    def start(self) -> None:
        """Have a worker started, now or as soon as there is room."""
        raise NotImplementedError

    def poll(self) -> int | None:
        """The worker's exit code (``experiments.training.worker``); None while it is not over."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Ask the worker to save and end; harmless once it has ended."""
        raise NotImplementedError

    def progress(self) -> dict[str, Any]:
        """What the worker posted last; {} if nothing yet."""
        try:
            data = json.loads(self.folder.progress.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}


class Executor(Protocol):
    """Where workers run: this machine, or a cluster."""

    def slots(self) -> int:
        """How many stacks can be trained at once."""

    def job(self, stack: Stack, folder: StackFolder) -> Job:
        """A job for ``stack``, not started yet."""
