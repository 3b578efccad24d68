"""Environments made up for the tests, and batches of experience that no environment gave."""

import dataclasses

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from ppo.envs.base import Transition, VectorEnv
from ppo.policies import ActorCritic
from ppo.rollout import Batch

CONTINUOUS_1 = Box(-1.0, 1.0, (1,), np.float32)
CONTINUOUS_3 = Box(-1.0, 1.0, (3,), np.float32)
DISCRETE_4 = Discrete(4)


class ScriptedEnv(VectorEnv):
    """Observation (row, episode, time); row i's episodes last ``lengths[i]`` steps; reward 100 row + 10 episode + time.

    Even rows are terminated, odd ones truncated. Every number says where it comes from, so a shift by one step, an
    episode's first observation in place of the last one's, or a row in another's place shows. With ``lives`` > 1, it is
    as on Atari: a game lasts so many episodes, and learning sees the rewards' signs.
    """

    def __init__(self, lengths, action_space=CONTINUOUS_1, dtype=np.float64, lives=1):
        self.rows = len(lengths)
        self.lengths = np.array(lengths)
        self.observation_shape = (3,)
        self.observation_dtype = np.dtype(dtype)
        self.action_space = action_space
        self.lives = lives
        self.actions = []

    def observe(self):
        return np.stack([np.arange(self.rows), self.episode, self.time], axis=1).astype(self.observation_dtype)

    def reset(self):
        self.episode = np.zeros(self.rows, np.int64)
        self.time = np.zeros(self.rows, np.int64)
        return self.observe()

    def step(self, actions):
        self.actions.append(actions.copy())
        raw_rewards = 100.0 * np.arange(self.rows) + 10.0 * self.episode + self.time
        rewards = np.sign(raw_rewards) if self.lives > 1 else raw_rewards
        self.time += 1
        final = self.observe()
        ended = self.time >= self.lengths
        self.episode[ended] += 1
        self.time[ended] = 0
        even = np.arange(self.rows) % 2 == 0
        game_over = ended & (self.episode % self.lives == 0)
        return Transition(self.observe(), rewards, ended & even, ended & ~even, final, raw_rewards, game_over)

    def get_state(self):
        return {"episode": self.episode.copy(), "time": self.time.copy()}

    def set_state(self, state):
        self.episode, self.time = state["episode"].copy(), state["time"].copy()
        return self.observe()


class ConstantReward(gymnasium.Env):
    """One state, reward 1, no end but the time limit's: the true value is 1 / (1 - gamma)."""

    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), 1.0, False, False, {}


ENDLESS, ENDLESS_LIMIT = "ConstantReward-v0", 4
gymnasium.register(ENDLESS, ConstantReward, max_episode_steps=ENDLESS_LIMIT)


def perturbed(parameters, scale, seed):
    """A policy some way off: ``parameters`` plus noise."""
    noise = torch.randn(parameters.shape, generator=torch.Generator().manual_seed(seed))
    return parameters.detach() + scale * noise


@torch.no_grad()
def made_up_batch(policy: ActorCritic, size, seed=0, move=0.03):
    """Random experience of ``size`` samples per run, made by a policy some way off ``policy``: ratios are not 1."""
    rng = np.random.default_rng(seed)
    runs, inputs = len(policy.parameters), policy.networks["actor"].sizes[0]
    observations = torch.from_numpy(rng.standard_normal((runs, size, inputs), dtype=np.float32))
    now = policy.parameters.clone()
    policy.parameters.copy_(perturbed(now, move, seed))
    distribution, values = policy(observations)
    kind = type(distribution)
    noise = torch.from_numpy(kind.draw_noise(rng, (runs, size), policy.action_size))
    actions = distribution.sample(noise)
    log_probs = distribution.log_prob(actions)
    old = kind(**{field.name: getattr(distribution, field.name).clone() for field in dataclasses.fields(kind)})
    policy.parameters.copy_(now)
    advantages = rng.standard_normal((runs, size)) * 2 + 0.5
    advantages = (advantages - advantages.mean(1, keepdims=True)) / advantages.std(1, keepdims=True)
    returns = values.numpy() + rng.standard_normal((runs, size))
    return Batch(
        observations,
        actions,
        log_probs,
        values,
        torch.from_numpy(advantages.astype(np.float32)),
        torch.from_numpy(returns.astype(np.float32)),
        old,
    )
