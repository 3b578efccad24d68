"""Environments that are odd in one way each, as somebody's may be: ``odd:NAME-v0``."""

import os
import random
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Plain(gymnasium.Env):
    """Nothing is odd: three random numbers; the nearer the action is to 0, the better; twenty steps an episode."""

    observation_space: Any = Box(-np.inf, np.inf, (3,), np.float32)
    action_space: Any = Box(-1, 1, (1,), np.float32)

    def observe(self):
        return self.np_random.normal(size=3).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observe(), {}

    def step(self, action):
        self.time += 1
        return self.observe(), -float(np.square(action).sum()), False, self.time >= 20, {}


class OwnRandomness(Plain):
    """Its numbers are Python's own: no episode can be played again."""

    def observe(self):
        return np.array([random.random() for _ in range(3)], np.float32)


class HalfOwn(Plain):
    """As ``OwnRandomness`` in the copies made with an odd seed; those of an even one can be played again."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.own = bool(seed % 2)
        return super().reset(seed=seed)

    def observe(self):
        if not getattr(self, "own", False):
            return super().observe()
        return np.array([random.random() for _ in range(3)], np.float32)


class Leaves(Plain):
    """Ends its process in a step, with the code for success, as a window that is closed may."""

    def step(self, action):
        if self.time == 13:
            os._exit(0)
        return super().step(action)


class NoSpace(Plain):
    """Its author forgot one space."""

    action_space: Any = None


class PlainSpace(Plain):
    """A shape in the place of a space."""

    observation_space: Any = (3,)


class ExitsWhenMade(Plain):
    """Ends its process, with the code for success, when it is made."""

    def __init__(self):
        raise SystemExit(0)


class ExitsAtReset(Plain):
    """Ends its process, with the code for success, when an episode begins."""

    def reset(self, *, seed=None, options=None):
        raise SystemExit(0)


class ExitsAtClose(Plain):
    """Ends its process, with the code for success, when it is closed."""

    def close(self):
        raise SystemExit(0)


class OneAtATime(Plain):
    """A simulator with one port."""

    made = 0

    def __init__(self):
        OneAtATime.made += 1
        if OneAtATime.made > 1:
            raise RuntimeError("the port is taken")


class OneEpisode(Plain):
    """It cannot begin another episode."""

    begun = 0

    def reset(self, *, seed=None, options=None):
        self.begun += 1
        if self.begun > 1:
            raise RuntimeError("it was begun before")
        return super().reset(seed=seed)


KINDS = (
    *(Plain, OwnRandomness, HalfOwn, Leaves, NoSpace, PlainSpace),
    *(ExitsWhenMade, ExitsAtReset, ExitsAtClose, OneAtATime, OneEpisode),
)
for kind in KINDS:
    gymnasium.register(f"{kind.__name__}-v0", kind)
