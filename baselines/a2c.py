"""Advantage actor-critic: the synchronous A3C [Mnih et al. 2016], one step on every few steps of several actors."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ppo.algorithm import Metrics
from ppo.distributions import Distribution
from ppo.on_policy import OnPolicy
from ppo.rollout import Batch
from ppo.schedules import annealed
from ppo.settings import Settings, setting
from ppo.stacked.optimizers import RMSProp


@dataclass(frozen=True)
class A2CSettings(Settings):
    """A2C's settings; the defaults are those of openai/baselines' a2c of 2017-08, apart from the actors' number, and
    from learning rate and reward scaling, which were tuned for the MuJoCo tasks (experiments/paper/settings.py)."""

    num_envs: int = setting(4, at_least=1)
    """environments that each run steps in parallel (the paper's actors)"""
    num_steps: int = setting(5, at_least=1)
    """steps of each environment between two updates"""
    gamma: float = setting(0.99, at_least=0, at_most=1)
    """discount"""
    gae_lambda: float = setting(1.0, at_least=0, at_most=1)
    """lambda of generalised advantage estimation; 1 sums the whole return, as A3C does"""
    norm_reward: Literal["none", "reset", "never-reset"] = "none"
    """whether rewards are divided by the running standard deviation of the discounted return, and clipped to +-10;
    reset: the return starts at 0 after each episode"""
    bootstrap_truncation: bool = False
    """whether the value of the last state is added where a time limit, not the task, ended the episode"""
    learning_rate: float = setting(3e-3, at_least=0)
    """step size of RMSProp"""
    anneal_lr: bool = True
    """whether the learning rate falls linearly to 0 over total_timesteps"""
    rms_decay: float = setting(0.99, at_least=0, below=1)
    """decay of RMSProp's mean square"""
    rms_eps: float = setting(1e-5, above=0)
    """epsilon of RMSProp, under the root"""
    max_grad_norm: float = setting(0.5, above=0, inf="no clipping")
    """norm to which each run's gradient is clipped; inf for no clipping"""
    vf_coef: float = setting(0.25, at_least=0)
    """the value loss's coefficient"""
    ent_coef: float = setting(0.0, at_least=0)
    """the entropy bonus's coefficient"""


class A2C(OnPolicy):
    """One step of RMSProp per batch on E[log pi(a|s) A] - vf_coef (V - R)^2 + ent_coef S."""

    Settings: ClassVar[type[Settings]] = A2CSettings
    picture_gain = 1.0  # openai/baselines a2c/policies.py (2017-08-18)

    keeps: ClassVar[tuple[str, ...]] = ("optimizer",)

    def setup(self) -> None:
        super().setup()
        per_run = self.per_run
        self.optimizer = RMSProp(
            self.policy.parameters,
            per_run.learning_rate,
            per_run.max_grad_norm,
            decay=per_run.rms_decay,
            eps=per_run.rms_eps,
        )

    def anneal(self, remaining: float) -> None:
        self.optimizer.learning_rate = annealed(self.per_run.learning_rate, remaining if self.shared.anneal_lr else 1.0)

    def update(self, batch: Batch) -> Metrics:
        distribution, values = self.policy(batch.observations)
        policy_loss = self.policy_loss(batch, distribution)
        value_loss = (values - batch.returns).square().mean(dim=1)
        grad_norm = self.optimizer.step(policy_loss + self.per_run.vf_coef.squeeze(1) * value_loss)
        return {
            "losses/policy_loss": policy_loss.detach(),
            "losses/value_loss": value_loss.detach(),
            "losses/entropy": distribution.entropy().detach().mean(dim=1),
            "losses/grad_norm": grad_norm,
            "charts/learning_rate": self.optimizer.learning_rate.squeeze(1),
        }

    def policy_loss(self, batch: Batch, distribution: Distribution) -> Tensor:
        """Return -(E[log pi(a|s) A] + ent_coef S): ``[runs]``."""
        gain = distribution.log_prob(batch.actions) * batch.advantages
        return -(gain.mean(dim=1) + self.per_run.ent_coef.squeeze(1) * distribution.entropy().mean(dim=1))
