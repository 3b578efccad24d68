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

    def setup(self) -> None:
        super().setup()
        self.kl_limit = self.per_run.kl_limit.squeeze(1)

    def update(self, batch: Batch) -> Metrics:
        going = torch.ones(self.runs, dtype=torch.bool)
        taken = torch.zeros(self.runs)
        for minibatch in self.minibatches(batch, self.shared.update_epochs, self.shared.minibatch_size):
            going = self.still_going(going, minibatch)
            if not going.any():
                break
            taken += going
            self.optimizer.step(self.loss(minibatch, self.clip_coef), going)
        return {"charts/minibatches": taken, **self.measure(batch, self.clip_coef)}

    @torch.no_grad()
    def still_going(self, going: Tensor, minibatch: Batch) -> Tensor:
        """Which runs take this minibatch: ``[runs]``."""
        new = self.policy.distribution(minibatch.observations)
        return going & (minibatch.distribution.kl(new).mean(dim=1) <= self.kl_limit)
