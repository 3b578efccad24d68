"""Networks of a stack: every run has the bits that it has alone, whatever the widths and the number of states."""

import random

import pytest
import torch

from ppo.stacked.mlp import MLP
from ppo.stacked.parameters import aligned

RUNS = 5


def shape(seed):
    """A network's hidden widths, inputs and outputs, and a number of states."""
    drawn = random.Random(seed)
    widths = (32, 64, 96) if seed % 2 else (5, 7, 12, 16, 20, 30, 33)
    hidden = [drawn.choice(widths) for _ in range(drawn.choice((0, 1, 2, 2)))]
    return hidden, drawn.randint(1, 40), drawn.randint(1, 18), drawn.choice((1, 2, 3, 5, 16, 20, 33, 50, 205))


def everything(network, matrix, direction, inputs, grad):
    """All activations, the gradient's pieces and the derivative along ``direction``."""
    layers = network.layers(matrix)
    activations = network.forward(layers, inputs)
    derivative = network.jvp(layers, activations, direction)
    return [*activations[1:], *network.backward(layers, activations, grad), derivative]


@pytest.mark.parametrize("seed", range(60))
def test_a_run_has_the_same_bits_alone_and_in_a_stack(seed):
    hidden, inputs, outputs, states = shape(seed)
    network = MLP((inputs, *hidden, outputs), 0, relu=seed % 3 == 0)
    drawn = torch.Generator().manual_seed(seed)

    def normal(*sizes):
        return torch.randn(RUNS, *sizes, generator=drawn)

    matrix, direction = torch.zeros(2, RUNS, aligned(network.size))
    for filled in (matrix, direction):
        filled[:, : network.size] = normal(network.size)
    given = matrix, direction, normal(states, inputs), normal(states, outputs)
    stack = everything(network, *given)
    for run in range(RUNS):
        alone = everything(network, *(tensor[run : run + 1].clone() for tensor in given))
        for whole, one in zip(stack, alone, strict=True):
            assert torch.equal(whole[run : run + 1], one)
