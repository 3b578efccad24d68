"""What an algorithm is: settings, a stack of runs, and ``iterate``. OnPolicy collects T steps, then updates."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.advantages import gae
from ppo.envs.base import VectorEnv
from ppo.normalizers import ObservationNormalizer, RewardNormalizer
from ppo.policies import ActorCritic
from ppo.rollout import Batch, Collector, Episode, Experience

Metrics = dict[str, Tensor]
"""What an update reports, by TensorBoard name: ``[runs]`` each."""


class SettingsError(ValueError):
    """Settings that cannot be trained; the message names the setting, its value and what would be right."""


@dataclass(frozen=True)
class Settings:
    """What every on-policy algorithm can be told.

    The fields that are floats may differ between the runs of a stack (they become ``[runs, 1]`` tensors); all others
    decide shapes or the order of things, and are the same for all runs of a stack.
    """

    num_envs: int = 1
    """environments that each run steps in parallel (the paper's actors)"""
    num_steps: int = 2048
    """steps of each environment between two updates (the paper's horizon T)"""
    learning_rate: float = 3e-4
    """step size of the optimiser"""
    anneal_lr: bool = False
    """whether the learning rate falls linearly to 0 over total_timesteps"""
    gamma: float = 0.99
    """discount"""
    gae_lambda: float = 0.95
    """lambda of generalised advantage estimation; 1 sums the whole return"""
    norm_obs: bool = True
    """whether observations are normalised by their running mean and standard deviation, and clipped to +-10"""
    norm_reward: bool = True
    """whether rewards are divided by the running standard deviation of the discounted return, and clipped to +-10"""
    bootstrap_truncation: bool = False
    """whether the value of the last state is added where a time limit, not the task, ended the episode"""
    max_grad_norm: float = 0.5
    """norm to which each run's gradient is clipped; inf for no clipping"""
    adam_eps: float = 1e-5
    """epsilon of Adam (the same for every run of a stack)"""

    def check(self) -> None:
        """Raises ``SettingsError`` for settings that cannot be trained."""
        for name in ("num_envs", "num_steps"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        require(self, "learning_rate", 0 <= self.learning_rate < math.inf, "at least 0 and finite")
        require(self, "adam_eps", self.adam_eps < math.inf, "finite")
        for name in ("gamma", "gae_lambda"):
            require(self, name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        for name in ("max_grad_norm", "adam_eps"):
            require(self, name, getattr(self, name) > 0, "greater than 0")

    def structure(self) -> tuple[tuple[str, Any], ...]:
        """The settings that all runs of a stack share."""
        fields = dataclasses.fields(self)
        return tuple(
            (own.name, getattr(self, own.name)) for own in fields if own.type is not float or own.name == "adam_eps"
        )


def require(settings: Settings, name: str, holds: bool, right: str) -> None:
    """Raise ``SettingsError`` unless ``holds``: one line with the setting, its value and what would be right."""
    if not holds:  # also for NaN, which no comparison holds for
        raise SettingsError(f"{name} = {getattr(settings, name)} cannot be trained: it must be {right}")


def check_budget(total_timesteps: int, num_envs: int) -> None:
    """Raise ``SettingsError`` for a budget that cannot be spent exactly."""
    if total_timesteps < 1 or total_timesteps % num_envs:
        raise SettingsError(
            f"total_timesteps = {total_timesteps} cannot be spent exactly: "
            f"it must be a positive multiple of num_envs = {num_envs}"
        )


class Algorithm(ABC):
    """A stack of runs of one algorithm in one environment, trained in lockstep.

    Promises, each held by a test on every algorithm: a run's result does not depend on its neighbours; a run that
    diverges is its own trouble; the same seed gives the same bits; ``state`` is all that a continuation needs; the
    budget is exact.
    """

    Settings: ClassVar[type[Settings]]
    policy: ActorCritic

    def __init__(
        self,
        env: VectorEnv,
        settings: Sequence[Any],
        seeds: Sequence[int],
        total_timesteps: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """``env``: num_envs rows per run. ``settings``, ``seeds``: one per run. ``total_timesteps``: of each run."""
        for own in settings:
            own.check()
        if len({own.structure() for own in settings}) != 1:
            raise SettingsError("the runs of a stack may differ in settings that are floats alone")
        self.common = settings[0]
        check_budget(total_timesteps, self.common.num_envs)
        self.env = env
        self.settings = list(settings)
        self.seeds = list(seeds)
        self.runs = len(seeds)
        self.total_timesteps = total_timesteps
        self.device = torch.device(device)
        self.steps_done = 0
        """Environment steps that each run has done."""
        self.iteration = 0
        self.diverged_at: list[int | None] = [None] * self.runs
        """Where a run's parameters stopped being numbers: its steps done by then."""
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Make the policy and whatever else the algorithm keeps."""

    @abstractmethod
    def iterate(self) -> tuple[list[Episode], Metrics]:
        """Do the next piece of the training, never past the budget; returns the episodes that ended in it."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that the continuation depends on, as tensors, arrays, numbers and text."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state`` as if nothing had happened."""

    def per_run(self, name: str) -> Tensor:
        """The setting ``name`` of every run: ``[runs, 1]``."""
        return torch.tensor([[float(getattr(own, name))] for own in self.settings], device=self.device)

    def remaining(self) -> float:
        """The fraction of the budget that is left: 1 at the start, towards 0 at the end (the alpha of Table 5)."""
        return 1.0 - self.steps_done / self.total_timesteps


class OnPolicy(Algorithm):
    """Collect ``num_steps`` steps from every environment, then ``update`` the policy with them (Algorithm 1)."""

    def setup(self) -> None:
        shape = self.env.observation_shape
        self.policy = ActorCritic(shape, self.env.action_space, self.seeds, device=self.device)
        self.gamma = self._column("gamma")
        self.gae_lambda = self._column("gae_lambda")
        observation_normalizer = ObservationNormalizer(self.runs, shape) if self.common.norm_obs else None
        reward_normalizer = RewardNormalizer(self.gamma, self.common.num_envs) if self.common.norm_reward else None
        self.collector = Collector(self.env, self.policy, self.runs, observation_normalizer, reward_normalizer)

    @abstractmethod
    def update(self, batch: Batch) -> Metrics:
        """Change the policy (and the value function) in the light of ``batch``."""

    def iterate(self) -> tuple[list[Episode], Metrics]:
        budget = (self.total_timesteps - self.steps_done) // self.common.num_envs
        steps = min(self.common.num_steps, budget)
        noise = self.policy.draw_noise(self.seeds, self.iteration, steps, self.common.num_envs)
        experience = self.collector.collect(noise, self.steps_done, self.common.bootstrap_truncation)
        batch = self.prepare(experience)
        metrics = self.update(batch)
        metrics["losses/explained_variance"] = _explained_variance(batch)
        self.steps_done += steps * self.common.num_envs
        self.iteration += 1
        self._note_divergence()
        return experience.episodes, metrics

    @torch.no_grad()
    def prepare(self, experience: Experience) -> Batch:
        """Evaluate the policy that acted, estimate advantages, and put the run on dim 0."""
        observations = _runs_first(experience.observations)
        actions = _runs_first(experience.actions)
        distribution, values = self.policy(observations)
        steps = len(experience.rewards)
        old_values = _steps_first(values, steps)
        if experience.next_observations is not None:
            terminal = experience.terminated
            next_values = _steps_first(self.policy.values(_runs_first(experience.next_observations)), steps)
        else:
            terminal = experience.ended
            last = self.policy.values(experience.last_observations).cpu().numpy()
            next_values = np.concatenate([old_values[1:], last[None]])
        advantages = gae(
            experience.rewards, old_values, next_values, terminal, experience.ended, self.gamma, self.gae_lambda
        )
        return Batch(
            observations=observations,
            actions=actions,
            log_probs=distribution.log_prob(actions),
            values=values,
            advantages=self._to_device(advantages),
            returns=self._to_device(advantages + old_values),
            distribution=distribution.detach(),
        )

    def _column(self, name: str) -> NDArray[np.float64]:
        return np.array([[getattr(own, name)] for own in self.settings])

    def _to_device(self, values: NDArray[np.float64]) -> Tensor:
        return _runs_first(torch.from_numpy(values.astype(np.float32))).to(self.device)

    def _note_divergence(self) -> None:
        finite = torch.isfinite(self.policy.parameters).all(dim=1).cpu()
        for run in (~finite).nonzero().flatten().tolist():
            if self.diverged_at[run] is None:
                self.diverged_at[run] = self.steps_done
                self.collector.diverged[run] = True

    def state(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "steps_done": self.steps_done,
            "diverged_at": list(self.diverged_at),
            "parameters": self.policy.parameters,
            "collector": self.collector.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.iteration, self.steps_done = state["iteration"], state["steps_done"]
        self.diverged_at = list(state["diverged_at"])
        with torch.no_grad():
            self.policy.parameters.copy_(state["parameters"])
        self.collector.load_state(state["collector"])


def _runs_first(values: Tensor) -> Tensor:
    """``[steps, runs, envs, ...]`` to ``[runs, steps x envs, ...]``."""
    steps, runs, envs = values.shape[:3]
    return values.transpose(0, 1).contiguous().view(runs, steps * envs, *values.shape[3:])


def _steps_first(values: Tensor, steps: int) -> NDArray[np.float32]:
    """``[runs, steps x envs]`` to an array ``[steps, runs, envs]``."""
    array: NDArray[np.float32] = values.view(len(values), steps, -1).transpose(0, 1).cpu().numpy()
    return array


def _explained_variance(batch: Batch) -> Tensor:
    """1 - Var[returns - values] / Var[returns], per run."""
    return 1 - (batch.returns - batch.values).var(dim=1) / batch.returns.var(dim=1)
