"""On-policy algorithms: collect T steps, then update (Algorithm 1)."""

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.advantages import gae
from ppo.algorithm import Algorithm, Metrics
from ppo.normalizers import RewardNormalizer
from ppo.rollout import Batch, Episode, Experience, runs_first, steps_first
from ppo.seeding import generator
from ppo.stacked.recording import Recorder


class OnPolicy(Algorithm):
    """Collect ``num_steps`` steps from every environment, then ``update`` the policy with them (Algorithm 1).

    The settings of a subclass must also have ``gamma``, ``gae_lambda``, ``norm_reward`` and ``bootstrap_truncation``.
    """

    def setup(self) -> None:
        self.policy = self.make_policy()
        self.gamma = np.array([[run.gamma] for run in self.settings])  # in float64, as rewards are
        self.gae_lambda = np.array([[run.gae_lambda] for run in self.settings])
        scaling, envs = self.shared.norm_reward, self.shared.num_envs
        scales = RewardNormalizer(self.gamma, envs, scaling == "reset") if scaling != "none" else None
        self.recorder = Recorder(self.policy)
        self.collector = self.make_collector(self.recorder.act, scales)
        self._shuffles: tuple[int, list[np.random.Generator]] = (-1, [])
        """An iteration, and each run's generator of minibatch orders in it."""

    @abstractmethod
    def update(self, batch: Batch) -> Metrics:
        """Update policy and value function from ``batch``."""

    def advance(self, noise: NDArray[np.float32]) -> tuple[list[Episode], Metrics]:
        experience = self.collector.collect(noise, self.steps_done, self.shared.bootstrap_truncation)
        batch = self.prepare(experience)
        metrics = self.update(batch)
        metrics["losses/explained_variance"] = _explained_variance(batch)
        return experience.episodes, metrics

    @torch.no_grad()
    def prepare(self, experience: Experience) -> Batch:
        """Evaluate the policy that acted, estimate advantages, and put the run on dim 0."""
        observations = runs_first(experience.observations)
        actions = runs_first(experience.actions)
        distribution, values = self.recorder.evaluate(observations)
        steps = len(experience.rewards)
        old_values = steps_first(values, steps).cpu().numpy()
        if experience.next_observations is not None:
            terminal = experience.terminated
            next_values = steps_first(self.policy.values(runs_first(experience.next_observations)), steps).cpu().numpy()
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

    def _to_device(self, values: NDArray[np.float64]) -> Tensor:
        return runs_first(torch.from_numpy(values.astype(np.float32))).to(self.device)

    def minibatches(self, batch: Batch, update_epochs: int, minibatch_size: int) -> Iterator[Batch]:
        """Yield minibatches in ``update_epochs`` passes over the samples. Every run has a random order for each epoch,
        and new orders at every call within an iteration."""
        orders = torch.from_numpy(self.orders(batch, update_epochs)).to(self.device)
        for order in orders.unbind(1):
            yield from batch.select(order).split(minibatch_size)

    def orders(self, batch: Batch, update_epochs: int) -> NDArray[np.int64]:
        """Draw an order of the samples for each run and epoch: ``[runs, update_epochs, batch]``."""
        if self._shuffles[0] != self.iteration:
            self._shuffles = self.iteration, [generator(seed, "minibatches", self.iteration) for seed in self.seeds]
        orders = np.empty((self.runs, update_epochs, batch.log_probs.shape[1]), np.int64)
        for order, stream in zip(orders, self._shuffles[1], strict=True):
            for epoch in range(update_epochs):
                order[epoch] = self.order(orders.shape[2], stream)
        return orders

    def order(self, samples: int, stream: np.random.Generator) -> NDArray[np.int64]:
        """Draw an order of ``samples`` with ``stream``."""
        return stream.permutation(samples)


def _explained_variance(batch: Batch) -> Tensor:
    """Return 1 - Var[returns - values] / Var[returns], ``[runs]``."""
    return 1 - (batch.returns - batch.values).var(dim=1) / batch.returns.var(dim=1)
