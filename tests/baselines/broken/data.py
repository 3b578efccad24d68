"""Baselines for which a batch is not data."""

from dataclasses import replace
from typing import Any

from ppo.distributions import DiagonalGaussian
from ppo.ppo import PPO
from ppo.seeding import generator


class ChangesItsBatch(PPO):
    """Wrong: advantages are standardised in place."""

    def update(self, batch):
        batch.advantages.sub_(batch.advantages.mean(dim=1, keepdim=True))
        batch.advantages.div_(batch.advantages.std(dim=1, keepdim=True))
        return super().update(batch)


class AliasesOldPolicy(PPO):
    """Wrong: pi_old's deviation is a view of the parameters and follows the new policy."""

    def prepare(self, experience):
        batch = super().prepare(experience)
        given: Any = batch.distribution
        old = DiagonalGaussian(given.mean, self.policy.log_std)
        return replace(batch, distribution=old)


class RepeatsItsOrder(PPO):
    """Wrong: minibatches begin with the iteration's first order at every call."""

    def minibatches(self, batch, update_epochs, minibatch_size):
        self._shuffles = self.iteration, [generator(seed, "minibatches", self.iteration) for seed in self.seeds]
        return super().minibatches(batch, update_epochs, minibatch_size)
