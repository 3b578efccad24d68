"""Whole updates, compiled, run by run: PPO's epochs of minibatches (``ppo_epochs``) and those of a value function's
regression (``regression_epochs``); and the conversion of a stack's tensors into their arrays."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.distributions import Categorical, DiagonalGaussian
from ppo.policies import ActorCritic
from ppo.policy import Policy
from ppo.rollout import Batch
from ppo.stacked.compiling import compiled, one_thread
from ppo.stacked.kernels import (
    Floats,
    Integers,
    Network,
    adam,
    add,
    backward,
    clipped_norm,
    forward,
    gather,
    scratch,
    width,
)
from ppo.stacked.optimizers import Adam
from ppo.stacked.ppo_gradient import ACTION, ADVANTAGE, BLOCK, Shape, Terms, Work, loss_gradient

if TYPE_CHECKING:
    from ppo.ppo import PPO


class Moments(NamedTuple):
    """Adam's moments of the columns that it optimises, ``[runs, columns]``, and each run's steps ``[runs]``."""

    mean: Floats
    mean_square: Floats
    steps: Floats
    eps: float


class Coefficients(NamedTuple):
    """Coefficients of PPO's loss and its optimiser, ``[runs]`` each."""

    clip_coef: Floats
    kl_coef: Floats
    vf_coef: Floats
    ent_coef: Floats
    vf_clip_range: Floats
    learning_rate: Floats
    max_grad_norm: Floats


@compiled
def standardising(samples: Floats, index: Integers) -> tuple[np.float32, np.float32]:
    """Return the mean of the advantages at ``index``, and 1 / (their deviation + 1e-8)."""
    mean, variance = 0.0, 0.0
    for row in range(len(index)):
        mean += samples[index[row], ADVANTAGE]
    mean /= len(index)
    for row in range(len(index)):
        variance += (samples[index[row], ADVANTAGE] - mean) ** 2
    return np.float32(mean), np.float32(1 / (math.sqrt(variance / len(index)) + 1e-8))


@compiled
def workspace(shape: Shape, rows: int) -> Work:
    """Allocate scratch memory for minibatches of ``rows``."""
    widest = max(shape.actor.max(), shape.critic.max())
    size = shape.actor[-1]
    return Work(
        scratch(rows, max(width(shape.actor), width(shape.critic)), widest),
        np.empty(rows * size, np.float32),
        np.empty(rows * size, np.float32),
        np.empty(shape.stop, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
    )


@compiled
def ppo_epochs(
    parameters: Floats,
    moments: Moments,
    samples: Floats,
    old_log_std: Floats,
    orders: Integers,
    minibatch_size: int,
    coefficients: Coefficients,
    standardise: bool,
    shape: Shape,
) -> Floats:
    """Descend on PPO's loss in minibatches of each of the ``orders`` ``[runs, epochs, batch]`` of the ``samples``
    ``[runs, batch, columns]``; return the last gradient norm of each run. ``parameters`` ``[runs, columns]`` and
    ``moments`` change in place."""
    runs, epochs, batch = orders.shape
    norms, gradient = np.zeros(runs, np.float32), np.zeros(parameters.shape[1], np.float32)
    work = workspace(shape, min(minibatch_size, BLOCK))
    for run in range(runs):
        clip_coef = coefficients.clip_coef[run]
        for epoch in range(epochs):
            for start in range(0, batch, minibatch_size):
                index = orders[run, epoch, start : start + minibatch_size]
                shift, scale = np.float32(0), np.float32(1)
                if standardise:
                    shift, scale = standardising(samples[run], index)
                terms = Terms(
                    np.float32(1) / np.float32(len(index)),
                    shift,
                    scale,
                    np.float32(1) - clip_coef,
                    np.float32(1) + clip_coef,
                    coefficients.kl_coef[run],
                    coefficients.vf_coef[run],
                    coefficients.ent_coef[run],
                    coefficients.vf_clip_range[run],
                )
                loss_gradient(parameters[run], samples[run], index, old_log_std[run], terms, shape, work, gradient)
                norms[run], factor = clipped_norm(gradient, coefficients.max_grad_norm[run])
                moments.steps[run] += 1
                adam(
                    parameters[run],
                    gradient,
                    moments.mean[run],
                    moments.mean_square[run],
                    moments.steps[run],
                    coefficients.learning_rate[run],
                    moments.eps,
                    factor,
                )
    return norms


@compiled
def regression_epochs(
    parameters: Floats,
    moments: Moments,
    observations: Floats,
    targets: Floats,
    orders: Integers,
    minibatch_size: int,
    learning_rate: Floats,
    sizes: Integers,
    first: int,
    relu: bool,
) -> None:
    """Descend on the mean squared error of the network of ``sizes`` that begins in column ``first`` of ``parameters``
    ``[runs, columns]``, at ``observations`` ``[runs, batch, inputs]`` and their ``targets`` ``[runs, batch]``, in
    minibatches of each of the ``orders`` ``[runs, epochs, batch]``. Parameters and ``moments`` change in place."""
    runs, epochs, batch = orders.shape
    rows = min(minibatch_size, BLOCK)
    columns = 0
    for layer in range(len(sizes) - 1):
        columns += (sizes[layer] + 1) * sizes[layer + 1]
    memory = scratch(rows, width(sizes), sizes.max())
    gradient, part = np.empty(columns, np.float32), np.empty(columns, np.float32)
    values, d_values = np.empty(rows, np.float32), np.empty(rows, np.float32)
    for run in range(runs):
        weights = parameters[run, first : first + columns]
        network = Network(weights, sizes, relu)
        for epoch in range(epochs):
            for start in range(0, batch, minibatch_size):
                index = orders[run, epoch, start : start + minibatch_size]
                for block in range(0, len(index), BLOCK):
                    samples = index[block : block + BLOCK]
                    predictions = values[: len(samples)].reshape(-1, 1)
                    d_predictions = d_values[: len(samples)].reshape(-1, 1)
                    gather(observations[run], samples, 0, sizes[0], memory.activations)
                    forward(network, memory, predictions)
                    for row in range(len(samples)):
                        error = predictions[row, 0] - targets[run, samples[row]]
                        d_predictions[row, 0] = np.float32(2) / len(index) * error
                    backward(network, memory, d_predictions, gradient if block == 0 else part)
                    if block > 0:
                        add(gradient, part)
                moments.steps[run] += 1
                adam(
                    weights,
                    gradient,
                    moments.mean[run, :columns],
                    moments.mean_square[run, :columns],
                    moments.steps[run],
                    learning_rate[run],
                    moments.eps,
                    np.float32(1),
                )


@one_thread()
def descend(ppo: "PPO", batch: Batch, clip_coef: Tensor) -> Tensor:
    """Do what ``PPO.descend`` does, with the gradient written out; return the last gradient norms ``[runs]``."""
    policy, optimizer, shared = ppo.policy, ppo.optimizer, ppo.shared
    assert isinstance(policy, ActorCritic)
    actor, critic = (np.array(policy.networks[name].sizes) for name in ("actor", "critic"))
    log_std, value, stop = policy.log_std_columns.start, policy.critic_columns.start, policy.critic_columns.stop
    coefficients = Coefficients(
        clip_coef=_flat(clip_coef),
        kl_coef=_flat(ppo.kl_coef),
        vf_coef=_flat(ppo.per_run.vf_coef),
        ent_coef=_flat(ppo.per_run.ent_coef),
        vf_clip_range=_flat(ppo.vf_clip_range),
        learning_rate=_flat(optimizer.learning_rate),
        max_grad_norm=_flat(optimizer.max_grad_norm),
    )
    old = batch.distribution
    norms = ppo_epochs(
        _numpy(policy.parameters),
        _moments(optimizer),
        _samples(batch, policy.action_size),
        _numpy(old.log_std).squeeze(1) if isinstance(old, DiagonalGaussian) else np.empty((ppo.runs, 0), np.float32),
        ppo.orders(batch, shared.update_epochs),
        shared.minibatch_size,
        coefficients,
        shared.norm_adv == "minibatch",
        Shape(actor, critic, log_std, value, stop, policy.relu, policy.discrete, not policy.learns_log_std),
    )
    return torch.from_numpy(norms)


@one_thread()
def regress(policy: Policy, optimizer: Adam, batch: Batch, orders: NDArray[np.int64], minibatch_size: int) -> None:
    """Fit the values to the returns by minibatch descent on their mean squared error, in each of the ``orders``
    ``[runs, epochs, batch]``, with an ``optimizer`` of the critic's columns."""
    assert isinstance(policy, ActorCritic)
    network = policy.networks["critic"]
    regression_epochs(
        _numpy(policy.parameters),
        _moments(optimizer),
        batch.observations.flatten(2).numpy(),
        batch.returns.numpy(),
        orders,
        minibatch_size,
        _flat(optimizer.learning_rate),
        np.array(network.sizes),
        network.offset,
        policy.relu,
    )


def _samples(batch: Batch, size: int) -> Floats:
    """Arrange the batch in the columns that ``ppo_gradient`` names."""
    if isinstance(batch.distribution, Categorical):
        actions = torch.nn.functional.one_hot(batch.actions, size).float()
        outputs = batch.distribution.log_probs
    else:
        assert isinstance(batch.distribution, DiagonalGaussian)
        actions, outputs = batch.actions, batch.distribution.mean
    scalars = torch.stack([batch.log_probs, batch.advantages, batch.returns, batch.values], dim=2)
    assert scalars.shape[2] == ACTION
    return _numpy(torch.cat([scalars, actions.flatten(2), outputs, batch.observations.flatten(2)], dim=2))


def _moments(optimizer: Adam) -> Moments:
    mean, mean_square, steps = map(_numpy, (optimizer.mean, optimizer.mean_square, optimizer.steps))
    return Moments(mean, mean_square, steps, optimizer.eps)


def _flat(values: Tensor) -> Floats:
    return np.ascontiguousarray(_numpy(values).reshape(-1))


def _numpy(values: Tensor) -> Floats:
    array: Floats = values.detach().numpy()
    return array
