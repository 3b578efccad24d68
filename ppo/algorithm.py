"""What an algorithm is: settings, a stack of runs, and ``iterate``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from ppo.envs.base import VectorEnv
from ppo.normalizers import BatchObservationNormalizer, ObservationNormalizer, RewardNormalizer
from ppo.policies import Policy, make_policy
from ppo.rollout import Act, Collector, Episode
from ppo.settings import PerRun, Settings, SettingsError, Shared
from ppo.stacked.engine import Engine, choose

Metrics = dict[str, Tensor]
"""What an update reports, by TensorBoard name: ``[runs]`` each."""


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
        self.shared = Shared(settings[0])
        """The settings that all runs have in common."""
        self.per_run = PerRun(settings, torch.device(device))
        """The others, each ``[runs, 1]``."""
        check_budget(total_timesteps, self.shared.num_envs)
        self.env = env
        self.settings = list(settings)
        self.seeds = list(seeds)
        self.runs = len(seeds)
        self.total_timesteps = total_timesteps
        self.device = torch.device(device)
        try:
            self.engine = choose(self.shared.network, self.device, engine)
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
        own, gain = self.shared, self.picture_gain
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
            raise SettingsError(f"network = {self.shared.network} cannot be trained here: {error}") from error

    def make_collector(self, act: Act, reward_normalizer: RewardNormalizer | None = None) -> Collector:
        """What steps the environments, with actions that ``act`` gives."""
        normalizer = observation_normalizer(self.settings, self.env.observation_shape)
        if self.shared.clip_actions and isinstance(self.env.action_space, Discrete):
            raise SettingsError("clip_actions = True cannot be trained here: the environment's actions are discrete")
        kind = Collector
        if self.engine == "numba":
            from ppo.stacked.collecting import CompiledCollector as kind  # the same, compiled
        return kind(
            self.env, act, self.runs, normalizer, reward_normalizer, self.device, clips_actions=self.shared.clip_actions
        )

    def next_steps(self) -> int:
        """Steps of each environment in the next iteration: num_steps, or what is left of the budget."""
        steps: int = min(self.shared.num_steps, (self.total_timesteps - self.steps_done) // self.shared.num_envs)
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
