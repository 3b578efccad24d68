"""The environments of one run, its count of episodes, and the running statistics of observations and rewards."""

import gymnasium
import numpy as np

from ppo.seeding import environment_seeds


class Environments:
    """Plain Gymnasium environments, each restarted as soon as its episode ends."""

    def __init__(self, env_id, seed, count):
        self.envs = [gymnasium.make(env_id) for _ in range(count)]
        seeds = environment_seeds([seed], count)
        first = [env.reset(seed=env_seed)[0] for env, env_seed in zip(self.envs, seeds, strict=True)]
        self.observations = np.array(first, dtype=np.float64)
        self.returns, self.lengths = [0.0] * count, [0] * count
        self.steps_done = 0
        self.episodes = []
        """(steps of the run at its end, length, return) of every episode, in order."""

    def step(self, actions):
        """Return rewards, terminated and ended ``[envs]``, and the observations before any reset ``[envs, size]``."""
        self.steps_done += len(self.envs)
        rewards, terminated, ended, final = [], [], [], []
        for i, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            observation, reward, is_terminal, is_truncated, _ = env.step(action)
            rewards.append(float(reward))
            terminated.append(is_terminal)
            ended.append(is_terminal or is_truncated)
            final.append(np.array(observation, dtype=np.float64))
            self.returns[i] += rewards[i]
            self.lengths[i] += 1
            if ended[i]:
                self.episodes.append((self.steps_done, self.lengths[i], self.returns[i]))
                self.returns[i], self.lengths[i] = 0.0, 0
                observation, _ = env.reset()
            self.observations[i] = observation
        return np.array(rewards), np.array(terminated), np.array(ended), np.array(final)


class Moments:
    """Mean and variance of all values so far and of a prior, mean 0 and variance 1, that weighs ``weight`` values."""

    def __init__(self, shape, weight):
        self.weight, self.sum, self.sum_of_squares = weight, np.zeros(shape), np.full(shape, weight)

    def add(self, value):
        self.weight += 1
        self.sum = self.sum + value
        self.sum_of_squares = self.sum_of_squares + value**2

    @property
    def mean(self):
        return self.sum / self.weight

    @property
    def variance(self):
        return self.sum_of_squares / self.weight - self.mean**2


class ObservationFilter:
    """Standardise and clip observations, as the settings say."""

    def __init__(self, settings, shape):
        self.kind = settings.obs_filter if settings.norm_obs else "none"
        self.clip = settings.clip_obs
        self.moments = Moments(shape, weight=1e-4 if self.kind == "step" else 1e-2)

    def add(self, observations):
        """Update the statistics with ``[n, size]``."""
        for observation in observations:
            self.moments.add(observation)

    def __call__(self, observations):
        if self.kind == "none":
            return observations.copy()
        variance = self.moments.variance
        deviation = np.sqrt(variance + 1e-8) if self.kind == "step" else np.sqrt(np.maximum(variance, 1e-2))
        return np.clip((observations - self.moments.mean) / deviation, -self.clip, self.clip)


class RewardScale:
    """Divide rewards by the standard deviation of the discounted returns so far, and clip to +-10."""

    def __init__(self, kind, gamma, count):
        self.kind, self.gamma, self.returns = kind, gamma, np.zeros(count)
        self.moments = Moments((), weight=1e-4)

    def __call__(self, rewards, ended):
        if self.kind == "none":
            return rewards
        self.returns = self.gamma * self.returns + rewards
        for value in self.returns:
            self.moments.add(value)
        if self.kind == "reset":
            self.returns[ended] = 0.0
        return np.clip(rewards / np.sqrt(self.moments.variance + 1e-8), -10, 10)
