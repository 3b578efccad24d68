"""The value function of algorithms that fit it separately from the policy.

Their settings have ``vf_learning_rate``, ``vf_epochs``, ``vf_minibatch_size`` and ``vf_adam_eps``.
"""

from typing import Any

import torch
from torch import Tensor

from ppo.on_policy import OnPolicy
from ppo.rollout import Batch
from ppo.stacked.optimizers import Adam


class Critic:
    """Regression of the values on the returns, by Adam."""

    def __init__(self, algorithm: OnPolicy) -> None:
        self.algorithm = algorithm
        self.policy = algorithm.policy
        rates, eps = algorithm.per_run.vf_learning_rate, algorithm.shared.vf_adam_eps
        self.optimizer = Adam(self.policy.critic, rates, eps=eps)

    def fit(self, batch: Batch) -> Tensor:
        """Take several epochs of minibatches; return the mean squared error after them, ``[runs]``."""
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
        """Return the mean squared error: ``[runs]``."""
        return (self.policy.values(batch.observations) - batch.returns).square().mean(dim=1)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return self.optimizer.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self.optimizer.load_state(state)
