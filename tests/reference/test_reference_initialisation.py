"""The initial weights, which the other references take from the project."""

import math

import pytest
import torch

from experiments.run import Run
from experiments.training.build import build
from ppo.ppo import PPOSettings
from tests.helpers.torch_networks import references


def first_networks(**settings):
    """Return the initial networks of three seeds in HalfCheetah: 17 observations, 6 actions."""
    runs = [Run("HalfCheetah-v4", "ppo", "", seed, 4096, PPOSettings(**settings)) for seed in (1, 2, 3)]
    return references(build(runs).policy)


def layers_with_gains(run, hidden):
    """Yield weights ``[out, in]``, bias and expected gain of every layer."""
    for network, head in ((run.actor, 0.01), (run.critic, 1.0)):
        layers = [module for module in network if isinstance(module, torch.nn.Linear)]
        for layer, gain in zip(layers, [hidden, hidden, head], strict=True):
            yield layer.weight.detach(), layer.bias.detach(), gain


@pytest.mark.parametrize("network", ["64-64", "32-32"])
def test_column_norm_initialisation(network):
    """Column norm gives every unit incoming weights of norm 1, and the policy's head a hundredth."""
    for run in first_networks(initialisation="column-norm", network=network):
        assert not run.log_std.any()
        for weights, bias, gain in layers_with_gains(run, hidden=1.0):
            units, inputs = weights.shape
            torch.testing.assert_close(weights.norm(dim=1), torch.full((units,), gain).double(), rtol=1e-5, atol=0)
            assert not bias.any()
            scaled = weights / gain * math.sqrt(inputs)  # nearly standard normal
            assert abs(scaled.mean()) < 5 / math.sqrt(weights.numel())
            if weights.numel() > 500:
                assert scaled.pow(4).mean() == pytest.approx(3, abs=0.6), "the tails of a normal distribution"


def test_orthogonal_initialisation():
    """Orthogonal is orthogonal with gain sqrt(2), and the policy's head a hundredth."""
    for run in first_networks(initialisation="orthogonal"):
        assert not run.log_std.any()
        for weights, bias, gain in layers_with_gains(run, hidden=math.sqrt(2)):
            small = weights if weights.shape[0] <= weights.shape[1] else weights.T
            torch.testing.assert_close(
                small @ small.T, gain**2 * torch.eye(len(small)).double(), rtol=0, atol=1e-5 * gain**2
            )
            assert not bias.any()


@pytest.mark.parametrize("initialisation", ["column-norm", "orthogonal"])
def test_seeds_and_networks_differ(initialisation):
    runs = first_networks(initialisation=initialisation)
    firsts = [network[0].weight for run in runs for network in (run.actor, run.critic)]
    assert not any(torch.equal(one, other) for i, one in enumerate(firsts) for other in firsts[:i])
