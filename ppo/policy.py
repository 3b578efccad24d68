"""The interface of policies: for every run of a stack a distribution of actions and a value function.

All parameters of a stack are one matrix ``[runs, parameters]`` and the layers are views of it, so that an optimiser,
a checkpoint or CEM's sampling works on rows.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.checkpoint import fill
from ppo.distributions import Categorical, DiagonalGaussian, Distribution
from ppo.seeding import generator
from ppo.stacked.parameters import Group


class Policy(ABC):
    """For every run a distribution of actions and a value function.

    Continuous actions: a Gaussian whose mean is the network's output and whose log-std is a free parameter, starting
    at 0. Discrete actions: the network gives the logits.
    """

    parameters: Tensor
    """``[runs, P]``, a leaf: updated in place, so that the layers stay views of it."""
    log_std: Tensor
    """``[runs, 1, size]``, a view of the parameters; empty if actions are discrete."""
    learns_log_std = True
    """Whether the log-std has a gradient."""
    actor: Group
    """The parameters of the action distribution; this and the next two exist if policy and value share none."""
    actor_network: Group
    """The same without the log-std."""
    critic: Group
    """The parameters of the value function."""
    batch_evaluation: ClassVar[bool] = True
    """True if evaluating a whole rollout at once is faster than keeping the outputs of each step."""

    def __init__(self, action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete, runs: int) -> None:
        self.runs = runs
        self.discrete = isinstance(action_space, gymnasium.spaces.Discrete)
        self.action_size = int(
            action_space.n if isinstance(action_space, gymnasium.spaces.Discrete) else math.prod(action_space.shape)
        )

    @abstractmethod
    def outputs(self, observations: Tensor, names: tuple[str, ...]) -> tuple[Tensor, ...]:
        """Return the log-std ``[runs, 1, size]`` and the outputs ``[runs, batch, n]`` of the heads ``names`` (actor,
        critic) at ``observations`` ``[runs, batch, ...]``."""

    @abstractmethod
    def outputs_with(self, parameters: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-std and the actor's outputs, as ``outputs`` does, of other ``parameters`` ``[runs, P]``."""

    def __call__(self, observations: Tensor) -> tuple[Distribution, Tensor]:
        """Return action distribution and values ``[runs, batch]`` at ``observations`` ``[runs, batch, ...]``; all
        outputs ``[runs, batch, n]`` of a critic that has several."""
        return self.from_outputs(self.outputs(observations, ("actor", "critic")))

    def from_outputs(self, outputs: tuple[Tensor, ...]) -> tuple[Distribution, Tensor]:
        """Make action distribution and values from the ``outputs`` of actor and critic."""
        log_std, actor, critic = outputs
        return self._distribution(actor, log_std), critic.squeeze(-1)

    def distribution(self, observations: Tensor, parameters: Tensor | None = None) -> Distribution:
        """Return the action distribution alone; of other ``parameters`` ``[runs, P]`` without gradient."""
        if parameters is None:
            log_std, outputs = self.outputs(observations, ("actor",))
        else:
            with torch.no_grad():
                log_std, outputs = self.outputs_with(parameters, observations)
        return self._distribution(outputs, log_std)

    def values(self, observations: Tensor) -> Tensor:
        """Return the values alone."""
        return self.outputs(observations, ("critic",))[1].squeeze(-1)

    def act(self, observations: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
        """Sample actions ``[runs, envs, ...]`` at ``observations`` ``[runs, envs, ...]``, for collecting."""
        return self.act_and_evaluate(observations, noise, ("actor",))[0]

    @torch.no_grad()
    def act_and_evaluate(
        self, observations: NDArray[Any], noise: NDArray[np.float32], names: tuple[str, ...] = ("actor", "critic")
    ) -> tuple[NDArray[Any], tuple[Tensor, ...]]:
        """Sample actions; return them and the ``outputs`` of the heads ``names``."""
        inputs, noise_tensor = (torch.from_numpy(array).to(self.parameters.device) for array in (observations, noise))
        outputs = self.outputs(inputs, names)
        log_std, actor, *_ = outputs
        return self._distribution(actor, log_std).sample(noise_tensor).cpu().numpy(), outputs

    def draw_noise(self, seeds: Sequence[int], iteration: int, steps: int, envs: int) -> NDArray[np.float32]:
        """Draw the noise for ``Distribution.sample``, a stream per run: ``[steps, runs, envs, action_size]``."""
        kind = Categorical if self.discrete else DiagonalGaussian
        streams = [generator(seed, "actions", iteration) for seed in seeds]
        return np.stack([kind.draw_noise(stream, (steps, envs), self.action_size) for stream in streams], axis=1)

    def state(self) -> Tensor:
        """Return what a checkpoint holds."""
        return self.parameters

    @torch.no_grad()
    def load_state(self, state: Tensor) -> None:
        """Continue from ``state``."""
        fill(self.parameters, state)

    def _distribution(self, outputs: Tensor, log_std: Tensor) -> Distribution:
        return Categorical(outputs) if self.discrete else DiagonalGaussian(outputs, log_std)
