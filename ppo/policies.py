"""Actor-critics with a run dimension: every weight is ``[runs, in, out]``, a layer is one ``baddbmm``.

All parameters of a stack are one matrix ``[runs, parameters]`` and the layers are views of it, so that an optimiser,
a checkpoint or CEM's sampling works on rows.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppo.distributions import Categorical, DiagonalGaussian, Distribution
from ppo.seeding import generator, sequence

Layers = list[tuple[Tensor, Tensor]]
"""(weights ``[runs, in, out]``, bias ``[runs, 1, out]``) of each layer."""


class TanhMLP:
    """A tanh network in columns ``offset ... offset + size`` of the parameter matrix, with its own derivatives.

    Written out by hand because a 64-unit network is so small that autograd's bookkeeping and a separate kernel for
    every bias are a third of its price; and because TRPO needs the forward-mode derivative as well.
    """

    def __init__(self, sizes: Sequence[int], offset: int) -> None:
        """``sizes``: (inputs, hidden ..., outputs)."""
        self.sizes = tuple(sizes)
        self.offset = offset
        self.size = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    def layers(self, matrix: Tensor) -> Layers:
        """The layers as views of ``matrix`` ``[runs, P]`` (parameters, a gradient, a direction)."""
        runs, start, views = matrix.shape[0], self.offset, []
        for n_in, n_out in pairwise(self.sizes):
            weights = matrix[:, start : start + n_in * n_out].view(runs, n_in, n_out)
            start += n_in * n_out
            views.append((weights, matrix[:, start : start + n_out].unsqueeze(1)))
            start += n_out
        return views

    def forward(self, layers: Layers, inputs: Tensor) -> list[Tensor]:
        """The inputs ``[runs, batch, in]``, each hidden layer's output, and the outputs ``[runs, batch, out]``."""
        activations = [inputs]
        for weights, bias in layers[:-1]:
            activations.append(_tanh_of_linear(activations[-1], weights, bias))
        activations.append(_linear(activations[-1], *layers[-1]))
        return activations

    def backward(self, layers: Layers, activations: list[Tensor], grad: Tensor) -> list[Tensor]:
        """Vector-Jacobian product: ``grad`` ``[runs, batch, outputs]`` back to this network's columns, in pieces
        ``[runs, n]`` in their order."""
        pieces = []
        for index in reversed(range(len(layers))):
            inputs = activations[index]
            pieces += [grad.sum(1), _weight_gradient(inputs, grad).reshape(len(grad), -1)]
            if index > 0:
                weights = layers[index][0].transpose(1, 2)
                grad = torch.ops.aten.tanh_backward(
                    grad * weights if grad.shape[-1] == 1 else grad.bmm(weights), inputs
                )
        return pieces[::-1]

    def jvp(self, layers: Layers, activations: list[Tensor], tangent: Tensor) -> Tensor:
        """Jacobian-vector product: the change ``[runs, batch, out]`` of the outputs along ``tangent`` ``[runs, P]``."""
        tangents = self.layers(tangent)
        change = _linear(activations[0], *tangents[0])
        for index in range(1, len(layers)):
            change = change * (1 - activations[index].square())
            change = _product(change, layers[index][0]) + _linear(activations[index], *tangents[index])
        return change

    def initialise(self, row: Tensor, gains: Sequence[float], rng: torch.Generator) -> None:
        """Orthogonal weights of the given gain per layer, zero biases, into one run's ``row`` ``[1, P]``."""
        for (weights, bias), gain in zip(self.layers(row), gains, strict=True):
            torch.nn.init.orthogonal_(weights[0], gain, generator=rng)
            bias.zero_()


ALIGNMENT = 16
"""The parameter matrix has a multiple of so many columns, the last ones unused: where a row ends within a vector
register, kernels compute its end otherwise than its middle, and a run's bits would depend on its place in the stack."""


def aligned(width: int) -> int:
    """The next multiple of ``ALIGNMENT``."""
    return -(-width // ALIGNMENT) * ALIGNMENT


NARROW = 16
"""Outputs below which MKL's batched product is three times slower than the transposed one."""


def _product(inputs: Tensor, weights: Tensor) -> Tensor:
    if weights.shape[-1] == 1:  # a product and a sum: with one output, bmm's bits would depend on the stack's size
        return (inputs * weights.transpose(1, 2)).sum(-1, keepdim=True)
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


class _Evaluate(torch.autograd.Function):
    """Some networks' outputs and the log-std, with a gradient written straight into one ``[runs, P]`` matrix."""

    @staticmethod
    def forward(
        ctx: Any, parameters: Tensor, inputs: Tensor, policy: "ActorCritic", names: Sequence[str]
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.policy, ctx.names = policy, names
        activations = [policy.networks[name].forward(policy.layers[name], inputs) for name in names]
        outputs = [own.pop() for own in activations]  # kept in ctx they would hold each other, and the memory, for ever
        ctx.activations = activations
        return (policy.log_std.clone(), *outputs)

    @staticmethod
    def backward(ctx: Any, grad_log_std: Tensor | None, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        policy: ActorCritic = ctx.policy
        known = dict(zip(ctx.names, zip(ctx.activations, grads, strict=True), strict=True))
        pieces: dict[str, list[Tensor]] = {}
        for name, network in policy.networks.items():
            activations, grad = known.get(name, (None, None))
            if grad is None:
                pieces[name] = [policy.parameters.new_zeros(policy.runs, network.size)]
            else:
                pieces[name] = network.backward(policy.layers[name], activations, grad)
        log_std = torch.zeros_like(policy.log_std) if grad_log_std is None else grad_log_std
        out = torch.cat([*pieces["actor"], log_std.squeeze(1), *pieces["critic"], policy.padding], dim=1)
        return out, None, None, None


class ActorCritic:
    """A tanh network for the policy and another for the value (sec. 6.1: 2 x 64, not shared), for every run.

    Continuous actions: a Gaussian whose mean is the network's output and whose log-std is a free parameter, starting
    at 0. Discrete actions: the network gives the logits.
    """

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete,
        seeds: Sequence[int],
        hidden: Sequence[int] = (64, 64),
        device: torch.device | str = "cpu",
    ) -> None:
        """Orthogonal weights: gain sqrt 2 in hidden layers, 0.01 for the policy's head, 1 for the value's (as in
        openai/baselines' ppo2)."""
        self.runs = len(seeds)
        inputs = math.prod(observation_shape)
        self.discrete = isinstance(action_space, gymnasium.spaces.Discrete)
        self.action_size = int(
            action_space.n if isinstance(action_space, gymnasium.spaces.Discrete) else math.prod(action_space.shape)
        )
        actor = TanhMLP((inputs, *hidden, self.action_size), 0)
        free = 0 if self.discrete else self.action_size
        critic = TanhMLP((inputs, *hidden, 1), actor.size + free)
        self.networks = {"actor": actor, "critic": critic}
        self.log_std_columns = slice(actor.size, actor.size + free)
        self.actor_columns = slice(0, actor.size + free)
        """The columns that the action distribution depends on: the policy network and the log-std."""
        self.critic_columns = slice(actor.size + free, actor.size + free + critic.size)

        matrix = torch.zeros(len(seeds), aligned(self.critic_columns.stop))
        gains = [math.sqrt(2)] * len(hidden)
        for row, seed in enumerate(seeds):
            rng = torch.Generator().manual_seed(int(sequence(seed, "initialisation").generate_state(1)[0]))
            actor.initialise(matrix[row : row + 1], [*gains, 0.01], rng)
            critic.initialise(matrix[row : row + 1], [*gains, 1.0], rng)
        self.parameters = matrix.to(device).requires_grad_()
        """``[runs, P]``, a leaf: updated in place, so that the layers stay views of it."""
        detached = self.parameters.detach()
        self.layers = {name: network.layers(detached) for name, network in self.networks.items()}
        self.log_std = detached[:, self.log_std_columns].unsqueeze(1)
        self.padding = torch.zeros_like(detached[:, self.critic_columns.stop :])
        if detached.device.type == "cpu":
            self._numpy_layers = [(weights.numpy(), bias.numpy()) for weights, bias in self.layers["actor"]]
            self._numpy_log_std = self.log_std.numpy()

    def __call__(self, observations: Tensor) -> tuple[Distribution, Tensor]:
        """Action distribution and values ``[runs, batch]`` at ``observations`` ``[runs, batch, inputs]``."""
        log_std, outputs, values = self._evaluate(observations, ("actor", "critic"))
        return self._distribution(outputs, log_std), values.squeeze(-1)

    def distribution(self, observations: Tensor) -> Distribution:
        """The action distribution alone."""
        log_std, outputs = self._evaluate(observations, ("actor",))
        return self._distribution(outputs, log_std)

    @torch.no_grad()
    def distribution_of(self, parameters: Tensor, observations: Tensor) -> Distribution:
        """The action distribution with other ``parameters`` ``[runs, P]`` in place of these."""
        actor = self.networks["actor"]
        outputs = actor.forward(actor.layers(parameters), observations)[-1]
        return self._distribution(outputs, parameters[:, self.log_std_columns].unsqueeze(1))

    def values(self, observations: Tensor) -> Tensor:
        """The values alone: ``[runs, batch]``."""
        return self._evaluate(observations, ("critic",))[1].squeeze(-1)

    def act(self, observations: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[Any]:
        """Sampled actions ``[runs, envs, ...]`` at ``observations`` ``[runs, envs, inputs]``, for collecting.

        On a CPU in numpy, which for a handful of states takes a quarter of PyTorch's time: there is next to nothing to
        compute and a call costs less.
        """
        if self.parameters.device.type != "cpu":
            inputs, given = (torch.from_numpy(array).to(self.parameters.device) for array in (observations, noise))
            sampled: NDArray[Any] = self.distribution(inputs).sample(given).cpu().numpy()
            return sampled
        layers = self._numpy_layers
        hidden = observations
        for weights, bias in layers[:-1]:
            hidden = np.tanh(hidden @ weights + bias)
        outputs = hidden @ layers[-1][0] + layers[-1][1]
        if self.discrete:
            choices: NDArray[np.int64] = (outputs + noise).argmax(-1)
            return choices
        actions: NDArray[np.float32] = outputs + np.exp(self._numpy_log_std) * noise
        return actions

    def draw_noise(self, seeds: Sequence[int], iteration: int, steps: int, envs: int) -> NDArray[np.float32]:
        """What ``Distribution.sample`` needs, each run's from its own stream: ``[steps, runs, envs, action_size]``."""
        kind = Categorical if self.discrete else DiagonalGaussian
        streams = [generator(seed, "actions", iteration) for seed in seeds]
        return np.stack([kind.draw_noise(stream, (steps, envs), self.action_size) for stream in streams], axis=1)

    def _distribution(self, outputs: Tensor, log_std: Tensor) -> Distribution:
        return Categorical(outputs) if self.discrete else DiagonalGaussian(outputs, log_std)

    def _evaluate(self, observations: Tensor, names: tuple[str, ...]) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled():
            return _Evaluate.apply(self.parameters, observations, self, names)  # type: ignore[no-any-return, no-untyped-call]
        outputs = [self.networks[name].forward(self.layers[name], observations)[-1] for name in names]
        return (self.log_std, *outputs)
