"""Policies moved off their first weights, and batches of experience that no environment gave."""

import dataclasses
from typing import Any

import numpy as np
import torch

from ppo.policies import ActorCritic
from ppo.rollout import Batch


def column(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """One value for each run: ``[runs, 1]``."""
    return torch.tensor([[float(value)] for value in values], dtype=dtype)


def perturbed(parameters: torch.Tensor, scale: float, seed: int) -> torch.Tensor:
    """A policy some way off: ``parameters`` plus noise."""
    noise = torch.randn(parameters.shape, generator=torch.Generator().manual_seed(seed))
    return parameters.detach() + scale * noise


@torch.no_grad()
def made_up_batch(policy: ActorCritic, size: int, seed: int = 0, move: float = 0.03) -> Batch:
    """Random experience of ``size`` samples per run, made by a policy some way off ``policy``: ratios are not 1."""
    rng = np.random.default_rng(seed)
    runs, inputs = len(policy.parameters), policy.networks["actor"].sizes[0]
    observations = torch.from_numpy(rng.standard_normal((runs, size, inputs), dtype=np.float32))
    now = policy.parameters.clone()
    policy.parameters.copy_(perturbed(now, move, seed))
    distribution, values = policy(observations)
    kind: Any = type(distribution)
    noise = torch.from_numpy(kind.draw_noise(rng, (runs, size), policy.action_size))
    actions = distribution.sample(noise)
    log_probs = distribution.log_prob(actions)
    old = kind(**{field.name: getattr(distribution, field.name).clone() for field in dataclasses.fields(kind)})
    policy.parameters.copy_(now)
    advantages = rng.standard_normal((runs, size)) * 2 + 0.5
    advantages = (advantages - advantages.mean(1, keepdims=True)) / advantages.std(1, keepdims=True)
    returns = values.numpy() + rng.standard_normal((runs, size))
    return Batch(
        observations,
        actions,
        log_probs,
        values,
        torch.from_numpy(advantages.astype(np.float32)),
        torch.from_numpy(returns.astype(np.float32)),
        old,
    )
