"""Acting with a policy, and its outputs at the states of a rollout."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.distributions import Distribution
from ppo.policy import Policy
from ppo.rollout import runs_first


class Recorder:
    """Acts with ``policy`` and keeps its outputs, where recomputing them in one batch would be slower.

    The plain twin is ``policy.act``, and then ``policy`` itself at all observations.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._outputs: list[tuple[Tensor, ...]] = []
        """Network outputs of each step since the last evaluation."""

    def act(self, observations: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
        """Sample actions ``[runs, envs, ...]`` at ``observations`` ``[runs, envs, ...]``."""
        if self.policy.batch_evaluation:
            return self.policy.act(observations, noise)
        actions, outputs = self.policy.act_and_evaluate(observations, noise)
        self._outputs.append(outputs)
        return actions

    def evaluate(self, observations: Tensor) -> tuple[Distribution, Tensor]:
        """Return action distribution and values of the policy that acted, at the ``observations``
        ``[runs, batch, ...]`` of all steps since the last call."""
        if self.policy.batch_evaluation:
            return self.policy(observations)
        (log_std, *_), *_ = self._outputs
        _, actor, critic = (runs_first(torch.stack(steps)) for steps in zip(*self._outputs, strict=True))
        self._outputs.clear()
        return self.policy.from_outputs((log_std, actor, critic))
