"""Baselines that are not the same again."""

import torch

from baselines.a2c_trust_region import A2CTrustRegion
from ppo.ppo import PPO


class DrawsFromTheProcess(PPO):
    """Wrong: it explores with the process's random numbers, not those of the run's seed."""

    def loss(self, batch, clip_coef):
        noise = torch.randn_like(batch.advantages)
        return super().loss(batch, clip_coef) + 1e-3 * (noise * self.policy.values(batch.observations)).mean(dim=1)


class ForgetsItsOptimizer(PPO):
    """Wrong: the optimiser's moments are not in its state."""

    keeps = ("kl_coef", "learning_rate")


class DropsItsAverage(A2CTrustRegion):
    """Wrong: the average policy is saved and never loaded."""

    def load_state(self, state):
        super().load_state({**state, "average": self.average})
