"""The surrogates, the KL rule and the update: by hand, in torch.distributions, and against Stable-Baselines3's PPO."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as SB3PPO

from ppo.advantages import standardised, standardised_by_actor
from ppo.ppo import PPO, PPOSettings, adapted_kl_coef, surrogate, value_loss
from ppo.settings import SettingsError
from tests.helpers import stable_baselines
from tests.helpers.batches import column, made_up_batch
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4
from tests.helpers.stacks import perturbed_stack
from tests.helpers.torch_networks import references

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
INF = math.inf


def ppo_of(settings, space=CONTINUOUS_3, **more):
    return perturbed_stack(PPO, settings, space, **more)


SURROGATE_TABLE = [
    # advantage, ratio, epsilon -> value, slope in the ratio
    (2.0, 1.0, 0.2, 2.0, 2.0),  # at the start
    (2.0, 1.1, 0.2, 2.2, 2.0),  # a good action made likelier, inside the range
    (2.0, 1.5, 0.2, 2.4, 0.0),  # beyond it: no more to gain
    (2.0, 0.5, 0.2, 1.0, 2.0),  # a good action made less likely: the way back is always open
    (-2.0, 0.9, 0.2, -1.8, -2.0),  # a bad action made less likely, inside the range
    (-2.0, 0.5, 0.2, -1.6, 0.0),  # beyond it
    (-2.0, 1.5, 0.2, -3.0, -2.0),  # a bad action made likelier
    (2.0, 1.25, 0.3, 2.5, 2.0),  # inside a wider range
    (2.0, 9.0, INF, 18.0, 2.0),  # equation 6: not clipped at all
    (-2.0, 0.01, INF, -0.02, -2.0),
    (0.0, 3.0, 0.2, 0.0, 0.0),
]


@pytest.mark.parametrize(("advantage", "ratio", "epsilon", "value", "slope"), SURROGATE_TABLE)
def test_surrogate_by_hand(advantage, ratio, epsilon, value, slope):
    ratios = torch.tensor([[ratio]], requires_grad=True)
    result = surrogate(ratios, torch.tensor([[advantage]]), column(epsilon))
    (gradient,) = torch.autograd.grad(result.sum(), ratios)
    assert result.item() == pytest.approx(value, abs=1e-6)
    assert gradient.item() == pytest.approx(slope, abs=1e-6)


def test_each_run_is_clipped_by_its_own_epsilon():
    ratios, advantages = torch.full((3, 4), 1.5), torch.ones(3, 4)
    result = surrogate(ratios, advantages, column(0.1, 0.3, INF))
    torch.testing.assert_close(result, column(1.1, 1.3, 1.5).expand(3, 4))


def test_the_kl_coefficient_follows_the_papers_rule():
    """Section 4: halved below d_targ / 1.5, doubled above d_targ x 1.5, and otherwise, or without a target, kept."""
    target = 0.03
    cases = [
        # beta, d, d_targ -> beta
        (1.0, 0.0199, target, 0.5),
        (1.0, 0.0201, target, 1.0),
        (1.0, 0.03, target, 1.0),
        (1.0, 0.0449, target, 1.0),
        (1.0, 0.0451, target, 2.0),
        (0.25, 5.0, target, 0.5),
        (8.0, 0.0, target, 4.0),
        (3.0, 0.0, 0.0, 3.0),
        (3.0, 5.0, 0.0, 3.0),
        (0.0, 5.0, 0.0, 0.0),
    ]
    beta, kl, targets, expected = (column(*values) for values in zip(*cases, strict=True))
    assert torch.equal(adapted_kl_coef(beta, kl, targets), expected)


def test_the_kl_coefficient_changes_once_a_policy_update():
    """Not after every minibatch: with 40 of them it would run away. And the other runs keep theirs."""
    common = PPOSettings(num_steps=64, minibatch_size=16, clip_coef=INF, norm_obs=False, learning_rate=3e-3)
    settings = [
        dataclasses.replace(common, kl_coef=1.0, kl_target=1e-6),  # always too far
        dataclasses.replace(common, kl_coef=1.0, kl_target=100.0),  # never far enough
        dataclasses.replace(common, kl_coef=1.0),
        common,
    ]
    ppo = ppo_of(settings)
    during, loss = [], ppo.loss

    def recording_loss(*arguments):
        during.append(ppo.kl_coef.flatten().tolist())
        return loss(*arguments)

    ppo.loss = recording_loss
    for iteration in range(3):
        during.clear()
        _, metrics = ppo.iterate()
        factor = 2.0**iteration
        assert len(during) == 40
        assert all(own == [factor, 1 / factor, 1.0, 0.0] for own in during)
        assert metrics["losses/kl_coef"].tolist() == [factor, 1 / factor, 1.0, 0.0]
        assert ppo.kl_coef.flatten().tolist() == [2 * factor, 0.5 / factor, 1.0, 0.0]


STACK = [  # the four surrogates of section 6.1 in one stack, and what else may differ between runs
    {"clip_coef": 0.2},
    {"clip_coef": INF},
    {"clip_coef": INF, "kl_coef": 3.0},
    {"clip_coef": INF, "kl_coef": 1.0, "kl_target": 0.01},
    {"clip_coef": 0.1, "ent_coef": 0.1, "vf_coef": 1.0},
    {"clip_coef": 0.3, "vf_clip_range": 0.2, "vf_coef": 0.7},
]


def reference_loss(network, batch, run, settings):
    """-L of equations 7, 8 and 9 for one run, in float64 and torch.distributions, as one would write it alone."""
    observations = batch.observations[run].double()
    outputs, values = network.actor(observations), network.critic(observations)[:, 0]
    old = batch.distribution
    if hasattr(old, "logits"):
        new: torch.distributions.Distribution = torch.distributions.Categorical(logits=outputs)
        old = torch.distributions.Categorical(logits=old.logits[run].double())
        log_prob, entropy = new.log_prob(batch.actions[run]), new.entropy()
        kl = torch.distributions.kl_divergence(old, new)
    else:
        new = torch.distributions.Normal(outputs, network.log_std.exp().expand_as(outputs))
        old = torch.distributions.Normal(old.mean[run].double(), old.log_std[run].double().exp().expand_as(outputs))
        log_prob, entropy = new.log_prob(batch.actions[run].double()).sum(-1), new.entropy().sum(-1)
        kl = torch.distributions.kl_divergence(old, new).sum(-1)
    advantages, returns, old_values = (
        getattr(batch, name)[run].double() for name in ("advantages", "returns", "values")
    )
    ratio = torch.exp(log_prob - batch.log_probs[run].double())
    epsilon = settings.clip_coef
    clipped = torch.where(ratio > 1 + epsilon, 1 + epsilon, torch.where(ratio < 1 - epsilon, 1 - epsilon, ratio))
    objective = torch.where(
        advantages > 0,
        torch.where(ratio > 1 + epsilon, clipped, ratio) * advantages,
        torch.where(ratio < 1 - epsilon, clipped, ratio) * advantages,
    )
    error = (values - returns) ** 2
    if settings.vf_clip_range < INF:
        near = old_values + (values - old_values).clamp(-settings.vf_clip_range, settings.vf_clip_range)
        error = torch.maximum(error, (near - returns) ** 2)
    total = -objective.mean() + settings.kl_coef * kl.mean() + settings.vf_coef * error.mean()
    return total - settings.ent_coef * entropy.mean(), kl.mean()


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_surrogates_are_those_of_a_run_alone(space):
    """Loss and gradient of every surrogate are those of a run written out alone."""
    settings = [PPOSettings(num_steps=200, minibatch_size=200, norm_adv="none", **own) for own in STACK]
    ppo = ppo_of(settings, space)
    batch = made_up_batch(ppo.policy, 200, move=0.05)
    loss = ppo.loss(batch, ppo.clip_coef)
    (gradient,) = torch.autograd.grad(loss.sum(), ppo.policy.parameters)
    metrics = ppo.measure(batch, ppo.clip_coef)
    for run, network in enumerate(references(ppo.policy)):
        expected, kl = reference_loss(network, batch, run, settings[run])
        expected.backward()
        own = network.gradient()
        torch.testing.assert_close(loss[run].double(), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradient[run].double(), own, rtol=1e-3, atol=1e-5 * own.abs().max().item())
        torch.testing.assert_close(metrics["losses/approx_kl"][run].double(), kl, rtol=1e-3, atol=1e-6)
        assert kl > 1e-4, "a divergence that can be told from 0"


def test_metrics_are_what_they_are_called():
    settings = [PPOSettings(num_steps=200, clip_coef=epsilon) for epsilon in (0.1, 0.3, INF)]
    ppo = ppo_of(settings)
    batch = made_up_batch(ppo.policy, 200, move=0.1)
    with torch.no_grad():
        distribution, values = ppo.policy(batch.observations)
    ratio = (distribution.log_prob(batch.actions) - batch.log_probs).exp()
    metrics = ppo.measure(batch, ppo.clip_coef)
    for run, own in enumerate(settings):
        beyond = (ratio[run] < 1 - own.clip_coef) | (ratio[run] > 1 + own.clip_coef)
        assert metrics["losses/clipfrac"][run].item() == pytest.approx(beyond.double().mean().item(), abs=0.0051)
        error = ((values - batch.returns)[run] ** 2).mean().item()
        assert metrics["losses/value_loss"][run].item() == pytest.approx(error, rel=1e-5)
        entropy = (ppo.policy.log_std[run].double() + 0.5 * math.log(2 * math.pi * math.e)).sum().item()
        assert metrics["losses/entropy"][run].item() == pytest.approx(entropy, rel=1e-5)
        ratios, advantages = ratio[run].double().numpy(), batch.advantages[run].double().numpy()
        clipped = np.clip(ratios, 1 - own.clip_coef, 1 + own.clip_coef)
        objective = np.minimum(ratios * advantages, clipped * advantages).mean()
        assert abs(objective) > 1e-3, "a loss whose sign can be told"
        assert metrics["losses/policy_loss"][run].item() == pytest.approx(-objective, rel=1e-4)
    assert metrics["losses/clipfrac"][0] > metrics["losses/clipfrac"][1] > metrics["losses/clipfrac"][2] == 0


def test_explained_variance_by_hand():
    """1 - Var[returns - values] / Var[returns]: values that are the returns but for a constant, half of them, the same
    everywhere, and their opposite."""
    ppo = ppo_of([PPOSettings(num_steps=64)] * 4)
    returns = torch.tensor([3.0, -1.0, 4.0, 2.0]).expand(4, 4)
    values = torch.stack([returns[0] + 7, returns[0] / 2, torch.full((4,), 5.0), -returns[0]])
    batch = dataclasses.replace(made_up_batch(ppo.policy, 4), values=values, returns=returns)
    ppo.prepare = lambda experience: batch
    ppo.update = lambda batch: {}
    _, metrics = ppo.iterate()
    assert metrics["losses/explained_variance"].tolist() == pytest.approx([1.0, 0.75, 0.0, -3.0])


def beyond_the_values(policy, batch):
    """Returns further on than the new value has moved from the old. There the pessimistic value loss (ours, and openai/
    baselines') is the clipped one, which is all that SB3 knows."""
    with torch.no_grad():
        values = policy.values(batch.observations)
    further = torch.rand(values.shape, generator=torch.Generator().manual_seed(3))
    return dataclasses.replace(batch, returns=values + (values - batch.values).sign() * further)


SB3_CASES = {
    "plain": [{"clip_coef": 0.2, "max_grad_norm": 100.0}, {"clip_coef": 0.1, "vf_coef": 0.5, "max_grad_norm": 100.0}],
    "clipped gradient": [{"clip_coef": 0.2, "max_grad_norm": 0.05}, {"clip_coef": 0.3, "max_grad_norm": 0.2}],
    "entropy": [{"ent_coef": 0.05, "max_grad_norm": 100.0}, {"ent_coef": 0.01, "learning_rate": 3e-2}],
    "value clipping": [{"vf_clip_range": 0.1, "max_grad_norm": 100.0}, {"vf_clip_range": 0.3, "vf_coef": 0.5}],
}


@pytest.mark.parametrize("case", SB3_CASES)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_gradients_and_next_weights_are_those_of_stable_baselines3(space, case):
    """Its own ``train()`` on the same weights and the same batch, one instance for each run of our stack."""
    size = 256
    settings = [
        PPOSettings(num_steps=size, minibatch_size=size, update_epochs=1, norm_adv="none", **own)
        for own in SB3_CASES[case]
    ]
    ppo = ppo_of(settings, space)
    batch = made_up_batch(ppo.policy, size, move=0.05)
    if case == "value clipping":
        batch = beyond_the_values(ppo.policy, batch)
    before, used = ppo.policy.parameters.detach().clone(), ppo.policy.critic_columns.stop  # the rest is padding
    (gradient,) = torch.autograd.grad(ppo.loss(batch, ppo.clip_coef).sum(), ppo.policy.parameters)
    ppo.update(batch)
    for run, own in enumerate(settings):
        reference = references(ppo.policy, before)[run]
        twin = stable_baselines.twin(
            SB3PPO,
            space,
            reference,
            n_steps=size,
            batch_size=size,
            n_epochs=1,
            learning_rate=own.learning_rate,
            clip_range=own.clip_coef,
            clip_range_vf=own.vf_clip_range if own.vf_clip_range < INF else None,
            normalize_advantage=False,
            ent_coef=own.ent_coef,
            vf_coef=own.vf_coef,
            max_grad_norm=own.max_grad_norm,
            optimizer={"optimizer_kwargs": {"eps": own.adam_eps}},
        )
        stable_baselines.fill(twin, batch, run)
        twin.train()
        norm = gradient[run].norm()
        clipped = gradient[run] * min(1.0, own.max_grad_norm / (norm.item() + 1e-6))
        theirs = stable_baselines.as_row(reference, twin.policy, lambda parameter: parameter.grad)[:used]
        torch.testing.assert_close(clipped[:used], theirs, rtol=1e-3, atol=1e-5 * theirs.abs().max().item())
        if case == "clipped gradient":
            assert norm > own.max_grad_norm
        # Adam's first step divides the gradient by its own size, so where it is around epsilon an error in its last
        # digits is one in the step's first; elsewhere float32's accuracy remains
        after = stable_baselines.as_row(reference, twin.policy, lambda parameter: parameter)[:used]
        change, their_change = (ppo.policy.parameters.detach() - before)[run, :used], after - before[run, :used]
        firm = theirs.abs() > 1e-3 * theirs.abs().max()
        torch.testing.assert_close(change[firm], their_change[firm], rtol=1e-2, atol=1e-7)
        torch.testing.assert_close(change, their_change, rtol=0, atol=0.02 * own.learning_rate)
        assert their_change.abs().max() > 0.5 * own.learning_rate


def test_mixed_stack_clips_values_where_asked():
    """A stack with and without value clipping clips where it is asked to.

    The same run with vf_clip_range = inf has the same loss to the bit whether its neighbours clip or not.
    """
    plain = PPOSettings(num_steps=64)
    clipping = dataclasses.replace(plain, vf_clip_range=0.05)
    mixed, alone = ppo_of([plain, clipping]), ppo_of([plain, plain])
    batch = made_up_batch(mixed.policy, 64, move=0.1)
    results = []
    for ppo in (mixed, alone):
        loss = ppo.loss(batch, ppo.clip_coef)
        (gradient,) = torch.autograd.grad(loss.sum(), ppo.policy.parameters)
        results.append((loss.detach(), gradient))
    assert torch.equal(results[0][0][0], results[1][0][0])
    assert torch.equal(results[0][1][0], results[1][1][0])
    assert not torch.equal(results[0][0][1], results[1][0][1])


def beside_and_without_penalised_runs():
    """Loss and gradient of a run without penalty, infinitely far from its old policy, in two stacks."""
    free, penalised = PPOSettings(num_steps=64, clip_coef=INF), PPOSettings(num_steps=64, clip_coef=INF, kl_coef=1.0)
    results = []
    for settings in ([free, penalised], [free, free]):
        ppo = ppo_of(settings)
        batch = made_up_batch(ppo.policy, 64)
        distribution: Any = batch.distribution
        distribution.mean[0] = 1e30
        loss = ppo.loss(batch, ppo.clip_coef)
        (gradient,) = torch.autograd.grad(loss.sum(), ppo.policy.parameters)
        results.append((loss[0].item(), gradient[0]))
    with torch.no_grad():
        assert torch.isinf(batch.distribution.kl(ppo.policy.distribution(batch.observations))[0]).all()
    return results


def test_a_run_without_penalty_does_not_mind_an_infinite_divergence():
    """Beside penalised runs its KL is computed too, and 0 x inf would be NaN."""
    (beside, _), (without, _) = beside_and_without_penalised_runs()
    assert math.isfinite(beside)
    assert beside == without


def test_nor_does_its_gradient():
    (_, beside), (_, without) = beside_and_without_penalised_runs()
    assert torch.isfinite(without).all()
    assert torch.equal(beside, without)


def test_value_loss_by_hand():
    ppo = ppo_of([PPOSettings()])
    batch = made_up_batch(ppo.policy, 4)
    batch = dataclasses.replace(batch, values=torch.zeros(1, 4), returns=torch.tensor([[1.0, 1.0, -1.0, 0.3]]))
    values = torch.tensor([[0.8, 0.1, 0.5, 0.3]])
    assert value_loss(values, batch, None).item() == pytest.approx((0.04 + 0.81 + 2.25 + 0.0) / 4)
    # the first may count as 0.2 at most, the third is worse unclipped, the fourth would be right but may not go there
    assert value_loss(values, batch, column(0.2)).item() == pytest.approx((0.64 + 0.81 + 2.25 + 0.01) / 4)


def test_standardised_advantages_are_numpys():
    advantages = torch.randn((3, 50), generator=torch.Generator().manual_seed(0)) * column(1, 100, 0.01) + 5
    array = advantages.double().numpy()
    expected = (array - array.mean(1, keepdims=True)) / (array.std(1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(standardised(advantages), expected, rtol=1e-3, atol=1e-3)
    assert (standardised(torch.full((2, 5), 3.0)) == 0).all(), "advantages that are all one say nothing"
    assert (standardised(torch.ones(2, 1)) == 0).all()


@pytest.mark.parametrize("norm_adv", ["minibatch", "batch", "none"])
def test_advantages_are_standardised_over_what_the_setting_says(norm_adv, monkeypatch):
    seen = []

    def recording(ratio, advantages, clip_coef):
        seen.append(advantages.detach().clone())
        return surrogate(ratio, advantages, clip_coef)

    monkeypatch.setattr("ppo.ppo.surrogate", recording)
    ppo = ppo_of([PPOSettings(num_steps=40, minibatch_size=10, update_epochs=1, norm_adv=norm_adv)], engine="torch")
    batch = made_up_batch(ppo.policy, 40)
    batch.advantages.copy_(torch.randn((1, 40), generator=torch.Generator().manual_seed(0)) * 3 + 10)
    raw = np.sort(batch.advantages[0].numpy())
    ppo.update(batch)
    minibatches = torch.stack(seen[:4])[:, 0].numpy()
    whole = np.sort(minibatches.ravel())
    if norm_adv == "none":
        np.testing.assert_array_equal(whole, raw)
    elif norm_adv == "batch":
        np.testing.assert_allclose(whole, (raw - raw.mean()) / raw.std(), rtol=1e-4, atol=1e-4)
        assert np.abs(minibatches.mean(1)).max() > 0.05
    else:
        np.testing.assert_allclose(minibatches.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(minibatches.std(1), 1, rtol=1e-4)


def test_each_actors_advantages_are_standardised_alone():
    """As each process of openai/baselines' ppo1 did with its own steps: here three environments, two steps."""
    by_step = torch.tensor([[[1.0, 10.0, -4.0], [3.0, 10.0, -8.0]], [[5.0, 0.0, 2.0], [1.0, 4.0, 4.0]]])
    expected = torch.tensor([[[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]], [[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]]])
    torch.testing.assert_close(standardised_by_actor(by_step.view(2, 6), 3), expected.view(2, 6))


def test_minibatches_have_equally_many_samples_of_each_actor_in_an_order_of_its_own():
    settings = PPOSettings(num_envs=3, num_steps=20, minibatch_size=12, minibatch_per_actor=True)
    ppo = ppo_of([settings, settings], total_timesteps=9_000)
    orders = ppo.orders(made_up_batch(ppo.policy, 60), 2)
    assert (np.sort(orders, axis=2) == np.arange(60)).all(), "every sample once"
    for minibatch in (orders % 3).reshape(-1, 12):
        assert (np.bincount(minibatch) == 4).all()
    steps = orders // 3
    by_environment = {
        tuple(row[order % 3 == e]) for row, order in zip(steps[0], orders[0], strict=True) for e in range(3)
    }
    assert len(by_environment) == 6, "each environment, and each epoch, has its own order"
    assert tuple(range(20)) not in by_environment


@pytest.mark.parametrize("anneal", [True, False])
def test_rate_and_clip_range_fall_linearly(anneal):
    """Learning rate and clip range fall linearly with the steps of the declared budget."""
    rates, clips = (3e-4, 1e-3), (0.2, 0.1)
    settings = [
        PPOSettings(num_envs=2, num_steps=10, minibatch_size=10, update_epochs=1, learning_rate=rate, clip_coef=clip,
                    anneal_lr=anneal, anneal_clip=anneal)
        for rate, clip in zip(rates, clips, strict=True)
    ]  # fmt: skip
    ppo = ppo_of(settings, total_timesteps=90)
    used, loss = [], ppo.loss
    ppo.loss = lambda batch, clip_coef: used.append(clip_coef.flatten().tolist()) or loss(batch, clip_coef)
    for steps_done in (0, 20, 40, 60, 80):
        used.clear()
        assert ppo.steps_done == steps_done
        _, metrics = ppo.iterate()
        factor = 1 - steps_done / 90 if anneal else 1.0
        assert metrics["charts/learning_rate"].tolist() == pytest.approx([rate * factor for rate in rates], rel=1e-6)
        assert used
        for clip in used:
            assert clip == pytest.approx([own * factor for own in clips], rel=1e-6)
    assert ppo.steps_done == 90


def test_epochs_visit_every_sample_once():
    """Every epoch visits every sample once, each run in its own order."""
    settings = [PPOSettings(num_steps=50, minibatch_size=8, update_epochs=3)] * 3
    ppo = ppo_of(settings)
    batch = made_up_batch(ppo.policy, 50)
    batch.returns.copy_(torch.arange(50.0).expand(3, 50))  # says which sample it is
    orders = []
    for _ in range(2):
        sizes = [minibatch.returns.shape[1] for minibatch in ppo.minibatches(batch, 3, 8)]
        visited = torch.cat([minibatch.returns for minibatch in ppo.minibatches(batch, 3, 8)], dim=1).view(3, 3, 50)
        assert sizes == 3 * [8, 8, 8, 8, 8, 8, 2]
        assert torch.equal(visited.sort(dim=2).values, torch.arange(50.0).expand(3, 3, 50))
        orders += [tuple(order.tolist()) for order in visited.reshape(9, 50)]
        ppo.iteration += 1
    assert len(set(orders)) == 18, "each run, epoch and iteration has its own order"


def test_a_minibatch_keeps_each_samples_fields_together():
    ppo = ppo_of([PPOSettings(num_steps=50, minibatch_size=8, update_epochs=1)] * 2, DISCRETE_4)
    batch = made_up_batch(ppo.policy, 50)
    batch.returns.copy_(torch.arange(50.0).expand(2, 50))
    whole: Any = batch.distribution
    for minibatch in ppo.minibatches(batch, 1, 8):
        part: Any = minibatch.distribution
        for run in range(2):
            chosen = minibatch.returns[run].long()
            for name in ("observations", "actions", "log_probs", "values", "advantages"):
                assert torch.equal(getattr(minibatch, name)[run], getattr(batch, name)[run, chosen]), name
            assert torch.equal(part.logits[run], whole.logits[run, chosen])


NAN = math.nan
REFUSED = [
    *(("num_envs", value) for value in (0, -1)),
    *(("num_steps", value) for value in (0, -2048)),
    *(("learning_rate", value) for value in (-1e-3, NAN)),
    *(("gamma", value) for value in (-0.1, 1.01, NAN)),
    *(("gae_lambda", value) for value in (-0.1, 1.01, NAN)),
    *(("max_grad_norm", value) for value in (0.0, -1.0, NAN)),
    *(("adam_eps", value) for value in (0.0, -1e-5, NAN)),
    *(("clip_coef", value) for value in (0.0, -0.2, NAN)),
    *(("vf_clip_range", value) for value in (0.0, -0.2, NAN)),
    *((name, value) for name in ("kl_coef", "kl_target", "vf_coef", "ent_coef") for value in (-0.1, INF, NAN)),
    *((name, value) for name in ("update_epochs", "minibatch_size") for value in (0, -1)),
    ("minibatch_size", 2049),
    ("norm_adv", "epoch"),
]


def test_a_minibatch_cannot_have_as_many_samples_of_each_of_three_environments_as_of_the_others():
    own = PPOSettings(num_envs=3, minibatch_size=64)
    own.check()
    refusal = "minibatch_size = 64 cannot be trained: it must be a multiple of num_envs = 3 with minibatch_per_actor"
    with pytest.raises(SettingsError, match=refusal):
        dataclasses.replace(own, minibatch_per_actor=True).check()


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}") as error:
        PPOSettings(**{name: value}).check()
    assert "\n" not in str(error.value)


def test_a_stack_refuses_runs_that_differ_in_shape_or_order():
    for other in ({"num_steps": 1024}, {"norm_obs": False}, {"update_epochs": 3}, {"norm_adv": "none"}):
        with pytest.raises(SettingsError, match="floats"):
            ppo_of([PPOSettings(), PPOSettings(**other)])


@pytest.mark.parametrize("total_timesteps", [0, -4, 1001])
def test_a_budget_that_cannot_be_spent_exactly_is_refused(total_timesteps):
    with pytest.raises(SettingsError, match="total_timesteps"):
        ppo_of([PPOSettings(num_envs=4)], total_timesteps=total_timesteps)
