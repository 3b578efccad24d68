"""Train stacks on the nodes of a Ray cluster: the same workers as on one machine, each run by a Ray actor.

The results folder must be on storage that all nodes share, under the same path. A stack whose node dies moves to
another node and continues from its last checkpoint. If a lost node's worker is still alive (network partition),
it keeps the stack's lock; the replacement retries until the lock is free.
"""

import os
import socket
import time
from pathlib import Path
from typing import Any

from experiments.planning.planner import Stack
from experiments.store import provenance
from experiments.store.files import StoreError, read_text
from experiments.store.stack_folder import StackFolder
from experiments.training.executor import BUSY, FAILED, STOPPED, Job
from experiments.training.launch import WorkerActor
from experiments.training.options import Options

MOST_MOVES = 5
"""How often a stack moves from node to node without being begun."""
ADDRESS_FILE = Path("/tmp/ray/ray_current_cluster")
"""Where Ray notes the cluster of this machine."""
MOST_ADDRESS = 1000
"""Bytes of that note."""
BUSY_SECONDS = 5.0
"""Between two attempts to take over a stack that another worker has locked."""


class RayExecutor:
    """A running Ray cluster. Every stack takes a core and ``gpus_per_stack`` of a GPU."""

    def __init__(self, address: str, workers: int | None, gpus_per_stack: float, options: Options) -> None:
        """Connect to the cluster; ``workers``: limit of stacks at once, None for as many as the cluster has room for.

        Raises ``ValueError`` if Ray is not installed, there is no cluster at ``address`` (auto: the one of this
        machine), or it has no room for a stack.
        """
        try:
            import ray  # an optional dependency that takes seconds to import
        except ImportError:
            raise ValueError("--cluster needs Ray: pip install 'ppo-reproduction[cluster]'") from None
        self.ray: Any = ray
        self.workers = workers
        self.gpus_per_stack = gpus_per_stack
        self.options = options
        try:
            for one in [address] if address != "auto" else _known_addresses():  # Ray itself would try for minutes
                host, _, port = one.removeprefix("ray://").rpartition(":")
                socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
            ray.init(address, log_to_driver=False, logging_level="ERROR", ignore_reinit_error=True)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"no Ray cluster at {address!r}: {reason} (`ray start --head` starts one)") from error
        self.actors = ray.remote(
            num_cpus=1, num_gpus=gpus_per_stack, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )(WorkerActor)
        if self.slots() < 1:
            share = f"1 core and {gpus_per_stack:g} of a GPU" if gpus_per_stack else "1 core"
            raise ValueError(f"the Ray cluster at {address!r} has no room for a stack, which takes {share}")

    def slots(self) -> int:
        """Return how many stacks can be trained at once, which changes as nodes join and leave."""
        if self.workers is not None:
            return self.workers
        resources = self.ray.cluster_resources()
        cores = int(resources.get("CPU", 0))
        return min(cores, int(resources.get("GPU", 0) / self.gpus_per_stack)) if self.gpus_per_stack else cores

    def job(self, stack: Stack, folder: StackFolder) -> Job:
        """Return a job whose worker runs on any node with room."""
        return RayJob(stack, folder, self)


def asks_for_no_token() -> bool:
    """Tell whether anybody who reaches the cluster can run code on it. Ray, once it has joined one, names the mode;
    it takes a token where it finds one."""
    return os.environ.get("RAY_AUTH_MODE") != "token"


def _known_addresses() -> list[str]:
    """Return where ``auto`` would look for a cluster, if that is known without Ray."""
    if address := os.environ.get("RAY_ADDRESS", ""):
        return [address] if address != "auto" else []
    try:
        noted = read_text(ADDRESS_FILE, MOST_ADDRESS).strip()
    except (OSError, StoreError):
        return []
    return [noted] if noted else []


def _why_not_made(text: str) -> str:
    """Say in a line why an actor could not be made, of the many in which Ray does: its node lacks this project, say."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if "Error" in line), lines[-1])
    return f"a node cannot make a worker: {reason[:300]} (every node needs this project, in the same versions)"


class RayJob(Job):
    """One stack and the actor that runs its worker."""

    def __init__(self, stack: Stack, folder: StackFolder, cluster: RayExecutor) -> None:
        super().__init__(stack, folder)
        self.cluster = cluster
        self.actor: Any = None
        self.answer: Any = None
        """The last poll of the actor: its worker's exit code, if it has ended."""
        self.moved = False
        self.moves_in_vain = 0
        """Since it was last known to train."""
        self.stopping = False
        self.again = 0.0

    def start(self) -> None:
        self.create()
        self._launch()

    def poll(self) -> int | None:
        ray = self.cluster.ray
        if self.answer is None:  # another worker had locked it
            if not self.stopping and time.monotonic() >= self.again:
                self._launch()
            return STOPPED if self.stopping else None
        if not ray.wait([self.answer], timeout=0)[0]:
            return None
        try:
            code: int | None = ray.get(self.answer)
        except ray.exceptions.RayActorError as error:  # its node died, or Ray there; or it could not be made
            if error.actor_init_failed:
                self._release()
                self.refused = _why_not_made(str(error))
                return FAILED
            return self._move()
        except ray.exceptions.RayTaskError as error:
            self._release()
            self.refused = str(error.cause)
            return FAILED
        if code is None:
            self.state, self.moves_in_vain = "training", 0
            self.answer = self.actor.poll.remote()
            return None
        self._release()
        if code == BUSY and self.moved:
            self.state, self.again = "moving", time.monotonic() + BUSY_SECONDS
            return None
        return code

    def terminate(self) -> None:
        self.stopping = True
        if self.state == "training":
            self.actor.terminate.remote()
        elif self.actor is not None:  # not known to have begun
            self.cluster.ray.kill(self.actor)

    def _launch(self) -> None:
        self.actor = self.cluster.actors.remote()
        folder: Path = self.folder.path.resolve()
        self.answer = self.actor.start.remote(str(folder), self.cluster.options.to_text(), provenance.versions())

    def _move(self) -> int | None:
        self._release()
        if self.stopping:
            return STOPPED
        self.moves_in_vain += 1
        if self.moves_in_vain > MOST_MOVES:
            self.refused = f"moved {MOST_MOVES} times without being begun anywhere: Ray's logs on the nodes say why"
            return FAILED
        self.moved = True
        self.state = "moving"
        self._launch()
        return None

    def _release(self) -> None:
        """Free the node's core; the worker has ended, or ends when it sees that its actor did."""
        self.cluster.ray.kill(self.actor)
        self.actor = self.answer = None
