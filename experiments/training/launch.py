"""Starting a stack's worker as a process, on this machine or on a node of a cluster.

Imports only the standard library, so that the process beside each worker on a node stays small.
"""

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parents[2]
"""The folder that the project's packages lie in."""


def launch(folder: Path, options: str) -> "subprocess.Popen[bytes]":
    """Start the worker of the stack in ``folder``, on one core; ``options`` as ``Options.to_text`` writes them.

    It finds this project before anything else, and nothing in the working directory in its place (``-P``).
    """
    command = [sys.executable, "-P", "-m", "experiments.training.worker", str(folder)]
    command += ["--parent", str(os.getpid()), "--options", options]
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(  # in a new session, so that Ctrl-C reaches it only through this process, once
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )


class WorkerActor:
    """Runs one worker on a node of a cluster; the driver polls and stops it. If the actor dies, the worker sees that
    its parent is gone, saves and ends."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, folder: str, options: str, versions: Mapping[str, str]) -> None:
        """Launch the worker.

        Raises ``RuntimeError`` if this node has other versions than ``versions``, or does not see ``folder``.
        """
        host = socket.gethostname()
        for package, expected in versions.items():
            installed = _version(package)
            if installed != expected:
                raise RuntimeError(
                    f"{host} has {package} {installed}, and the others {expected}: results would be mixed"
                )
        if not Path(folder).is_dir():
            raise RuntimeError(f"{host} does not see {folder}: results must be on storage that all nodes share")
        self.process = launch(Path(folder), options)

    def poll(self) -> int | None:
        """Return the worker's exit code; None while it trains."""
        return self.process.poll() if self.process else None

    def terminate(self) -> None:
        """Ask the worker to save and end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()


def _version(package: str) -> str:
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
