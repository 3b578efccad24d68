"""Environments that are odd in one way each, as somebody's may be: ``odd:NAME-v0``."""

import os
import random

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Plain(gymnasium.Env):
    """Nothing is odd: three random numbers; the nearer the action is to 0, the better; twenty steps an episode."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

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


for kind in (Plain, OwnRandomness, HalfOwn, Leaves):
    gymnasium.register(f"{kind.__name__}-v0", kind)
