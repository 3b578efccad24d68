"""Advantage estimators."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ppo.shapes import check_shapes


def gae(
    rewards: NDArray[np.floating],
    values: NDArray[np.floating],
    next_values: NDArray[np.floating],
    terminal: NDArray[np.bool_],
    ended: NDArray[np.bool_],
    gamma: ArrayLike,
    gae_lambda: ArrayLike,
) -> NDArray[np.float64]:
    """Estimate advantages by truncated generalised advantage estimation, equations 11 and 12 of the paper.

        delta_t = r_t + gamma V(s_{t+1}) - V(s_t)
        A_t     = delta_t + gamma lambda delta_{t+1} + ... + (gamma lambda)^{T-t-1} delta_{T-1}

    Two masks, because a time limit ends an episode whose task could go on: where ``terminal``, V(s_{t+1}) counts as 0;
    where ``ended`` (terminated or truncated), the sum stops, since the next row belongs to another episode.

    Shapes: all ``[steps, ...]``; ``next_values[t]`` is the value of the state that action t led to (an ended episode's
    last observation, not the next one's first). ``gamma`` and ``gae_lambda`` broadcast against ``[...]``.
    Returns the advantages ``[steps, ...]``. In numpy and float64: it is a short loop over tiny rows.
    """
    check_shapes(
        rewards=(rewards, "steps ..."),
        values=(values, "steps ..."),
        next_values=(next_values, "steps ..."),
        terminal=(terminal, "steps ..."),
        ended=(ended, "steps ..."),
    )
    gamma = np.asarray(gamma, dtype=np.float64)
    deltas = rewards + gamma * next_values * ~terminal - values
    decay = gamma * np.asarray(gae_lambda, dtype=np.float64) * ~ended
    advantages = np.empty(deltas.shape, dtype=np.float64)
    following = np.zeros(deltas.shape[1:])
    for step in range(len(deltas) - 1, -1, -1):
        following = deltas[step] + decay[step] * following
        advantages[step] = following
    return advantages


def retrace(
    rewards: Tensor, ended: Tensor, values: Tensor, q: Tensor, ratios: Tensor, last_values: Tensor, gamma: Tensor
) -> Tensor:
    """Compute targets of Q(s_t, a_t) from another policy's actions (Munos et al. 2016, lambda = 1; ACER, sec. 3.1).

    With mu the policy that acted:

        Q^ret_t = r_t + gamma (min(1, rho_{t+1}) (Q^ret_{t+1} - Q_{t+1}) + V_{t+1})

    Where the episode ``ended`` with step t, it is r_t. After the last step comes gamma ``last_values``.

    Shapes: all ``[steps, ...]``; ``values`` V(s_t), ``q`` Q(s_t, a_t), ``ratios`` rho_t = pi(a_t|s_t) / mu(a_t|s_t).
    ``last_values``: ``[...]``, V after the last step; ``gamma`` broadcasts against it. Returns ``[steps, ...]``.
    """
    check_shapes(
        rewards=(rewards, "steps ..."),
        ended=(ended, "steps ..."),
        values=(values, "steps ..."),
        q=(q, "steps ..."),
        ratios=(ratios, "steps ..."),
        last_values=(last_values, "..."),
    )
    targets = torch.empty_like(rewards)
    following = last_values
    for step in range(len(rewards) - 1, -1, -1):
        targets[step] = rewards[step] + gamma * torch.where(ended[step], 0.0, following)
        following = ratios[step].clamp(max=1) * (targets[step] - q[step]) + values[step]
    return targets


def standardised(advantages: Tensor) -> Tensor:
    """Return ``advantages`` ``[runs, batch]`` with mean 0 and deviation 1 within each run."""
    check_shapes(advantages=(advantages, "runs batch"))
    variance, mean = torch.var_mean(advantages, dim=1, correction=0, keepdim=True)
    return (advantages - mean) / (variance.sqrt() + 1e-8)


def standardised_by_actor(advantages: Tensor, actors: int) -> Tensor:
    """Return ``advantages`` ``[runs, steps x actors]`` with mean 0 and deviation 1 over the steps of each actor."""
    check_shapes(advantages=(advantages, "runs batch"))
    each = advantages.view(len(advantages), -1, actors).transpose(1, 2)  # [runs, actors, steps]
    return standardised(each.flatten(0, 1)).view_as(each).transpose(1, 2).flatten(1)
