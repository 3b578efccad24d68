"""A2C + Trust Region: A2C with the trust region of ACER [Wang et al. 2016, section 3.3]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from baselines.a2c import A2C
from ppo.algorithm import Metrics
from ppo.distributions import Distribution
from ppo.rollout import Batch
from ppo.settings import Settings, setting
from ppo.shapes import check_shapes
from ppo.stacked.optimizers import follow

D = TypeVar("D", bound=Distribution)


@dataclass(frozen=True)
class A2CTrustRegionSettings(Settings):
    """A2C's settings and those of the trust region; the average's decay is ACER's for continuous control; reward
    scaling, learning rate and trust_region_delta were tuned for the MuJoCo tasks (experiments/paper/settings.py)."""

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
    learning_rate: float = setting(2.68e-3, at_least=0)
    """step size of RMSProp"""
    anneal_lr: bool = False
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
    trust_region_delta: float = setting(8.0, above=0, inf="no trust region")
    """delta, the largest KL from the average policy that a step may cause in a state, to first order"""
    ema_decay: float = setting(0.995, at_least=0, below=1)
    """alpha, the decay of the exponential moving average of the policy's parameters"""


def projected(gradient: Tensor, kl_gradient: Tensor, delta: Tensor) -> Tensor:
    """Return the z nearest to ``gradient`` with ``kl_gradient`` . z <= ``delta`` in every state (ACER's eq. 12):

        z = g - max(0, (k . g - delta) / |k|^2) k

    ``gradient`` g, ``kl_gradient`` k: ``[runs, batch, statistics]``; ``delta``: ``[runs, 1]``.
    """
    check_shapes(
        gradient=(gradient, "runs batch statistics"),
        kl_gradient=(kl_gradient, "runs batch statistics"),
        delta=(delta, "runs 1"),
    )
    excess = ((kl_gradient * gradient).sum(-1) - delta).clamp(min=0)
    square = kl_gradient.square().sum(-1).clamp(min=torch.finfo(torch.float32).tiny)  # at k = 0 nothing is in excess
    return gradient - (excess / square).unsqueeze(-1) * kl_gradient


def trust_region_loss(distribution: D, average: D, gain: Callable[[D], Tensor], delta: Tensor) -> Tensor:
    """Return a loss whose gradient is that of -``gain``, projected in every state before it enters the network.

    ``distribution``: the policy's; ``average``: the average policy's, as data; ``gain``: the objective in each state
    ``[runs, batch]``, a function of the distribution; ``delta``: ``[runs, 1]``. Returns ``[runs]``.
    """
    statistics = distribution.statistics()
    free = statistics.detach().requires_grad_()
    current = distribution.of_statistics(free)
    (gradient,) = torch.autograd.grad(gain(current).sum(), free, retain_graph=True)
    (kl_gradient,) = torch.autograd.grad(average.kl(current).sum(), free)
    return -(statistics * projected(gradient, kl_gradient, delta)).sum(-1).mean(dim=1)


class A2CTrustRegion(A2C):
    """A2C whose gradient with respect to the policy's statistics is limited by the KL from an average policy."""

    Settings = A2CTrustRegionSettings
    keeps = ("optimizer", "average")

    def setup(self) -> None:
        super().setup()
        self.average = self.policy.parameters.detach().clone()

    def update(self, batch: Batch) -> Metrics:
        metrics = super().update(batch)
        follow(self.average, self.policy.parameters, self.per_run.ema_decay)
        return metrics

    def policy_loss(self, batch: Batch, distribution: Distribution) -> Tensor:
        def gain(current: Distribution) -> Tensor:
            return current.log_prob(batch.actions) * batch.advantages + self.per_run.ent_coef * current.entropy()

        average = self.policy.distribution(batch.observations, self.average)
        return trust_region_loss(distribution, average, gain, self.per_run.trust_region_delta)
