"""Stacks of any algorithm in the scripted environment, and what happens in them."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete

from ppo.envs.base import VectorEnv
from tests.helpers.batches import perturbed
from tests.helpers.environments import CONTINUOUS_3, ScriptedEnv


def perturbed_stack(
    kind: Any,
    settings: Sequence[Any],
    space: Box | Discrete = CONTINUOUS_3,
    *,
    noise: float = 0.1,
    lengths: Sequence[int] = (7,),
    env: VectorEnv | None = None,
    seeds: Iterable[int] | None = None,
    total_timesteps: int = 10_000,
    **more: Any,
) -> Any:
    """A stack of ``kind`` whose weights are moved off their special first values.

    Its environments end their episodes after ``lengths`` steps, in turn; ``env`` takes their place.
    """
    rows = len(settings) * settings[0].num_envs
    env = env or ScriptedEnv([lengths[row % len(lengths)] for row in range(rows)], space)
    algorithm = kind(env, settings, seeds or range(1, len(settings) + 1), total_timesteps, **more)
    with torch.no_grad():
        algorithm.policy.parameters.copy_(perturbed(algorithm.policy.parameters, noise, seed=1))
    return algorithm


def clipped_gradients(algorithm: Any) -> list[torch.Tensor]:
    """The list of the gradients that the optimiser makes its steps of from now on."""
    gradients: list[torch.Tensor] = []
    change = algorithm.optimizer.change

    def watched(gradient: torch.Tensor, where: Any) -> Any:
        gradients.append(gradient.clone())
        return change(gradient, where)

    algorithm.optimizer.change = watched
    return gradients
