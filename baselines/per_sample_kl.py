"""PPO's clipping written as a KL penalty of each sample (KLip-PPO, arXiv 2606.23932, 2026).

With w = pi(a|s) / pi_old(a|s) and k = log pi_old(a|s) - log pi(a|s), whose mean over the actions of pi_old is
KL[pi_old, pi], the loss is

    -E[w A] + E[b k],   b = -w A where clipping stops the gradient, 0 elsewhere,

where b is not differentiated. As k = -log w, the gradient of b k is A times that of w: where b is not 0 the two terms
cancel, so the gradient is that of the clipped surrogate.
"""

import math

import torch
from torch import Tensor

from ppo.ppo import PPO
from ppo.rollout import Batch


class PerSampleKL(PPO):
    """PPO with the plain surrogate and a penalty of each sample in place of the clipped surrogate."""

    def loss(self, batch: Batch, clip_coef: Tensor) -> Tensor:
        """Return the loss without clipping (equation 6) + E[b k] on one minibatch: ``[runs]``."""
        k = batch.log_probs - self.policy.distribution(batch.observations).log_prob(batch.actions)
        ratio, advantages = (-k).detach().exp(), self.minibatch_advantages(batch)
        stopped = torch.where(advantages > 0, ratio > 1 + clip_coef, ratio < 1 - clip_coef)
        b = torch.where(stopped, -ratio * advantages, 0.0)
        return super().loss(batch, torch.full_like(clip_coef, math.inf)) + (b * k).mean(dim=1)
