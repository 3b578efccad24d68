"""The value function of algorithms that fit it apart from the policy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ppo.algorithm import require
from ppo.on_policy import OnPolicy, OnPolicySettings
from ppo.policies import ActorCritic
from ppo.rollout import Batch
from ppo.stacked.optimizers import Adam


@dataclass(frozen=True)
class CriticSettings(OnPolicySettings):
    """What these algorithms can be told of it."""

    vf_learning_rate: float = 1e-3
    """step size of the value function's Adam"""
    vf_epochs: int = 5
    """passes of the value function over each batch"""
    vf_minibatch_size: int = 64
    """samples in each of its gradient steps"""
    vf_adam_eps: float = 1e-5
    """epsilon of that Adam (the same for every run of a stack)"""
    sees_pictures = False  # policy and value apart

    def check(self) -> None:
        super().check()
        require(self, "vf_learning_rate", 0 <= self.vf_learning_rate < float("inf"), "at least 0 and finite")
        require(self, "vf_adam_eps", 0 < self.vf_adam_eps < float("inf"), "greater than 0 and finite")
        require(self, "vf_epochs", self.vf_epochs >= 0, "at least 0")
        require(self, "vf_minibatch_size", self.vf_minibatch_size >= 1, "at least 1")


class Critic:
    """Regression of the values on the returns, by Adam on the critic's columns."""

    def __init__(self, algorithm: OnPolicy) -> None:
        self.algorithm = algorithm
        policy = algorithm.policy
        assert isinstance(policy, ActorCritic)
        self.policy = policy
        rates, columns = algorithm.per_run("vf_learning_rate"), policy.critic_columns
        self.optimizer = Adam(policy.parameters, rates, columns=columns, eps=algorithm.common.vf_adam_eps)

    def fit(self, batch: Batch) -> Tensor:
        """Several epochs of minibatches; returns the mean squared error after them, ``[runs]``."""
        common = self.algorithm.common
        if self.algorithm.engine == "numba" and getattr(self.loss, "__func__", None) is Critic.loss:
            from ppo.stacked.descent import regress  # the same, compiled

            orders = self.algorithm.orders(batch, common.vf_epochs)
            regress(self.policy, self.optimizer, batch, orders, common.vf_minibatch_size)
        else:
            for minibatch in self.algorithm.minibatches(batch, common.vf_epochs, common.vf_minibatch_size):
                self.optimizer.step(self.loss(minibatch))
        with torch.no_grad():
            return self.loss(batch)

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error: ``[runs]``."""
        return (self.policy.values(batch.observations) - batch.returns).square().mean(dim=1)
