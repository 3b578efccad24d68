"""The base class of all algorithms: settings, a stack of runs, and ``iterate``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from ppo.checkpoint import fill
from ppo.envs.base import VectorEnv
from ppo.normalizers import RewardNormalizer, observation_normalizer
from ppo.policies import make_policy
from ppo.policy import Policy
from ppo.rollout import Act, Collector, Episode
from ppo.settings import PerRun, Settings, SettingsError, Shared
from ppo.stacked.convolutional import ARCHITECTURES
from ppo.stacked.engine import Engine, choose

Metrics = dict[str, Tensor]
"""What an update reports, by TensorBoard name: ``[runs]`` each."""


def check_budget(total_timesteps: int, num_envs: int) -> None:
    """Raise ``SettingsError`` for a budget that cannot be spent exactly."""
    if total_timesteps < 1 or total_timesteps % num_envs:
        nearest = max(round(total_timesteps / num_envs), 1) * num_envs
        raise SettingsError(
            f"total_timesteps = {total_timesteps} cannot be spent exactly: "
            f"it must be a positive multiple of num_envs = {num_envs}, such as {nearest}"
        )


class Algorithm(ABC):
    """A stack of runs of one algorithm in one environment, trained in lockstep.

    Promises, each held by a test on every algorithm: a run's result does not depend on its neighbours; a run that
    diverges does not affect the others; the same seed gives the same bits; ``state`` is all that a continuation needs;
    the budget is exact.
    """

    Settings: ClassVar[type[Settings]]
    continuous: ClassVar[bool] = True
    """Whether the algorithm can be trained with continuous actions."""
    picture_gain: ClassVar[float] = 0.01
    """Gain of the initial weights of the policy's head, of networks for images."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that a checkpoint holds beside policy and collector: tensors, arrays, and objects with
    methods ``state`` and ``load_state``."""
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
        log_metrics: bool = True,
        storage_dir: Path | None = None,
    ) -> None:
        """Check the settings and call ``setup``.

        ``env``: num_envs rows per run. ``settings``, ``seeds``: one per run. ``total_timesteps``: of each run.
        ``engine``: None for the fastest one that is available. ``log_metrics``: whether ``iterate`` computes
        diagnostics; does not change the training. ``storage_dir``: directory for state too large to repeat in every
        checkpoint; must travel with the checkpoints. None: keep everything in ``state()``.
        """
        for run_settings in settings:
            run_settings.check()
        if len({run_settings.structure() for run_settings in settings}) != 1:
            raise SettingsError("the runs of a stack may differ only in settings that are floats")
        self.shared = Shared(settings[0])
        """The settings that all runs share."""
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
        """Environment steps after which a run's parameters or its environment's numbers were no longer finite."""
        self.log_metrics = log_metrics
        self.storage_dir = storage_dir
        if not self.continuous and isinstance(env.action_space, Box):
            name = type(self).__name__
            raise SettingsError(f"{name} needs discrete actions: this environment's are continuous")
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Make the policy, the collector and the algorithm's other state."""

    def anneal(self, remaining: float) -> None:  # noqa: B027
        """Set everything that changes along the budget; called before every iteration. ``remaining``: the fraction of
        the budget that is left, 1 at the start, towards 0 at the end (alpha of Table 5)."""

    @abstractmethod
    def advance(self, noise: NDArray[np.float32]) -> tuple[list[Episode], Metrics]:
        """Collect as many steps as ``noise`` ``[steps, runs, envs, size]`` has, sampling actions with it, and learn.
        Return the episodes that ended, and metrics ``[runs]`` each."""

    def iterate(self) -> tuple[list[Episode], Metrics]:
        """Run one iteration, truncated to the remaining budget."""
        self.anneal(self.remaining())
        steps = self.next_steps()
        noise = self.policy.draw_noise(self.seeds, self.iteration, steps, self.shared.num_envs)
        if not self.settings[0].samples_actions:
            noise[:] = 0  # the most likely action
        episodes, metrics = self.advance(noise)
        self.steps_done += steps * self.shared.num_envs
        self.iteration += 1
        self.note_divergence()
        return episodes, metrics

    @classmethod
    def critic_outputs(cls, action_space: Box | Discrete) -> int:
        """Return the number of the critic's outputs: 1 for the value of a state, or one for each action."""
        return 1

    def make_policy(self, seeds: Sequence[int] | None = None) -> Policy:
        """Make the policy that the setting ``network`` names, for this environment; ``seeds``: of the initial weights,
        by default the runs' seeds."""
        shape, space = self.env.observation_shape, self.env.action_space
        critic_outputs = self.critic_outputs(space)
        shared, gain = self.shared, self.picture_gain
        if len(shape) > 1 and shared.network not in ARCHITECTURES:
            takers = " or ".join(ARCHITECTURES) if self.settings[0].sees_pictures else "no network of this algorithm"
            raise SettingsError(
                f"network = {shared.network} cannot be trained here: observations of shape {shape} are pictures, which "
                f"{takers} takes (gymnasium.wrappers.FlattenObservation makes vectors of them)"
            )
        try:
            return make_policy(
                *(shared.network, shape, space, seeds or self.seeds, self.device, critic_outputs),
                initialisation=shared.initialisation,
                activation=shared.activation,
                picture_gain=gain,
                backward_dtype=shared.backward_dtype,
                engine=self.engine,
            )
        except ValueError as error:
            raise SettingsError(f"network = {self.shared.network} cannot be trained here: {error}") from error

    def make_collector(self, act: Act, reward_normalizer: RewardNormalizer | None = None) -> Collector:
        """Make the collector that steps the environments with the actions that ``act`` returns."""
        normalizer = observation_normalizer(self.settings, self.env.observation_shape)
        self._check_bounds()
        kind = Collector
        if self.engine == "numba":
            from ppo.stacked.collecting import CompiledCollector as kind  # the compiled twin
        clips, rescales = self.shared.clip_actions, self.shared.rescale_actions
        return kind(self.env, act, self.runs, normalizer, reward_normalizer, self.device, clips, rescales)

    def _check_bounds(self) -> None:
        """Refuse settings that need bounds of the actions, where there are none."""
        space = self.env.action_space
        for name in ("clip_actions", "rescale_actions"):
            if getattr(self.shared, name) and isinstance(space, Discrete):
                raise SettingsError(f"{name} = True cannot be trained here: the environment's actions are discrete")
        if self.shared.rescale_actions and isinstance(space, Box) and not np.isfinite([space.low, space.high]).all():
            raise SettingsError("rescale_actions = True cannot be trained here: the actions have no finite bounds")

    def next_steps(self) -> int:
        """Return the steps of each environment in the next iteration: num_steps, or the rest of the budget."""
        steps: int = min(self.shared.num_steps, (self.total_timesteps - self.steps_done) // self.shared.num_envs)
        return steps

    def has_own(self, kind: type, *names: str) -> bool:
        """Return whether no subclass of ``kind`` overrides the methods ``names``: the compiled twins stand for exactly
        those of ``kind``."""
        return all(getattr(getattr(self, name), "__func__", None) is getattr(kind, name) for name in names)

    def state(self) -> dict[str, Any]:
        """Return everything that the rest of the training depends on, as tensors, arrays, numbers and text; of state
        that was written to ``storage_dir``, the names of its files."""
        return {
            "iteration": self.iteration,
            "steps_done": self.steps_done,
            "diverged_at": list(self.diverged_at),
            "parameters": self.policy.state(),
            "collector": self.collector.state(),
            **{name: _state(getattr(self, name)) for name in self.keeps},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state`` as if the training had never stopped."""
        self.iteration, self.steps_done = int(state["iteration"]), int(state["steps_done"])
        self.diverged_at = [None if step is None else int(step) for step in state["diverged_at"]]
        if not 0 <= self.steps_done <= self.total_timesteps or len(self.diverged_at) != self.runs:
            raise ValueError(f"step {self.steps_done} of {len(self.diverged_at)} runs is none of this training")
        self.policy.load_state(state["parameters"])
        self.collector.load_state(state["collector"])
        for name in self.keeps:
            _load(getattr(self, name), state[name])

    def remaining(self, steps: int = 0) -> float:
        """Return the fraction of the budget that is left after ``steps`` more steps of each environment."""
        done: int = self.steps_done + steps * self.shared.num_envs
        return 1.0 - done / self.total_timesteps

    def note_divergence(self) -> None:
        """Record the runs whose parameters, observations or rewards are no longer finite."""
        finite = torch.isfinite(self.policy.parameters).all(dim=1).cpu().numpy()
        self.collector.diverged |= ~finite
        for run in self.collector.diverged.nonzero()[0].tolist():
            if self.diverged_at[run] is None:
                self.diverged_at[run] = self.steps_done


def _state(value: Any) -> Any:
    """Return the state of an attribute as a checkpoint holds it."""
    return value.state() if hasattr(value, "state") else value


def _load(value: Any, state: Any) -> None:
    """Write ``state`` into the attribute ``value``, in place."""
    if hasattr(value, "load_state"):
        value.load_state(state)
    else:
        fill(value, state)
