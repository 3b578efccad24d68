"""Adam over the rows of a parameter matrix: one learning rate and one gradient norm per run."""

from typing import Any

import torch
from torch import Tensor

from ppo.policies import aligned


class Adam:
    """Kingma and Ba 2015, each run with its own learning rate, its gradient first clipped to its own norm.

    ``parameters``: ``[runs, P]``, a leaf that is updated in place. ``columns``: the part of it to optimise.
    """

    def __init__(
        self,
        parameters: Tensor,
        learning_rate: Tensor,
        max_grad_norm: Tensor,
        *,
        eps: float = 1e-5,
        betas: tuple[float, float] = (0.9, 0.999),
        columns: slice = slice(None),
    ) -> None:
        """``learning_rate``, ``max_grad_norm``: ``[runs, 1]``; a norm of inf leaves the gradient as it is."""
        self.parameters = parameters
        self.columns = columns
        self.learning_rate = learning_rate
        self.max_grad_norm = max_grad_norm
        self.eps = eps
        self.betas = betas
        self._rows = parameters.detach()[:, columns]
        runs, width = self._rows.shape
        self.mean = torch.zeros(runs, aligned(width), device=parameters.device)
        self.mean_square = torch.zeros_like(self.mean)
        self._change = torch.zeros_like(self.mean)
        self._steps = torch.zeros((), device=parameters.device)
        self._gradient = torch.zeros_like(self.mean)
        self._clipped = torch.isfinite(max_grad_norm)
        self._clips, self._all_clip = bool(self._clipped.any()), bool(self._clipped.all())

    def step(self, loss: Tensor) -> Tensor:
        """Descend on ``loss`` ``[runs]``; nothing mixes across runs, so the gradient of the sum is each run's own.

        Returns each run's gradient norm before clipping, ``[runs]``.
        """
        (gradient,) = torch.autograd.grad(loss, self.parameters, torch.ones_like(loss))
        return self.apply(gradient[:, self.columns])

    def apply(self, gradient: Tensor) -> Tensor:
        """One step along ``gradient`` ``[runs, columns]``, which it may overwrite; returns its norms ``[runs]``."""
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        if self._clips:
            factor = (self.max_grad_norm / (norm + 1e-6)).clamp_(max=1.0)
            gradient.mul_(factor if self._all_clip else torch.where(self._clipped, factor, 1.0))
        if gradient.shape != self.mean.shape or not gradient.is_contiguous():  # as which the kernel below takes it
            self._gradient[:, : gradient.shape[1]] = gradient
            gradient = self._gradient
        # PyTorch's fused kernel passes over the matrices once instead of seven times, but knows a single learning rate:
        # at rate 1 and from 0 it leaves the change itself.
        torch._fused_adam_(
            [self._change.zero_()],
            [gradient],
            [self.mean],
            [self.mean_square],
            [],
            [self._steps.add_(1)],
            lr=1.0,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )
        self._rows.addcmul_(self._change[:, : self._rows.shape[1]], self.learning_rate)
        norms: Tensor = norm.squeeze(1)
        return norms

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"steps": self._steps, "mean": self.mean, "mean_square": self.mean_square}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._steps.copy_(state["steps"])
        self.mean.copy_(state["mean"])
        self.mean_square.copy_(state["mean_square"])
