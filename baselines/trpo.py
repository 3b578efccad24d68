"""Trust region policy optimisation [Schulman et al. 2015], and two relatives that differ in a setting."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from baselines.critic import Critic
from ppo.advantages import standardised
from ppo.algorithm import Metrics
from ppo.distributions import Distribution
from ppo.on_policy import OnPolicy
from ppo.policies import ActorCritic
from ppo.rollout import Batch
from ppo.settings import Settings, setting


@dataclass(frozen=True)
class TRPOSettings(Settings):
    """TRPO's settings; the numbers are those of openai/baselines' trpo_mpi/run_mujoco.py of 2017-07-20, but network,
    initialisation and filter are PPO's, and the reward scaling was tuned for the MuJoCo tasks
    (experiments/paper/settings.py); `TRPO2017Settings` has that file's."""

    num_steps: int = setting(1024, at_least=1)
    """steps of each environment between two updates"""
    gamma: float = setting(0.99, at_least=0, at_most=1)
    """discount"""
    gae_lambda: float = setting(0.98, at_least=0, at_most=1)
    """lambda of generalised advantage estimation; 1 sums the whole return"""
    norm_reward: Literal["none", "reset", "never-reset"] = "never-reset"
    """whether rewards are divided by the running standard deviation of the discounted return, and clipped to +-10;
    reset: the return starts at 0 after each episode"""
    bootstrap_truncation: bool = False
    """whether the value of the last state is added where a time limit, not the task, ended the episode"""
    vf_learning_rate: float = setting(1e-3, at_least=0)
    """step size of the value function's Adam"""
    vf_epochs: int = setting(5, at_least=0)
    """passes of the value function over each batch"""
    vf_minibatch_size: int = setting(64, at_least=1)
    """samples in each of its gradient steps"""
    vf_adam_eps: float = setting(1e-5, above=0, shared=True)
    """epsilon of that Adam (the same for every run of a stack)"""
    max_kl: float = setting(0.01, above=0)
    """delta, the mean KL[pi_old, pi] that a step may cause"""
    cg_iters: int = setting(10, at_least=1)
    """iterations of the conjugate gradient"""
    cg_damping: float = setting(0.1, at_least=0)
    """number added to the diagonal of the Fisher matrix"""
    sub_sampling_factor: int = setting(5, at_least=1)
    """n: the Fisher matrix is estimated on every n-th state"""
    line_search: bool = True
    """whether the step is halved until it meets the constraint and improves the surrogate; false: it is taken whole"""
    line_search_iters: int = setting(10, at_least=1)
    """steps that the search tries before it gives up and leaves the policy as it was"""
    accept_zero: bool = False
    """whether the search also takes a step that leaves the surrogate exactly as it was"""
    kl_margin: float = setting(1.5, above=0)
    """the search accepts a KL up to kl_margin x max_kl"""
    fixed_log_std: bool = False
    """whether the policy's standard deviation stays 1"""
    norm_adv: Literal["batch", "none"] = "batch"
    """the samples over which the advantages are standardised"""
    sees_pictures = False  # policy and value apart


def conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int) -> Tensor:
    """Solve ``product(x) = target`` for a positive definite product, for each run separately: ``[runs, P]``.

    A run whose residual is almost 0 keeps its solution.
    """
    solution, residual, direction = torch.zeros_like(target), target.clone(), target.clone()
    square = residual.square().sum(1, keepdim=True)
    for _ in range(iterations):
        image = product(direction)
        going = square > 1e-10
        step = torch.where(going, square / (direction * image).sum(1, keepdim=True), 0.0)
        solution = solution + step * direction
        residual = residual - step * image
        before, square = square, torch.where(going, residual.square().sum(1, keepdim=True), square)
        direction = torch.where(going, residual + square / before * direction, direction)
    return solution


class TRPO(OnPolicy):
    """Maximise E[r A] subject to E[KL[pi_old, pi]] <= delta (equations 3 and 4)."""

    Settings = TRPOSettings
    keeps = ("optimizer",)
    policy: ActorCritic

    def setup(self) -> None:
        super().setup()
        self.policy.learns_log_std = not self.shared.fixed_log_std
        self.critic = Critic(self)
        self.optimizer = self.critic.optimizer

    def update(self, batch: Batch) -> Metrics:
        if self.shared.norm_adv == "batch":
            batch = replace(batch, advantages=standardised(batch.advantages))
        metrics = self.improve(batch)
        metrics["losses/value_loss"] = self.critic.fit(batch)
        return metrics

    def improve(self, batch: Batch) -> Metrics:
        """Take the natural-gradient step to the edge of the trust region: x = F^-1 g, scaled to KL = delta."""
        gradient = self.gradient(batch)
        with torch.no_grad():
            product = self.damped_fisher_product(batch.observations[:, :: self.shared.sub_sampling_factor])
            direction = conjugate_gradient(product, gradient, self.shared.cg_iters)
            curvature = (direction * product(direction)).sum(1, keepdim=True)  # KL = x F x / 2
            moves = curvature > 0
            step = torch.where(moves, (2 * self.per_run.max_kl / curvature).sqrt() * direction, 0 * direction)
            return self.search(batch, step) if self.shared.line_search else self.take(batch, step)

    def gradient(self, batch: Batch) -> Tensor:
        """Return the gradient of E[r A] at r = 1: ``[runs, P]``."""
        ratio = batch.ratio(self.policy.distribution(batch.observations))
        surrogate = (ratio * batch.advantages).mean(dim=1)
        (gradient,) = torch.autograd.grad(surrogate, self.policy.parameters, torch.ones_like(surrogate))
        return gradient

    def damped_fisher_product(self, observations: Tensor) -> Callable[[Tensor], Tensor]:
        """Return v -> (F + damping) v, F the Fisher matrix of the policy at ``observations``."""
        product = self.policy.fisher_vector_product(observations)
        return lambda vector: product(vector) + self.per_run.cg_damping * vector

    def search(self, batch: Batch, step: Tensor) -> Metrics:
        """Halve each run's step until the surrogate is better and the KL within bounds; restore the parameters if no
        step is."""
        old = self.policy.parameters.detach().clone()
        accepted = torch.zeros_like(self.per_run.max_kl, dtype=torch.bool)
        taken = {name: torch.zeros_like(self.per_run.max_kl) for name in ("size", "improvement", "kl")}
        before = batch.advantages.mean(dim=1, keepdim=True)
        for attempt in range(self.shared.line_search_iters):
            size = 0.5**attempt
            distribution = self.policy.distribution(batch.observations, old + size * step)
            surrogate, kl = _surrogate_and_kl(batch, distribution)
            improves = surrogate >= before if self.shared.accept_zero else surrogate > before
            now = ~accepted & improves & (kl <= self.per_run.kl_margin * self.per_run.max_kl)
            for name, value in (("size", size), ("improvement", surrogate - before), ("kl", kl)):
                taken[name] = torch.where(now, value, taken[name])
            accepted |= now
            if accepted.all():
                break
        self.policy.parameters.copy_(torch.where(accepted, old + taken["size"] * step, old))
        return self.metrics(batch, taken)

    def take(self, batch: Batch, step: Tensor) -> Metrics:
        """Apply the full step without a line search."""
        self.policy.parameters.add_(step)
        surrogate, kl = _surrogate_and_kl(batch, self.policy.distribution(batch.observations))
        improvement = surrogate - batch.advantages.mean(dim=1, keepdim=True)
        return self.metrics(batch, {"size": torch.ones_like(kl), "improvement": improvement, "kl": kl})

    def metrics(self, batch: Batch, taken: dict[str, Tensor]) -> Metrics:
        """Return the metrics of the step."""
        entropy = self.policy.distribution(batch.observations).entropy().mean(dim=1)
        return {
            "losses/policy_loss": -taken["improvement"].squeeze(1),
            "losses/approx_kl": taken["kl"].squeeze(1),
            "losses/step_size": taken["size"].squeeze(1),
            "losses/entropy": entropy,
        }


def _surrogate_and_kl(batch: Batch, distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Return E[r A] and E[KL[pi_old, pi]]: ``[runs, 1]`` each."""
    surrogate = (batch.ratio(distribution) * batch.advantages).mean(dim=1, keepdim=True)
    return surrogate, batch.kl(distribution).mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class TRPO2017Settings(TRPOSettings):
    """The settings of openai/baselines' trpo_mpi/run_mujoco.py as released with the paper (da99706, 2017-07-20): the
    log-std was missing from the variables to optimise (#262), the standardised advantages were not used (#64); a
    smaller network, column-norm initialisation, a filter per batch, and a search that accepts an improvement of 0."""

    norm_reward: Literal["none", "reset", "never-reset"] = "none"
    """whether rewards are divided by the running standard deviation of the discounted return"""
    network: str = "32-32"
    """units of the hidden layers of two separate networks, for policy and value"""
    initialisation: Literal["orthogonal", "column-norm"] = "column-norm"
    """initial weights"""
    clip_obs: float = 5.0
    """bound of the normalised observations"""
    obs_filter: Literal["step", "batch"] = "batch"
    """when the observations' mean and deviation are updated"""
    vf_adam_eps: float = 1e-8
    """epsilon of the value function's Adam (the same for every run of a stack)"""
    accept_zero: bool = True
    """whether the search also takes a step that leaves the surrogate exactly as it was"""
    fixed_log_std: bool = True
    """whether the policy's standard deviation stays 1"""
    norm_adv: Literal["batch", "none"] = "none"
    """the samples over which the advantages are standardised"""


class TRPO2017(TRPO):
    """TRPO as released with the paper: above all its deviation is stuck at 1."""

    Settings = TRPO2017Settings


@dataclass(frozen=True)
class NPGSettings(TRPOSettings):
    """TRPO's settings without its search."""

    line_search: bool = False
    """whether the step is halved until it meets the constraint and improves the surrogate; false: it is taken whole"""


class NPG(TRPO):
    """The natural policy gradient [Kakade 2002] with the step size of a fixed KL: TRPO without the line search."""

    Settings = NPGSettings
