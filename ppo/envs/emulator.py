"""One Atari game as OpenAI's wrappers of 2017 showed it to a learner.

The wrappers are those that openai/baselines ran PPO, A2C and ACER with when it published all three (November 2017,
commit 2dd7d30, common/atari_wrappers.py), in their order: NoopReset, MaxAndSkip, EpisodicLife, FireReset, WarpFrame,
ClipReward. Here they are one class, which can be saved; VecFrameStack, the last of them, is in atari_worker.py.
Each difference from them is noted where it is made.
"""

import base64
import functools
import hashlib
from collections.abc import Callable
from os import PathLike

import cv2
import numpy as np
from ale_py import Action, ALEInterface, ALEState, LoggerMode
from gymnasium.utils import seeding
from numpy.typing import NDArray

from ppo.envs.base import generator_state, set_generator_state

NOOP_MAX = 30
"""A game begins with 1 to ``NOOP_MAX`` frames of no action (NoopReset's ``noop_max``)."""
FRAME_SKIP = 4
"""Frames that an action is held for (MaxAndSkip's ``skip``)."""
TIME_LIMIT = 400_000
"""Frames after which a game is cut off, as gym's NoFrameskip-v4 ids did in 2017 (gym/envs/__init__.py: 100,000 x 4)."""
SIZE = 84
"""Height and width of a frame."""

Outcome = tuple[float, float, bool, bool, bool]
"""reward, raw_reward, terminated, truncated and game_over, as in ``Transition``."""


class Game:
    """One emulator: no sticky actions, the game's minimal action set (as the NoFrameskip-v4 ids), its default mode.

    Its randomness is that of ``gymnasium.make(...).reset(seed=seed)`` with a NoopReset that draws from the
    environment's ``np_random``: the seed's ``SeedSequence`` gives one word for the no-ops and one for the emulator.
    :meth:`start` or :meth:`restore` comes first.
    """

    frame: NDArray[np.uint8]
    """``[84, 84]``: what the last action led to."""
    first_frame: NDArray[np.uint8]
    """``[84, 84]``: what the last episode began with."""

    def __init__(self, rom: str | PathLike[str], seed: int) -> None:
        self.rom = rom
        self.seed = seed

    def _open(self, seed: int) -> None:
        """Open a fresh emulator."""
        self.ale = ale = open_rom(self.rom, seed)
        self.actions = ale.getMinimalActionSet()
        # wrap_deepmind fires "if 'FIRE' in env.unwrapped.get_action_meanings()", and FireReset wants it as action 1 of
        # at least 3. The minimal sets are in ALE's order, in which FIRE follows NOOP.
        self.fires = len(self.actions) >= 3 and self.actions[1] == Action.FIRE
        self.screen, self.previous = screens(*ale.getScreenDims())
        self.generator = np.random.default_rng(0)
        self.lives = 0
        self.paid = 0
        """Points of the running game that no step has reported yet."""
        self.over, self.lost = True, False
        """Whether the game has ended, and whether a life was lost while it goes on."""
        self.recorded: int | None = None
        """What the game that ended in this step had paid since the last one; None if none ended."""

    def start(self) -> None:
        """Begin the first game of the seed."""
        noop_seed, emulator_seed = np.random.SeedSequence(self.seed).generate_state(2)
        self._open(int(emulator_seed.astype(np.int32)))
        self.generator = seeding.np_random(int(noop_seed))[0]
        self._begin_episode()

    def step(self, action: int) -> Outcome:
        """Take one action, an index into the minimal set; if the episode ends, begin the next one."""
        self.recorded = None
        before = self.paid
        self._play(self.actions[action])
        points = self.paid - before
        reward = float((points > 0) - (points < 0))  # ClipReward: the sign of four frames' sum
        self.frame = warp(self.screen)
        if not (self.lost or self.over):
            raw_reward, self.paid = float(self.paid), 0
            return reward, raw_reward, False, False, False
        terminated = self.lost or self.ale.game_over(with_truncation=False)
        truncated = self.ale.game_truncated()
        self._begin_episode()
        if self.recorded is not None:
            return reward, float(self.recorded), terminated, truncated, True
        raw_reward, self.paid = float(self.paid), 0
        return reward, raw_reward, terminated, truncated, False

    def _begin_episode(self) -> None:
        """Do FireReset: FIRE, then the third action, at the beginning of every episode, so also after a lost life.

        Should a life or the game end in it, the next one begins. (Then OpenAI's showed the frame before that
        beginning if it happened in the second of the two actions; here it is the frame after it.)
        """
        self._next_life()
        if self.fires:
            for action in self.actions[1:3]:
                self._play(action)
                if self.lost or self.over:
                    self._next_life()
        self.first_frame = warp(self.screen)

    def _next_life(self) -> None:
        """Do EpisodicLife's reset: one step of no action after a lost life, a new game only once the old one is over.

        (OpenAI's did not look whether the game ended in that step of no action, and went on in a finished game.)
        """
        if not self.over:
            self._skip(Action.NOOP)
        if self.over:
            self._new_game()
        self.lives = self.ale.lives()

    def _new_game(self) -> None:
        """Do NoopReset: reset the emulator, then 1 to 30 frames of no action, of which the last is shown."""
        if self.recorded is None:
            self.recorded = self.paid  # a game without a single step after it is no game: what it paid is forgotten
        self.over = False
        self.ale.reset_game()
        self.paid = 0
        for _ in range(int(self.generator.integers(1, NOOP_MAX + 1))):
            self.paid += self.ale.act(Action.NOOP)
            if self.ale.game_over():
                self.ale.reset_game()
                self.paid = 0
        self.ale.getScreenRGB(self.screen)

    def _play(self, action: Action) -> None:
        """Do EpisodicLife's step: a lost life ends the episode that learning sees.

        Lives of 0 are no loss: some games have none, and Qbert stays at 0 for some frames before it is over.
        """
        self._skip(action)
        lives = self.ale.lives()
        self.lost = 0 < lives < self.lives
        self.lives = lives

    def _skip(self, action: Action) -> None:
        """Do MaxAndSkip: four frames of ``action``, shown as the maximum of the last two, because games draw some
        sprites on every other frame. A game that ends earlier is shown as it ended. (OpenAI's: "the observation on the
        done=True frame doesn't matter"; it was one of another step.)"""
        ale = self.ale
        for frame in range(FRAME_SKIP):
            self.paid += ale.act(action)
            if frame == FRAME_SKIP - 2:
                ale.getScreenRGB(self.previous)
            if ale.game_over():  # or cut by the time limit
                self.over = True
                break
        ale.getScreenRGB(self.screen)
        if frame == FRAME_SKIP - 1:
            np.maximum(self.screen, self.previous, out=self.screen)

    def save(self) -> tuple[str, str, int]:
        """Return the states of the emulator and of the no-op generator, and the points that no step has reported yet.
        Nothing else lasts from one step to the next."""
        emulator = self.ale.cloneState(include_rng=True).serialize()
        return pack(emulator), generator_state(self.generator), self.paid

    def restore(self, emulator: str, generator: str, paid: int) -> None:
        """Continue from what :meth:`save` returned; raises ``ValueError`` if it cannot be."""
        state = unpack(emulator)
        # Into a fresh emulator, for restoring thousands of times into one corrupts its memory (ale-py 0.12.1, Qbert);
        # and after a frame of play, before which it would lack a flag that is not part of the state (again Qbert).
        self._open(0)
        self.ale.reset_game()
        self.ale.act(Action.NOOP)
        try:
            self.ale.restoreState(ALEState(state))
        except SystemError:
            raise ValueError("not the state of an emulator of this game and version of ale-py") from None
        set_generator_state(self.generator, generator)
        self.lives, self.paid, self.over = self.ale.lives(), paid, False


def open_rom(rom: str | PathLike[str], seed: int) -> ALEInterface:
    """Open a silent emulator of the game."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", TIME_LIMIT)
    ale.setInt("random_seed", seed)
    ale.loadROM(rom)
    return ale


@functools.cache
def screens(height: int, width: int) -> NDArray[np.uint8]:
    """``[2, height, width, 3]``, the same for all games of a process: nothing in them outlasts a step, and with two for
    each game they would push each other out of the core's cache."""
    return np.zeros((2, height, width, 3), np.uint8)


def warp(screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Do WarpFrame: turn ``[height, width, 3]`` grey (luminance 0.299, 0.587, 0.114), and 84x84 by INTER_AREA."""
    grey = cv2.cvtColor(screen, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def pack(data: bytes) -> str:
    """Encode ``data`` as text with a checksum: the emulator accepts a damaged state without an error."""
    return base64.b64encode(hashlib.sha256(data).digest() + data).decode()


def unpack(text: str) -> bytes:
    """Decode the text of :func:`pack`; raises ``ValueError`` for any other text."""
    data = base64.b64decode(text, validate=True)
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise ValueError("its contents do not match its checksum")
    return data[32:]


def bare_loop(rom: str | PathLike[str], emulators: int, seed: int = 0) -> Callable[[int], None]:
    """Return a function that does only what every step on images needs: the reference of throughput.

    The function plays a number of random steps in each of ``emulators``, in turn as a stack of rows does (a single
    emulator would have the core's cache to itself): four frames, two screens, their maximum, in grey, smaller, and
    nothing else but a reset when a game is over.
    """
    ales = [open_rom(rom, seed + i) for i in range(emulators)]
    for ale in ales:
        ale.reset_game()
    actions = ales[0].getMinimalActionSet()
    generator = np.random.default_rng(seed)
    previous, screen = screens(*ales[0].getScreenDims())

    def play(steps: int) -> None:
        for row in generator.integers(len(actions), size=(steps, emulators)).tolist():
            for ale, choice in zip(ales, row, strict=True):
                action = actions[choice]
                for _ in range(FRAME_SKIP - 1):
                    ale.act(action)
                ale.getScreenRGB(previous)
                ale.act(action)
                ale.getScreenRGB(screen)
                np.maximum(screen, previous, out=screen)
                warp(screen)
                if ale.game_over():
                    ale.reset_game()

    return play
