"""Vanilla policy gradient and its value function: against autograd, torch.optim.Adam and the rule by hand."""

import dataclasses
import math

import pytest
import torch

from baselines.critic import Critic
from baselines.vpg import VPG, VPGSettings
from ppo.settings import SettingsError
from tests.helpers.batches import made_up_batch
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4
from tests.helpers.stacks import perturbed_stack
from tests.helpers.torch_networks import references

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
INF, NAN = math.inf, math.nan
SIZE = 100


def vpg_of(settings, space=CONTINUOUS_3, **more):
    return perturbed_stack(VPG, settings, space, **more)


def raw_batch(policy, seed=0, move=0.03):
    """Advantages that are not standardised yet: of another size and another mean in every run."""
    batch = made_up_batch(policy, SIZE, seed, move)
    scale = torch.arange(1.0, len(batch.advantages) + 1).unsqueeze(1)
    return dataclasses.replace(batch, advantages=7 * scale * batch.advantages + 3 * scale)


def pi_of(network, observations, discrete):
    """The reference network's policy, torch's own and in float64."""
    outputs = network.actor(observations.double())
    if discrete:
        return torch.distributions.Categorical(logits=outputs)
    normal = torch.distributions.Normal(outputs, network.log_std.exp().expand_as(outputs))
    return torch.distributions.Independent(normal, 1)


def old_pi_of(batch, run):
    old = batch.distribution
    if hasattr(old, "logits"):
        return torch.distributions.Categorical(logits=old.logits[run].double())
    normal = torch.distributions.Normal(
        old.mean[run].double(), old.log_std[run].double().exp().expand_as(old.mean[run])
    )
    return torch.distributions.Independent(normal, 1)


def written_out_loss(network, batch, run):
    """-mean(log pi x standardised advantages) of one run."""
    actions, advantages = batch.actions[run], batch.advantages[run].double()
    discrete = actions.dtype == torch.int64
    pi = pi_of(network, batch.observations[run], discrete)
    weights = (advantages - advantages.mean()) / advantages.std(correction=0)
    return -(pi.log_prob(actions if discrete else actions.double()) * weights).mean()


def actor_parameters(network):
    return [*network.actor.parameters(), *([network.log_std] if len(network.log_std) else [])]


def weights_of(network):
    """The reference's weights, laid out as its row is."""
    for parameter in (*network.actor.parameters(), network.log_std, *network.critic.parameters()):
        parameter.grad = parameter.detach().clone()
    return network.gradient()


def watch_gradients(optimizer):
    """What it makes its steps of from now on."""
    gradients, change = [], optimizer.change
    optimizer.change = lambda gradient, where: gradients.append(gradient.clone()) or change(gradient, where)
    return gradients


# --- The policy's step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_gradient_and_loss_are_those_of_a_run_written_out_alone(space):
    vpg = vpg_of([VPGSettings(vf_epochs=0)] * 3, space)
    batch = raw_batch(vpg.policy)
    networks = references(vpg.policy)
    columns = vpg.policy.actor_columns
    gradients = watch_gradients(vpg.optimizer)
    metrics = vpg.update(batch)
    assert len(gradients) == 1, "a single step on the whole batch"
    for run, network in enumerate(networks):
        loss = written_out_loss(network, batch, run)
        loss.backward()
        expected = network.gradient()
        assert (expected[columns.stop :] == 0).all()
        expected = expected[columns]
        gradient = gradients[0][run].double()
        atol = 1e-5 * expected.abs().max().item()
        torch.testing.assert_close(gradient[: len(expected)], expected, rtol=1e-3, atol=atol)
        assert (gradient[len(expected) :] == 0).all()
        torch.testing.assert_close(metrics["losses/policy_loss"][run].double(), loss.detach(), rtol=1e-3, atol=1e-5)
        assert metrics["losses/grad_norm"][run].item() == pytest.approx(expected.norm().item(), rel=1e-4)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_updates_are_those_of_torch_adam_whose_rate_follows_the_kl(space):
    """Four in a row, each batch from a policy some way off. The first run's KL is always too large, the second's always
    too small, the third's as desired."""
    rates, desired = [1e-3, 1e-4, 3e-3], [1e-6, 1e3, None]
    probe = vpg_of([VPGSettings(learning_rate=rate, vf_epochs=0) for rate in rates], space)
    kls = []
    for seed in range(4):
        kls.append(probe.update(raw_batch(probe.policy, seed))["losses/approx_kl"][2].item())
        probe.learning_rate = torch.tensor(rates).unsqueeze(1)
    desired[2] = math.sqrt(min(kls) * max(kls))
    assert max(kls) < 1.9 * desired[2], "all within its bounds"

    settings = [
        VPGSettings(learning_rate=rate, desired_kl=kl, vf_epochs=0) for rate, kl in zip(rates, desired, strict=True)
    ]
    vpg = vpg_of(settings, space)
    networks = references(vpg.policy)
    optimizers = [
        torch.optim.Adam(actor_parameters(network), lr=rate, eps=1e-8)
        for network, rate in zip(networks, rates, strict=True)
    ]
    columns = vpg.policy.actor_columns
    critic = vpg.policy.parameters.detach()[:, columns.stop :].clone()
    for update in range(4):
        batch = raw_batch(vpg.policy, seed=update)
        before = vpg.policy.parameters.detach()[:, columns].clone()
        metrics = vpg.update(batch)
        for run, (network, optimizer, factor) in enumerate(zip(networks, optimizers, (1 / 1.5, 1.5, 1.0), strict=True)):
            rate = rates[run] * factor**update  # the first update's is the setting; each KL counts from the next
            assert metrics["charts/learning_rate"][run].item() == pytest.approx(rate, rel=1e-5)
            assert vpg.learning_rate[run].item() == pytest.approx(rate * factor, rel=1e-5)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            earlier = weights_of(network)[columns]
            optimizer.zero_grad()
            written_out_loss(network, batch, run).backward()
            gradient = network.gradient()[columns]
            optimizer.step()
            now = weights_of(network)[columns]

            own = vpg.policy.parameters.detach()[run, columns].double()
            torch.testing.assert_close(own, now, rtol=0, atol=0.02 * rate)
            change, expected = own - before[run].double(), now - earlier
            # Adam's steps divide the gradient by its own size: where it is around 0, so is its accuracy
            firm = gradient.abs() > 0.02 * gradient.abs().max()
            torch.testing.assert_close(change[firm], expected[firm], rtol=2e-3, atol=2e-7)
            assert expected.abs().max() > 0.5 * rate

            with torch.no_grad():
                pi = pi_of(network, batch.observations[run], vpg.policy.discrete)
                kl = torch.distributions.kl_divergence(old_pi_of(batch, run), pi).mean().item()
            assert metrics["losses/approx_kl"][run].item() == pytest.approx(kl, rel=1e-2, abs=1e-7)
            assert metrics["losses/entropy"][run].item() == pytest.approx(pi.entropy().mean().item(), rel=1e-4)
    assert torch.equal(vpg.policy.parameters[:, columns.stop :], critic), "the value function is not its business"


def test_tiny_gradients_take_whole_steps():
    """A component of the gradient far below 1e-5 still takes a whole step.

    Epsilon is 1e-8, Adam's own, and not the 1e-5 of PPO.
    """
    vpg = vpg_of([VPGSettings(vf_epochs=0)])
    gradient = torch.zeros(1, vpg.policy.actor_columns.stop)
    gradient[0, 3] = 1e-6
    before = vpg.policy.parameters[0, 3].item()
    vpg.optimizer.apply(gradient)
    assert vpg.policy.parameters[0, 3].item() - before == pytest.approx(-1e-3 / 1.01, rel=1e-3)


# --- The step size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("multiple", "factor"), [(1 / 2.02, 1 / 1.5), (1 / 1.98, 1.0), (1.98, 1.0), (2.02, 1.5)])
def test_the_kl_that_counts_is_this_updates_after_its_step(multiple, factor):
    """The desired KL set to a multiple of what the update is known to cause; its neighbour, which causes the same, is
    told to be content."""
    batch = raw_batch(vpg_of([VPGSettings()] * 2).policy, move=0.0)
    common = VPGSettings(vf_epochs=0, learning_rate=0.01)
    kl = vpg_of([common] * 2).update(batch)["losses/approx_kl"]
    assert (kl > 1e-4).all()
    own = dataclasses.replace(common, desired_kl=multiple * kl[0].item())
    content = dataclasses.replace(common, desired_kl=kl[1].item())
    vpg = vpg_of([own, content])
    metrics = vpg.update(batch)
    assert metrics["charts/learning_rate"].tolist() == pytest.approx([0.01, 0.01])
    assert vpg.learning_rate.flatten().tolist() == pytest.approx([0.01 * factor, 0.01])


def test_step_size_is_part_of_the_state():
    """The step size changes once an iteration, and is part of the state."""
    settings = [VPGSettings(num_steps=50, desired_kl=kl, vf_minibatch_size=10) for kl in (1e3, 1e-12)]
    vpg, resumed = vpg_of(settings), vpg_of(settings)
    for iteration in range(4):
        _, metrics = vpg.iterate()
        expected = [1e-3 * 1.5**iteration, 1e-3 / 1.5**iteration]
        assert metrics["charts/learning_rate"].tolist() == pytest.approx(expected, rel=1e-5)
        if iteration == 1:
            resumed.load_state(vpg.state())
    resumed.iterate()
    _, again = resumed.iterate()
    assert torch.equal(again["charts/learning_rate"], metrics["charts/learning_rate"])
    assert torch.equal(resumed.policy.parameters, vpg.policy.parameters)


# --- The value function ----------------------------------------------------------------------------------------------


def test_value_function_is_fitted_after_its_use():
    """The policy's step does not depend on how its value function is fitted until the next batch.

    It is fitted after its use. The same seed twice, with two value functions that learn at their own pace.
    """
    slow, fast = (vpg_of([VPGSettings(num_steps=50, vf_learning_rate=rate)] * 2, seeds=[3, 4]) for rate in (1e-4, 3e-2))
    columns = slow.policy.actor_columns
    for vpg in (slow, fast):
        vpg.iterate()
    policies = [vpg.policy.parameters[:, columns] for vpg in (slow, fast)]
    critics = [vpg.policy.parameters[:, vpg.policy.critic_columns] for vpg in (slow, fast)]
    assert torch.equal(*policies)
    assert not torch.equal(*critics)
    for vpg in (slow, fast):
        vpg.iterate()
    assert not torch.equal(*(vpg.policy.parameters[:, columns] for vpg in (slow, fast)))


@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_value_function_takes_torch_adam_steps(epochs):
    """The value function is fitted by torch Adam's steps on the squared error.

    A minibatch that holds the whole batch, so that the order of the samples does not matter. Epsilon is 1e-5.
    """
    rates = [1e-3, 3e-2]
    settings = [VPGSettings(vf_learning_rate=rate, vf_epochs=epochs, vf_minibatch_size=SIZE) for rate in rates]
    vpg = vpg_of(settings)
    critic = Critic(vpg)
    batch = raw_batch(vpg.policy)
    networks = references(vpg.policy)
    before = vpg.policy.parameters.detach().clone()
    errors = critic.fit(batch)
    columns = vpg.policy.critic_columns
    for run, (network, rate) in enumerate(zip(networks, rates, strict=True)):
        observations, returns = batch.observations[run].double(), batch.returns[run].double()
        optimizer = torch.optim.Adam(network.critic.parameters(), lr=rate, eps=1e-5)

        def loss(network=network, observations=observations, returns=returns):
            return ((network.critic(observations)[:, 0] - returns) ** 2).mean()

        for _ in range(epochs):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        assert errors[run].item() == pytest.approx(loss().item(), rel=1e-3), "the error after the last step"
        expected = weights_of(network)[columns]
        own = vpg.policy.parameters.detach()[run, columns].double()
        torch.testing.assert_close(own, expected, rtol=0, atol=0.02 * rate)
        moved, their_move = own - before[run, columns].double(), expected - before[run, columns].double()
        torch.testing.assert_close(moved.norm(), their_move.norm(), rtol=1e-3, atol=0)
        assert (moved.abs().max() > 0.5 * rate) == (epochs > 0)
    assert torch.equal(vpg.policy.parameters[:, : columns.start], before[:, : columns.start]), "the policy stays"


def test_every_epoch_of_the_fit_takes_a_step_on_every_minibatch():
    vpg = vpg_of([VPGSettings(vf_epochs=3, vf_minibatch_size=32)] * 2, engine="torch")
    batch = raw_batch(vpg.policy)
    batch.returns.copy_(torch.arange(100.0).expand(2, SIZE))  # says which sample it is
    seen, loss, steps = [], vpg.critic.loss, watch_gradients(vpg.critic.optimizer)
    vpg.critic.loss = lambda minibatch: seen.append(minibatch.returns) or loss(minibatch)
    vpg.critic.fit(batch)
    assert len(steps) == 12
    assert [values.shape[1] for values in seen] == [32, 32, 32, 4] * 3 + [SIZE]
    for epoch in range(3):
        visited = torch.cat(seen[4 * epoch : 4 * epoch + 4], dim=1)
        assert torch.equal(visited.sort(dim=1).values, batch.returns)


def test_the_value_loss_in_the_metrics_is_the_error_after_the_fit():
    vpg = vpg_of([VPGSettings(vf_epochs=10, vf_learning_rate=1e-2)] * 2)
    batch = raw_batch(vpg.policy)
    before = (batch.values - batch.returns).square().mean(dim=1)
    metrics = vpg.update(batch)
    for run, network in enumerate(references(vpg.policy)):
        values = network.critic(batch.observations[run].double())[:, 0]
        error = (values - batch.returns[run].double()).square().mean()
        assert metrics["losses/value_loss"][run].item() == pytest.approx(error.item(), rel=1e-4)
        assert error < 0.95 * before[run]


REFUSED = [
    *((name, value) for name in ("learning_rate", "vf_learning_rate") for value in (-1e-3, INF, NAN)),
    *(("desired_kl", value) for value in (0.0, -1.0, INF, NAN)),
    ("vf_epochs", -1),
    ("vf_minibatch_size", 0),
    ("gae_lambda", 1.01),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}"):
        dataclasses.replace(VPGSettings(), **{name: value}).check()
