"""Action distributions with a run dimension, made from a policy's outputs.

Shapes: ``runs`` runs, ``batch`` states each, ``size`` action components (or actions to choose from).
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.shapes import check_shapes


class Distribution(Protocol):
    """A distribution of actions for every run and state."""

    def sample(self, noise: Tensor) -> Tensor:
        """Sample actions ``[runs, batch, ...]`` by transforming noise from ``draw_noise``."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log density (or log probability) of ``actions``: ``[runs, batch]``."""
        ...

    def entropy(self) -> Tensor:
        """Return the differential entropy (or entropy), in nats: ``[runs, batch]``."""
        ...

    def kl(self, other: Self) -> Tensor:
        """Return KL[self, other] in closed form, in nats: ``[runs, batch]``."""
        ...

    def fisher_product(self, change: Tensor) -> Tensor:
        """Multiply ``change``, of the network's outputs, by the Fisher matrix with respect to them, in each state:
        both ``[runs, batch, size]``."""
        ...

    def statistics(self) -> Tensor:
        """Return ACER's statistics phi, which determine the distribution in each state: ``[runs, batch, n]``."""
        ...

    def of_statistics(self, statistics: Tensor) -> Self:
        """Return the distribution of this class that has these ``statistics``."""
        ...

    def detach(self) -> Self:
        """Copy the distribution as data: no gradient flows into it, and it shares no memory with the policy's
        parameters, which change in place."""
        ...

    def select(self, indices: Tensor) -> Self:
        """Return the distribution in the states ``indices`` ``[runs, n]``."""
        ...

    def split(self, size: int) -> list[Self]:
        """Return the distribution in pieces of ``size`` states."""
        ...

    def where(self, keep: Tensor, other: Self) -> Self:
        """Return this distribution in the runs of ``keep`` ``[runs, 1]``, and ``other`` in the rest."""
        ...


def take(values: Tensor, indices: Tensor) -> Tensor:
    """Return ``values[r, indices[r]]`` of every run: ``[runs, batch, ...]`` and ``[runs, n]`` to ``[runs, n, ...]``."""
    runs, batch = values.shape[:2]
    offsets = torch.arange(runs, device=values.device).unsqueeze(1) * batch
    flat = values.view(runs * batch, *values.shape[2:])
    return flat.index_select(0, (indices + offsets).view(-1)).view(*indices.shape, *values.shape[2:])


class _GaussianLogProb(torch.autograd.Function):
    """log N(actions; mean, exp(log_std)) with its gradient: one autograd node where plain operations are ten."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
        inverse_std = (-log_std).exp()
        distance = actions - mean
        standardised = distance * inverse_std
        ctx.save_for_backward(distance, standardised, inverse_std)
        constant = log_std.sum(-1) + 0.5 * math.log(2 * math.pi) * mean.shape[-1]
        return -0.5 * standardised.square().sum(-1) - constant

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        distance, standardised, inverse_std = ctx.saved_tensors
        grad = grad.unsqueeze(-1)
        pull = grad * standardised
        if inverse_std.shape[1] == 1:
            spread = (pull * distance).sum(1, keepdim=True) * inverse_std - grad.sum(1, keepdim=True)
        else:
            spread = pull * standardised - grad
        return pull * inverse_std, spread, None


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag(exp(log_std)^2)), the deviation independent of the state (sec. 6.1, following [TRPO])."""

    mean: Tensor
    """``[runs, batch, size]``"""
    log_std: Tensor
    """``[runs, 1, size]``; after ``of_statistics`` one per state: ``[runs, batch, size]``"""

    def sample(self, noise: Tensor) -> Tensor:
        return torch.addcmul(self.mean, self.log_std.exp(), noise)

    def log_prob(self, actions: Tensor) -> Tensor:
        check_shapes(mean=(self.mean, "runs batch size"), actions=(actions, "runs batch size"))
        log_prob: Tensor = _GaussianLogProb.apply(self.mean, self.log_std, actions)  # type: ignore[no-untyped-call]
        return log_prob

    def entropy(self) -> Tensor:
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1).expand(self.mean.shape[:2])

    def kl(self, other: "DiagonalGaussian") -> Tensor:
        precision = (-2 * other.log_std).exp()
        variance_ratio = (2 * self.log_std).exp() * precision
        squared_distance = (self.mean - other.mean).square() * precision
        return (other.log_std - self.log_std + 0.5 * (variance_ratio + squared_distance - 1)).sum(-1)

    def fisher_product(self, change: Tensor) -> Tensor:
        return change * (-2 * self.log_std).exp()

    def statistics(self) -> Tensor:
        return torch.cat([self.mean, self.log_std.expand_as(self.mean)], dim=-1)

    def of_statistics(self, statistics: Tensor) -> "DiagonalGaussian":
        return DiagonalGaussian(*statistics.chunk(2, dim=-1))

    def detach(self) -> "DiagonalGaussian":
        return DiagonalGaussian(self.mean.detach().clone(), self.log_std.detach().clone())

    def select(self, indices: Tensor) -> "DiagonalGaussian":
        return DiagonalGaussian(take(self.mean, indices), self.log_std)

    def split(self, size: int) -> "list[DiagonalGaussian]":
        return [DiagonalGaussian(mean, self.log_std) for mean in self.mean.split(size, dim=1)]  # type: ignore[no-untyped-call]

    def where(self, keep: Tensor, other: "DiagonalGaussian") -> "DiagonalGaussian":
        keep = keep.unsqueeze(-1)
        return DiagonalGaussian(
            torch.where(keep, self.mean, other.mean), torch.where(keep, self.log_std, other.log_std)
        )

    @staticmethod
    def draw_noise(generator: np.random.Generator, shape: tuple[int, ...], size: int) -> NDArray[np.float32]:
        """Draw standard normal noise ``[*shape, size]`` for ``sample``."""
        return generator.standard_normal((*shape, size), dtype=np.float32)


@dataclass(frozen=True)
class Categorical:
    """Probabilities of ``size`` actions, from logits ``[runs, batch, size]``."""

    logits: Tensor

    @property
    def log_probs(self) -> Tensor:
        """``[runs, batch, size]``, normalised."""
        return self.logits.log_softmax(-1)

    def sample(self, noise: Tensor) -> Tensor:
        return (self.logits + noise).argmax(-1)  # the Gumbel-max trick

    def log_prob(self, actions: Tensor) -> Tensor:
        check_shapes(logits=(self.logits, "runs batch size"), actions=(actions, "runs batch"))
        return self.log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        log_probs = self.log_probs
        return -(log_probs.exp() * log_probs).sum(-1)

    def kl(self, other: "Categorical") -> Tensor:
        log_probs = self.log_probs
        return (log_probs.exp() * (log_probs - other.log_probs)).sum(-1)

    def fisher_product(self, change: Tensor) -> Tensor:
        probabilities = self.logits.softmax(-1)
        return probabilities * (change - (probabilities * change).sum(-1, keepdim=True))

    def statistics(self) -> Tensor:
        return self.logits.softmax(-1)

    def of_statistics(self, statistics: Tensor) -> "Categorical":
        return _Probabilities(statistics.clamp(min=1e-8).log())  # derivatives at 0 would be NaN

    def detach(self) -> "Categorical":
        return Categorical(self.logits.detach().clone())

    def select(self, indices: Tensor) -> "Categorical":
        return Categorical(take(self.logits, indices))

    def split(self, size: int) -> "list[Categorical]":
        return [Categorical(logits) for logits in self.logits.split(size, dim=1)]  # type: ignore[no-untyped-call]

    def where(self, keep: Tensor, other: "Categorical") -> "Categorical":
        return Categorical(torch.where(keep.unsqueeze(-1), self.logits, other.logits))

    @staticmethod
    def draw_noise(generator: np.random.Generator, shape: tuple[int, ...], size: int) -> NDArray[np.float32]:
        """Draw standard Gumbel noise ``[*shape, size]`` for ``sample``."""
        return generator.gumbel(size=(*shape, size)).astype(np.float32)


class _Probabilities(Categorical):
    """A categorical distribution as a function of its probabilities, not normalised again."""

    @property
    def log_probs(self) -> Tensor:
        return self.logits
