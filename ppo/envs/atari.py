"""The Atari games of section 6.4: one worker process per core, several emulators each, the pictures in shared memory.

The emulator is a thousand times slower than the copying of its pictures and holds Python's lock, so what counts is that
every core has one process that does nothing else. emulator.py defines a row's observations and rewards,
atari_worker.py the worker processes.
"""

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import ale_py  # registers its ids with Gymnasium
import gymnasium
import numpy as np
from gymnasium.envs.registration import registry
from numpy.typing import NDArray

from ppo.envs.atari_worker import DONE, NUM_STACK, OUTCOME, RESET, RESTORE, SAVE, STEP, Memory
from ppo.envs.base import EnvironmentDied, Seeds, State, Transition, VectorEnv, check_state, set_generator_state
from ppo.envs.emulator import SIZE, open_rom, unpack
from ppo.process import cores

ATARI_ROMS: dict[str, str] = {
    name: spec.kwargs["game"]
    for name, spec in registry.items()
    if name.endswith("NoFrameskip-v4") and spec.entry_point == "ale_py.env:AtariEnv"
}
"""The environments that :class:`AtariVectorEnv` knows, and ale-py's name of each game."""


class AtariVectorEnv(VectorEnv):
    """Rows of an Atari game, each behind OpenAI's wrappers of 2017 (emulator.py) and random by ``seeds[i]`` alone.

    Observations are bytes, ``[rows, 84, 84, 4]``: the last four frames of each pixel, the oldest first; at an episode's
    start zeros and its first frame (baselines' VecFrameStack). Which process plays a row changes nothing.
    The processes start with the first ``reset`` or ``set_state``.
    """

    action_space: gymnasium.spaces.Discrete
    frames = NUM_STACK

    def __init__(self, env_id: str, seeds: Seeds, processes: int | None = None) -> None:
        """Check the game; ``processes``: number of workers, at most one per row, by default one per usable core."""
        if env_id not in ATARI_ROMS:
            raise ValueError(f"{env_id!r} is not an Atari game of ale-py {ale_py.__version__}")
        if processes is not None and processes < 1:
            raise ValueError(f"{env_id}: processes = {processes}; at least 1 is needed")
        self._env_id = env_id
        self._rom = find_rom(env_id)
        self._seeds = [int(seed) for seed in seeds]
        self.rows = len(self._seeds)
        self._processes = min(processes or cores(), self.rows)
        self.observation_shape = (SIZE, SIZE, NUM_STACK)
        self.observation_dtype = np.dtype(np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(open_rom(self._rom, 0).getMinimalActionSet()))
        self._file = shared_memory(Memory.layout(self.rows).itemsize)
        self._memory = Memory(mmap.mmap(self._file.fileno(), 0), self.rows)
        self._workers: list[Worker] = []
        self._began = False
        self._end = weakref.finalize(self, end, self._workers)

    def reset(self) -> NDArray[np.uint8]:
        self._start()
        self._ask([RESET] * self._processes)
        self._began = True
        return self._memory.observations()

    def step(self, actions: NDArray[Any]) -> Transition:
        """Step every row. If no episode ends, ``final_observations`` is the array ``observations`` itself.

        Raises ``EnvironmentDied`` if a worker process died; the environment is then closed.
        """
        self._check_began("step")
        if actions.shape != (self.rows,):
            raise ValueError(f"{self._env_id}: actions have shape {actions.shape}, needed is {(self.rows,)}")
        choices = actions.tolist()
        if min(choices) < 0 or max(choices) >= self.action_space.n:
            raise ValueError(f"{self._env_id}: actions must lie between 0 and {self.action_space.n - 1}")
        memory = self._memory
        memory.actions[:] = choices
        memory.newest[0] = (memory.newest[0] + 1) % NUM_STACK
        self._ask([STEP] * self._processes)
        return transition(memory)

    def get_state(self) -> State:
        """Return the state of every row.

        ``emulators`` is ALE's state with a checksum. It lacks the current frames, so ``observations`` are saved beside
        it; ``pending_rewards`` are points that the next ``raw_rewards`` begin with.
        """
        self._check_began("get_state")
        saved = [row for rows in self._ask([SAVE] * self._processes) for row in rows]
        emulators, generators, pending = zip(*saved, strict=True)
        return {
            "environment": [self._env_id] * self.rows,
            "emulators": list(emulators),
            "generators": list(generators),
            "pending_rewards": np.array(pending, np.int64),
            "observations": self._memory.observations(),
        }

    def set_state(self, state: State) -> NDArray[np.uint8]:
        arrays: dict[str, NDArray[Any]] = {
            "pending_rewards": np.empty(self.rows, np.int64),
            "observations": self._memory.observations(),
        }
        check_state(self._env_id, state, ["emulators", "generators"], arrays, self.rows)
        for i, (emulator, generator) in enumerate(zip(state["emulators"], state["generators"], strict=True)):
            set_generator_state(np.random.default_rng(0), generator)
            try:
                unpack(emulator)
            except ValueError as error:
                raise ValueError(f"state for {self._env_id}: 'emulators' of row {i} is damaged: {error}") from None
        self._start()
        saved = list(zip(state["emulators"], state["generators"], state["pending_rewards"].tolist(), strict=True))
        parts = [saved[part] for part in self._parts()]
        complaints = self._ask([b"%b %b\n" % (RESTORE, json.dumps(part).encode()) for part in parts])
        self._began = not any(complaints)
        if not self._began:
            raise ValueError(f"state for {self._env_id}: {next(filter(None, complaints))}")
        self._memory.set_observations(state["observations"])
        return self._memory.observations()

    def close(self) -> None:
        self._end()

    def _parts(self) -> list[slice]:
        """Divide the rows among the workers: consecutive ones, as evenly as possible."""
        bounds = [worker * self.rows // self._processes for worker in range(self._processes + 1)]
        return [slice(first, last) for first, last in pairwise(bounds)]

    def _start(self) -> None:
        self._check_open()
        if not self._workers:
            for part in self._parts():
                rows_and_seeds = (part.start, self._seeds[part])
                self._workers.append(Worker(self._env_id, self._file, self.rows, self._rom, *rows_and_seeds))

    def _check_open(self) -> None:
        if not self._end.alive:
            raise ValueError(f"{self._env_id}: the environment is closed")

    def _check_began(self, what: str) -> None:
        self._check_open()
        if not self._began:
            raise ValueError(f"{self._env_id}: {what}() was called before reset()")

    def _ask(self, requests: Sequence[bytes]) -> list[Any]:
        """Return each worker's answer to its request; all work at the same time."""
        try:
            for worker, request in zip(self._workers, requests, strict=True):
                worker.send(request)
            return [worker.receive() for worker in self._workers]
        except BaseException:  # also Ctrl-C: an answer that is still to come would be taken for the next one
            self.close()
            raise


def transition(memory: Memory) -> Transition:
    """Return the workers' results of a step."""
    observations = final_observations = memory.observations()
    outcomes = memory.outcomes.copy()
    ended = outcomes["terminated"] | outcomes["truncated"]
    if ended.any():
        final_observations = observations.copy()
        final_observations[ended] = memory.final_observations[ended]
    fields = {name: outcomes[name] for name in OUTCOME.names or ()}
    return Transition(observations=observations, final_observations=final_observations, **fields)


class Worker:
    """The parent's end of a worker process."""

    def __init__(self, env_id: str, memory: BinaryIO, rows: int, rom: Path, first: int, seeds: Sequence[int]) -> None:
        self.rows = f"{env_id}, rows {first} to {first + len(seeds) - 1}"
        arguments = (memory.fileno(), rows, rom, first, json.dumps(list(seeds)))
        # -P and the parent's path: import this project's modules, not files of the working directory
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ppo.envs.atari_worker", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[memory.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            process_group=0,  # Ctrl-C in a terminal reaches the parent alone, also before the worker can ignore it
        )
        assert self.process.stdin
        assert self.process.stdout
        self.requests, self.answers = self.process.stdin, self.process.stdout

    def send(self, request: bytes) -> None:
        try:
            self.requests.write(request)
            self.requests.flush()
        except BrokenPipeError:
            raise self.death() from None

    def receive(self) -> Any:
        line = self.answers.readline()
        if not line.endswith(b"\n"):
            raise self.death()
        return None if line == DONE else json.loads(line)

    def death(self) -> EnvironmentDied:
        """Describe how the worker, whose pipes are closed, ended."""
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return EnvironmentDied(f"{self.rows}: worker process {self.process.pid} {how}")


def end(workers: list[Worker]) -> None:
    """Stop the processes: each ends when its standard input is closed."""
    for worker in workers:
        with contextlib.suppress(BrokenPipeError):
            worker.requests.close()
    for worker in workers:
        try:
            worker.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        worker.answers.close()
    workers.clear()


def find_rom(env_id: str) -> Path:
    """Return the path of the game's ROM; raises a one-line ``ValueError`` if there is none."""
    game = ATARI_ROMS[env_id]
    try:
        path = ale_py.roms.get_rom_path(game)
        reason = "it is none that ale-py supports"
    except OSError as error:
        path, reason = None, " ".join(str(error).split())
    if path is None:
        raise ValueError(
            f"environment {env_id!r} cannot be made: ale-py {ale_py.__version__} has no usable ROM {game}.bin "
            f"({reason}); unset ALE_ROMS_DIR if it is set, and `pip install --force-reinstall ale-py` brings the ROMs"
        )
    return Path(path)


def shared_memory(size: int) -> BinaryIO:
    """Allocate ``size`` bytes of shared memory without a name: processes receive its descriptor, and it is freed with
    the last of them, so a killed training leaves nothing behind."""
    if hasattr(os, "memfd_create"):
        memory: BinaryIO = os.fdopen(os.memfd_create("atari"), "r+b")
    else:
        memory = tempfile.TemporaryFile()  # noqa: SIM115
    memory.truncate(size)
    return memory
