"""A baseline whose runs stop early, each by itself, as many PPOs do."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ppo.algorithm import Metrics
from ppo.ppo import PPO, PPOSettings
from ppo.rollout import Batch


@dataclass(frozen=True)
class EarlyStoppingSettings(PPOSettings):
    """PPO's, and the limit."""

    num_steps: int = 256
    """steps of each environment between two updates (the paper's horizon T)"""
    update_epochs: int = 4
    """passes over each batch"""
    minibatch_size: int = 32
    """samples in each gradient step"""
    kl_limit: float = 2e-3
    """KL[pi_old, pi] of a minibatch from which on a run takes no more of this batch"""


class EarlyStopping(PPO):
    """PPO that stops updating once a minibatch shows that the policy has moved too far."""

    Settings = EarlyStoppingSettings

    def update(self, batch: Batch) -> Metrics:
        self.taken = torch.zeros(self.runs)
        return {**super().update(batch), "charts/minibatches": self.taken}

    @torch.no_grad()
    def going_on(self, minibatch: Batch, going: Tensor | None) -> Tensor:
        """Return the runs that take this minibatch, ``[runs]``: none that has stopped."""
        kl = minibatch.kl(self.policy.distribution(minibatch.observations)).mean(dim=1)
        within = kl <= self.per_run.kl_limit.squeeze(1)
        within = within if going is None else going & within
        self.taken += within
        return within
