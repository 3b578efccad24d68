"""The convolutional networks of the Atari agents with a run dimension (sec. 6.4)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Architecture:
    """Convolutions as (filters, kernel size, stride), and the units of the layer after them; all with ReLUs."""

    convolutions: tuple[tuple[int, int, int], ...]
    units: int


ARCHITECTURES = {
    "nature": Architecture(((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512),  # Mnih et al. 2015
    "a3c": Architecture(((16, 8, 4), (32, 4, 2)), 256),  # Mnih et al. 2016
}
"""The paper cites the second; all of OpenAI's code of 2017 has the first, and so have its A2C and ACER."""


class ConvTrunk:
    """The layers that policy and value share, in the first columns of a parameter matrix ``[runs, P]``.

    Nothing but PyTorch: where a convolution is the price, autograd's bookkeeping is not. Each run's convolutions are
    calls of their own, because grouped ones are slower, and so a run's bits depend on nothing beside it. Images come as
    ``[height, width, channels]`` and weights lie in the matrix as ``[out, height, width, in]``, which is PyTorch's
    channels-last layout: 1.6 times as fast on a CPU, and to turn bytes into numbers then takes a tenth of the time.
    """

    def __init__(self, name: str, image: tuple[int, ...]) -> None:
        """``name``: one of ``ARCHITECTURES``. ``image``: (height, width, channels). Too small a one: ``ValueError``."""
        architecture = ARCHITECTURES[name]
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

    def initialise(self, rng: torch.Generator) -> list[Tensor]:
        """One run's parameters, flat: orthogonal weights of gain sqrt 2, zero biases (as in openai/baselines' ppo2)."""
        return [flat for weights in self.shapes[::2] for flat in orthogonal(weights, math.sqrt(2), rng)]

    def forward(self, parameters: list[Tensor], images: Tensor) -> Tensor:
        """Features ``[batch, units]`` of one run's ``images`` ``[batch, height, width, channels]``; bytes are taken as
        fractions of 255. ``parameters``: flat, in the order of ``shapes``."""
        hidden = images.to(torch.float32).permute(0, 3, 1, 2)
        shaped = [flat.view(shape) for flat, shape in zip(parameters, self.shapes, strict=True)]
        weights, biases = shaped[::2], shaped[1::2]
        if images.dtype == torch.uint8:
            weights[0] = weights[0] / 255  # there are fewer weights than pixels
        for kernel, bias, stride in zip(weights, biases, self.strides, strict=False):
            hidden = F.conv2d(hidden, kernel.permute(0, 3, 1, 2), bias, stride).relu_()
        return F.linear(hidden.permute(0, 2, 3, 1).flatten(1), weights[-1], biases[-1]).relu_()


def orthogonal(shape: tuple[int, ...], gain: float, rng: torch.Generator) -> list[Tensor]:
    """A layer's parameters, flat: orthogonal weights of ``shape`` ``[out, ...]``, and zeros for its bias."""
    return [torch.nn.init.orthogonal_(torch.empty(shape), gain, generator=rng).view(-1), torch.zeros(shape[0])]
