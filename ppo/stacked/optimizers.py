"""Adam and RMSProp over the rows of a parameter matrix, with one learning rate and one gradient norm per run; and an
exponential moving average of parameters."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ppo.checkpoint import fill
from ppo.stacked.parameters import Group, aligned


class Optimizer(ABC):
    """Descent by rows: one learning rate and one bound of the gradient's norm for each run.

    ``parameters``: ``[runs, P]``, a leaf that is updated in place, or a part of one.
    """

    keeps: ClassVar[tuple[str, ...]]
    """Names of the tensors that a checkpoint holds."""

    def __init__(self, parameters: Tensor | Group, learning_rate: Tensor, max_grad_norm: Tensor | None = None) -> None:
        """Start without moments; ``learning_rate``, ``max_grad_norm``: ``[runs, 1]``, None or inf: no clipping."""
        group = parameters if isinstance(parameters, Group) else Group(parameters, slice(None))
        self.parameters, self.columns = group.matrix, group.columns
        self.learning_rate = learning_rate
        self.max_grad_norm = torch.full_like(learning_rate, math.inf) if max_grad_norm is None else max_grad_norm
        self._rows = group.values
        runs, width = self._rows.shape
        self._gradient = torch.zeros(runs, aligned(width), device=self._rows.device)
        self._clipped = torch.isfinite(self.max_grad_norm)
        self._clips, self._all_clip = bool(self._clipped.any()), bool(self._clipped.all())

    def step(self, loss: Tensor, where: Tensor | None = None) -> Tensor:
        """Descend on ``loss`` ``[runs]``: no run's loss depends on another's parameters, so one gradient serves all.

        ``where``: ``[runs]``, bool: the runs that take the step; the others keep parameters, moments and step counts
        to the bit. Return each run's gradient norm before clipping, ``[runs]``.
        """
        (gradient,) = torch.autograd.grad(loss, self.parameters, torch.ones_like(loss))
        return self.apply(gradient[:, self.columns], where)

    def apply(self, gradient: Tensor, where: Tensor | None = None) -> Tensor:
        """Take one step along ``gradient`` ``[runs, columns]``, which may be overwritten, in the runs of ``where``;
        return the gradient's norms ``[runs]``."""
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        if self._clips:
            factor = (self.max_grad_norm / (norm + 1e-6)).clamp_(max=1.0)
            gradient.mul_(factor if self._all_clip else torch.where(self._clipped, factor, 1.0))
        if gradient.shape != self._gradient.shape or not gradient.is_contiguous():  # kernels need an aligned buffer
            self._gradient[:, : gradient.shape[1]] = gradient
            gradient = self._gradient
        change = self.change(gradient, where)[:, : self._rows.shape[1]]
        if where is None:
            self._rows.addcmul_(change, self.learning_rate)
        else:
            moved = torch.addcmul(self._rows, change, self.learning_rate)
            self._rows.copy_(torch.where(where.unsqueeze(1), moved, self._rows))
        norms: Tensor = norm.squeeze(1)
        return norms

    @abstractmethod
    def change(self, gradient: Tensor, where: Tensor | None) -> Tensor:
        """Return the change at learning rate 1 from the clipped ``gradient``: both ``[runs, aligned columns]``. Update
        the moments of the runs of ``where``; rows of other runs are undefined."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {name: getattr(self, name) for name in self.keeps}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for name in self.keeps:
            fill(getattr(self, name), state[name])


class Adam(Optimizer):
    """Kingma and Ba 2015, with their betas, 0.9 and 0.999."""

    keeps = ("steps", "mean", "mean_square")

    def __init__(
        self,
        parameters: Tensor | Group,
        learning_rate: Tensor,
        max_grad_norm: Tensor | None = None,
        *,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(parameters, learning_rate, max_grad_norm)
        self.eps = eps
        self.mean = torch.zeros_like(self._gradient)
        self.mean_square = torch.zeros_like(self.mean)
        self._change = torch.zeros_like(self.mean)
        self.steps = torch.zeros(len(self._rows), device=self._rows.device)
        """Steps taken by each run, ``[runs]``: a run may leave steps out."""

    def change(self, gradient: Tensor, where: Tensor | None) -> Tensor:
        runs = range(len(gradient)) if where is None else where.nonzero().squeeze(1).tolist()
        if not runs:
            return self._change

        def rows(matrix: Tensor) -> list[Tensor]:
            each = matrix.unbind(0)
            return [each[run] for run in runs]

        self.steps.add_(1 if where is None else where)
        # PyTorch's fused kernel passes over the matrices once instead of seven times, but has one learning rate for
        # all: with lr = 1 and parameters 0 it returns the raw Adam step, which is then scaled per run.
        torch._fused_adam_(
            rows(self._change.zero_()),
            rows(gradient),
            rows(self.mean),
            rows(self.mean_square),
            [],
            rows(self.steps),
            lr=1.0,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )
        return self._change


class RMSProp(Optimizer):
    """Tieleman and Hinton 2012, as TensorFlow computes it and the A2C of openai/baselines uses it: epsilon is added
    under the root, and the mean square starts at 1, so that the first steps are small."""

    keeps = ("mean_square",)

    def __init__(
        self,
        parameters: Tensor | Group,
        learning_rate: Tensor,
        max_grad_norm: Tensor | None = None,
        *,
        decay: Tensor,
        eps: Tensor,
    ) -> None:
        """Start at mean square 1; ``decay``, ``eps``: ``[runs, 1]``."""
        super().__init__(parameters, learning_rate, max_grad_norm)
        self.decay = decay
        self.eps = eps
        self.mean_square = torch.ones_like(self._gradient)

    def change(self, gradient: Tensor, where: Tensor | None) -> Tensor:
        mean_square = torch.lerp(self.mean_square, gradient.square(), 1 - self.decay)
        self.mean_square.copy_(
            mean_square if where is None else torch.where(where.unsqueeze(1), mean_square, self.mean_square)
        )
        return gradient.neg().mul_((self.mean_square + self.eps).rsqrt_())


def follow(average: Tensor, parameters: Tensor, decay: Tensor, where: Tensor | None = None) -> None:
    """Update an exponential moving ``average`` of ``parameters``, ``[runs, P]`` both, in the runs of ``where``
    ``[runs]``: decay x average + (1 - decay) x parameters, with ``decay`` ``[runs, 1]``."""
    moved = torch.lerp(average, parameters.detach(), 1 - decay)
    average.copy_(moved if where is None else torch.where(where.unsqueeze(1), moved, average))
