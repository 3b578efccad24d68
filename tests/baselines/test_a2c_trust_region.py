"""The trust region: against a quadratic program, finite differences, autograd, and A2C where it has no say."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from baselines.a2c import A2C, A2CSettings
from baselines.a2c_trust_region import A2CTrustRegion, A2CTrustRegionSettings, projected
from ppo.settings import SettingsError
from tests.helpers.batches import column, made_up_batch, perturbed
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4, ScriptedEnv
from tests.helpers.stacks import clipped_gradients, perturbed_stack
from tests.helpers.torch_networks import references

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
INF, NAN = math.inf, math.nan
SIZE = 20


def nearest(gradient, kl_gradient, delta):
    """argmin |gradient - z|^2 / 2 subject to kl_gradient . z <= delta, for one state, by a solver that is told no more
    than that. (In units of the two vectors' lengths, which makes any of them easy for it.)"""
    length, steepness = np.linalg.norm(gradient), np.linalg.norm(kl_gradient) or 1.0
    goal, normal, limit = gradient / length, kl_gradient / steepness, delta / steepness / length
    solution = minimize(
        lambda z: 0.5 * ((z - goal) ** 2).sum(),
        np.zeros_like(goal),
        jac=lambda z: z - goal,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda z: limit - normal @ z, "jac": lambda z: -normal},
        options={"ftol": 1e-15, "maxiter": 100},
    )
    assert solution.success, solution.message
    return solution.x * length


def nearest_everywhere(gradient, kl_gradient, delta):
    """``nearest`` for tensors ``[batch, n]``."""
    states = zip(gradient.numpy(), kl_gradient.numpy(), strict=True)
    return torch.from_numpy(np.stack([nearest(g, k, delta) for g, k in states]))


def algorithm_of(kind, settings, space, noise=0.3, **common):
    """A stack with weights moved off their special first values; ``settings``: what the runs differ in."""
    settings = [kind.Settings(num_envs=4, **common, **own) for own in settings]
    return perturbed_stack(kind, settings, space, noise=noise)


# --- The projection --------------------------------------------------------------------------------------------------

DELTAS = [1e-3, 0.5, 2.0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_projection_is_the_solution_of_the_quadratic_program(size):
    rng = torch.Generator().manual_seed(size)
    gradient, kl_gradient = torch.randn((2, 3, SIZE, size), generator=rng, dtype=torch.float64)
    kl_gradient[:, 3] = 0.0  # at the average policy no direction is forbidden
    kl_gradient[:, 4] *= 1e-3  # and near it next to none
    kl_gradient[:, 5] *= 1e3
    gradient[:, 6] = 2 * kl_gradient[:, 6]  # straight away
    gradient[:, 7] = -2 * kl_gradient[:, 7]  # straight back
    result = projected(gradient, kl_gradient, column(*DELTAS, dtype=torch.float64))
    slope = (kl_gradient * gradient).sum(-1)
    for run, delta in enumerate(DELTAS):
        expected = nearest_everywhere(gradient[run], kl_gradient[run], delta)
        torch.testing.assert_close(result[run], expected, rtol=1e-5, atol=1e-6)
        within = slope[run] <= delta
        assert 2 < within.sum() < SIZE, "constraints that bind and others that do not"
        assert torch.equal(result[run, within], gradient[run, within])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_projection_meets_the_constraint(size):
    """After the projection the linearised constraint holds, and is tight where it was broken."""
    rng = torch.Generator().manual_seed(size)
    gradient, kl_gradient = 10 * torch.randn((2, 3, 200, size), generator=rng)
    delta = column(*DELTAS)
    before = (kl_gradient * gradient).sum(-1)
    after = (kl_gradient * projected(gradient, kl_gradient, delta)).sum(-1)
    slack = 1e-5 * (kl_gradient.norm(dim=-1) * gradient.norm(dim=-1))
    assert (after <= delta + slack).all()
    assert ((after - delta).abs() <= slack)[before > delta].all()
    assert (before > delta).sum() > 100


def test_no_projection_at_the_average_policy():
    """At the average policy the gradient stays as it is, in float32 too."""
    gradient = torch.randn((2, 3, 4), generator=torch.Generator().manual_seed(0))
    for kl_gradient in (torch.zeros(2, 3, 4), torch.full((2, 3, 4), 1e-30)):
        assert torch.equal(projected(gradient, kl_gradient, torch.tensor([[1.0], [1e-6]])), gradient)


# --- In the algorithm ------------------------------------------------------------------------------------------------

STACK = [
    {"learning_rate": 7e-3, "ent_coef": 0.01, "vf_coef": 0.25, "max_grad_norm": 0.5},
    {"learning_rate": 3e-3, "ent_coef": 0.1, "vf_coef": 0.5, "max_grad_norm": 0.05, "rms_decay": 0.9},
    {"learning_rate": 1e-2, "vf_coef": 1.0, "max_grad_norm": INF, "rms_eps": 0.1},
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_within_a_trust_region_without_bounds_it_is_a2c(space):
    plain = algorithm_of(A2C, STACK, space)
    bounded = algorithm_of(A2CTrustRegion, STACK, space, trust_region_delta=1e30, ema_decay=0.5)
    tight = algorithm_of(A2CTrustRegion, STACK, space, trust_region_delta=1e-3, ema_decay=0.5)
    recorded = [clipped_gradients(algorithm) for algorithm in (plain, bounded, tight)]
    for seed in range(4):
        batch = made_up_batch(plain.policy, SIZE, seed)
        for algorithm in (plain, bounded, tight):
            metrics = algorithm.update(batch)
            assert set(metrics) == {
                *("losses/policy_loss", "losses/value_loss", "losses/entropy", "losses/grad_norm"),
                "charts/learning_rate",
            }
        own, same, other = (gradients[-1] for gradients in recorded)
        torch.testing.assert_close(same, own, rtol=1e-3, atol=1e-5 * own.abs().max().item())
        torch.testing.assert_close(bounded.policy.parameters, plain.policy.parameters, rtol=1e-4, atol=1e-5)
    assert (other - own).abs().max() > 1e-2 * own.abs().max(), "with bounds it is another"


def phi_of(outputs, log_std):
    """The statistics of section 3.3: probabilities, or here the means and the logarithms of the deviations."""
    return outputs.softmax(-1) if log_std is None else torch.cat([outputs, log_std.expand_as(outputs)], dim=-1)


class Probabilities:
    """f(.|phi) whose phi are an action's probabilities as they are, each free to change without the others: so ACER
    takes its derivatives, and no division by their sum has a part in them."""

    def __init__(self, probs):
        self.probs = probs

    def log_prob(self, actions):
        return self.probs[torch.nn.functional.one_hot(actions, self.probs.shape[-1]).bool()].log()

    def entropy(self):
        return -torch.special.xlogy(self.probs, self.probs).sum(-1)


def f_of(phi, discrete):
    """The distribution f(.|phi), in float64."""
    if discrete:
        return Probabilities(phi)
    mean, log_std = phi.chunk(2, dim=-1)
    return torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)


def kl_of(old, new):
    if isinstance(old, Probabilities):
        return torch.nn.functional.kl_div(new.probs.log(), old.probs, reduction="none").sum(-1)
    return torch.distributions.kl_divergence(old, new)


def run_written_out_alone(network, average, batch, run, own):
    """-L of one run in float64, torch.distributions and a solver; and how many states are held back."""
    observations, actions = batch.observations[run].double(), batch.actions[run]
    discrete = actions.dtype == torch.int64

    def statistics(net):
        return phi_of(net.actor(observations), None if discrete else net.log_std)

    phi = statistics(network)
    leaf = phi.detach().requires_grad_()
    new, old = f_of(leaf, discrete), f_of(statistics(average).detach(), discrete)
    log_prob = new.log_prob(actions if discrete else actions.double())
    gain = log_prob * batch.advantages[run].double() + own.ent_coef * new.entropy()
    (g,) = torch.autograd.grad(gain.sum(), leaf, retain_graph=True)
    (k,) = torch.autograd.grad(kl_of(old, new).sum(), leaf)
    z = nearest_everywhere(g, k, own.trust_region_delta)
    values = network.critic(observations)[:, 0]
    error = ((values - batch.returns[run].double()) ** 2).mean()
    held = ((k * g).sum(-1) > own.trust_region_delta).sum().item()
    return -(phi * z).sum() / len(phi) + own.vf_coef * error, held


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_gradient_is_z_through_the_network(space):
    """What reaches the parameters is z, pushed back through the network.

    Each run with its own delta and its own average policy, some way off.
    """
    settings = [
        {"trust_region_delta": 1e-3, "ent_coef": 0.1},
        {"trust_region_delta": 0.3, "ent_coef": 0.01, "vf_coef": 0.5},
        {"trust_region_delta": 1e9, "ent_coef": 0.2, "vf_coef": 1.0},
    ]
    algorithm = algorithm_of(A2CTrustRegion, settings, space, max_grad_norm=INF)
    algorithm.average.copy_(perturbed(algorithm.policy.parameters, 0.1, seed=5))
    batch = made_up_batch(algorithm.policy, SIZE, move=0.05)
    networks = references(algorithm.policy)
    averages = references(algorithm.policy, algorithm.average)
    gradients = clipped_gradients(algorithm)
    metrics = algorithm.update(batch)
    held = []
    for run, (network, average) in enumerate(zip(networks, averages, strict=True)):
        loss, count = run_written_out_alone(network, average, batch, run, algorithm.settings[run])
        held.append(count)
        loss.backward()
        expected = network.gradient()
        used = algorithm.policy.critic_columns.stop
        torch.testing.assert_close(
            gradients[0][run, :used].double(),
            expected[:used],
            rtol=1e-3,
            atol=2e-5 * expected.abs().max().item(),
        )
        assert metrics["losses/grad_norm"][run].item() == pytest.approx(expected.norm().item(), rel=1e-3)
    assert 2 < held[0] < SIZE, "some steps are held back"
    assert 0 < held[1] < SIZE
    assert held[2] == 0


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_step_keeps_to_the_average_policy(space, monkeypatch):
    """To first order the step takes no state away from the average policy.

    By finite differences of the KL along the step in the statistics, delta all but 0.
    """
    delta, step = 1e-6, 1e-6
    algorithm = algorithm_of(A2CTrustRegion, [{"trust_region_delta": delta, "ent_coef": 0.1}] * 2, space)
    algorithm.average.copy_(perturbed(algorithm.policy.parameters, 0.1, seed=5))
    batch = made_up_batch(algorithm.policy, SIZE, move=0.05)
    with torch.no_grad():
        phi = algorithm.policy.distribution(batch.observations).statistics().double()
        average = algorithm.policy.distribution(batch.observations, algorithm.average).statistics().double()
    seen = []

    def watching(gradient, *others):
        seen.append((gradient, projected(gradient, *others)))
        return seen[-1][1]

    monkeypatch.setattr("baselines.a2c_trust_region.projected", watching)
    algorithm.update(batch)
    ((gradient, z),) = seen
    discrete = algorithm.policy.discrete

    def rate(direction):
        """At which the KL grows along the direction, its length aside."""
        direction = direction.double() / gradient.double().norm(dim=-1, keepdim=True)
        ahead, behind = (
            kl_of(f_of(average, discrete), f_of(phi + way * step * direction, discrete)) for way in (1, -1)
        )
        return (ahead - behind) / (2 * step)

    towards = rate(gradient) > 0.01
    assert 5 < towards.sum() < towards.numel() - 5, "the gradient leads away from it in some states, not in others"
    assert (rate(z) < 1e-4).all()
    assert (rate(z)[towards] > -1e-4).all(), "and no further back than needed"
    torch.testing.assert_close(z[rate(gradient) < -0.01], gradient[rate(gradient) < -0.01])


@pytest.mark.parametrize("space", [CONTINUOUS_3, DISCRETE_4], ids=str)
def test_average_policy_is_a_moving_average(space):
    """The average policy is the moving average of the parameters after each update."""
    decays = [0.995, 0.5, 0.0]
    algorithm = algorithm_of(A2CTrustRegion, [{"ema_decay": own} for own in decays], space, learning_rate=0.5)
    algorithm.average.copy_(algorithm.policy.parameters.detach())
    visited = [algorithm.policy.parameters.detach().clone().double()]
    for seed in range(4):
        algorithm.update(made_up_batch(algorithm.policy, SIZE, seed))
        visited.append(algorithm.policy.parameters.detach().clone().double())
    assert (visited[4] - visited[0]).abs().amax(dim=1).min() > 0.03
    for run, decay in enumerate(decays):
        weights = [decay**4, *((1 - decay) * decay ** (4 - update) for update in (1, 2, 3, 4))]
        assert sum(weights) == pytest.approx(1)
        expected = sum(weight * parameters[run] for weight, parameters in zip(weights, visited, strict=True))
        torch.testing.assert_close(algorithm.average[run].double(), expected, rtol=1e-5, atol=1e-6)


def test_average_policy_begins_as_a_copy():
    """The average policy begins as the policy itself, and is no view of it."""
    algorithm = A2CTrustRegion(ScriptedEnv([7] * 8), [A2CTrustRegionSettings(num_envs=4)] * 2, [1, 2], 1000)
    first = algorithm.policy.parameters.detach().clone()
    assert torch.equal(algorithm.average, first)
    with torch.no_grad():
        algorithm.policy.parameters.add_(1.0)
    assert torch.equal(algorithm.average, first)


def test_the_first_update_is_a2cs_own_whatever_delta_is():
    """The policy is its own average then, and the KL grows in no direction."""
    settings = [{"learning_rate": 1e-2, "ent_coef": 0.05}] * 2
    plain = algorithm_of(A2C, settings, DISCRETE_4)
    bounded = algorithm_of(A2CTrustRegion, settings, DISCRETE_4, trust_region_delta=1e-3)
    bounded.average.copy_(bounded.policy.parameters.detach())
    batch = made_up_batch(plain.policy, SIZE)
    plain.update(batch)
    bounded.update(batch)
    torch.testing.assert_close(bounded.policy.parameters, plain.policy.parameters, rtol=1e-4, atol=1e-5)


REFUSED = [
    *(("trust_region_delta", value) for value in (0.0, -1.0, NAN)),
    *(("ema_decay", value) for value in (-0.1, 1.0, NAN)),
    ("rms_decay", 1.0),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}"):
        dataclasses.replace(A2CTrustRegionSettings(), **{name: value}).check()


def test_its_settings_are_a2cs_and_two_more():
    names = {field.name for field in dataclasses.fields(A2CTrustRegionSettings)}
    assert names - {field.name for field in dataclasses.fields(A2CSettings)} == {"trust_region_delta", "ema_decay"}
