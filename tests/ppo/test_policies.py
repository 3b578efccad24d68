"""The hand-written network against torch.nn and autograd."""

import gc
import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from ppo.policies import ActorCritic
from ppo.stacked.mlp import MLP
from tests.helpers.batches import perturbed
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4
from tests.helpers.torch_networks import references

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
SEEDS = [[7], [7, 8, 9]]


def make(space, seeds, inputs=5, noise=0.1, hidden=(64, 64)):
    """A policy whose biases and log-std are not zero, or they would hide errors."""
    policy = ActorCritic((inputs,), space, seeds, hidden=hidden)
    with torch.no_grad():
        policy.parameters.copy_(perturbed(policy.parameters, noise, seed=1))
    return policy


def observations_of(policy, batch=33, seed=3):
    shape = (len(policy.parameters), batch, policy.networks["actor"].sizes[0])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def head(distribution):
    return distribution.logits if hasattr(distribution, "logits") else distribution.mean


@pytest.mark.parametrize("seeds", SEEDS, ids=len)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_outputs_are_those_of_torch_nn_with_and_without_gradients(space, seeds):
    policy = make(space, seeds)
    observations = observations_of(policy)
    distribution, values = policy(observations)
    with torch.no_grad():
        quiet_distribution, quiet_values = policy(observations)
    for run, reference in enumerate(references(policy)):
        inputs = observations[run].double()
        for outputs, value in ((head(distribution), values), (head(quiet_distribution), quiet_values)):
            torch.testing.assert_close(outputs[run].double(), reference.actor(inputs), rtol=1e-5, atol=2e-6)
            torch.testing.assert_close(value[run].double(), reference.critic(inputs)[:, 0], rtol=1e-5, atol=2e-6)
        if not policy.discrete:
            torch.testing.assert_close(distribution.log_std[run, 0].double(), reference.log_std)
    torch.testing.assert_close(head(policy.distribution(observations)), head(distribution), rtol=0, atol=0)
    torch.testing.assert_close(policy.values(observations), values, rtol=0, atol=0)


@pytest.mark.parametrize("part", ["both", "distribution", "values"])
@pytest.mark.parametrize("seeds", SEEDS, ids=len)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_gradients_are_autograds(space, seeds, part):
    policy = make(space, seeds)
    observations = observations_of(policy)
    rng = torch.Generator().manual_seed(4)
    weights = torch.randn((*observations.shape[:2], policy.action_size), generator=rng)
    value_weights = torch.randn(observations.shape[:2], generator=rng)

    loss: Any = 0.0
    if part == "both":
        distribution, values = policy(observations)
    elif part == "distribution":
        distribution = policy.distribution(observations)
    else:
        values = policy.values(observations)
    if part != "values":
        loss = loss + (head(distribution).sin() * weights).sum()
        if not policy.discrete:
            loss = loss + (distribution.log_std.exp() * torch.arange(1.0, policy.action_size + 1)).sum()
    if part != "distribution":
        loss = loss + (values.sin() * value_weights).sum()
    (gradient,) = torch.autograd.grad(loss, policy.parameters)

    for run, reference in enumerate(references(policy)):
        inputs = observations[run].double()
        loss = 0.0
        if part != "values":
            loss = loss + (reference.actor(inputs).sin() * weights[run]).sum()
            if not policy.discrete:
                loss = loss + (reference.log_std.exp() * torch.arange(1.0, policy.action_size + 1)).sum()
        if part != "distribution":
            loss = loss + (reference.critic(inputs)[:, 0].sin() * value_weights[run]).sum()
        loss.backward()
        expected = reference.gradient()
        torch.testing.assert_close(gradient[run].double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("hidden", [(), (20,), (17, 9, 33)], ids=str)
def test_gradients_are_autograds_for_other_depths_and_widths(hidden):
    policy = make(CONTINUOUS_3, [1, 2], hidden=hidden, noise=0.3)
    observations = observations_of(policy, batch=12)
    distribution, values = policy(observations)
    (gradient,) = torch.autograd.grad(distribution.mean.exp().sum() + values.exp().sum(), policy.parameters)
    for run, reference in enumerate(references(policy)):
        inputs = observations[run].double()
        (reference.actor(inputs).exp().sum() + reference.critic(inputs).exp().sum()).backward()
        expected = reference.gradient()
        torch.testing.assert_close(gradient[run].double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("sizes", [(5, 64, 64, 1), (5, 64, 64, 3), (3, 20, 17), (4, 2)], ids=str)
def test_jvp_is_the_derivative_of_forward(sizes):
    """In float64, where only a wrong formula can miss by 1e-9. TRPO's Fisher products are made of it."""
    rng = torch.Generator().manual_seed(0)
    network = MLP(sizes, offset=2)
    parameters, tangent = 0.3 * torch.randn((2, 2, network.size + 5), generator=rng, dtype=torch.float64)
    inputs = torch.randn((2, 11, sizes[0]), generator=rng, dtype=torch.float64)

    def forward(matrix):
        hidden = inputs
        for index, (weights, bias) in enumerate(network.layers(matrix)):
            hidden = torch.einsum("rbi,rio->rbo", hidden, weights) + bias
            hidden = hidden if index == len(sizes) - 2 else hidden.tanh()
        return hidden

    layers = network.layers(parameters)
    activations = network.forward(layers, inputs)
    outputs, change = torch.func.jvp(forward, (parameters,), (tangent,))  # type: ignore[misc]  # no has_aux: two
    torch.testing.assert_close(activations[-1], outputs, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(network.jvp(layers, activations, tangent), change, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("seeds", SEEDS, ids=len)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_acting_in_numpy_is_sampling_in_torch(space, seeds):
    policy = make(space, seeds, noise=0.3)
    observations = observations_of(policy, batch=40)
    noise = policy.draw_noise(seeds, 5, 1, 40)[0]
    actions = policy.act(observations.numpy(), noise)
    expected = policy.distribution(observations).sample(torch.from_numpy(noise)).detach().numpy()
    assert actions.shape == expected.shape == (len(seeds), 40, *space.shape)
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=5e-6)
    assert len(np.unique(actions)) >= 3, "the comparison would be empty if all actions were one"


def test_acting_follows_the_parameters_as_they_change():
    """The numpy layers are views: a copy would act with the first policy for ever."""
    policy = make(CONTINUOUS_3, [1, 2])
    observations = observations_of(policy)
    with torch.no_grad():
        policy.parameters.copy_(perturbed(policy.parameters, 0.5, seed=9))
    noise = policy.draw_noise([1, 2], 0, 1, observations.shape[1])[0]
    expected = policy.distribution(observations).sample(torch.from_numpy(noise)).detach().numpy()
    np.testing.assert_allclose(policy.act(observations.numpy(), noise), expected, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("inputs", [3, 70])
def test_initial_weights_are_orthogonal(space, inputs):
    """Initial weights are orthogonal with the stated gains; biases and log-std are 0."""
    policy = ActorCritic((inputs,), space, [1, 2])
    for name, gains in (("actor", [math.sqrt(2), math.sqrt(2), 0.01]), ("critic", [math.sqrt(2), math.sqrt(2), 1.0])):
        for (weights, bias), gain in zip(policy.layers[name], gains, strict=True):
            assert (bias == 0).all()
            for matrix in weights.double():
                product = matrix.T @ matrix if len(matrix) >= matrix.shape[1] else matrix @ matrix.T
                expected = gain**2 * torch.eye(len(product), dtype=torch.float64)
                torch.testing.assert_close(product, expected, rtol=0, atol=1e-5 * gain**2)
    assert policy.log_std.numel() == (0 if policy.discrete else 2 * policy.action_size)
    assert (policy.log_std == 0).all()


def test_first_weights_depend_on_the_seed_alone():
    """A run begins with the same weights in any stack, and with others for another seed."""
    stack = ActorCritic((4,), CONTINUOUS_3, [5, 6, 7]).parameters
    for row, seed in zip(stack, [5, 6, 7], strict=True):
        assert torch.equal(ActorCritic((4,), CONTINUOUS_3, [seed]).parameters[0], row)
    assert not torch.equal(stack[0], stack[1])
    assert not torch.equal(stack[1], stack[2])


def test_action_noise_is_a_runs_own_and_new_in_every_iteration():
    policy = ActorCritic((4,), CONTINUOUS_3, [5, 6])
    noise = policy.draw_noise([5, 6], 3, 10, 2)
    assert noise.shape == (10, 2, 2, 3)
    np.testing.assert_array_equal(policy.draw_noise([6], 3, 10, 2)[:, 0], noise[:, 1])
    assert len(np.unique(noise)) == noise.size
    assert not np.isin(policy.draw_noise([5, 6], 4, 10, 2), noise).any()


def test_evaluating_leaves_nothing_behind():
    """Outputs that the autograd node kept would hold the node, and each other, until the garbage collector comes."""
    policy = make(CONTINUOUS_3, [1, 2])
    observations = observations_of(policy)
    gc.collect()
    gc.disable()
    try:
        distribution, values = policy(observations)
        (values.sum() + distribution.mean.sum()).backward()
        alive = [weakref.ref(tensor) for tensor in (distribution.mean, distribution.log_std, values)]
        del distribution, values
        assert [reference() for reference in alive] == [None] * len(alive)

        distribution, values = policy(observations)  # and one that nobody differentiates
        alive = [weakref.ref(tensor) for tensor in (distribution.mean, values)]
        del distribution, values
        assert [reference() for reference in alive] == [None] * len(alive)
    finally:
        gc.enable()


def test_memory_does_not_grow_over_evaluations():
    policy = make(CONTINUOUS_1, [1])
    observations = observations_of(policy, batch=4000)  # each evaluation holds 4 MB of activations

    def evaluate(times):
        for _ in range(times):
            distribution, values = policy(observations)
            torch.autograd.grad((values * distribution.mean[..., 0]).sum(), policy.parameters)
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    try:
        before = evaluate(20)
    except FileNotFoundError:
        pytest.skip("/proc tells the memory in use on Linux alone")
    gc.disable()
    try:
        assert evaluate(200) - before < 100e6
    finally:
        gc.enable()


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_distribution_of_given_parameters(space):
    """The distribution of given parameters is that of a policy that has them."""
    policy = make(space, [7, 8, 9])
    observations = observations_of(policy)
    own = policy.parameters.detach().clone()
    given = perturbed(own, 0.3, seed=9)
    of_own, of_given = (policy.distribution(observations, parameters) for parameters in (own, given))
    with torch.no_grad():
        quiet = policy.distribution(observations)
    assert torch.equal(of_own.statistics(), quiet.statistics()), "its own: to the bit"
    assert (head(of_given) - head(of_own)).abs().max() > 0.1
    assert not head(of_given).requires_grad
    assert not head(policy.distribution(observations, policy.parameters)).requires_grad
    assert torch.equal(policy.parameters, own), "the policy stays as it is"

    other = make(space, [7, 8, 9])
    with torch.no_grad():
        other.parameters.copy_(given)
    for run, reference in enumerate(references(other)):
        outputs = reference.actor(observations[run].double())
        torch.testing.assert_close(head(of_given)[run].double(), outputs, rtol=1e-5, atol=2e-6)
        if not policy.discrete:
            torch.testing.assert_close(of_given.log_std[run, 0].double(), reference.log_std)
