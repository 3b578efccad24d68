"""The gradient of ``PPO.loss`` on one run's minibatch, written out and compiled.

``PPO.loss`` is the definition; tests compare its gradient with this one. A large minibatch is processed in blocks of
rows that stay in the cache.
"""

import math
from typing import NamedTuple

import numpy as np

from ppo.stacked.compiling import compiled
from ppo.stacked.kernels import ONE, Floats, Integers, Network, Scratch, add, backward, forward, gather

LOG_PROB, ADVANTAGE, RETURN, VALUE, ACTION = range(5)
"""Columns of a sample: log pi_old(a|s), A, V^targ, V_old; then the action (a discrete one as one-hot), pi_old's mean
(or log-probabilities), and the observation."""
BLOCK = 128
"""Rows of a minibatch at a time, at most."""


class Shape(NamedTuple):
    """Sizes and columns that the runs of a stack share."""

    actor: Integers
    """(inputs, hidden ..., outputs)"""
    critic: Integers
    log_std: int
    """the first column of the log-std; before it lies the actor"""
    value: int
    """the first column of the critic"""
    stop: int
    """the column behind it"""
    relu: bool
    discrete: bool
    fixed_log_std: bool
    """whether the log-std is not learned"""


class Terms(NamedTuple):
    """Coefficients of one run's loss on one minibatch."""

    share: np.float32
    """1 / samples"""
    shift: np.float32
    """advantages are (A - shift) x scale"""
    scale: np.float32
    low: np.float32
    """bounds of the ratio"""
    high: np.float32
    kl_coef: np.float32
    vf_coef: np.float32
    ent_coef: np.float32
    vf_clip_range: np.float32


class Work(NamedTuple):
    """Scratch memory, shared by the runs in turn."""

    passes: Scratch
    outputs: Floats
    d_outputs: Floats
    gradient: Floats
    """of a block"""
    inverse_std: Floats
    d_log_std: Floats
    spread: Floats


@compiled
def slope(ratio: np.float32, advantage: np.float32, terms: Terms) -> np.float32:
    """Return the derivative of min(r A, clip(r, low, high) A) by r (equation 7)."""
    near = terms.low if ratio < terms.low else (terms.high if ratio > terms.high else ratio)
    return np.float32(0) if ratio * advantage > near * advantage else advantage


@compiled
def gaussian_gradient(
    samples: Floats, index: Integers, mean: Floats, log_std: Floats, terms: Terms, work: Work, d_mean: Floats
) -> None:
    """Fill ``d_mean`` ``[rows, size]`` with the gradient of -surrogate + kl_coef KL at the means ``mean``, and add up
    that of the log-std in ``work.d_log_std``, and what the KL there needs of the means in ``work.spread``."""
    rows, size = mean.shape
    constant = np.float32(0.5 * math.log(2 * math.pi) * size)
    for j in range(size):
        constant += log_std[j]
    for row in range(rows):
        sample = samples[index[row]]
        square = np.float32(0)
        for j in range(size):
            z = (sample[ACTION + j] - mean[row, j]) * work.inverse_std[j]
            square += z * z
            d_mean[row, j] = z
        ratio = np.float32(math.exp(np.float32(-0.5) * square - constant - sample[LOG_PROB]))
        advantage = (sample[ADVANTAGE] - terms.shift) * terms.scale
        pull = -terms.share * ratio * slope(ratio, advantage, terms)
        for j in range(size):
            z = d_mean[row, j]
            work.d_log_std[j] += pull * (z * z - ONE)
            d_mean[row, j] = pull * z * work.inverse_std[j]
        if terms.kl_coef > 0:
            for j in range(size):
                move = (mean[row, j] - sample[ACTION + size + j]) * work.inverse_std[j]
                work.spread[j] += terms.share * move * move
                d_mean[row, j] += terms.kl_coef * terms.share * move * work.inverse_std[j]


@compiled
def log_std_gradient(old_log_std: Floats, terms: Terms, work: Work, gradient: Floats) -> None:
    """Fill ``gradient`` ``[size]`` with that of the log-std: the surrogate's, the KL's and the entropy's."""
    for j in range(len(gradient)):
        gradient[j] = work.d_log_std[j] - terms.ent_coef
        if terms.kl_coef > 0:
            old_deviation = np.float32(math.exp(old_log_std[j])) * work.inverse_std[j]
            gradient[j] += terms.kl_coef * (ONE - old_deviation * old_deviation - work.spread[j])


@compiled
def categorical_gradient(samples: Floats, index: Integers, logits: Floats, terms: Terms, d_logits: Floats) -> None:
    """Fill ``d_logits`` ``[rows, size]`` with the gradient of -surrogate + kl_coef KL - ent_coef S at ``logits``, which
    become log-probabilities."""
    rows, size = logits.shape
    for row in range(rows):
        sample, logit = samples[index[row]], logits[row]
        highest = logit[0]
        for j in range(1, size):
            highest = logit[j] if logit[j] > highest else highest
        total = np.float32(0)
        for j in range(size):
            total += np.float32(math.exp(logit[j] - highest))
        normaliser = highest + np.float32(math.log(total))
        log_prob, entropy = np.float32(0), np.float32(0)
        for j in range(size):
            logit[j] -= normaliser
            log_prob += sample[ACTION + j] * logit[j]
            entropy -= np.float32(math.exp(logit[j])) * logit[j]
        ratio = np.float32(math.exp(log_prob - sample[LOG_PROB]))
        advantage = (sample[ADVANTAGE] - terms.shift) * terms.scale
        pull = -terms.share * ratio * slope(ratio, advantage, terms)
        for j in range(size):
            p = np.float32(math.exp(logit[j]))
            d_logits[row, j] = pull * (sample[ACTION + j] - p) + terms.ent_coef * terms.share * p * (logit[j] + entropy)
            if terms.kl_coef > 0:
                old = np.float32(math.exp(sample[ACTION + size + j]))
                d_logits[row, j] += terms.kl_coef * terms.share * (p - old)


@compiled
def value_gradient(samples: Floats, index: Integers, values: Floats, terms: Terms, d_values: Floats) -> None:
    """Fill ``d_values`` ``[rows, 1]`` with the gradient of vf_coef x the squared error (equation 9) at ``values``; with
    a finite vf_clip_range, of the pessimistic error of openai/baselines."""
    for row in range(len(values)):
        sample = samples[index[row]]
        error = values[row, 0] - sample[RETURN]
        d_values[row, 0] = np.float32(2) * terms.vf_coef * terms.share * error
        if terms.vf_clip_range < np.inf:
            move = values[row, 0] - sample[VALUE]
            if abs(move) > terms.vf_clip_range:
                near = terms.vf_clip_range if move > 0 else -terms.vf_clip_range
                other = sample[VALUE] + near - sample[RETURN]
                if other * other > error * error:
                    d_values[row, 0] = 0


@compiled
def loss_gradient(
    parameters: Floats,
    samples: Floats,
    index: Integers,
    old_log_std: Floats,
    terms: Terms,
    shape: Shape,
    work: Work,
    gradient: Floats,
) -> None:
    """Fill ``gradient`` ``[columns]`` with that of PPO's loss at the minibatch ``index`` of ``samples``
    ``[batch, columns of a sample]``; ``old_log_std`` ``[size]``, of discrete actions nothing."""
    size, inputs = shape.actor[-1], shape.actor[0]
    actor = Network(parameters[: shape.log_std], shape.actor, shape.relu)
    critic = Network(parameters[shape.value : shape.stop], shape.critic, shape.relu)
    log_std = parameters[shape.log_std : shape.value]
    for j in range(len(log_std)):
        work.inverse_std[j] = math.exp(-log_std[j])
        work.d_log_std[j] = work.spread[j] = 0
    for first in range(0, len(index), BLOCK):
        rows = index[first : first + BLOCK]
        target = gradient if first == 0 else work.gradient
        outputs = work.outputs[: len(rows) * size].reshape(len(rows), size)
        d_outputs = work.d_outputs[: len(rows) * size].reshape(len(rows), size)
        gather(samples, rows, ACTION + 2 * size, inputs, work.passes.activations)
        forward(actor, work.passes, outputs)
        if shape.discrete:
            categorical_gradient(samples, rows, outputs, terms, d_outputs)
        else:
            gaussian_gradient(samples, rows, outputs, log_std, terms, work, d_outputs)
        backward(actor, work.passes, d_outputs, target[: shape.log_std])
        values = work.outputs[: len(rows)].reshape(len(rows), 1)
        d_values = work.d_outputs[: len(rows)].reshape(len(rows), 1)
        forward(critic, work.passes, values)
        value_gradient(samples, rows, values, terms, d_values)
        backward(critic, work.passes, d_values, target[shape.value : shape.stop])
        if first > 0:
            add(gradient[: shape.log_std], target[: shape.log_std])
            add(gradient[shape.value : shape.stop], target[shape.value : shape.stop])
    if shape.fixed_log_std:
        gradient[shape.log_std : shape.value] = 0
    else:
        log_std_gradient(old_log_std, terms, work, gradient[shape.log_std : shape.value])
