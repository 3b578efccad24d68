"""The network for vectors with a run dimension: every weight is ``[runs, in, out]``, a layer is one ``baddbmm``."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ppo.stacked.parameters import ALIGNMENT, aligned

Layers = list[tuple[Tensor, Tensor]]
"""(weights ``[runs, in, out]``, bias ``[runs, 1, out]``) of each layer."""

LANES = 32
"""The numbers that torch handles at once, by vector instructions; what is left over it computes otherwise."""
FEW = 4
"""States below which a product's rounding may depend on where a run's numbers begin, even if they are aligned."""


class MLP:
    """A network of tanh or rectified units in columns ``offset ... offset + size`` of the parameter matrix, with
    derivatives written out by hand.

    A 64-unit network is so small that autograd's bookkeeping and a separate kernel for every bias are a third of its
    time; and TRPO needs the forward-mode derivative as well.
    """

    def __init__(self, sizes: Sequence[int], offset: int, relu: bool = False) -> None:
        """Lay out the columns; ``sizes``: (inputs, hidden ..., outputs)."""
        self.sizes = tuple(sizes)
        self.relu = relu
        self.offset = offset
        self.size = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
        self.odd = len(sizes) == 2 or any(width % LANES for width in sizes[1:-1])
        """Whether a layer's outputs fill no whole vectors, so that a CPU has to evaluate run by run: a stack's numbers
        would be rounded otherwise than a single run's."""

    def layers(self, matrix: Tensor) -> Layers:
        """Return the layers as views of ``matrix`` ``[runs, P]`` (parameters, a gradient, a direction)."""
        runs, start, views = matrix.shape[0], self.offset, []
        for n_in, n_out in pairwise(self.sizes):
            weights = matrix[:, start : start + n_in * n_out].view(runs, n_in, n_out)
            start += n_in * n_out
            views.append((weights, matrix[:, start : start + n_out].unsqueeze(1)))
            start += n_out
        return views

    def forward(self, layers: Layers, inputs: Tensor) -> list[Tensor]:
        """Return the inputs ``[runs, batch, in]``, each hidden layer's output, the outputs ``[runs, batch, out]``."""
        if self._by_run(inputs):
            return _joined(self.forward(one, *_of_run(run, [inputs])) for run, one in _each(layers))
        activations = [inputs]
        for weights, bias in layers[:-1]:
            inputs = activations[-1]
            activations.append(
                torch.baddbmm(bias, inputs, weights).relu_() if self.relu else _tanh_of_linear(inputs, weights, bias)
            )
        activations.append(_linear(activations[-1], *layers[-1]))
        return activations

    def backward(self, layers: Layers, activations: list[Tensor], grad: Tensor) -> list[Tensor]:
        """Compute the vector-Jacobian product of ``grad`` ``[runs, batch, outputs]``: the gradient of this network's
        columns, in pieces ``[runs, n]`` in their order."""
        if self._by_run(grad):
            return _joined(
                self.backward(one, _of_run(run, activations), *_of_run(run, [grad])) for run, one in _each(layers)
            )
        pieces = []
        for index in reversed(range(len(layers))):
            inputs = activations[index]
            pieces += [grad.sum(1), _weight_gradient(inputs, grad).reshape(len(grad), -1)]
            if index > 0:
                weights = layers[index][0].transpose(1, 2)
                grad = grad * weights if grad.shape[-1] == 1 else grad.bmm(weights)
                grad = grad * (inputs > 0) if self.relu else torch.ops.aten.tanh_backward(grad, inputs)
        return pieces[::-1]

    def jvp(self, layers: Layers, activations: list[Tensor], tangent: Tensor) -> Tensor:
        """Compute the Jacobian-vector product: the outputs' change ``[runs, batch, out]`` along ``tangent``
        ``[runs, P]``."""
        if self._by_run(activations[0]):
            (change,) = _joined(
                [self.jvp(one, _of_run(run, activations), *_of_run(run, [tangent]))] for run, one in _each(layers)
            )
            return change
        tangents = self.layers(tangent)
        change = _linear(activations[0], *tangents[0])
        for index in range(1, len(layers)):
            outputs = activations[index]
            change = change * (outputs > 0 if self.relu else 1 - outputs.square())
            change = _product(change, layers[index][0]) + _linear(activations[index], *tangents[index])
        return change

    def _by_run(self, states: Tensor) -> bool:
        runs, batch = states.shape[:2]
        return runs > 1 and states.device.type == "cpu" and (self.odd or batch < FEW)

    def initialise(
        self, row: Tensor, gains: Sequence[float], draw: Callable[..., Tensor], rng: torch.Generator
    ) -> None:
        """Fill one run's ``row`` ``[1, P]`` with weights by ``draw``, of a gain per layer, and zero biases; ``draw``:
        torch.nn.init.orthogonal_ or ``column_norm_``."""
        for (weights, bias), gain in zip(self.layers(row), gains, strict=True):
            draw(weights[0], gain, generator=rng)
            bias.zero_()


def column_norm_(weights: Tensor, gain: float, generator: torch.Generator) -> Tensor:
    """Fill ``weights`` ``[in, out]`` with normal numbers, each column scaled to norm ``gain`` (normc_initializer of
    openai/baselines' tf_util.py, 2017-07-20)."""
    weights.normal_(generator=generator)
    return weights.mul_(gain / weights.square().sum(0).sqrt())


def _each(layers: Layers) -> Iterator[tuple[int, Layers]]:
    """Yield each run and its layers, with a run dimension of 1."""
    for run in range(len(layers[0][0])):
        yield run, [(weights[run : run + 1], bias[run : run + 1]) for weights, bias in layers]


def _of_run(run: int, tensors: list[Tensor]) -> list[Tensor]:
    """Copy one run's part of each tensor, with a run dimension of 1, to where a single run's would be."""
    return [tensor[run : run + 1].clone() for tensor in tensors]


def _joined(runs: Iterable[list[Tensor]]) -> list[Tensor]:
    """Join the tensors of single runs, a list of each."""
    return [torch.cat(tensors) for tensors in zip(*runs, strict=True)]


NARROW = 16
"""Outputs below which MKL's batched product is three times slower than the transposed one."""


def _product(inputs: Tensor, weights: Tensor) -> Tensor:
    if weights.shape[-1] == 1:  # a product and a sum: with one output, bmm's bits would depend on the stack's size
        return (inputs * weights.transpose(1, 2)).sum(-1, keepdim=True)
    batch, outputs = inputs.shape[1], weights.shape[-1]
    if batch % ALIGNMENT and outputs % ALIGNMENT:
        # MKL rounds by where results begin: with more rows every run's begin at an aligned address, as a single run's
        padded = torch.nn.functional.pad(inputs, (0, 0, 0, aligned(batch) - batch))
        return padded.bmm(weights)[:, :batch]
    return inputs.bmm(weights)


def _linear(inputs: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    if weights.shape[-1] == 1:
        return _product(inputs, weights) + bias
    if weights.shape[-1] < NARROW:
        outputs = torch.baddbmm(bias.transpose(1, 2), weights.transpose(1, 2), inputs.transpose(1, 2))
        return outputs.transpose(1, 2).contiguous()
    return torch.baddbmm(bias, inputs, weights)


def _weight_gradient(inputs: Tensor, grad: Tensor) -> Tensor:
    if grad.shape[-1] == 1:
        return (inputs * grad).sum(1).unsqueeze(-1)
    if grad.shape[-1] < NARROW:
        return torch.bmm(grad.transpose(1, 2), inputs).transpose(1, 2)
    return torch.bmm(inputs.transpose(1, 2), grad)


_MINUS_ONE = torch.tensor(-1.0)


def _tanh_of_linear(inputs: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    if inputs.device.type == "cpu":  # tanh(x) = 2 sigmoid(2x) - 1 takes 0.4 of the time of PyTorch's tanh on a CPU
        outputs = torch.baddbmm(bias, inputs, weights, beta=2, alpha=2).sigmoid_()
        return torch.add(_MINUS_ONE, outputs, alpha=2, out=outputs)
    return torch.baddbmm(bias, inputs, weights).tanh_()
