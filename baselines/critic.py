"""The value function of algorithms that fit it apart from the policy.

Their settings have ``vf_learning_rate``, ``vf_epochs``, ``vf_minibatch_size`` and ``vf_adam_eps``.
"""

import torch
from torch import Tensor

from ppo.on_policy import OnPolicy
from ppo.policies import ActorCritic
from ppo.rollout import Batch
from ppo.stacked.optimizers import Adam


class Critic:
    """Regression of the values on the returns, by Adam on the critic's columns."""

    def __init__(self, algorithm: OnPolicy) -> None:
        self.algorithm = algorithm
        policy = algorithm.policy
        assert isinstance(policy, ActorCritic)
        self.policy = policy
        rates, columns = algorithm.per_run.vf_learning_rate, policy.critic_columns
        self.optimizer = Adam(policy.parameters, rates, columns=columns, eps=algorithm.shared.vf_adam_eps)

    def fit(self, batch: Batch) -> Tensor:
        """Several epochs of minibatches; returns the mean squared error after them, ``[runs]``."""
        shared = self.algorithm.shared
        if self.algorithm.engine == "numba" and getattr(self.loss, "__func__", None) is Critic.loss:
            from ppo.stacked.descent import regress  # the same, compiled

            orders = self.algorithm.orders(batch, shared.vf_epochs)
            regress(self.policy, self.optimizer, batch, orders, shared.vf_minibatch_size)
        else:
            for minibatch in self.algorithm.minibatches(batch, shared.vf_epochs, shared.vf_minibatch_size):
                self.optimizer.step(self.loss(minibatch))
        with torch.no_grad():
            return self.loss(batch)

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error: ``[runs]``."""
        return (self.policy.values(batch.observations) - batch.returns).square().mean(dim=1)
