"""Advantage actor-critic: the synchronous A3C [Mnih et al. 2016], one step on every few steps of several actors."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ppo.algorithm import Metrics, require
from ppo.distributions import Distribution
from ppo.on_policy import OnPolicy, OnPolicySettings
from ppo.rollout import Batch
from ppo.schedules import annealed
from ppo.stacked.optimizers import RMSProp


@dataclass(frozen=True)
class A2CSettings(OnPolicySettings):
    """A2C's settings; the defaults are those of openai/baselines' a2c of 2017-08, apart from the actors' number and
    the learning rate, which was tuned for the MuJoCo tasks (experiments/paper/settings.py)."""

    num_envs: int = 4
    """environments that each run steps in parallel (the paper's actors)"""
    num_steps: int = 5
    """steps of each environment between two updates"""
    gae_lambda: float = 1.0
    """lambda of generalised advantage estimation; 1 sums the whole return, as A3C does"""
    learning_rate: float = 1.85e-3
    """step size of RMSProp"""
    anneal_lr: bool = True
    """whether the learning rate falls linearly to 0 over total_timesteps"""
    rms_decay: float = 0.99
    """decay of RMSProp's mean square"""
    rms_eps: float = 1e-5
    """epsilon of RMSProp, under the root"""
    max_grad_norm: float = 0.5
    """norm to which each run's gradient is clipped; inf for no clipping"""
    vf_coef: float = 0.25
    """the value loss's coefficient"""
    ent_coef: float = 0.0
    """the entropy bonus's coefficient"""

    def check(self) -> None:
        super().check()
        for name in ("learning_rate", "vf_coef", "ent_coef"):
            require(self, name, 0 <= getattr(self, name) < math.inf, "at least 0 and finite")
        require(self, "rms_decay", 0 <= self.rms_decay < 1, "at least 0 and less than 1")
        require(self, "rms_eps", 0 < self.rms_eps < math.inf, "greater than 0 and finite")
        require(self, "max_grad_norm", self.max_grad_norm > 0, "greater than 0")


class A2C(OnPolicy):
    """One step of RMSProp per batch on E[log pi(a|s) A] - vf_coef (V - R)^2 + ent_coef S."""

    Settings = A2CSettings
    picture_gain = 1.0  # openai/baselines a2c/policies.py (2017-08-18)

    def setup(self) -> None:
        super().setup()
        self.learning_rate = self.per_run("learning_rate")
        self.vf_coef = self.per_run("vf_coef").squeeze(1)
        self.ent_coef = self.per_run("ent_coef").squeeze(1)
        self.optimizer = RMSProp(
            self.policy.parameters,
            self.learning_rate,
            self.per_run("max_grad_norm"),
            decay=self.per_run("rms_decay"),
            eps=self.per_run("rms_eps"),
        )

    def anneal(self, remaining: float) -> None:
        self.optimizer.learning_rate = annealed(self.learning_rate, remaining if self.common.anneal_lr else 1.0)

    def update(self, batch: Batch) -> Metrics:
        distribution, values = self.policy(batch.observations)
        policy_loss = self.policy_loss(batch, distribution)
        value_loss = (values - batch.returns).square().mean(dim=1)
        grad_norm = self.optimizer.step(policy_loss + self.vf_coef * value_loss)
        return {
            "losses/policy_loss": policy_loss.detach(),
            "losses/value_loss": value_loss.detach(),
            "losses/entropy": distribution.entropy().detach().mean(dim=1),
            "losses/grad_norm": grad_norm,
            "charts/learning_rate": self.optimizer.learning_rate.squeeze(1),
        }

    def policy_loss(self, batch: Batch, distribution: Distribution) -> Tensor:
        """-(E[log pi(a|s) A] + ent_coef S): ``[runs]``."""
        gain = distribution.log_prob(batch.actions) * batch.advantages
        return -(gain.mean(dim=1) + self.ent_coef * distribution.entropy().mean(dim=1))

    def state(self) -> dict[str, Any]:
        return {**super().state(), "optimizer": self.optimizer.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.optimizer.load_state(state["optimizer"])
