"""Workers and commands as processes that are forked from one that has loaded everything, rather than started.

An interpreter's start and what it loads take four seconds, much longer than what most tests train. What is forked is a
process of its own all the same: it has its memory and its signals, and can be killed at any moment. How a worker or a
command is really started is left to the tests that are about it.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from experiments.cli import commands
from experiments.training import local, worker

ROOT = Path(__file__).parents[2]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "experiments.training.worker", "tests.helpers.warm"])


class ForkedWorker:
    """What ``launch`` returns, as far as it is used: the worker of the stack in ``folder``."""

    def __init__(self, folder: Path, options: str) -> None:
        self.process = FORKS.Process(target=_work, args=(str(folder), options, dict(os.environ)), daemon=True)
        _start(self.process)

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


class ForkedCommand:
    """What ``begin`` returns, as far as it is used: ``ppo`` with ``argv``, whose workers are its forked children."""

    def __init__(self, argv: Sequence[str]) -> None:
        with tempfile.NamedTemporaryFile(delete=False) as output:
            self.output = Path(output.name)
        self.process = FORKS.Process(target=_command, args=(list(argv), self.output, dict(os.environ)))
        _start(self.process)
        assert self.process.pid is not None
        self.pid = self.process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code, negative the number of the signal that ended it; None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait until it ends; return what it printed. Raises ``subprocess.TimeoutExpired`` as ``Popen`` does."""
        self.process.join(timeout)
        if self.process.is_alive():
            assert timeout is not None
            raise subprocess.TimeoutExpired("ppo", timeout)
        said = self.output.read_text()
        self.output.unlink()
        return said, None


class ChildWorker:
    """What ``launch`` returns in a forked command: the worker as a child of the very command, forked from it."""

    def __init__(self, folder: Path, options: str) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            with _leaving():
                _work(str(folder), options, {})

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


def _start(process: ForkServerProcess) -> None:
    """Start it; the first one starts the server, which keeps the environment that it then has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        process.start()


@contextmanager
def _leaving() -> Iterator[None]:
    """End this process with what it exits with, as a fork may not return into what its parent was doing."""
    code = 1
    try:
        yield
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _command(argv: list[str], output: Path, environment: dict[str, str]) -> None:
    """Be the command, which prints into ``output``."""
    os.environ.update(environment)
    _print_into(output)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "launch", ChildWorker)
        sys.exit(commands.main(argv))


def _work(folder: str, options: str, environment: dict[str, str]) -> None:
    """Be the worker, in a session of its own, that writes into the stack's log."""
    os.setsid()
    os.environ.update(environment)
    _print_into(Path(folder) / "log.txt")
    sys.exit(worker.main([folder, "--options", options]))


def _print_into(path: Path) -> None:
    """Let all that this process prints go to the end of the file ``path``."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)


@contextmanager
def forked_workers() -> Iterator[None]:
    """Let commands in this process fork their workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "launch", ForkedWorker)
        yield
