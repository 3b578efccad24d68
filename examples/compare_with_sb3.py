"""Train the same task with this project and with Stable-Baselines3, and compare scores and time.

pip install stable-baselines3
python examples/compare_with_sb3.py
"""

import sys
import time

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor

import ppo


def main(total_timesteps: int = 20_480) -> None:
    start = time.perf_counter()
    trained = ppo.train("InvertedPendulum-v5", seeds=[1, 2, 3], total_timesteps=total_timesteps)
    ours = trained.episodes.groupby("seed")["episodic_return"].apply(lambda returns: returns.tail(20).mean())
    print(f"ours, three seeds together: {ours.round(1).to_list()} in {time.perf_counter() - start:.0f} s")

    start, theirs = time.perf_counter(), []
    for seed in (1, 2, 3):
        env = Monitor(gymnasium.make("InvertedPendulum-v5"))
        PPO("MlpPolicy", env, seed=seed, device="cpu").learn(total_timesteps)
        theirs.append(round(float(np.mean(env.get_episode_rewards()[-20:])), 1))
    print(f"Stable-Baselines3, one after the other: {theirs} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
