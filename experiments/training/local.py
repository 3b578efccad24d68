"""Train stacks in processes of this machine, one core each."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.planning.planner import Stack
from experiments.store.files import StackFolder
from experiments.training.executor import Job
from experiments.training.launch import launch


@dataclass(frozen=True)
class Local:
    """``workers`` processes side by side, each with the worker's ``flags``."""

    workers: int
    flags: Sequence[str] = ()

    def slots(self) -> int:
        """How many stacks can be trained at once."""
        return self.workers

    def job(self, stack: Stack, folder: StackFolder) -> Job:
        """A process of this machine."""
        return LocalJob(stack, folder, self.flags)


class LocalJob(Job):
    """One stack and the process that trains it."""

    def __init__(self, stack: Stack, folder: StackFolder, flags: Sequence[str] = ()) -> None:
        super().__init__(stack, folder)
        self.flags = flags
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.create(self.stack)
        self.process = launch(self.folder.path, self.flags)
        self.state = "training"

    def poll(self) -> int | None:
        return self.process.poll() if self.process else None

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
