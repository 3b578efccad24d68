"""Environments made up for the tests: scripted, endless, or nothing but spaces."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete

from ppo.envs.base import State, Transition, VectorEnv

CONTINUOUS_1 = Box(-1.0, 1.0, (1,), np.float32)
CONTINUOUS_3 = Box(-1.0, 1.0, (3,), np.float32)
DISCRETE_4 = Discrete(4)


class ScriptedEnv(VectorEnv):
    """Observation (row, episode, time); row i's episodes last ``lengths[i]`` steps; reward 100 row + 10 episode + time.

    Even rows are terminated, odd ones truncated. Every number says where it comes from, so a shift by one step, an
    episode's first observation in place of the last one's, or a row in another's place shows. With ``lives`` > 1, it is
    as on Atari: a game lasts so many episodes, and learning sees the rewards' signs.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        action_space: Box | Discrete = CONTINUOUS_1,
        dtype: npt.DTypeLike = np.float64,
        lives: int = 1,
    ) -> None:
        self.rows = len(lengths)
        self.lengths = np.array(lengths)
        self.observation_shape = (3,)
        self.observation_dtype = np.dtype(dtype)
        self.action_space = action_space
        self.lives = lives
        self.actions: list[npt.NDArray[Any]] = []

    def observe(self) -> npt.NDArray[Any]:
        return np.stack([np.arange(self.rows), self.episode, self.time], axis=1).astype(self.observation_dtype)

    def reset(self) -> npt.NDArray[Any]:
        self.episode = np.zeros(self.rows, np.int64)
        self.time = np.zeros(self.rows, np.int64)
        return self.observe()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        self.actions.append(actions.copy())
        raw_rewards = (100 * np.arange(self.rows) + 10 * self.episode + self.time).astype(np.float64)
        rewards = np.sign(raw_rewards) if self.lives > 1 else raw_rewards
        self.time += 1
        final = self.observe()
        ended = self.time >= self.lengths
        self.episode[ended] += 1
        self.time[ended] = 0
        even = np.arange(self.rows) % 2 == 0
        game_over = ended & (self.episode % self.lives == 0)
        return Transition(self.observe(), rewards, ended & even, ended & ~even, final, raw_rewards, game_over)

    def get_state(self) -> State:
        return {"episode": self.episode.copy(), "time": self.time.copy()}

    def set_state(self, state: State) -> npt.NDArray[Any]:
        self.episode, self.time = state["episode"].copy(), state["time"].copy()
        return self.observe()


class ConstantReward(gymnasium.Env[npt.NDArray[np.float32], np.int64]):
    """One state, reward 1, no end but the time limit's: the true value is 1 / (1 - gamma)."""

    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: np.int64) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), 1.0, False, False, {}


class Blank(gymnasium.Env[npt.NDArray[np.float32], Any]):
    """Nothing but spaces, for whom asks for an environment and never steps it."""

    def __init__(self, action_space: gymnasium.Space[Any]) -> None:
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        return np.zeros(3, np.float32), {}


ENDLESS, ENDLESS_LIMIT = "ConstantReward-v0", 4
gymnasium.register(
    ENDLESS,
    ConstantReward,  # type: ignore[arg-type]  # which takes no options, and none are given
    max_episode_steps=ENDLESS_LIMIT,
)
