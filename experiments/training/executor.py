"""The interface of executors, which start workers and watch them."""

from typing import Any, Protocol

from experiments.planning.planner import Stack
from experiments.store.files import StoreError, read_json
from experiments.store.stack_folder import StackFolder

FINISHED, FAILED, STOPPED, BUSY = 0, 1, 3, 4
"""Exit codes of a worker: finished; failed, with the reason in error.txt; stopped; trained by another process."""


class Job:
    """One stack to train. Executors differ only in where its worker runs."""

    def __init__(self, stack: Stack, folder: StackFolder) -> None:
        self.stack = stack
        self.folder = folder
        self.state = "waiting"
        self.refused: str | None = None
        """Reason why no worker could be started, if so."""
        self._recorded_before: tuple[int, int] | None = None

    def create(self) -> None:
        """Write the files that the worker reads."""
        self.folder.create([run.record for run in self.stack.runs])
        self._recorded_before = self.folder.recorded

    def has_recorded(self) -> bool:
        """Tell whether its worker, or another one, has written results since it was made."""
        return self.folder.recorded not in (None, self._recorded_before)

    def start(self) -> None:
        """Start a worker, now or as soon as there is room."""
        raise NotImplementedError

    def poll(self) -> int | None:
        """Return the worker's exit code; None while it runs."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Ask the worker to save and end; no effect once it has ended."""
        raise NotImplementedError

    def progress(self) -> dict[str, Any]:
        """Read the worker's latest progress; {} if there is none yet."""
        try:
            return read_json(self.folder.progress)
        except (OSError, StoreError):
            return {}


class Executor(Protocol):
    """Where workers run: this machine, or a cluster."""

    def slots(self) -> int:
        """Return how many stacks can be trained at once."""

    def job(self, stack: Stack, folder: StackFolder) -> Job:
        """Return a job for ``stack``, not started yet."""
