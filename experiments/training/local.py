"""Train stacks in processes of this machine, one core each."""

import subprocess
from dataclasses import dataclass

from experiments.planning.planner import Stack
from experiments.store.stack_folder import StackFolder
from experiments.training.executor import Job
from experiments.training.launch import launch
from experiments.training.options import Options


@dataclass(frozen=True)
class LocalExecutor:
    """``workers`` processes side by side."""

    workers: int
    options: Options

    def slots(self) -> int:
        """Return how many stacks can be trained at once."""
        return self.workers

    def job(self, stack: Stack, folder: StackFolder) -> Job:
        """Return a job whose worker is a process of this machine."""
        return LocalJob(stack, folder, self.options)


class LocalJob(Job):
    """One stack and the process that trains it."""

    def __init__(self, stack: Stack, folder: StackFolder, options: Options) -> None:
        super().__init__(stack, folder)
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.create()
        self.process = launch(self.folder.path, self.options.to_text())
        self.state = "training"

    def poll(self) -> int | None:
        return self.process.poll() if self.process else None

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
