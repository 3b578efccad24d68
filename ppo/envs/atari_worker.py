"""A worker process of ``AtariVectorEnv``: the games of some rows, stepped when a request comes.

It imports neither torch nor MuJoCo, so it is started as a separate program (``python -m ppo.envs.atari_worker``) and
not as a fork of the training. A request is a line on standard input, its answer a line of JSON on standard output;
actions and results of every step lie in memory that both sides share. When the parent ends, for whatever reason,
standard input ends, and then the worker.
"""

import json
import mmap
import os
import signal
import sys
from os import PathLike
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ppo.envs.emulator import SIZE, Game

NUM_STACK = 4
"""Frames of an observation."""

OUTCOME = np.dtype(
    [
        ("rewards", np.float64),
        ("raw_rewards", np.float64),
        ("terminated", np.bool_),
        ("truncated", np.bool_),
        ("game_over", np.bool_),
    ],
    align=True,
)

RESET, STEP, SAVE, RESTORE = b"reset\n", b"step\n", b"save\n", b"restore"
"""The requests. ``restore`` is followed by a list of what ``save`` answered for each row."""

DONE = b"null\n"
"""The answer to a request that returns nothing."""


class Memory:
    """Arrays in ``buffer``, the memory that the parent and its workers share."""

    newest: NDArray[np.int64]
    """``[1]``: index of the newest frames in ``frames``; the parent advances it before each step."""
    actions: NDArray[np.int64]
    """``[rows]``."""
    outcomes: NDArray[Any]
    """``[rows]``, of type ``OUTCOME``."""
    frames: NDArray[np.uint8]
    """``[NUM_STACK, rows, 84, 84]``: a ring, so that a step writes one frame of each row and moves none."""
    final_observations: NDArray[np.uint8]
    """``[rows, 84, 84, NUM_STACK]``: the last observation of a row's last episode."""

    def __init__(self, buffer: mmap.mmap | bytearray, rows: int) -> None:
        fields = np.frombuffer(buffer, self.layout(rows))[0]
        self.newest, self.actions, self.outcomes, self.frames, self.final_observations = fields

    @staticmethod
    def layout(rows: int) -> np.dtype[Any]:
        return np.dtype(
            [
                ("newest", np.int64, (1,)),
                ("actions", np.int64, (rows,)),
                ("outcomes", OUTCOME, (rows,)),
                ("frames", np.uint8, (NUM_STACK, rows, SIZE, SIZE)),
                ("final_observations", np.uint8, (rows, SIZE, SIZE, NUM_STACK)),
            ],
            align=True,
        )

    def observations(self) -> NDArray[np.uint8]:
        """Return a copy, ``[rows, 84, 84, NUM_STACK]``, the newest frame last."""
        return in_order(self.frames, int(self.newest[0]))

    def set_observations(self, observations: NDArray[np.uint8]) -> None:
        """Go on from what :meth:`observations` returned."""
        self.newest[0] = NUM_STACK - 1
        self.frames[...] = np.moveaxis(observations, -1, 0)


def in_order(frames: NDArray[np.uint8], newest: int) -> NDArray[np.uint8]:
    """Turn the ring ``[NUM_STACK, rows, 84, 84]`` into ``[rows, 84, 84, NUM_STACK]``, ``frames[newest]`` last."""
    ring = [frames[(newest + age) % NUM_STACK].reshape(-1, SIZE) for age in range(1, NUM_STACK + 1)]
    pixels: NDArray[np.uint8] = cv2.merge(ring)
    return pixels.reshape(-1, SIZE, SIZE, NUM_STACK)


class Player:
    """A row's game, and its part of the shared memory."""

    def __init__(self, rom: str | PathLike[str], seed: int, memory: Memory, row: int) -> None:
        self.game = Game(rom, seed)
        self.memory = memory
        self.row = row
        self.frames = memory.frames[:, row : row + 1]

    def start(self) -> None:
        self.game.start()
        self._begin_episode()

    def step(self) -> None:
        self.memory.outcomes[self.row] = outcome = self.game.step(int(self.memory.actions[self.row]))
        newest = int(self.memory.newest[0])
        self.frames[newest] = self.game.frame
        _, _, terminated, truncated, _ = outcome
        if terminated or truncated:
            self.memory.final_observations[self.row] = in_order(self.frames, newest)[0]
            self._begin_episode()

    def _begin_episode(self) -> None:
        self.frames[...] = 0
        self.frames[int(self.memory.newest[0])] = self.game.first_frame


def answer(request: bytes, players: list[Player]) -> Any:
    """Carry out a request; return the games' states for ``save``, an error text if it cannot be done, else None."""
    if request == STEP:
        for player in players:
            player.step()
    elif request == RESET:
        for player in players:
            player.start()
    elif request == SAVE:
        return [player.game.save() for player in players]
    else:
        for player, saved in zip(players, json.loads(request.removeprefix(RESTORE)), strict=True):
            try:
                player.game.restore(*saved)
            except ValueError as error:
                return str(error)
    return None


def main() -> None:
    """Serve requests. ``argv``: the shared memory's descriptor, its number of rows, the ROM's path, this worker's
    first row, and the seeds of its rows."""
    # Ctrl-C and a job's end signal every process; the parent may still want to save, and ends the workers itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    descriptor, rows, rom, first, seeds = sys.argv[1:]
    memory = Memory(mmap.mmap(int(descriptor), 0), int(rows))
    players = [Player(rom, seed, memory, row) for row, seed in enumerate(json.loads(seeds), int(first))]
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # output printed by a library must not be read as an answer
    try:
        for request in sys.stdin.buffer:
            reply = answer(request, players)
            answers.write(DONE if reply is None else json.dumps(reply).encode() + b"\n")
    except BrokenPipeError:
        pass  # the parent ended while we worked


if __name__ == "__main__":
    main()
