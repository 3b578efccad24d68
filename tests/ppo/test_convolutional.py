"""The convolutional actor-critic against PyTorch's own modules; its initialisation; a run beside others."""

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from ppo.policies import ActorCritic, ConvActorCritic, make_policy
from ppo.ppo import PPOSettings

SPACES = {"discrete": gymnasium.spaces.Discrete(6), "continuous": gymnasium.spaces.Box(-1, 1, (3,))}
IMAGE = (84, 84, 4)
OUTPUTS = {"discrete": 6, "continuous": 3}
ARCHITECTURES = {  # filters, kernel, stride; units [Mnih et al. 2015, 2016]
    "nature": ([(32, 8, 4), (64, 4, 2), (64, 3, 1)], 512),
    "a3c": ([(16, 8, 4), (32, 4, 2)], 256),
}
PARAMETERS = {"nature": 1_684_128 + 513 * 6 + 513, "a3c": 4_112 + 8_224 + (32 * 81 + 1) * 256 + 257 * 6 + 257}


def conv_policy(network="nature", space="discrete", seeds=(1, 2), image=IMAGE, critic_outputs=1, **more):
    return make_policy(network, image, SPACES[space], seeds, critic_outputs=critic_outputs, **more)


def images(runs, batch, seed=0, image=IMAGE):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (runs, batch, *image), dtype=np.uint8))


def reference(policy, network, run, outputs, critic_outputs=1):
    """PyTorch's modules, channels first as everyone writes them, with one run's numbers."""
    convolutions, units = ARCHITECTURES[network]
    layers, channels, side = [], 4, 84
    for filters, kernel, stride in convolutions:
        layers += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU()]
        channels, side = filters, (side - kernel) // stride + 1
    layers += [nn.Flatten(), nn.Linear(channels * side * side, units), nn.ReLU()]
    body, heads = nn.Sequential(*layers), [nn.Linear(units, outputs), nn.Linear(units, critic_outputs)]
    pieces = iter(policy.parameters[run].detach().split(policy.sizes))
    with torch.no_grad():
        for module in [*body, *heads]:
            if isinstance(module, nn.Conv2d):
                out, into, height, width = module.weight.shape
                module.weight.copy_(next(pieces).view(out, height, width, into).permute(0, 3, 1, 2))
            elif isinstance(module, nn.Linear) and module is body[-2]:
                # features of channels-last order to channels-first
                weight = next(pieces).view(units, side, side, channels)
                module.weight.copy_(weight.permute(0, 3, 1, 2).reshape(units, -1))
            elif isinstance(module, nn.Linear):
                module.weight.copy_(next(pieces).view(module.weight.shape))
            else:
                continue
            module.bias.copy_(next(pieces))
    return [body, *heads]


def shaken(policy, scale=0.02):
    """Biases and heads that are no zeros, so that a mix-up shows."""
    noise = torch.randn(policy.parameters.shape, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        policy.parameters.add_(scale * noise)
    return policy


@pytest.mark.parametrize("network", ARCHITECTURES)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("critic_outputs", [1, 6])
def test_outputs_and_gradients_are_those_of_pytorchs_modules(network, space, critic_outputs):
    policy = shaken(conv_policy(network, space, critic_outputs=critic_outputs))
    observations = images(2, 5)
    distribution, values = policy(observations)
    found = distribution.logits if space == "discrete" else distribution.mean
    weights = torch.randn(2, 5, OUTPUTS[space] + critic_outputs, generator=torch.Generator().manual_seed(3))
    joined = torch.cat([found, values.view(2, 5, -1)], -1)
    (gradient,) = torch.autograd.grad((joined * weights).sum(), policy.parameters)
    for run in range(2):
        trunk, actor, critic = reference(policy, network, run, OUTPUTS[space], critic_outputs)
        features = trunk(observations[run].permute(0, 3, 1, 2).float() / 255)
        expected = torch.cat([actor(features), critic(features)], -1)
        torch.testing.assert_close(joined[run], expected, rtol=1e-4, atol=1e-5)
        (expected * weights[run]).sum().backward()
        pieces = gradient[run].split(policy.sizes)
        torch.testing.assert_close(
            pieces[0].view(trunk[0].weight.permute(0, 2, 3, 1).shape),
            trunk[0].weight.grad.permute(0, 2, 3, 1),
            rtol=1e-3,
            atol=1e-4,
        )
        biases = [module.bias.grad for module in [*trunk, actor, critic] if hasattr(module, "bias")]
        for piece, bias in zip(pieces[1::2], biases, strict=False):
            torch.testing.assert_close(piece, bias, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(pieces[-6].view_as(actor.weight), actor.weight.grad, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(pieces[-4].view_as(critic.weight), critic.weight.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("network", ARCHITECTURES)
def test_it_has_as_many_parameters_as_the_papers(network):
    assert sum(conv_policy(network).sizes[:-1]) == PARAMETERS[network]


def test_a_run_alone_gives_the_same_bits():
    stack, observations = conv_policy(seeds=(1, 2, 3)), images(3, 7)
    distribution, values = stack(observations)
    loss = distribution.log_prob(torch.zeros(3, 7, dtype=torch.int64)).sum() + values.square().sum()
    (gradient,) = torch.autograd.grad(loss, stack.parameters)
    for run, seed in enumerate((1, 2, 3)):
        alone = conv_policy(seeds=(seed,))
        assert torch.equal(alone.parameters[0], stack.parameters[run])
        own, own_values = alone(observations[run : run + 1])
        assert torch.equal(own.logits[0], distribution.logits[run])
        own_loss = own.log_prob(torch.zeros(1, 7, dtype=torch.int64)).sum() + own_values.square().sum()
        (own_gradient,) = torch.autograd.grad(own_loss, alone.parameters)
        assert torch.equal(own_gradient[0], gradient[run])


def test_layers_start_orthogonal_with_the_gains_of_ppo2():
    policy = conv_policy()
    assert not torch.equal(policy.parameters[0], policy.parameters[1]), "each seed its own"
    pieces = policy.parameters[0].detach().split(policy.sizes)
    gains = [2**0.5] * 4 + [0.01, 1.0]
    outs = [32, 64, 64, 512, 6, 1]
    for weights, bias, gain, out in zip(pieces[:-2:2], pieces[1:-2:2], gains, outs, strict=True):
        rows = weights.view(out, -1)
        torch.testing.assert_close(rows @ rows.T, gain**2 * torch.eye(out), rtol=1e-4, atol=1e-4 * gain**2)
        assert (bias == 0).all()


@pytest.mark.parametrize("network", ARCHITECTURES)
def test_column_norm_is_the_initialisation_of_ppo1(network):
    """openai/baselines d9f194f: ppo1/cnn_policy.py, with conv2d and normc_initializer of common/tf_util.py."""
    policy = conv_policy(network, initialisation="column-norm")
    assert not torch.equal(policy.parameters[0], policy.parameters[1]), "each seed its own"
    pieces = policy.parameters[0].detach().split(policy.sizes)
    weights, biases = pieces[:-2:2], pieces[1:-2:2]
    assert all((bias == 0).all() for bias in biases)
    convolutions, units = ARCHITECTURES[network]
    channels = 4
    for drawn, (filters, kernel, _) in zip(weights, convolutions, strict=False):
        bound = (6 / (kernel * kernel * (channels + filters))) ** 0.5
        assert 0.99 * bound < drawn.abs().max() <= bound
        assert drawn.std().item() == pytest.approx(bound / 3**0.5, rel=0.02), "uniform"
        channels = filters
    for drawn, out, norm in zip(weights[len(convolutions) :], (units, 6, 1), (1.0, 0.01, 1.0), strict=True):
        torch.testing.assert_close(drawn.view(out, -1).norm(dim=1), torch.full((out,), norm))
        assert (drawn**4).mean() / (drawn**2).mean() ** 2 == pytest.approx(3, abs=0.9), "as of normal numbers"


def test_a_continuous_policy_starts_with_deviation_1_and_learns_it():
    policy = conv_policy(space="continuous")
    distribution = policy.distribution(images(2, 3))
    assert (distribution.log_std == 0).all()
    (gradient,) = torch.autograd.grad(distribution.entropy().sum(), policy.parameters)
    columns = gradient.split(policy.sizes, dim=1)
    assert (columns[-2] == 3).all(), "three states, of each log-std once"
    assert sum(piece.abs().sum() for piece in columns[:-2]) == 0


def test_other_parameters_give_another_distribution_and_no_gradient():
    policy, other, observations = conv_policy(), conv_policy(seeds=(3, 4)), images(2, 3)
    found = policy.distribution(observations, other.parameters)
    assert torch.equal(found.logits, other.distribution(observations).logits.detach())
    assert not found.logits.requires_grad


def test_acting_is_sampling():
    policy, observations = conv_policy(), images(2, 3)
    noise = policy.draw_noise([1, 2], 0, 1, 3)[0]
    actions = policy.act(observations.numpy(), noise)
    assert actions.shape == (2, 3)
    expected = policy.distribution(observations).sample(torch.from_numpy(noise))
    assert np.array_equal(actions, expected.numpy())


def test_numbers_that_are_no_bytes_are_taken_as_they_are():
    policy, observations = conv_policy(), images(2, 3)
    scaled = observations.float() / 255
    torch.testing.assert_close(policy.values(observations), policy.values(scaled), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(policy.values(observations), policy.values(observations.float()), atol=0.01)


@pytest.mark.parametrize(
    ("image", "said"), [((30, 84, 4), "30 x 84 are too small for the nature network"), ((17,), r"shape \(17,\)")]
)
def test_what_it_cannot_see_is_refused(image, said):
    with pytest.raises(ValueError, match=said):
        conv_policy(image=image)


def test_a_network_is_found_by_its_name():
    assert isinstance(conv_policy("a3c"), ConvActorCritic)
    policy = make_policy("32-16", (5,), SPACES["discrete"], [1])
    assert isinstance(policy, ActorCritic)
    assert policy.networks["actor"].sizes == (5, 32, 16, 6)


@pytest.mark.parametrize("network", ["", "64-", "0-64", "resnet"])
def test_a_network_that_is_none_is_refused(network):
    with pytest.raises(ValueError, match="must be units of hidden layers such as 64-64 or linear or nature or a3c"):
        PPOSettings(network=network).check()
