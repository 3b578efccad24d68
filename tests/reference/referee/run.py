"""Everything that algorithms share: one run's networks, environments, noise and budget, and how it collects."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete
from torch.distributions import Categorical, Independent, Normal

from ppo.seeding import generator
from tests.helpers.torch_networks import Reference
from tests.reference.referee.environments import Environments, ObservationFilter, RewardScale


def distribution(outputs, log_std):
    """Return the action distribution: a Gaussian, or, where there is no log-std, a categorical one."""
    if len(log_std) == 0:
        return Categorical(logits=outputs)
    return Independent(Normal(outputs, log_std.exp().expand_as(outputs)), 1)


@dataclass
class Rollout:
    """Arrays ``[steps, envs, ...]``."""

    observations: np.ndarray
    raw_observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    ended: np.ndarray
    final_observations: np.ndarray
    last_observations: np.ndarray
    """``[envs, size]``"""


class SingleRun:
    """``row``: the initial weights."""

    def __init__(self, env_id, settings, seed, total_timesteps, row):
        self.settings, self.seed, self.total_timesteps = settings, seed, total_timesteps
        env = gymnasium.make(env_id)
        self.size = env.observation_space.shape[0]
        space: Any = env.action_space
        self.discrete = isinstance(space, Discrete)
        self.choices = int(space.n if self.discrete else space.shape[0])
        self.iteration, self.steps_done = 0, 0
        hidden = () if settings.network == "linear" else map(int, settings.network.split("-"))
        sizes = (self.size, *hidden)
        log_std = 0 if self.discrete else self.choices
        self.networks = Reference(row, (*sizes, self.choices), log_std, (*sizes, self.critic_outputs()))
        self.environments = Environments(env_id, seed, settings.num_envs)
        self.filter = ObservationFilter(settings, self.size)
        if self.filter.kind == "step":
            self.filter.add(self.environments.observations)
        self.reward_scale = RewardScale("none", 0.0, settings.num_envs)

    def critic_outputs(self):
        return 1

    def policy(self, observations):
        return distribution(self.networks.actor(observations), self.networks.log_std)

    def values(self, observations):
        return self.networks.critic(observations).squeeze(-1)

    def remaining(self):
        """Return alpha of Table 5."""
        return 1 - self.steps_done / self.total_timesteps

    def next_steps(self):
        return min(self.settings.num_steps, (self.total_timesteps - self.steps_done) // self.settings.num_envs)

    def noise(self, steps):
        """Return standard normal (or Gumbel) noise ``[steps, envs, size]`` for this iteration's actions."""
        stream = generator(self.seed, "actions", self.iteration)
        shape = (steps, self.settings.num_envs, self.choices)
        return stream.gumbel(size=shape) if self.discrete else stream.standard_normal(shape, dtype=np.float32)

    @torch.no_grad()
    def act(self, observations, noise):
        """Return actions ``[envs, ...]`` at filtered observations ``[envs, size]``."""
        return self.act_with(self.networks, observations, noise)

    def act_with(self, networks, observations, noise):
        outputs = networks.actor(torch.from_numpy(observations)).numpy()
        if self.discrete:
            return (outputs + noise).argmax(-1)
        return (outputs + np.exp(networks.log_std.numpy()) * noise).astype(np.float32)

    def collect(self, noise):
        """Take a step in every environment for each row of ``noise`` ``[steps, envs, size]``."""
        rows = []
        for step_noise in noise:
            raw = self.environments.observations.copy()
            seen = self.filter(raw)
            actions = self.act(seen, step_noise)
            rewards, terminated, ended, final = self.environments.step(actions)
            final = self.filter(final)
            if self.filter.kind == "step":
                self.filter.add(self.environments.observations)
            rows.append((seen, raw, actions, self.reward_scale(rewards, ended), terminated, ended, final))
        return Rollout(*map(np.array, zip(*rows, strict=True)), self.filter(self.environments.observations))
