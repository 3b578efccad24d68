"""What an algorithm is: settings, a stack of runs, and ``iterate``."""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from ppo.envs.base import VectorEnv
from ppo.normalizers import BatchObservationNormalizer, ObservationNormalizer, RewardNormalizer
from ppo.policies import Policy, make_policy
from ppo.rollout import Act, Collector, Episode
from ppo.stacked.convolutional import ARCHITECTURES
from ppo.stacked.engine import Engine, choose

Metrics = dict[str, Tensor]
"""What an update reports, by TensorBoard name: ``[runs]`` each."""

T = TypeVar("T")


class SettingsError(ValueError):
    """Settings that cannot be trained; the message names the setting, its value and what would be right."""


def added(default: T) -> T:
    """Declare a setting that runs were recorded without: where it is at its ``default`` it is left out of what is
    stored, so that these runs keep their keys, and trainings that were begun go on."""
    return field(default=default, metadata={"added": True})


@dataclass(frozen=True)
class Settings:
    """What every algorithm can be told.

    The fields that are floats may differ between the runs of a stack (they become ``[runs, 1]`` tensors); all others
    decide shapes or the order of things, and are the same for all runs of a stack.
    """

    num_envs: int = 1
    """environments that each run steps in parallel (the paper's actors)"""
    num_steps: int = 2048
    """steps of each environment in an iteration, after which the training may be stopped"""
    norm_obs: bool = True
    """whether observations are normalised by their running mean and standard deviation, and clipped to +-clip_obs"""
    clip_obs: float = 10.0
    """bound of the normalised observations"""
    obs_filter: Literal["step", "batch"] = "step"
    """when their mean and deviation are renewed: at every step (openai/baselines' ppo2), or once per batch, after which
    the old policy is evaluated anew (its ppo1 and trpo_mpi)"""

    clip_actions: bool = False
    """whether continuous actions are clipped to the environment's bounds on their way to it, as openai/baselines does
    only from 9b68103 (2019-05-08) on; learning sees the actions as they were drawn"""

    network: str = "64-64"
    """64-64: units of the hidden layers of policy and value, each with its own (sec. 6.1), as many layers as there are
    numbers; linear: none; nature or a3c: the convolutional network that they share (sec. 6.4)"""
    activation: Literal["tanh", "relu"] = "tanh"
    """of the hidden units; convolutional networks have relu"""

    initialisation: Literal["orthogonal", "column-norm"] = "orthogonal"
    """weights at first: orthogonal, of gain sqrt 2 (openai/baselines' ppo2), or each unit's incoming weights normal and
    of norm 1 (its ppo1 and trpo_mpi); the policy's head is a hundredth of that"""

    backward_dtype: Literal["float32", "bfloat16"] = "float32"
    """in which the gradients of convolutional networks are computed; what goes forward is float32"""

    sees_pictures: ClassVar[bool] = True
    """Whether ``network`` may be one for pictures."""
    obs_filters: ClassVar[tuple[str, ...]] = ("step", "batch")
    """What the algorithm can be told as ``obs_filter``."""

    @property
    def samples_actions(self) -> bool:
        """Whether the policy is trained to draw its actions; if not, to take the most likely one."""
        return True

    def check(self) -> None:
        """Raises ``SettingsError`` for settings that cannot be trained."""
        for name in ("num_envs", "num_steps"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        pictures = tuple(ARCHITECTURES) if self.sees_pictures else ()
        known = self.network in ("linear", *pictures) or re.fullmatch(r"[1-9]\d{0,4}(-[1-9]\d{0,4})*", self.network)
        require(
            self, "network", bool(known), " or ".join(("units of hidden layers such as 64-64", "linear", *pictures))
        )
        require(self, "clip_obs", self.clip_obs > 0, "greater than 0")
        require(self, "obs_filter", self.obs_filter in self.obs_filters, " or ".join(self.obs_filters))
        for name, hint in _hints(self).items():
            if get_origin(hint) is Literal:
                require(self, name, getattr(self, name) in get_args(hint), " or ".join(get_args(hint)))

    def structure(self) -> tuple[tuple[str, Any], ...]:
        """The settings that all runs of a stack share."""
        return tuple(
            (name, getattr(self, name))
            for name, hint in _hints(self).items()
            if hint is not float or name.endswith("adam_eps")
        )


def _hints(settings: Settings) -> dict[str, Any]:
    """The type of each field; a module with postponed annotations has them as text."""
    hints = get_type_hints(type(settings))
    return {own.name: hints[own.name] for own in dataclasses.fields(settings)}


def require(settings: Settings, name: str, holds: bool, right: str) -> None:
    """Raise ``SettingsError`` unless ``holds``: one line with the setting, its value and what would be right."""
    if not holds:  # also for NaN, which no comparison holds for
        raise SettingsError(f"{name} = {getattr(settings, name)} cannot be trained: it must be {right}")


def observation_normalizer(settings: Sequence[Settings], shape: tuple[int, ...]) -> ObservationNormalizer | None:
    """What the settings of a stack's runs ask for, for observations of ``shape``; None if they are taken as they
    are."""
    if not settings[0].norm_obs:
        return None
    kind = ObservationNormalizer if settings[0].obs_filter == "step" else BatchObservationNormalizer
    return kind(len(settings), shape, np.array([own.clip_obs for own in settings]))


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
    diverges does not affect the others; the same seed gives the same bits; ``state`` is all that a continuation needs;
    the budget is exact.
    """

    Settings: ClassVar[type[Settings]]
    continuous: ClassVar[bool] = True
    """Whether it can be trained where actions are continuous."""
    picture_gain: ClassVar[float] = 0.01
    """Gain of the policy's head at first where it sees pictures."""
    policy: Policy
    collector: Collector

    def __init__(
        self,
        env: VectorEnv,
        settings: Sequence[Any],
        seeds: Sequence[int],
        total_timesteps: int,
        device: torch.device | str = "cpu",
        engine: Engine | None = None,
    ) -> None:
        """``env``: num_envs rows per run. ``settings``, ``seeds``: one per run. ``total_timesteps``: of each run.
        ``engine``: what computes, the fastest one there is if nothing is said."""
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
        try:
            self.engine = choose(self.common.network, self.device, engine)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        self.steps_done = 0
        """Environment steps that each run has done."""
        self.iteration = 0
        self.diverged_at: list[int | None] = [None] * self.runs
        """Where a run's parameters or its environment's numbers stopped being numbers: its steps done by then."""
        self.files: Path | None = None
        """The folder for state that is too large for every checkpoint and is written once, as it grows; it must come
        with the checkpoints wherever they go. None: all of it is in ``state()``."""
        self.reports = True
        """Whether ``iterate`` measures what only people read, at a price in time. The training is the same bits."""
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Make the policy, the collector and whatever else the algorithm keeps."""

    def anneal(self, remaining: float) -> None:  # noqa: B027
        """Set what changes along the budget, of which the fraction ``remaining`` is left (1 at the start, towards 0 at
        the end: the alpha of Table 5); called before every iteration."""

    @abstractmethod
    def iterate(self) -> tuple[list[Episode], Metrics]:
        """Do the next piece of the training, never past the budget; returns the episodes that ended in it, and what was
        measured, each ``[runs]``."""

    @classmethod
    def critic_outputs(cls, action_space: Box | Discrete) -> int:
        """How many numbers its critic has for a state: the state's value, or one for each action."""
        return 1

    def make_policy(self) -> Policy:
        """What the setting ``network`` asks for, in this environment."""
        shape, space = self.env.observation_shape, self.env.action_space
        critic_outputs = self.critic_outputs(space)
        own, gain = self.common, self.picture_gain
        try:
            return make_policy(
                *(own.network, shape, space, self.seeds, self.device, critic_outputs),
                initialisation=own.initialisation,
                activation=own.activation,
                picture_gain=gain,
                backward_dtype=own.backward_dtype,
                engine=self.engine,
            )
        except ValueError as error:
            raise SettingsError(f"network = {self.common.network} cannot be trained here: {error}") from error

    def make_collector(self, act: Act, reward_normalizer: RewardNormalizer | None = None) -> Collector:
        """What steps the environments, with actions that ``act`` gives."""
        normalizer = observation_normalizer(self.settings, self.env.observation_shape)
        if self.common.clip_actions and isinstance(self.env.action_space, Discrete):
            raise SettingsError("clip_actions = True cannot be trained here: the environment's actions are discrete")
        kind = Collector
        if self.engine == "numba":
            from ppo.stacked.collecting import CompiledCollector as kind  # the same, compiled
        return kind(
            self.env, act, self.runs, normalizer, reward_normalizer, self.device, clips_actions=self.common.clip_actions
        )

    def next_steps(self) -> int:
        """Steps of each environment in the next iteration: num_steps, or what is left of the budget."""
        steps: int = min(self.common.num_steps, (self.total_timesteps - self.steps_done) // self.common.num_envs)
        return steps

    def state(self) -> dict[str, Any]:
        """Everything that the continuation depends on, as tensors, arrays, numbers and text; or what says where in
        ``files`` it lies, once it has been written there."""
        return {
            "iteration": self.iteration,
            "steps_done": self.steps_done,
            "diverged_at": list(self.diverged_at),
            "parameters": self.policy.parameters,
            "collector": self.collector.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state`` as if nothing had happened."""
        self.iteration, self.steps_done = state["iteration"], state["steps_done"]
        self.diverged_at = list(state["diverged_at"])
        with torch.no_grad():
            self.policy.parameters.copy_(state["parameters"])
        self.collector.load_state(state["collector"])

    def per_run(self, name: str) -> Tensor:
        """The setting ``name`` of every run: ``[runs, 1]``."""
        return torch.tensor([[float(getattr(own, name))] for own in self.settings], device=self.device)

    def remaining(self) -> float:
        """The fraction of the budget that is left: 1 at the start, towards 0 at the end (the alpha of Table 5)."""
        return 1.0 - self.steps_done / self.total_timesteps

    def note_divergence(self) -> None:
        """Record the runs whose parameters, observations or rewards are no numbers any more; to be called at the end of
        every iteration."""
        finite = torch.isfinite(self.policy.parameters).all(dim=1).cpu().numpy()
        self.collector.diverged |= ~finite
        for run in self.collector.diverged.nonzero()[0].tolist():
            if self.diverged_at[run] is None:
                self.diverged_at[run] = self.steps_done
