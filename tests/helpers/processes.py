"""Workers as processes that are forked from one that has loaded everything, rather than started.

An interpreter's start and what it loads take four seconds, much longer than what most tests train. A forked worker is a
process of its own all the same: it has its memory and its signals, and can be killed at any moment. How a worker is
really started is left to the tests that are about it.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments.training import local, worker

ROOT = Path(__file__).parents[2]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "experiments.training.worker", "tests.helpers.warm"])


class ForkedWorker:
    """What ``launch`` returns, as far as it is used: the worker of the stack in ``folder``."""

    def __init__(self, folder: Path, options: str) -> None:
        self.process = FORKS.Process(target=_work, args=(str(folder), options, dict(os.environ)), daemon=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")  # the server keeps what it first began with
            patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
            self.process.start()

    def poll(self) -> int | None:
        """Return the exit code, negative the number of the signal that ended it; None while it works."""
        return self.process.exitcode

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> int | None:
        """End it by SIGKILL, which nothing can catch; returns its exit code."""
        self.process.kill()
        return self.wait()

    def wait(self, seconds: float = 120) -> int | None:
        self.process.join(seconds)
        return self.process.exitcode


def _work(folder: str, options: str, environment: dict[str, str]) -> None:
    """Be the worker, in a session of its own, that writes into the stack's log."""
    os.setsid()
    os.environ.update(environment)
    log = os.open(Path(folder) / "log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.exit(worker.main([folder, "--options", options]))


@contextmanager
def forked_workers() -> Iterator[None]:
    """Let commands in this process fork their workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "launch", ForkedWorker)
        yield
