"""A worker process of ``AtariVectorEnv``: the games of some rows, stepped when a request comes.

It imports neither torch nor MuJoCo, so it is started as a program of its own (``python -m ppo.envs.atari_worker``) and
not as a fork of a training. A request is a line on standard input, its answer a line of JSON on standard output; what
is large and moves at every step, actions and results, lies in memory that both sides share. Standard input ends when
the parent does, however that happens, and with it the worker.
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

from ppo.envs.emulator import SIZE, Game, Outcome

NUM_STACK = 4
"""Frames of an observation."""

PIXEL = np.dtype("<u4")
"""A pixel of an observation: its four frames, the oldest in the lowest byte."""

_OBSERVATION = (np.uint8, (SIZE, SIZE, NUM_STACK))
OUTCOME = np.dtype(
    [
        ("rewards", np.float64),
        ("raw_rewards", np.float64),
        ("terminated", np.bool_),
        ("truncated", np.bool_),
        ("game_over", np.bool_),
    ]
)
ROW = np.dtype(
    [
        ("actions", np.int64),
        ("outcomes", OUTCOME),
        ("observations", *_OBSERVATION),
        ("final_observations", *_OBSERVATION),
    ],
    align=True,
)
"""What a row has in the shared memory. ``final_observations`` are what the last episode ended with."""

RESET, STEP, SAVE, RESTORE = b"reset\n", b"step\n", b"save\n", b"restore"
"""The requests. ``restore`` is followed by a list of what ``save`` answered for each row."""


class Player:
    """A row's game, and its last frames in the shared memory."""

    def __init__(
        self, rom: str | PathLike[str], seed: int, observation: NDArray[np.uint8], final_observation: NDArray[np.uint8]
    ) -> None:
        self.game = Game(rom, seed)
        self.pixels, self.newest = observation.view(PIXEL)[..., 0], observation[..., -1]
        self.final_pixels = final_observation.view(PIXEL)[..., 0]

    def start(self) -> None:
        self.game.start()
        self._begin_episode()

    def step(self, action: int) -> Outcome:
        outcome = self.game.step(action)
        _, _, terminated, truncated, _ = outcome
        np.right_shift(self.pixels, 8, out=self.pixels)  # forgets the oldest frame
        self.newest[...] = self.game.frame
        if terminated or truncated:
            self.final_pixels[...] = self.pixels
            self._begin_episode()
        return outcome

    def _begin_episode(self) -> None:
        self.pixels[...] = 0
        self.newest[...] = self.game.first_frame


def answer(request: bytes, players: list[Player], rows: NDArray[Any]) -> Any:
    """Do what is asked: the state of each game for ``save``, else None, or a complaint about what cannot be done."""
    if request == STEP:
        outcomes = rows["outcomes"]
        for i, action in enumerate(rows["actions"].tolist()):
            outcomes[i] = players[i].step(action)
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


def players(rom: str | PathLike[str], seeds: list[int], rows: NDArray[Any]) -> list[Player]:
    """A player of each of ``seeds`` in its row of the shared memory."""
    own = zip(seeds, rows["observations"], rows["final_observations"], strict=True)
    return [Player(rom, *row) for row in own]


def main() -> None:
    """``argv``: the descriptor of the shared memory, the ROM's path, and from which row on which seeds are ours."""
    # Ctrl-C and whoever ends the whole job reach the parent, which may yet want to save: it ends us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    memory, rom, first, seeds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    rows = np.frombuffer(mmap.mmap(memory, 0), ROW)[first : first + len(seeds)]
    own = players(rom, seeds, rows)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not pass for an answer
    try:
        for request in sys.stdin.buffer:
            answers.write(json.dumps(answer(request, own, rows)).encode() + b"\n")
    except BrokenPipeError:
        pass  # the parent ended while we worked


if __name__ == "__main__":
    main()
