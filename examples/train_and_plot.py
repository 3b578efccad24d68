"""Train three runs on CartPole, plot their episodes, and let one of the agents play.

python examples/train_and_plot.py
"""

import sys

import matplotlib.pyplot as plt

import ppo


def main(total_timesteps: int = 50_000) -> None:
    trained = ppo.train("CartPole-v1", seeds=[1, 2, 3], total_timesteps=total_timesteps, num_steps=512)
    figure, axes = plt.subplots()
    for seed, episodes in trained.episodes.groupby("seed"):
        axes.plot(episodes["step"], episodes["episodic_return"].rolling(20, min_periods=1).mean(), label=f"seed {seed}")
    axes.set(xlabel="environment steps", ylabel="return, mean of 20 episodes")
    axes.legend()
    figure.savefig("cartpole.png")

    returns = ppo.evaluate(trained.agents[0], episodes=10)
    print(f"mean return of 10 episodes: {returns.mean():.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
