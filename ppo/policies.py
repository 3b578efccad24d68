"""Actor-critics with a run dimension: two networks for vectors (sec. 6.1), convolutional ones for images (sec. 6.4)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ppo.policy import Policy
from ppo.seeding import sequence
from ppo.stacked.convolutional import ARCHITECTURES, INITIALISATIONS, ConvTrunk, computes_bfloat16
from ppo.stacked.engine import Engine
from ppo.stacked.mlp import MLP, column_norm_
from ppo.stacked.parameters import Group, aligned


def initial_stream(seed: int) -> torch.Generator:
    """Return the generator that a run's initial parameters are drawn with."""
    return torch.Generator().manual_seed(int(sequence(seed, "initialisation").generate_state(1)[0]))


def hidden_units(network: str) -> tuple[int, ...]:
    """Return the hidden layers' units in a name such as 64-64; linear has no hidden layer."""
    return () if network == "linear" else tuple(int(units) for units in network.split("-"))


def make_policy(
    network: str,
    observation_shape: tuple[int, ...],
    action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    critic_outputs: int = 1,
    initialisation: str = "orthogonal",
    activation: str = "tanh",
    picture_gain: float = 0.01,
    backward_dtype: str = "float32",
    engine: Engine = "torch",
) -> Policy:
    """Make the policy that the settings ``network``, ``initialisation``, ``activation`` and ``backward_dtype`` name;
    ``picture_gain``: of its head, for images. Raises ``ValueError`` for a combination that does not exist."""
    if network not in ARCHITECTURES:
        return ActorCritic(
            observation_shape,
            action_space,
            seeds,
            hidden_units(network),
            device,
            critic_outputs,
            initialisation,
            activation,
            engine,
        )
    return ConvActorCritic(
        observation_shape,
        action_space,
        seeds,
        network,
        device,
        critic_outputs,
        picture_gain,
        backward_dtype,
        initialisation,
    )


class _Evaluate(torch.autograd.Function):
    """Outputs of networks, and the log-std, with a gradient written straight into one ``[runs, P]`` matrix."""

    @staticmethod
    def forward(
        ctx: Any, parameters: Tensor, inputs: Tensor, policy: "ActorCritic", names: Sequence[str]
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.policy, ctx.names = policy, names
        activations = [policy.networks[name].forward(policy.layers[name], inputs) for name in names]
        outputs = [layers.pop() for layers in activations]  # storing outputs in ctx would make a reference cycle
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
        if grad_log_std is None or not policy.learns_log_std:
            grad_log_std = torch.zeros_like(policy.log_std)
        out = torch.cat([*pieces["actor"], grad_log_std.squeeze(1), *pieces["critic"], policy.padding], dim=1)
        return out, None, None, None


class ActorCritic(Policy):
    """A network for the policy and another for the value (sec. 6.1: 2 x 64 tanh units, not shared), for every run."""

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete,
        seeds: Sequence[int],
        hidden: Sequence[int] = (64, 64),
        device: torch.device | str = "cpu",
        critic_outputs: int = 1,
        initialisation: str = "orthogonal",
        activation: str = "tanh",
        engine: Engine = "torch",
    ) -> None:
        """Draw the weights. Gains of hidden layers, policy's head and value's head: orthogonal sqrt 2, 0.01 and 1
        (openai/baselines' ppo2); column-norm 1, 0.01 and 1 (its ppo1 and trpo_mpi)."""
        super().__init__(action_space, len(seeds))
        inputs = math.prod(observation_shape)
        self.relu = activation == "relu"
        actor = MLP((inputs, *hidden, self.action_size), 0, self.relu)
        free = 0 if self.discrete else self.action_size
        critic = MLP((inputs, *hidden, critic_outputs), actor.size + free, self.relu)
        self.networks = {"actor": actor, "critic": critic}
        self.log_std_columns = slice(actor.size, actor.size + free)
        self.actor_columns = slice(0, actor.size + free)
        """The columns of the action distribution: the policy network and the log-std."""
        self.critic_columns = slice(actor.size + free, actor.size + free + critic.size)

        matrix = torch.zeros(len(seeds), aligned(self.critic_columns.stop))
        orthogonal = initialisation == "orthogonal"
        draw, gain = (torch.nn.init.orthogonal_, math.sqrt(2)) if orthogonal else (column_norm_, 1.0)
        for row, seed in enumerate(seeds):
            rng = initial_stream(seed)
            actor.initialise(matrix[row : row + 1], [gain] * len(hidden) + [0.01], draw, rng)
            critic.initialise(matrix[row : row + 1], [gain] * len(hidden) + [1.0], draw, rng)
        self.parameters = matrix.to(device).requires_grad_()
        detached = self.parameters.detach()
        self.layers = {name: network.layers(detached) for name, network in self.networks.items()}
        self.log_std = detached[:, self.log_std_columns].unsqueeze(1)
        self.actor = Group(self.parameters, self.actor_columns)
        self.critic = Group(self.parameters, self.critic_columns)
        self.actor_network = Group(self.parameters, slice(0, actor.size))
        self.padding = torch.zeros_like(detached[:, self.critic_columns.stop :])
        self.compiled_act = None
        if engine == "numba":
            from ppo.stacked.collecting import acting

            self.compiled_act = acting(self)
        if detached.device.type == "cpu":
            self._numpy_layers = [(weights.numpy(), bias.numpy()) for weights, bias in self.layers["actor"]]
            self._numpy_log_std = self.log_std.numpy()

    def outputs(self, observations: Tensor, names: tuple[str, ...]) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled():
            return _Evaluate.apply(self.parameters, observations, self, names)  # type: ignore[no-any-return, no-untyped-call]
        outputs = [self.networks[name].forward(self.layers[name], observations)[-1] for name in names]
        return (self.log_std, *outputs)

    def outputs_with(self, parameters: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        actor = self.networks["actor"]
        outputs = actor.forward(actor.layers(parameters), observations)[-1]
        return parameters[:, self.log_std_columns].unsqueeze(1), outputs

    @torch.no_grad()
    def fisher_vector_product(self, observations: Tensor) -> Callable[[Tensor], Tensor]:
        """Return v -> F v, for v ``[runs, P]`` and F the Fisher matrix of the policy at ``observations``
        ``[runs, batch, ...]``: J^T M J, averaged, with the network's Jacobian J and the Fisher matrix M of the action
        distribution with respect to the network's outputs. The log-std's is 2 in every state."""
        actor, layers = self.networks["actor"], self.layers["actor"]
        activations = actor.forward(layers, observations)
        distribution, states = self.distribution(observations), observations.shape[1]
        rest = torch.zeros_like(self.parameters[:, self.actor_columns.stop :])

        @torch.no_grad()
        def product(vector: Tensor) -> Tensor:
            change = distribution.fisher_product(actor.jvp(layers, activations, vector)) / states
            pieces = actor.backward(layers, activations, change)
            return torch.cat([*pieces, 2 * vector[:, self.log_std_columns], rest], dim=1)

        return product

    def act(self, observations: NDArray[Any], noise: NDArray[np.float32]) -> NDArray[Any]:
        """Sample actions, on a CPU in numpy: for a handful of states a call costs a quarter of PyTorch's."""
        if self.compiled_act:
            return self.compiled_act(observations, noise)
        if self.parameters.device.type != "cpu":
            return super().act(observations, noise)
        layers = self._numpy_layers
        hidden = observations
        for weights, bias in layers[:-1]:
            sums = hidden @ weights + bias
            hidden = np.maximum(sums, 0, out=sums) if self.relu else np.tanh(sums, out=sums)
        outputs = hidden @ layers[-1][0] + layers[-1][1]
        if self.discrete:
            choices: NDArray[np.int64] = (outputs + noise).argmax(-1)
            return choices
        actions: NDArray[np.float32] = outputs + np.exp(self._numpy_log_std) * noise
        return actions


class ConvActorCritic(Policy):
    """A convolutional network whose features policy and value share (sec. 6.4), for every run."""

    batch_evaluation = False  # the arithmetic dominates, and it is the same

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete,
        seeds: Sequence[int],
        network: str = "nature",
        device: torch.device | str = "cpu",
        critic_outputs: int = 1,
        actor_gain: float = 0.01,
        backward_dtype: str = "float32",
        initialisation: str = "orthogonal",
    ) -> None:
        """Draw the weights, with gain ``actor_gain`` of the policy's head (openai/baselines' ppo1 and ppo2: 0.01), 1 of
        the value's."""
        super().__init__(action_space, len(seeds))
        if len(observation_shape) != 3:
            raise ValueError(f"the {network} network is for images: observations are of shape {observation_shape}")
        dtype = torch.bfloat16 if backward_dtype == "bfloat16" else torch.float32
        if dtype == torch.bfloat16 and torch.device(device).type == "cpu" and not computes_bfloat16():
            raise ValueError("backward_dtype = bfloat16 needs AVX512_BF16 or AMX, which this processor lacks")
        self.trunk = ConvTrunk(network, observation_shape, dtype)
        heads = [(self.action_size, self.trunk.units), (critic_outputs, self.trunk.units)]
        draw, rows = INITIALISATIONS[initialisation], []
        for seed in seeds:
            rng = initial_stream(seed)
            parameters = self.trunk.initialise(draw, rng)
            parameters += [*draw.layer(heads[0], actor_gain, rng), *draw.layer(heads[1], 1.0, rng)]
            rows.append([*parameters, torch.zeros(0 if self.discrete else self.action_size)])
        self.sizes = [piece.numel() for piece in rows[0]]
        width = sum(self.sizes)
        self.sizes.append(aligned(width) - width)
        matrix = torch.zeros(len(seeds), aligned(width))
        matrix[:, :width] = torch.stack([torch.cat(row) for row in rows])
        self.parameters = matrix.to(device).requires_grad_()
        self.log_std = self.parameters.detach()[:, width - self.sizes[-2] : width].unsqueeze(1)

    def outputs(self, observations: Tensor, names: tuple[str, ...]) -> tuple[Tensor, ...]:
        return self._outputs(self.parameters, observations, names)

    def outputs_with(self, parameters: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        log_std, outputs = self._outputs(parameters, observations, ("actor",))
        return log_std, outputs

    def _outputs(self, parameters: Tensor, observations: Tensor, names: tuple[str, ...]) -> tuple[Tensor, ...]:
        *pieces, log_std, _ = parameters.split(self.sizes, dim=1)  # type: ignore[no-untyped-call]
        log_std = log_std if self.learns_log_std else log_std.detach()
        heads = {"actor": slice(-4, -2), "critic": slice(-2, None)}
        runs = []
        for run, images in enumerate(observations):
            weights = [piece[run] for piece in pieces]
            features = self.trunk.forward(weights[:-4], images)
            runs.append([_head(features, *weights[heads[name]]) for name in names])
        return (log_std.unsqueeze(1), *map(torch.stack, zip(*runs, strict=True)))


def _head(features: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    return F.linear(features, weights.view(-1, features.shape[-1]), bias)
