"""Train in an environment of one's own: a point on a line that is to be moved to 0.

python examples/own_environment.py
ppo train own_environment:Line-v0 --total-timesteps 20480 --out runs/line      # the same, in the folder examples/
"""

import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

import ppo


class Line(gymnasium.Env[Any, Any]):
    """The reward is minus the distance to 0."""

    observation_space = Box(-np.inf, np.inf, (1,))
    action_space = Box(-1.0, 1.0, (1,))

    def __init__(self, speed: float = 0.1) -> None:
        self.speed = speed

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-1, 1, 1)
        return self.position.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.position = self.position + self.speed * np.clip(action, -1, 1)
        return self.position.astype(np.float32), -abs(self.position.item()), False, False, {}


gymnasium.register("Line-v0", entry_point=Line, max_episode_steps=50)


def main(total_timesteps: int = 20_480) -> None:
    trained = ppo.train("Line-v0(speed=0.2)", total_timesteps=total_timesteps, num_steps=512, learning_rate=1e-3)
    agent = trained.agents[0]
    env = agent.environment()
    observation, _ = env.reset(seed=1)
    ended = False
    while not ended:
        observation, _, terminated, truncated, _ = env.step(agent.act(observation))
        ended = terminated or truncated
    print(f"distance from 0 at the end: {abs(observation.item()):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
