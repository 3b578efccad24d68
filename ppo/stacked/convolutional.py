"""The convolutional networks of the Atari agents with a run dimension (sec. 6.4)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ppo.stacked.mlp import column_norm_


@dataclass(frozen=True)
class Architecture:
    """Convolutions as (filters, kernel size, stride), and the units of the layer after them; all with ReLUs."""

    convolutions: tuple[tuple[int, int, int], ...]
    units: int


ARCHITECTURES = {
    "nature": Architecture(((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512),  # Mnih et al. 2015
    "a3c": Architecture(((16, 8, 4), (32, 4, 2)), 256),  # Mnih et al. 2016
}
"""The paper cites the second; all of OpenAI's code of 2017, also its A2C and ACER, uses the first."""


class ConvTrunk:
    """The layers that policy and value share, in the first columns of a parameter matrix ``[runs, P]``.

    Plain PyTorch: convolutions cost so much that autograd's bookkeeping does not matter. Each run's convolutions are
    separate calls, because grouped ones are slower, so a run's bits do not depend on its neighbours. Images are
    ``[height, width, channels]`` and weights ``[out, height, width, in]``, PyTorch's channels-last layout: 1.6 times as
    fast on a CPU, and turning bytes into floats takes a tenth of the time.
    """

    def __init__(self, name: str, image: tuple[int, ...], backward_dtype: torch.dtype = torch.float32) -> None:
        """Compute the shapes; raises ``ValueError`` for too small an image.

        ``name``: one of ``ARCHITECTURES``. ``image``: (height, width, channels). ``backward_dtype``: precision of the
        gradients; the forward pass is float32.
        """
        architecture = ARCHITECTURES[name]
        self.backward_dtype = backward_dtype
        *size, channels = image
        self.strides = [stride for _, _, stride in architecture.convolutions]
        self.shapes: list[tuple[int, ...]] = []
        for filters, kernel, stride in architecture.convolutions:
            self.shapes += [(filters, kernel, kernel, channels), (filters,)]
            channels, size = filters, [(side - kernel) // stride + 1 for side in size]
            if min(size) < 1:
                raise ValueError(f"images of {image[0]} x {image[1]} are too small for the {name} network")
        self.units = architecture.units
        self.shapes += [(self.units, channels * math.prod(size)), (self.units,)]

    def initialise(self, initialisation: "Initialisation", rng: torch.Generator) -> list[Tensor]:
        """Draw one run's parameters, flat."""
        *convolutions, last = self.shapes[::2]
        draws = [initialisation.convolution] * len(convolutions) + [initialisation.layer]
        shapes = zip(draws, [*convolutions, last], strict=True)
        return [flat for draw, shape in shapes for flat in draw(shape, initialisation.gain, rng)]

    def forward(self, parameters: list[Tensor], images: Tensor) -> Tensor:
        """Return features ``[batch, units]`` of one run's ``images`` ``[batch, height, width, channels]``, whose bytes
        are divided by 255. ``parameters``: flat, in the order of ``shapes``."""
        hidden = images.to(torch.float32).permute(0, 3, 1, 2)
        shaped = [flat.view(shape) for flat, shape in zip(parameters, self.shapes, strict=True)]
        weights, biases = shaped[::2], shaped[1::2]
        if images.dtype == torch.uint8:
            weights[0] = weights[0] / 255  # there are fewer weights than pixels
        for kernel, bias, stride in zip(weights, biases, self.strides, strict=False):
            hidden = self._convolve(hidden, kernel.permute(0, 3, 1, 2), bias, stride).relu_()
        flat = hidden.permute(0, 2, 3, 1).flatten(1)
        if self.backward_dtype == torch.float32 or not torch.is_grad_enabled():
            return F.linear(flat, weights[-1], biases[-1]).relu_()
        features: Tensor = _Linear.apply(flat, weights[-1], biases[-1], self.backward_dtype)  # type: ignore[no-untyped-call]
        return features.relu_()

    def _convolve(self, inputs: Tensor, kernel: Tensor, bias: Tensor, stride: int) -> Tensor:
        if self.backward_dtype == torch.float32 or not torch.is_grad_enabled():
            return F.conv2d(inputs, kernel, bias, stride)
        outputs: Tensor = _Convolution.apply(inputs, kernel, bias, stride, self.backward_dtype)  # type: ignore[no-untyped-call]
        return outputs


class _Convolution(torch.autograd.Function):
    """``F.conv2d``, exact in the forward pass, with gradients computed in another type.

    Ratios and values are exact, and so is the surrogate; the gradient's error is a hundredth of a minibatch's noise. A
    forward pass in bfloat16 would cause an error of a quarter.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, kernel: Tensor, bias: Tensor, stride: int, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(inputs.to(dtype), kernel.to(dtype))
        ctx.stride = stride
        return F.conv2d(inputs, kernel, bias, stride)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, kernel = ctx.saved_tensors
        mask = [ctx.needs_input_grad[0], True, True]
        pair, none = [ctx.stride, ctx.stride], [0, 0]
        parts = torch.ops.aten.convolution_backward(
            grad.to(inputs.dtype), inputs, kernel, [len(kernel)], pair, none, [1, 1], False, none, 1, mask
        )
        d_inputs, d_kernel, d_bias = (None if part is None else part.float() for part in parts)
        return d_inputs, d_kernel, d_bias, None, None


class _Linear(torch.autograd.Function):
    """``F.linear``, exact in the forward pass, with gradients computed in another type."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(inputs.to(dtype), weights.to(dtype))
        return F.linear(inputs, weights, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weights = ctx.saved_tensors
        d_outputs = grad.to(inputs.dtype)
        return (d_outputs @ weights).float(), (d_outputs.T @ inputs).float(), grad.sum(0), None


def computes_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16 products: without them it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


Draw = Callable[[tuple[int, ...], float, torch.Generator], list[Tensor]]
"""A function of a layer's shape ``[out, ...]``, a gain and a generator that draws weights, flat, and a bias of 0."""


@dataclass(frozen=True)
class Initialisation:
    """How the first parameters are drawn."""

    convolution: Draw
    layer: Draw
    """of layers without a kernel"""
    gain: float
    """of all layers before the heads"""


def orthogonal(shape: tuple[int, ...], gain: float, rng: torch.Generator) -> list[Tensor]:
    """Draw orthogonal weights."""
    return [torch.nn.init.orthogonal_(torch.empty(shape), gain, generator=rng).view(-1), torch.zeros(shape[0])]


def column_norm(shape: tuple[int, ...], gain: float, rng: torch.Generator) -> list[Tensor]:
    """Draw normal weights, those into each unit of norm ``gain`` (normc_initializer)."""
    return [column_norm_(torch.empty(shape[::-1]), gain, rng).T.reshape(-1), torch.zeros(shape[0])]


def uniform(shape: tuple[int, ...], gain: float, rng: torch.Generator) -> list[Tensor]:
    """Draw uniform weights of a kernel ``[out, height, width, in]``, within gain x sqrt(6 / (inputs of a unit + units
    that read an input)) (Glorot and Bengio 2010)."""
    out, height, width, into = shape
    bound = gain * math.sqrt(6 / (height * width * (into + out)))
    return [torch.empty(shape).uniform_(-bound, bound, generator=rng).view(-1), torch.zeros(out)]


INITIALISATIONS = {
    "orthogonal": Initialisation(orthogonal, orthogonal, math.sqrt(2)),  # openai/baselines' ppo2
    "column-norm": Initialisation(uniform, column_norm, 1.0),  # its ppo1: conv2d and dense in common/tf_util.py
}
"""By the value of the setting ``initialisation``."""
