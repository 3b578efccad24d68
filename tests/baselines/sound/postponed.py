"""A baseline as a user may write it: its settings are declared under postponed annotations."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ppo.ppo import PPO, PPOSettings
from ppo.rollout import Batch


@dataclass(frozen=True)
class PostponedSettings(PPOSettings):
    """PPO's, and one that is in force beside the entropy bonus's coefficient."""

    extra_entropy: float = 0.02
    """added to ent_coef"""


class Postponed(PPO):
    """PPO with more entropy."""

    Settings = PostponedSettings

    def loss(self, batch: Batch, clip_coef: Tensor) -> Tensor:
        entropy = self.policy.distribution(batch.observations).entropy().mean(dim=1)
        return super().loss(batch, clip_coef) - self.per_run.extra_entropy.squeeze(1) * entropy
