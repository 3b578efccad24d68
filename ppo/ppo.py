"""Proximal policy optimisation: the clipped and the KL-penalised surrogates of sections 3 and 4."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.advantages import standardised, standardised_by_actor
from ppo.algorithm import Metrics
from ppo.on_policy import OnPolicy
from ppo.rollout import Batch
from ppo.schedules import STEP_SIZE_BOUNDS, adapted_learning_rate, annealed
from ppo.settings import Settings, SettingsError, require, setting
from ppo.shapes import check_shapes
from ppo.stacked.optimizers import Adam

COMPILED = ("loss", "value_loss", "minibatch_advantages", "going_on", "minibatches")
"""Methods that ``descend``'s compiled twin stands for: PyTorch trains a class that overrides one."""


@dataclass(frozen=True)
class PPOSettings(Settings):
    """PPO's settings; the defaults are Table 3 with clipping 0.2 (experiments/paper/settings.py has every source)."""

    num_steps: int = setting(2048, at_least=1)
    """steps of each environment between two updates (the paper's horizon T)"""
    gamma: float = setting(0.99, at_least=0, at_most=1)
    """discount"""
    gae_lambda: float = setting(0.95, at_least=0, at_most=1)
    """lambda of generalised advantage estimation; 1 sums the whole return"""
    norm_reward: Literal["none", "reset", "never-reset"] = "none"
    """whether rewards are divided by the running standard deviation of the discounted return, and clipped to +-10;
    reset: the return starts at 0 after each episode"""
    bootstrap_truncation: bool = False
    """whether the value of the last state is added where a time limit, not the task, ended the episode"""
    learning_rate: float = setting(3e-4, at_least=0)
    """step size of the optimiser"""
    anneal_lr: bool = False
    """whether the learning rate falls linearly to 0 over total_timesteps"""
    max_grad_norm: float = setting(0.5, above=0, inf="no clipping")
    """norm to which each run's gradient is clipped; inf for no clipping"""
    adam_eps: float = setting(1e-8, above=0, shared=True)
    """epsilon of Adam (the same for every run of a stack)"""
    clip_coef: float = setting(0.2, above=0, inf="no clipping")
    """epsilon of the clipped surrogate (equation 7); inf for no clipping"""
    kl_coef: float = setting(0.0, at_least=0)
    """beta, the KL penalty's coefficient (equation 8); its first value if kl_target is set"""
    kl_target: float = setting(0.0, at_least=0)
    """d_targ: beta is adapted towards this KL after every policy update (section 4); 0 for a fixed beta"""
    vf_coef: float = setting(1.0, at_least=0)
    """c1, the value loss's coefficient (equation 9)"""
    ent_coef: float = setting(0.0, at_least=0)
    """c2, the entropy bonus's coefficient (equation 9)"""
    update_epochs: int = setting(10, at_least=1)
    """passes over each batch"""
    minibatch_size: int = setting(64, at_least=1)
    """samples in each gradient step"""
    norm_adv: Literal["minibatch", "batch", "actor", "none"] = "batch"
    """the samples over which the advantages are standardised; actor: each environment's own, as each of the processes
    of openai/baselines' ppo1 did"""
    minibatch_per_actor: bool = setting(False, added=True)
    """whether a minibatch has as many samples of each environment as of any other, in an order of its own, as ppo1's
    processes drew them"""
    vf_clip_range: float = setting(math.inf, above=0, inf="no clipping")
    """how far the value may move from its old one before its loss is clipped; inf for no clipping, as in the text"""
    anneal_clip: bool = False
    """whether clip_coef (Table 5), and vf_clip_range with it, fall linearly to 0 over total_timesteps"""
    lr_kl_target: float = setting(0.0, at_least=0, added=True)
    """the learning rate is adapted towards this KL after every policy update (Table 4), and learning_rate is its first
    value; 0 for one that is not adapted"""
    anneal_log_std: bool = setting(False, added=True)
    """whether the log-std of continuous actions is not learned and changes linearly from log_std_start to log_std_end
    over total_timesteps (Table 4)"""
    log_std_start: float = setting(-0.7, added=True)
    """the log-std at the start, if it is annealed"""
    log_std_end: float = setting(-1.6, added=True)
    """the log-std at the end, if it is annealed"""

    def check(self) -> None:
        super().check()
        fixed_beta, fixed_rate = self.kl_target == 0, self.lr_kl_target == 0
        require(self, "kl_coef", self.kl_coef > 0 or fixed_beta, "greater than 0 to be adapted towards kl_target")
        require(
            self,
            "learning_rate",
            self.learning_rate > 0 or fixed_rate,
            "greater than 0 to be adapted towards lr_kl_target",
        )
        batch = self.num_steps * self.num_envs
        require(self, "minibatch_size", self.minibatch_size <= batch, f"at most num_steps x num_envs = {batch}")
        even = not self.minibatch_per_actor or self.minibatch_size % self.num_envs == 0
        require(self, "minibatch_size", even, f"a multiple of num_envs = {self.num_envs} with minibatch_per_actor")


def surrogate(ratio: Tensor, advantages: Tensor, clip_coef: Tensor) -> Tensor:
    """Return L^CLIP per sample (equation 7): min(r A, clip(r, 1 - eps, 1 + eps) A); eps = inf: L^CPI (equation 6).

    ``ratio``, ``advantages``: ``[runs, batch]``; ``clip_coef``: ``[runs, 1]``.
    """
    check_shapes(ratio=(ratio, "..."), advantages=(advantages, "..."))
    return torch.min(ratio * advantages, ratio.clamp(1 - clip_coef, 1 + clip_coef) * advantages)


def adapted_kl_coef(kl_coef: Tensor, kl: Tensor, kl_target: Tensor) -> Tensor:
    """Return beta for the next policy update from this one's d = E[KL[pi_old, pi]] (section 4), all ``[runs, 1]``.

    d < d_targ / 1.5: beta / 2.   d > d_targ x 1.5: beta x 2.   Runs without a target keep their beta.
    """
    check_shapes(kl_coef=(kl_coef, "runs 1"), kl=(kl, "runs 1"), kl_target=(kl_target, "runs 1"))
    factor = torch.where(kl < kl_target / 1.5, 0.5, torch.where(kl > kl_target * 1.5, 2.0, 1.0))
    return torch.where(kl_target > 0, kl_coef * factor, kl_coef)


def value_loss(values: Tensor, batch: Batch, vf_clip_range: Tensor | None) -> Tensor:
    """Return L^VF (equation 9), the mean squared error ``[runs]``; with ``vf_clip_range`` ``[runs, 1]`` the larger of
    it and that of values within this range of the old ones, as in openai/baselines."""
    error = (values - batch.returns).square()
    if vf_clip_range is not None:
        clipped = batch.values + (values - batch.values).clamp(-vf_clip_range, vf_clip_range)
        pessimistic = torch.max(error, (clipped - batch.returns).square())
        # Keep the unclipped value exactly: old + (new - old) != new in float32.
        error = torch.where(torch.isfinite(vf_clip_range), pessimistic, error)
    return error.mean(dim=1)


class PPO(OnPolicy):
    """Several epochs of minibatch ascent on L = L^surrogate - beta KL - c1 L^VF + c2 S (equations 7, 8 and 9)."""

    Settings = PPOSettings
    keeps: ClassVar[tuple[str, ...]] = ("optimizer", "kl_coef", "learning_rate")

    def setup(self) -> None:
        super().setup()
        if self.shared.anneal_log_std and self.policy.discrete:
            raise SettingsError("anneal_log_std = True cannot be trained here: the environment's actions are discrete")
        self.policy.learns_log_std = not self.shared.anneal_log_std
        per_run = self.per_run
        self.kl_coef, self.learning_rate = per_run.kl_coef.clone(), per_run.learning_rate.clone()
        self.optimizer = Adam(
            self.policy.parameters, per_run.learning_rate, per_run.max_grad_norm, eps=self.shared.adam_eps
        )
        # Terms that no run of the stack uses are not computed.
        self._adapts = bool(((per_run.kl_target > 0) | (per_run.lr_kl_target > 0)).any())
        self._penalised = bool((per_run.kl_coef > 0).any())
        self._explores = bool((per_run.ent_coef > 0).any())
        self._clips_values = bool((per_run.vf_clip_range < math.inf).any())
        self.anneal(1.0)

    def anneal(self, remaining: float) -> None:
        """Set the learning rate and clip range of Table 5 (ppo2's for values too), and the log-std of Table 4."""
        shared, per_run = self.shared, self.per_run
        self.optimizer.learning_rate = annealed(self.learning_rate, remaining if shared.anneal_lr else 1.0)
        self.clip_coef = annealed(per_run.clip_coef, remaining if shared.anneal_clip else 1.0)
        self.vf_clip_range = annealed(per_run.vf_clip_range, remaining if shared.anneal_clip else 1.0)
        if shared.anneal_log_std:
            log_std = annealed(per_run.log_std_start, remaining, per_run.log_std_end)
            self.policy.log_std.copy_(log_std.unsqueeze(2))

    def update(self, batch: Batch) -> Metrics:
        if self.shared.norm_adv == "batch":
            batch = replace(batch, advantages=standardised(batch.advantages))
        elif self.shared.norm_adv == "actor":
            batch = replace(batch, advantages=standardised_by_actor(batch.advantages, self.shared.num_envs))
        metrics = {"losses/grad_norm": self.descend(batch, self.clip_coef)}
        if self.log_metrics:
            metrics |= self.measure(batch, self.clip_coef)
        if self._adapts:
            self.adapt(batch)
        return metrics

    def order(self, samples: int, stream: np.random.Generator) -> NDArray[np.int64]:
        """Draw an order of ``samples`` ``[steps x envs]``; with ``minibatch_per_actor`` the environments take turns."""
        if not self.shared.minibatch_per_actor:
            return super().order(samples, stream)
        by_step = np.arange(samples).reshape(-1, self.shared.num_envs)
        return stream.permuted(by_step, axis=0).reshape(-1)

    def descend(self, batch: Batch, clip_coef: Tensor) -> Tensor:
        """Take several epochs of minibatch steps down ``loss``; return the last gradient norms ``[runs]``."""
        if self.engine == "numba" and self.has_own(PPO, *COMPILED) and type(self.optimizer) is Adam:
            from ppo.stacked.descent import descend  # the same, compiled for this very loss

            return descend(self, batch, clip_coef)
        grad_norm, going = torch.zeros(self.runs, device=self.device), None
        for minibatch in self.minibatches(batch, self.shared.update_epochs, self.shared.minibatch_size):
            going = self.going_on(minibatch, going)
            grad_norm = self.optimizer.step(self.loss(minibatch, clip_coef), going)
        return grad_norm

    def loss(self, batch: Batch, clip_coef: Tensor) -> Tensor:
        """Return -L of equation 9 on one minibatch: ``[runs]``."""
        distribution, values = self.policy(batch.observations)
        advantages = self.minibatch_advantages(batch)
        loss = self.per_run.vf_coef.squeeze(1) * self.value_loss(batch, values)
        loss = loss - surrogate(batch.ratio(distribution), advantages, clip_coef).mean(dim=1)
        if self._penalised:
            # Mask the KL of unpenalised runs: 0 x inf would be NaN.
            new = distribution.where(self.per_run.kl_coef > 0, batch.distribution)
            loss = loss + self.kl_coef.squeeze(1) * batch.kl(new).mean(dim=1)
        if self._explores:
            loss = loss - self.per_run.ent_coef.squeeze(1) * distribution.entropy().mean(dim=1)
        return loss

    def minibatch_advantages(self, batch: Batch) -> Tensor:
        """Return a minibatch's advantages as the objective uses them: ``[runs, samples]``."""
        return standardised(batch.advantages) if self.shared.norm_adv == "minibatch" else batch.advantages

    def value_loss(self, batch: Batch, values: Tensor) -> Tensor:
        """Return L^VF at the new ``values`` ``[runs, batch]``: ``[runs]``."""
        return value_loss(values, batch, self.vf_clip_range if self._clips_values else None)

    def going_on(self, minibatch: Batch, going: Tensor | None) -> Tensor | None:
        """Return the runs that take this ``minibatch``, ``[runs]``, bool, from those that took the last one; None: all.
        Override it to end an update early."""
        return going

    @torch.no_grad()
    def adapt(self, batch: Batch) -> None:
        """Adapt beta (section 4) and the learning rate (Table 4) to the KL that this update caused."""
        kl = batch.kl(self.policy.distribution(batch.observations)).mean(dim=1, keepdim=True)
        self.kl_coef = adapted_kl_coef(self.kl_coef, kl, self.per_run.kl_target)
        self.learning_rate = adapted_learning_rate(self.learning_rate, kl, self.per_run.lr_kl_target, STEP_SIZE_BOUNDS)

    @torch.no_grad()
    def measure(self, batch: Batch, clip_coef: Tensor) -> Metrics:
        """Measure on the whole batch what the update did, each ``[runs]``; the policy's loss is that of advantages
        standardised over the batch whatever ``norm_adv`` is, so that losses can be compared."""
        distribution, values = self.policy(batch.observations)
        ratio = batch.ratio(distribution)
        return {
            "losses/policy_loss": -surrogate(ratio, standardised(batch.advantages), clip_coef).mean(dim=1),
            "losses/value_loss": self.value_loss(batch, values),
            "losses/entropy": distribution.entropy().mean(dim=1),
            "losses/approx_kl": batch.kl(distribution).mean(dim=1),
            "losses/clipfrac": ((ratio - 1).abs() > clip_coef).float().mean(dim=1),
            "losses/kl_coef": self.kl_coef.squeeze(1),
            "charts/learning_rate": self.optimizer.learning_rate.squeeze(1),
        }
