"""Algorithm 1: collect with the old policy, estimate advantages, improve."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.distributions import kl_divergence

from ppo.seeding import generator
from tests.reference.referee.environments import RewardScale
from tests.reference.referee.run import SingleRun, distribution


def advantages_of(rewards, values, next_values, terminal, ended, gamma, gae_lambda):
    """Return one environment's advantages by equation 11 as printed: a sum of deltas up to the episode's end."""
    deltas = [
        reward + (0 if end else gamma * following) - value
        for reward, value, following, end in zip(rewards, values, next_values, terminal, strict=True)
    ]
    advantages = []
    for start in range(len(deltas)):
        total, weight = 0.0, 1.0
        for step in range(start, len(deltas)):
            total += weight * deltas[step]
            weight *= gamma * gae_lambda
            if ended[step]:
                break
        advantages.append(total)
    return advantages


def standardised(advantages):
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


def flat(array):
    """Return ``[steps, envs, ...]`` as a tensor ``[steps x envs, ...]``, in float64 unless it holds integers."""
    tensor = torch.from_numpy(np.ascontiguousarray(array)).flatten(0, 1)
    return tensor if tensor.dtype == torch.int64 else tensor.double()


@dataclass
class Samples:
    """A batch: tensors ``[batch, ...]``, and the old policy's log-std ``[size]``."""

    observations: torch.Tensor
    actions: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    old_outputs: torch.Tensor
    old_log_std: torch.Tensor

    def old(self):
        return distribution(self.old_outputs, self.old_log_std)

    def at(self, indices):
        *samples, log_std = vars(self).values()
        return Samples(*(sample[indices] for sample in samples), log_std)

    def ratio(self, policy):
        return (policy.log_prob(self.actions) - self.old().log_prob(self.actions)).exp()

    def kl(self, policy):
        return kl_divergence(self.old(), policy).mean()


class OnPolicy(SingleRun):
    """A subclass says how to ``improve``."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        settings = self.settings
        self.reward_scale = RewardScale(settings.norm_reward, settings.gamma, settings.num_envs)

    def iterate(self):
        """Run one iteration; return its metrics."""
        self.shuffles = generator(self.seed, "minibatches", self.iteration)
        steps = self.next_steps()
        samples = self.samples(self.collect(self.noise(steps)))
        metrics = {name: torch.as_tensor(value).item() for name, value in self.improve(samples).items()}
        unexplained = np.var((samples.returns - samples.values).numpy()) / np.var(samples.returns.numpy())
        metrics["losses/explained_variance"] = 1 - unexplained
        self.steps_done += steps * self.settings.num_envs
        self.iteration += 1
        return metrics

    def improve(self, samples):
        """Update the networks with a batch; return metrics."""
        raise NotImplementedError

    @torch.no_grad()
    def samples(self, rollout):
        """Evaluate the old policy and estimate advantages and returns."""
        settings = self.settings
        values = self.values(torch.from_numpy(rollout.observations)).numpy()
        if settings.bootstrap_truncation:
            terminal = rollout.terminated
            next_values = self.values(torch.from_numpy(rollout.final_observations)).numpy()
        else:  # the value after an episode's end is not used
            last = self.values(torch.from_numpy(rollout.last_observations)).numpy()
            terminal = rollout.ended
            next_values = np.concatenate([values[1:], last[None]])
        series = rollout.rewards, values, next_values, terminal, rollout.ended
        by_env = [
            advantages_of(*(array[:, env] for array in series), settings.gamma, settings.gae_lambda)
            for env in range(settings.num_envs)
        ]
        advantages = np.array(by_env).T
        observations = rollout.observations
        if self.filter.kind == "batch":
            self.filter.add(rollout.raw_observations.reshape(-1, self.size))
            observations = self.filter(rollout.raw_observations)
        return Samples(
            flat(observations),
            flat(rollout.actions),
            flat(values),
            flat(advantages),
            flat(advantages + values),
            self.networks.actor(flat(observations)),
            self.networks.log_std.detach().clone(),
        )

    def minibatches(self, samples, epochs, size):
        count = len(samples.values)
        for _ in range(epochs):
            order = torch.from_numpy(self.shuffles.permutation(count))
            for start in range(0, count, size):
                yield samples.at(order[start : start + size])


def descend(optimizer, loss, max_norm=np.inf):
    """Take one step; return the gradient's norm before clipping."""
    optimizer.zero_grad()
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()
    return norm
