"""Vanilla policy gradient with an adaptive step size, as footnote 3 of the paper describes it."""

from dataclasses import dataclass
from typing import Literal

import torch

from baselines.critic import Critic
from ppo.advantages import standardised
from ppo.algorithm import Metrics
from ppo.on_policy import OnPolicy
from ppo.rollout import Batch
from ppo.schedules import adapted_learning_rate
from ppo.settings import Settings, setting
from ppo.stacked.optimizers import Adam


@dataclass(frozen=True)
class VPGSettings(Settings):
    """VPG's settings; the defaults are those of homework 4 of Berkeley's course, which the footnote refers to
    (2017-03-18), with the batch of openai/baselines' acktr_cont, and with lambda, the KL and the reward scaling tuned
    for the MuJoCo tasks (experiments/paper/settings.py)."""

    num_steps: int = setting(2500, at_least=1)
    """steps of each environment between two updates"""
    gamma: float = setting(0.99, at_least=0, at_most=1)
    """discount"""
    gae_lambda: float = setting(0.9, at_least=0, at_most=1)
    """lambda of generalised advantage estimation; 1 sums the whole return"""
    norm_reward: Literal["none", "reset", "never-reset"] = "never-reset"
    """whether rewards are divided by the running standard deviation of the discounted return, and clipped to +-10;
    reset: the return starts at 0 after each episode"""
    bootstrap_truncation: bool = False
    """whether the value of the last state is added where a time limit, not the task, ended the episode"""
    learning_rate: float = setting(1e-3, at_least=0)
    """first step size of the policy's Adam"""
    desired_kl: float = setting(0.064, above=0)
    """KL[pi_old, pi] towards which the step size is adapted after every update"""
    vf_learning_rate: float = setting(1e-3, at_least=0)
    """step size of the value function's Adam"""
    vf_epochs: int = setting(10, at_least=0)
    """passes of the value function over each batch"""
    vf_minibatch_size: int = setting(64, at_least=1)
    """samples in each of its gradient steps"""
    vf_adam_eps: float = setting(1e-5, above=0, shared=True)
    """epsilon of that Adam (the same for every run of a stack)"""
    sees_pictures = False  # policy and value apart


class VPG(OnPolicy):
    """One step of Adam per batch on E[log pi(a|s) A] (equation 1), over the whole batch."""

    Settings = VPGSettings
    keeps = ("optimizer", "critic", "learning_rate")

    def setup(self) -> None:
        super().setup()
        self.learning_rate = self.per_run.learning_rate.clone()
        self.optimizer = Adam(self.policy.actor, self.learning_rate, eps=1e-8)
        self.critic = Critic(self)

    def update(self, batch: Batch) -> Metrics:
        self.optimizer.learning_rate = self.learning_rate
        advantages = standardised(batch.advantages)
        distribution = self.policy.distribution(batch.observations)
        loss = -(distribution.log_prob(batch.actions) * advantages).mean(dim=1)
        grad_norm = self.optimizer.step(loss)
        with torch.no_grad():
            distribution = self.policy.distribution(batch.observations)
            kl = batch.kl(distribution).mean(dim=1)
        self.learning_rate = adapted_learning_rate(self.learning_rate, kl.unsqueeze(1), self.per_run.desired_kl)
        return {
            "losses/policy_loss": loss.detach(),
            "losses/value_loss": self.critic.fit(batch),  # last: the advantages must precede the fit
            "losses/entropy": distribution.entropy().mean(dim=1),
            "losses/approx_kl": kl,
            "losses/grad_norm": grad_norm,
            "charts/learning_rate": self.optimizer.learning_rate.squeeze(1),
        }
