"""Schedules: numbers that change with the rest of a run's budget, or with the KL that its updates cause."""

import math

import torch
from torch import Tensor

from ppo.shapes import check_shapes

STEP_SIZE_BOUNDS = (1e-8, 1.0)
"""Between them openai/baselines adapts its step size (acktr_cont.py)."""


def annealed(first: Tensor, remaining: float, last: Tensor | float = 0.0) -> Tensor:
    """Interpolate linearly: ``first`` while all of the budget is ``remaining`` (1), ``last`` at its end (0).

    With ``last`` 0 it is "first x alpha" of Table 5; Table 4's log-std is LinearAnneal(-0.7, -1.6).
    """
    return first * remaining + last * (1.0 - remaining)


def adapted_learning_rate(
    learning_rate: Tensor, kl: Tensor, target: Tensor, bounds: tuple[float, float] = (0.0, math.inf)
) -> Tensor:
    """Return the next update's step size from the KL[pi_old, pi] that this one caused, all ``[runs, 1]``.

    KL > 2 x target: divided by 1.5.   KL < target / 2: multiplied by 1.5.   Never moved beyond ``bounds``; runs with a
    target of 0 keep theirs. The rule is that of Berkeley's homework 4 (2017-03-18) and openai/baselines' acktr_cont.py.
    """
    check_shapes(learning_rate=(learning_rate, "runs 1"), kl=(kl, "runs 1"), target=(target, "runs 1"))
    factor = torch.where(kl > 2 * target, 1 / 1.5, torch.where(kl < target / 2, 1.5, 1.0))
    return torch.where(target > 0, (learning_rate * factor).clamp(*bounds), learning_rate)
