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
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ppo.envs.emulator import SIZE, Game

_FRAME = (np.uint8, (SIZE, SIZE))
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
        ("frames", *_FRAME),
        ("first_frames", *_FRAME),
    ],
    align=True,
)
"""What a row has in the shared memory: ``frames`` are what the actions led to, ``first_frames`` what a new episode
began with where one did."""

RESET, STEP, SAVE, RESTORE = b"reset\n", b"step\n", b"save\n", b"restore"
"""The requests. ``restore`` is followed by a list of what ``save`` answered for each row."""


def answer(request: bytes, games: list[Game], rows: NDArray[Any]) -> Any:
    """Do what is asked: the state of each game for ``save``, else None, or a complaint about what cannot be done."""
    if request == STEP:
        outcomes = rows["outcomes"]
        for i, action in enumerate(rows["actions"].tolist()):
            outcomes[i] = games[i].step(action)
    elif request == RESET:
        for game in games:
            game.start()
    elif request == SAVE:
        return [game.save() for game in games]
    else:
        for game, saved in zip(games, json.loads(request.removeprefix(RESTORE)), strict=True):
            try:
                game.restore(*saved)
            except ValueError as error:
                return str(error)
    return None


def main() -> None:
    """``argv``: the descriptor of the shared memory, the ROM's path, and from which row on which seeds are ours."""
    # Ctrl-C and whoever ends the whole job reach the parent, which may yet want to save: it ends us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    memory, rom, first, seeds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    rows = np.frombuffer(mmap.mmap(memory, 0), ROW)[first : first + len(seeds)]
    own = zip(seeds, rows["frames"], rows["first_frames"], strict=True)
    games = [Game(rom, seed, frame, first_frame) for seed, frame, first_frame in own]
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not pass for an answer
    try:
        for request in sys.stdin.buffer:
            answers.write(json.dumps(answer(request, games, rows)).encode() + b"\n")
    except BrokenPipeError:
        pass  # the parent ended while we worked


if __name__ == "__main__":
    main()
