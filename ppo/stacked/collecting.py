"""Compiled work of a step beside the simulation: normalise, act, and record what the environment returned.

For a single run these are dozens of numpy calls on a handful of numbers, and the calls cost most. The plain twins are
``ActorCritic.act``, ``ObservationNormalizer`` and ``Collector.take_in``: the same bits for observations in float64,
except for the actions, whose sums are added up in another order.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppo.envs.base import Transition
from ppo.normalizers import RunningMeanStd
from ppo.rollout import Act, Collector
from ppo.stacked.compiling import compiled, exactly
from ppo.stacked.kernels import Floats, Integers, tanh

if TYPE_CHECKING:
    from ppo.policies import ActorCritic

Doubles = NDArray[np.float64]


@compiled
def _layer(inputs: Floats, weights: Floats, n_out: int, outputs: Floats) -> None:
    """Multiply one state's ``inputs`` by ``weights`` (flat, ``[inputs + 1, n_out]``, the bias last)."""
    n_in = len(weights) // n_out - 1
    for unit in range(n_out):
        outputs[unit] = weights[n_in * n_out + unit]
    for number in range(n_in):
        value, row = inputs[number], weights[number * n_out : (number + 1) * n_out]
        for unit in range(n_out):
            outputs[unit] += value * row[unit]


@compiled
def _outputs(weights: Floats, sizes: Integers, relu: bool, inputs: Floats, scratch: Floats) -> Floats:
    """Compute the network's outputs at one state, in ``scratch`` ``[2, widest]``."""
    at, turn, current = 0, 0, inputs
    for layer in range(len(sizes) - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        outputs = scratch[turn, :n_out]
        _layer(current, weights[at : at + (n_in + 1) * n_out], n_out, outputs)
        at, turn, current = at + (n_in + 1) * n_out, 1 - turn, outputs
        if layer < len(sizes) - 2:
            for unit in range(n_out):
                outputs[unit] = max(outputs[unit], np.float32(0)) if relu else tanh(outputs[unit])
    return current


@compiled
def draw(
    parameters: Floats,
    sizes: Integers,
    relu: bool,
    log_std: int,
    observations: Floats,
    noise: Floats,
    scratch: Floats,
    actions: Floats,
) -> None:
    """Fill ``actions`` ``[runs, envs, size]`` with samples of Gaussian policies at ``observations``
    ``[runs, envs, inputs]``, made from ``noise`` of the actions' shape. ``parameters``: ``[runs, columns]``;
    ``log_std``: the first column of the log-std."""
    runs, envs, size = actions.shape
    for run in range(runs):
        for env in range(envs):
            mean = _outputs(parameters[run], sizes, relu, observations[run, env], scratch)
            for j in range(size):
                deviation = np.float32(math.exp(parameters[run, log_std + j]))
                actions[run, env, j] = mean[j] + deviation * noise[run, env, j]


@compiled
def choose(
    parameters: Floats,
    sizes: Integers,
    relu: bool,
    observations: Floats,
    noise: Floats,
    scratch: Floats,
    actions: Integers,
) -> None:
    """Choose ``actions`` ``[runs, envs]``: the largest of logits and ``noise`` ``[runs, envs, size]``."""
    runs, envs, size = noise.shape
    for run in range(runs):
        for env in range(envs):
            logits = _outputs(parameters[run], sizes, relu, observations[run, env], scratch)
            best = 0
            for j in range(1, size):
                if logits[j] + noise[run, env, j] > logits[best] + noise[run, env, best]:
                    best = j
            actions[run, env] = best


@exactly
def normalise(
    observations: NDArray[np.floating],
    mean: Doubles,
    var: Doubles,
    epsilon: float,
    least: float,
    clip: Doubles,
    outputs: Floats,
) -> None:
    """Normalise ``observations`` ``[runs, envs, n]`` into ``outputs`` as ``ObservationNormalizer`` does; ``mean``,
    ``var``: ``[runs, n]``, ``clip``: ``[runs]``."""
    runs, envs, size = observations.shape
    for run in range(runs):
        for column in range(size):
            variance = max(var[run, column] + epsilon, least)
            deviation = math.sqrt(variance)
            for env in range(envs):
                value = (observations[run, env, column] - mean[run, column]) / deviation
                value = -clip[run] if value < -clip[run] else value
                outputs[run, env, column] = clip[run] if value > clip[run] else value


@exactly
def _renew(mean: Doubles, var: Doubles, count: float, values: NDArray[np.floating]) -> None:
    """Update statistics ``[runs, n]`` with ``values`` ``[runs, envs, n]``, as ``RunningMeanStd.update`` does."""
    runs, envs, size = values.shape
    total = count + envs
    for run in range(runs):
        for column in range(size):
            average = 0.0
            for env in range(envs):
                average += values[run, env, column]
            average /= envs
            delta = average - mean[run, column]
            mean[run, column] += delta * (envs / total)
            var[run, column] *= count / total
            var[run, column] += delta * delta * (count * envs / (total * total))
            if envs > 1:
                square = 0.0
                for env in range(envs):
                    square += (values[run, env, column] - average) ** 2
                var[run, column] += square / envs * (envs / total)


Statistics = tuple[bool, Doubles, Doubles, float]
"""Whether there are statistics; mean and variance of a ``RunningMeanStd``, ``[runs, n]`` each, and its count. A plain
tuple: each named one makes a call of a compiled function 2 us slower."""
Scaling = tuple[Doubles, Doubles, bool, float]
"""Returns, gamma, reset and clip of a ``RewardNormalizer``."""


@exactly
def take_in(
    observations: NDArray[np.floating],
    rewards: Doubles,
    raw_rewards: Doubles,
    ended: NDArray[np.bool_],
    of_observations: Statistics,
    of_rewards: Statistics,
    scaling: Scaling,
    episodic_returns: Doubles,
    episodic_lengths: Integers,
    scaled: Doubles,
) -> bool:
    """Do what ``Collector.take_in`` does with the arrays of a step, ``[runs, envs, ...]``; fill ``scaled`` with the
    rewards that learning sees. Return whether all of them are finite."""
    runs, envs, size = observations.shape
    finite = True
    for run in range(runs):
        for env in range(envs):
            finite = finite and math.isfinite(rewards[run, env])
            for column in range(size):
                finite = finite and math.isfinite(observations[run, env, column])
            episodic_returns[run, env] += raw_rewards[run, env]
            episodic_lengths[run, env] += 1
            scaled[run, env] = rewards[run, env]
    there, mean, var, seen = of_observations
    if there:
        _renew(mean, var, seen, observations)
    there, mean, var, seen = of_rewards
    if there:
        returns, gamma, reset, clip = scaling
        for run in range(runs):
            for env in range(envs):
                returns[run, env] = returns[run, env] * gamma[run, 0] + rewards[run, env]
        _renew(mean, var, seen, returns.reshape(runs, envs, 1))
        for run in range(runs):
            deviation = math.sqrt(var[run, 0] + 1e-8)
            for env in range(envs):
                value = rewards[run, env] / deviation
                value = -clip if value < -clip else value
                scaled[run, env] = clip if value > clip else value
                if ended[run, env] and reset:
                    returns[run, env] = 0.0
    return finite


def acting(policy: "ActorCritic") -> Act:
    """Return the compiled twin of ``policy.act``, for an ``ActorCritic``."""
    parameters, sizes = policy.parameters.detach().numpy(), np.array(policy.networks["actor"].sizes)
    scratch, log_std = np.empty((2, max(sizes)), np.float32), policy.log_std_columns.start

    def act(observations: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
        inputs = observations.reshape(*observations.shape[:2], -1)
        if policy.discrete:
            choices = np.empty(noise.shape[:2], np.int64)
            choose(parameters, sizes, policy.relu, inputs, noise, scratch, choices)
            return choices
        actions = np.empty_like(noise)
        draw(parameters, sizes, policy.relu, log_std, inputs, noise, scratch, actions)
        return actions

    return act


class CompiledCollector(Collector):
    """A ``Collector`` whose arithmetic is compiled, for observations that are vectors of floats."""

    def normalised(self, observations: NDArray[Any]) -> NDArray[Any]:
        normalizer = self.observation_normalizer
        if normalizer is None or observations.ndim != 3:
            return super().normalised(observations)
        outputs, statistics = np.empty(observations.shape, np.float32), normalizer.statistics
        epsilon, least = normalizer.epsilon, normalizer.least_variance
        normalise(observations, statistics.mean, statistics.var, epsilon, least, normalizer.clip, outputs)
        return outputs

    def take_in(self, transition: Transition, ended: NDArray[np.bool_]) -> NDArray[np.float64]:
        if self.observations.ndim != 3 or self.observations.dtype.kind != "f":
            return super().take_in(transition, ended)
        normalizer, scaling = self.observation_normalizer, self.reward_normalizer
        rewards, scaled = transition.rewards.reshape(ended.shape), np.empty(ended.shape)
        renews = normalizer is not None and normalizer.every_step
        finite = take_in(
            self.observations,
            rewards,
            transition.raw_rewards.reshape(ended.shape),
            ended,
            _statistics(normalizer.statistics if normalizer and renews else None),
            _statistics(scaling.statistics if scaling else None),
            (scaling.returns, scaling.gamma, scaling.reset, scaling.clip) if scaling else _NO_SCALING,
            self.episodic_returns,
            self.episodic_lengths,
            scaled,
        )
        if normalizer and renews:
            normalizer.statistics.count += self.envs
        if scaling:
            scaling.statistics.count += self.envs
        if not finite:
            self.notice_divergence(rewards)
        return scaled


_NOTHING = np.empty((0, 0))
_NO_SCALING: Scaling = (_NOTHING, _NOTHING, False, 0.0)


def _statistics(running: RunningMeanStd | None) -> Statistics:
    if running is None:
        return False, _NOTHING, _NOTHING, 0.0
    runs = len(running.mean)
    return True, running.mean.reshape(runs, -1), running.var.reshape(runs, -1), running.count
