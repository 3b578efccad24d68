"""On-policy algorithms: collect T steps, then update (Algorithm 1)."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.advantages import gae
from ppo.algorithm import Algorithm, Metrics
from ppo.distributions import Distribution
from ppo.normalizers import RewardNormalizer
from ppo.rollout import Batch, Episode, Experience
from ppo.seeding import generator


class OnPolicy(Algorithm):
    """Collect ``num_steps`` steps from every environment, then ``update`` the policy with them (Algorithm 1).

    Beside what every algorithm has, its settings have ``gamma``, ``gae_lambda``, ``norm_reward`` and
    ``bootstrap_truncation``.
    """

    def setup(self) -> None:
        self.policy = self.make_policy()
        self.gamma = self._column("gamma")
        self.gae_lambda = self._column("gae_lambda")
        scaling, envs = self.shared.norm_reward, self.shared.num_envs
        scales = RewardNormalizer(self.gamma, envs, scaling == "reset") if scaling != "none" else None
        self.collector = self.make_collector(self.act, scales)
        self._shuffles: tuple[int, list[np.random.Generator]] = (-1, [])
        """An iteration, and what each run's minibatches are shuffled with in it."""
        self._outputs: list[tuple[Tensor, ...]] = []
        """Of the policy, in each step since the last update, where to evaluate the steps again would cost more."""

    @abstractmethod
    def update(self, batch: Batch) -> Metrics:
        """Change the policy (and the value function) in the light of ``batch``."""

    def iterate(self) -> tuple[list[Episode], Metrics]:
        self.anneal(self.remaining())
        steps = self.next_steps()
        noise = self.policy.draw_noise(self.seeds, self.iteration, steps, self.shared.num_envs)
        self._outputs.clear()
        experience = self.collector.collect(noise, self.steps_done, self.shared.bootstrap_truncation)
        batch = self.prepare(experience)
        metrics = self.update(batch)
        metrics["losses/explained_variance"] = _explained_variance(batch)
        self.steps_done += steps * self.shared.num_envs
        self.iteration += 1
        self.note_divergence()
        return experience.episodes, metrics

    def act(self, observations: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
        """The policy's actions, for collecting."""
        if self.policy.cheaper_at_once:
            return self.policy.act(observations, noise)
        actions, outputs = self.policy.act_and_evaluate(observations, noise)
        self._outputs.append(outputs)
        return actions

    def evaluated(self, observations: Tensor) -> tuple[Distribution, Tensor]:
        """What the policy that acted gave at the ``observations`` ``[runs, batch, ...]`` of all the steps."""
        if self.policy.cheaper_at_once:
            return self.policy(observations)
        (log_std, *_), *_ = self._outputs
        _, actor, critic = (runs_first(torch.stack(steps)) for steps in zip(*self._outputs, strict=True))
        return self.policy.evaluated((log_std, actor, critic))

    @torch.no_grad()
    def prepare(self, experience: Experience) -> Batch:
        """Evaluate the policy that acted, estimate advantages, and put the run on dim 0."""
        observations = runs_first(experience.observations)
        actions = runs_first(experience.actions)
        distribution, values = self.evaluated(observations)
        steps = len(experience.rewards)
        old_values = _steps_first(values, steps)
        if experience.next_observations is not None:
            terminal = experience.terminated
            next_values = _steps_first(self.policy.values(runs_first(experience.next_observations)), steps)
        else:
            terminal = experience.ended
            last = self.policy.values(experience.last_observations).cpu().numpy()
            next_values = np.concatenate([old_values[1:], last[None]])
        advantages = gae(
            experience.rewards, old_values, next_values, terminal, experience.ended, self.gamma, self.gae_lambda
        )
        if experience.raw_observations is not None:  # pi_old is what it is under the filter that the update sees
            observations = runs_first(self.collector.renew_filter(experience.raw_observations))
            distribution = self.policy.distribution(observations)
        return Batch(
            observations=observations,
            actions=actions,
            log_probs=distribution.log_prob(actions),
            values=values,
            advantages=self._to_device(advantages),
            returns=self._to_device(advantages + old_values),
            distribution=distribution.detach(),
        )

    def _column(self, name: str) -> NDArray[np.float64]:
        return np.array([[getattr(own, name)] for own in self.settings])

    def _to_device(self, values: NDArray[np.float64]) -> Tensor:
        return runs_first(torch.from_numpy(values.astype(np.float32))).to(self.device)

    def minibatches(self, batch: Batch, update_epochs: int, minibatch_size: int) -> Iterator[Batch]:
        """``update_epochs`` passes over the samples in minibatches: each run shuffles each epoch in its own order, and
        in new ones at every call within an iteration."""
        orders = torch.from_numpy(self.orders(batch, update_epochs)).to(self.device)
        for order in orders.unbind(1):
            yield from batch.select(order).split(minibatch_size)

    def orders(self, batch: Batch, update_epochs: int) -> NDArray[np.int64]:
        """Draw the order of the samples in each epoch, each run's own: ``[runs, update_epochs, batch]``."""
        if self._shuffles[0] != self.iteration:
            self._shuffles = self.iteration, [generator(seed, "minibatches", self.iteration) for seed in self.seeds]
        orders = np.empty((self.runs, update_epochs, batch.log_probs.shape[1]), np.int64)
        for own, stream in zip(orders, self._shuffles[1], strict=True):
            for epoch in range(update_epochs):
                own[epoch] = stream.permutation(orders.shape[2])
        return orders


def runs_first(values: Tensor) -> Tensor:
    """``[steps, runs, envs, ...]`` to ``[runs, steps x envs, ...]``."""
    steps, runs, envs = values.shape[:3]
    return values.transpose(0, 1).contiguous().view(runs, steps * envs, *values.shape[3:])


def _steps_first(values: Tensor, steps: int) -> NDArray[np.float32]:
    """``[runs, steps x envs]`` to an array ``[steps, runs, envs]``."""
    array: NDArray[np.float32] = values.view(len(values), steps, -1).transpose(0, 1).cpu().numpy()
    return array


def _explained_variance(batch: Batch) -> Tensor:
    """1 - Var[returns - values] / Var[returns], per run."""
    return 1 - (batch.returns - batch.values).var(dim=1) / batch.returns.var(dim=1)
