"""A baseline as a user may write it: its settings are declared under postponed annotations."""

from __future__ import annotations

from dataclasses import dataclass

from ppo.ppo import PPO, PPOSettings


@dataclass(frozen=True)
class PostponedSettings(PPOSettings):
    """PPO's, and one that is in force beside the entropy bonus's coefficient."""

    extra_entropy: float = 0.02
    """added to ent_coef"""


class Postponed(PPO):
    """PPO with more entropy."""

    Settings = PostponedSettings

    def setup(self) -> None:
        super().setup()
        self._entropy_bonus = True
        self.ent_coef = self.ent_coef + self.per_run.extra_entropy.squeeze(1)
