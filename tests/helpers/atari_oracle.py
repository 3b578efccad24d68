"""The 2017 protocol from other hands: Gymnasium's own Atari environments behind Stable-Baselines3's wrappers."""

import collections
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from stable_baselines3.common import atari_wrappers
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from ppo.envs.atari import ATARI_ROMS, find_rom, transition
from ppo.envs.atari_worker import Memory, Player, answer
from ppo.envs.base import Transition, VectorEnv
from ppo.seeding import environment_seeds

SEEDS = environment_seeds([3], 3)
BREAKOUT = "BreakoutNoFrameskip-v4"
assert BREAKOUT in ATARI_ROMS  # whose import registers the games with Gymnasium


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What every game has paid, frame by frame, and whether the last one is over."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.games: list[float] = []

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        self.games = [*self.games, 0.0]
        return self.env.reset(**options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.games[-1] += float(reward)
        return observation, reward, terminated, truncated, info


class FireReset(atari_wrappers.FireResetEnv):
    """Stable-Baselines3's, but showing the new game if the old one ends in the second action."""

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        self.env.reset(**options)
        for action in (1, 2):
            observation, _, terminated, truncated, _ = self.env.step(action)
            if terminated or truncated:
                observation, _ = self.env.reset(**options)
        return observation, {}


def wrapped(env_id: str, time_limit: int) -> Any:
    env: Any = Recorder(gymnasium.make(env_id, max_num_frames_per_episode=time_limit))
    env = atari_wrappers.MaxAndSkipEnv(atari_wrappers.NoopResetEnv(env, 30), 4)
    env = atari_wrappers.EpisodicLifeEnv(env)
    if "FIRE" in env.unwrapped.get_action_meanings():
        env = FireReset(env)
    return atari_wrappers.ClipRewardEnv(atari_wrappers.WarpFrame(env))


class AtariOracle:
    """Steps and resets as ``AtariVectorEnv`` does."""

    def __init__(self, env_id: str, seeds: Sequence[int], time_limit: int = 400_000) -> None:
        self.envs: Any = DummyVecEnv([lambda: wrapped(env_id, time_limit) for _ in seeds])
        self.envs._seeds = list(seeds)
        self.stacked: Any = VecFrameStack(self.envs, 4, channels_order="last")

    def recorder(self, row: int) -> Recorder:
        env = self.envs.envs[row]
        while not isinstance(env, Recorder):
            env = env.env
        return env

    def games(self, row: int) -> Sequence[float]:
        """What each game of the row has paid so far, the running one's last."""
        return self.recorder(row).games

    def reset(self) -> npt.NDArray[np.uint8]:
        observations: npt.NDArray[np.uint8] = self.stacked.reset().copy()
        rows = range(self.envs.num_envs)
        self.known = [len(self.games(row)) for row in rows]  # games, and of the running one's points those reported
        self.reported = [0.0 for row in rows]
        return observations

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        observations, rewards, done, infos = self.stacked.step(actions)
        observations = observations.copy()
        finals = observations.copy()
        truncated, game_over, raw_rewards = np.zeros_like(done), np.zeros_like(done), np.zeros(len(done))
        for row, info in enumerate(infos):
            games = self.games(row)
            game_over[row] = len(games) > self.known[row]
            raw_rewards[row] = games[self.known[row] - 1] - self.reported[row]
            self.reported[row] = 0.0 if game_over[row] else games[-1]
            self.known[row] = len(games)
            if done[row]:
                truncated[row] = info["TimeLimit.truncated"]
                finals[row] = info["terminal_observation"].copy()
        return Transition(
            observations, rewards.astype(np.float64), done & ~truncated, truncated, finals, raw_rewards, game_over
        )


class InOneProcess:
    """What a worker does, without the process."""

    def __init__(self, env_id: str, seeds: Sequence[int]) -> None:
        rows = len(seeds)
        self.memory = Memory(bytearray(Memory.layout(rows).itemsize), rows)
        self.players = [Player(find_rom(env_id), seed, self.memory, row) for row, seed in enumerate(seeds)]
        self.games = [player.game for player in self.players]
        self.steps = 0

    def reset(self) -> npt.NDArray[np.uint8]:
        answer(b"reset\n", self.players)
        return self.memory.observations()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        self.steps += 1
        self.memory.newest[0] = (self.memory.newest[0] + 1) % 4
        self.memory.actions[:] = actions
        answer(b"step\n", self.players)
        return transition(self.memory)


def compare(env: VectorEnv, oracle: AtariOracle, actions: npt.NDArray[Any]) -> collections.Counter[str]:
    """Step both from a reset; counts what was compared.

    The last frame of a game that ended within a step's four frames is not compared: the wrappers show an older one.
    """
    np.testing.assert_array_equal(env.reset(), oracle.reset(), strict=True)
    counts: collections.Counter[str] = collections.Counter()
    for action in actions:
        found, expected = env.step(action), oracle.step(action)
        # Of a life that is lost on the very last frame, Stable-Baselines3 says only the one.
        found = found._replace(truncated=found.truncated & ~found.terminated)
        within = expected.game_over & ~(found.final_observations == expected.final_observations).all(axis=(1, 2, 3))
        found.final_observations[within, ..., -1] = expected.final_observations[within, ..., -1] = 0
        for name, one, other in zip(found._fields, found, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name, strict=True)
        counts["ended"] += int((found.terminated | found.truncated).sum())
        counts["truncated"] += int(found.truncated.sum())
        counts["games"] += int(found.game_over.sum())
        counts["points"] += int((found.raw_rewards != 0).sum())
        counts["clipped"] += int((found.raw_rewards != found.rewards).sum())
    return counts
