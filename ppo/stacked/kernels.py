"""Compiled parts of an update, for one run at a time: a network's forward and backward pass, and Adam.

A run completes all minibatches of an update before the next run begins, so its parameters, moments and activations stay
in the processor's cache, and its bits cannot depend on its neighbours. A layer's bias lies behind its weights: with a
column of ones behind the inputs, a layer is one product forward, and one for both gradients. The plain twins are in
ppo/stacked/mlp.py and ppo/stacked/optimizers.py, and the tests compare them.

Shapes: ``rows`` samples; a network of ``sizes`` (inputs, hidden ..., outputs); float32 throughout. Products are scipy's
BLAS, which numba calls for ``np.dot``.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo.stacked.compiling import compiled

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

ONE = np.float32(1)
TANH_BOUND = np.float32(9)
"""Beyond it tanh is 1 in float32."""
P0, P1, P2, P3, P4 = map(np.float32, (0.9999999795, 0.1338103344, 3.495597269e-3, 2.060922637e-5, 1.335484657e-8))
Q1, Q2, Q3, Q4 = map(np.float32, (0.4671434904, 2.587701732e-2, 3.28564951e-4, 7.776637256e-7))
"""tanh(x) = x P(x^2) / Q(x^2), fitted by weighted least squares up to the bound: relative error 2e-8, in float32 4e-7
by rounding."""

SMALL = 1_000_000
"""Products of at most this many multiplications OpenBLAS does without packing the factors, and 1.7 times as fast if the
right one is not transposed."""


class Network(NamedTuple):
    """One run's network: its weights, flat (``[inputs + 1, outputs]`` of one layer after the other), its sizes, and
    whether its units are rectified (tanh if not)."""

    weights: Floats
    sizes: Integers
    relu: bool


class Scratch(NamedTuple):
    """Memory for a forward and a backward pass, shared by the networks in turn."""

    activations: Floats
    """flat: the inputs ``[rows, size + 1]`` of one layer after the other"""
    sums: Floats
    """``[2, rows x widest]``"""
    transposed: Floats
    """``[widest x widest]``"""


@compiled
def aligned(count: int) -> Floats:
    """Allocate ``count`` floats at a multiple of 64 bytes: unaligned, products take up to 1.4 times as long."""
    memory = np.empty(count + 16, np.float32)
    skipped = (-memory.ctypes.data % 64) // 4
    return memory[skipped : skipped + count]


@compiled
def scratch(rows: int, inputs: int, widest: int) -> Scratch:
    """Allocate memory for ``rows`` samples and networks of at most ``inputs`` (as ``width`` counts) and ``widest``."""
    return Scratch(aligned(rows * inputs), aligned(2 * rows * widest).reshape(2, -1), aligned(widest * widest))


@compiled
def width(sizes: Integers) -> int:
    """Count the floats of a sample in ``activations``: each layer's inputs, and a one behind them."""
    total = 0
    for layer in range(len(sizes) - 1):
        total += sizes[layer] + 1
    return total


@compiled
def tanh(x: np.float32) -> np.float32:
    """Compute tanh as a ratio of polynomials, with vector instructions (the library's is one call per number)."""
    x = TANH_BOUND if x > TANH_BOUND else x
    x = -TANH_BOUND if x < -TANH_BOUND else x
    y = x * x
    return x * ((((P4 * y + P3) * y + P2) * y + P1) * y + P0) / ((((Q4 * y + Q3) * y + Q2) * y + Q1) * y + ONE)


@compiled
def activate(sums: Floats, relu: bool, outputs: Floats) -> None:
    """Write the activations of ``sums`` ``[rows, units]``, and a one behind, to ``outputs`` ``[rows, units + 1]``."""
    rows, units = sums.shape
    for row in range(rows):
        source, target = sums[row], outputs[row]
        if relu:
            for unit in range(units):
                target[unit] = source[unit] if not source[unit] < 0 else np.float32(0)
        else:
            for unit in range(units):
                target[unit] = tanh(source[unit])
        target[units] = ONE


@compiled
def through_activation(gradient: Floats, outputs: Floats, relu: bool) -> None:
    """Turn the ``gradient`` ``[rows, units]`` of a layer's ``outputs`` ``[rows, units + 1]`` into that of its sums."""
    rows, units = gradient.shape
    for row in range(rows):
        slope, output = gradient[row], outputs[row]
        if relu:
            for unit in range(units):
                slope[unit] = np.float32(0) if output[unit] <= 0 else slope[unit]
        else:
            for unit in range(units):
                slope[unit] -= slope[unit] * output[unit] * output[unit]


@compiled
def gather(samples: Floats, index: Integers, first: int, inputs: int, activations: Floats) -> None:
    """Copy ``inputs`` numbers from column ``first`` of the rows ``index`` of ``samples``, and a one behind them, to the
    front of ``activations``: the first layer's inputs."""
    target = activations[: len(index) * (inputs + 1)].reshape(len(index), inputs + 1)
    for row in range(len(index)):
        source, copy = samples[index[row], first:], target[row]
        for column in range(inputs):
            copy[column] = source[column]
        copy[inputs] = ONE


@compiled
def transposed(matrix: Floats, memory: Floats) -> Floats:
    """Write ``matrix`` transposed to ``memory``; return it."""
    rows, columns = matrix.shape
    target = memory[: rows * columns].reshape(columns, rows)
    for column in range(columns):
        for row in range(rows):
            target[column, row] = matrix[row, column]
    return target


@compiled
def forward(network: Network, memory: Scratch, outputs: Floats) -> None:
    """Fill ``outputs`` ``[rows, sizes[-1]]`` and the hidden layers' activations in ``memory`` from the first layer's
    inputs there."""
    rows, layers = len(outputs), len(network.sizes) - 1
    at, weight = 0, 0
    for layer in range(layers):
        n_in, n_out = network.sizes[layer] + 1, network.sizes[layer + 1]
        inputs = memory.activations[at : at + rows * n_in].reshape(rows, n_in)
        matrix = network.weights[weight : weight + n_in * n_out].reshape(n_in, n_out)
        at, weight = at + rows * n_in, weight + n_in * n_out
        if layer == layers - 1:
            np.dot(inputs, matrix, outputs)
        else:
            sums = memory.sums[0, : rows * n_out].reshape(rows, n_out)
            np.dot(inputs, matrix, sums)
            activate(sums, network.relu, memory.activations[at : at + rows * (n_out + 1)].reshape(rows, n_out + 1))


@compiled
def backward(network: Network, memory: Scratch, d_outputs: Floats, gradient: Floats) -> None:
    """Fill ``gradient`` (flat, as the weights) from the gradient of the outputs ``d_outputs`` ``[rows, sizes[-1]]``,
    with the activations that ``forward`` left in ``memory``."""
    rows = len(d_outputs)
    at, weight = rows * width(network.sizes), len(gradient)
    upper, turn = d_outputs, 0
    for layer in range(len(network.sizes) - 2, -1, -1):
        n_in, n_out = network.sizes[layer] + 1, network.sizes[layer + 1]
        at, weight = at - rows * n_in, weight - n_in * n_out
        inputs = memory.activations[at : at + rows * n_in].reshape(rows, n_in)
        np.dot(inputs.T, upper, gradient[weight : weight + n_in * n_out].reshape(n_in, n_out))
        if layer > 0:
            matrix = network.weights[weight : weight + (n_in - 1) * n_out].reshape(n_in - 1, n_out)
            lower = memory.sums[turn, : rows * (n_in - 1)].reshape(rows, n_in - 1)
            if rows * matrix.size < SMALL:
                np.dot(upper, transposed(matrix, memory.transposed), lower)
            else:
                np.dot(upper, matrix.T, lower)
            through_activation(lower, inputs, network.relu)
            upper, turn = lower, 1 - turn


@compiled
def add(total: Floats, part: Floats) -> None:
    """Add ``part`` to ``total``, ``[columns]`` each."""
    for column in range(len(total)):
        total[column] += part[column]


@compiled
def clipped_norm(gradient: Floats, max_grad_norm: np.float32) -> tuple[np.float32, np.float32]:
    """Return the norm of ``gradient``, and the factor that makes it ``max_grad_norm`` at most."""
    square = np.float32(0)
    for column in range(len(gradient)):
        square += gradient[column] * gradient[column]
    norm = np.float32(math.sqrt(square))
    if max_grad_norm == np.inf:
        return norm, ONE
    factor = max_grad_norm / (norm + np.float32(1e-6))
    return norm, ONE if factor > ONE else factor


@compiled
def adam(
    parameters: Floats,
    gradient: Floats,
    mean: Floats,
    mean_square: Floats,
    steps: float,
    learning_rate: float,
    eps: float,
    factor: np.float32,
) -> None:
    """Take the step number ``steps`` (1 is the first) of Adam, with betas 0.9 and 0.999, along ``factor`` x
    ``gradient``; all arrays ``[columns]``."""
    size = np.float32(learning_rate / (1 - 0.9**steps))
    scale = np.float32(1 / math.sqrt(1 - 0.999**steps))
    tenth, decay, added, least = np.float32(0.1), np.float32(0.999), np.float32(0.001), np.float32(eps)
    for column in range(len(gradient)):
        slope = gradient[column] * factor
        mean[column] += (slope - mean[column]) * tenth
        mean_square[column] = mean_square[column] * decay + slope * slope * added
        parameters[column] -= size * mean[column] / (np.float32(math.sqrt(mean_square[column])) * scale + least)
