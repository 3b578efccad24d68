"""TRPO against dense linear algebra in float64, and against sb3-contrib's TRPO on the same weights and batch."""

import dataclasses
import functools
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import TRPO as SB3TRPO
from stable_baselines3.common.distributions import kl_divergence as sb3_kl_divergence
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from baselines.trpo import NPG, TRPO, TRPO2017, TRPO2017Settings, TRPOSettings, conjugate_gradient
from ppo.settings import SettingsError
from tests.helpers import stable_baselines
from tests.helpers.batches import made_up_batch
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4, ScriptedEnv
from tests.helpers.stacks import perturbed_stack
from tests.helpers.torch_networks import references

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
NAN, INF = math.nan, math.inf


TINY = "4-3"
"""Units of a policy small enough to write its Fisher matrix down."""


def tiny(**changes):
    """Settings under which nothing is left to the conjugate gradient's patience, and the search looks at nothing."""
    common = {"network": TINY, "cg_iters": 100, "sub_sampling_factor": 1, "vf_epochs": 0, "line_search": False}
    return TRPOSettings(**{**common, **changes})


def trpo_of(settings, space=CONTINUOUS_3, kind=TRPO, **more):
    """A stack whose policies are far off their special first weights, the log-std included."""
    trpo = perturbed_stack(kind, settings, space, **{"noise": 0.3, **more})
    with torch.no_grad():
        trpo.policy.parameters[:, trpo.policy.critic_columns.stop :] = 0.0  # padding
    return trpo


def batch_of(trpo, size=100, seed=0):
    """Experience of the policy as it is (ratios are 1), with advantages that are neither centred nor scaled."""
    batch = made_up_batch(trpo.policy, size, seed=seed, move=0.0)
    return dataclasses.replace(batch, advantages=3 * batch.advantages + 1)


def rows_of(batch, rows):
    """The part of a batch, or of the distribution in it, that belongs to some of the runs."""
    parts = {}
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        parts[field.name] = value[rows].clone() if isinstance(value, torch.Tensor) else value
        if field.name == "distribution":
            parts[field.name] = rows_of(value, rows)
    return type(batch)(**parts)


class Dense:
    """One run's policy as a float64 function of its row, with torch.distributions and dense matrices."""

    def __init__(self, trpo, run, batch):
        policy = trpo.policy
        self.own, self.sizes, self.discrete = trpo.settings[run], policy.networks["actor"].sizes, policy.discrete
        self.row = policy.parameters[run, policy.actor_columns].detach().double()
        self.observations = batch.observations[run].double()
        self.actions = batch.actions[run] if self.discrete else batch.actions[run].double()
        advantages = batch.advantages[run].double()
        if self.own.norm_adv == "batch":
            advantages = (advantages - advantages.mean()) / advantages.std(correction=0)
        self.advantages = advantages
        free = 0 if self.discrete else policy.action_size
        self.solved = len(self.row) - free if self.own.fixed_log_std else len(self.row)

    def distribution(self, row, every=1):
        outputs, position, layers = self.observations[::every], 0, list(pairwise(self.sizes))
        for index, (n_in, n_out) in enumerate(layers):
            weights = row[position : position + n_in * n_out].view(n_in, n_out)
            position += n_in * n_out
            outputs = outputs @ weights + row[position : position + n_out]
            position += n_out
            if index < len(layers) - 1:
                outputs = outputs.tanh()
        if self.discrete:
            return Categorical(logits=outputs)
        return Independent(Normal(outputs, row[position:].exp().expand_as(outputs)), 1)

    def kl(self, row, every=1):
        """E[KL[pi_old, pi]]"""
        return kl_divergence(self.distribution(self.row, every), self.distribution(row, every)).mean()

    def surrogate(self, row):
        """E[r A]"""
        old, new = (self.distribution(own).log_prob(self.actions) for own in (self.row, row))
        return ((new - old).exp() * self.advantages).mean()

    def fisher(self, every=1):
        """The Hessian of the KL where both policies are one."""
        return torch.autograd.functional.hessian(lambda row: self.kl(row, every), self.row, vectorize=True)

    @functools.cached_property
    def step(self):
        """(F + damping)^-1 g, as long as the trust region allows to the second order."""
        solved, own = self.solved, self.own
        damping = own.cg_damping * torch.eye(solved, dtype=torch.float64)
        matrix = self.fisher(own.sub_sampling_factor)[:solved, :solved] + damping
        gradient = torch.autograd.functional.jacobian(self.surrogate, self.row)[:solved]
        direction = torch.linalg.solve(matrix, gradient)
        step = torch.zeros_like(self.row)
        step[:solved] = (2 * own.max_kl / (direction @ matrix @ direction)).sqrt() * direction
        return step

    def search(self):
        """The first of the step's halvings that is allowed: its size, its gain and its KL, or zeros."""
        step, before = self.step, self.advantages.mean()
        for attempt in range(self.own.line_search_iters):
            size = 1 / 2**attempt
            gain, kl = self.surrogate(self.row + size * step) - before, self.kl(self.row + size * step)
            assert abs(gain) > 1e-5, "a case that rounding does not decide"
            assert abs(kl / (self.own.kl_margin * self.own.max_kl) - 1) > 1e-3, "nor this"
            if gain > 0 and kl < self.own.kl_margin * self.own.max_kl:
                return size, gain.item(), kl.item()
        return 0.0, 0.0, 0.0


def parameters(trpo):
    return trpo.policy.parameters.detach().clone()


# --- The conjugate gradient ------------------------------------------------------------------------------------------


def systems(size=16, seed=0):
    """Matrices and right-hand sides of five runs; the third right-hand side is 0, the fourth matrix 2 x identity, with
    which the first iteration finds the solution, and the fifth has two eigenvalues, which takes two."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((5, size, size))
    matrices = factors @ factors.transpose(0, 2, 1) / size + np.eye(size)
    matrices[3] = 2 * np.eye(size)
    rotation = np.linalg.qr(factors[4])[0]
    matrices[4] = rotation @ np.diag([1.0] * (size // 2) + [3.0] * (size // 2)) @ rotation.T
    targets = rng.standard_normal((5, size))
    targets[2] = 0
    return matrices.astype(np.float32), targets.astype(np.float32)


def product_of(matrices):
    """One product for each run, so that its bits are its own."""
    given = torch.from_numpy(matrices)
    return lambda vectors: torch.stack([matrix @ vector for matrix, vector in zip(given, vectors, strict=True)])


def test_conjugate_gradient_solves_each_runs_own_system():
    matrices, targets = systems()
    found = conjugate_gradient(product_of(matrices), torch.from_numpy(targets), 40)
    expected = np.linalg.solve(matrices.astype(np.float64), targets.astype(np.float64)[..., None])[..., 0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)
    assert (found[2] == 0).all(), "nothing asked, nothing done"


def test_converged_run_keeps_its_solution():
    """A run that has converged keeps its solution while the others go on."""
    matrices, targets = systems()
    after = [
        conjugate_gradient(product_of(matrices), torch.from_numpy(targets), iterations) for iterations in range(1, 60)
    ]
    for iterations, (one, next_one) in enumerate(pairwise(after), 1):
        assert torch.equal(one[3], torch.from_numpy(targets[3] / 2)), "of twice the identity, at once"
        assert torch.equal(one[2], next_one[2])
        assert iterations < 3 or torch.equal(one[4], next_one[4])
        assert iterations > 5 or not torch.equal(one[0], next_one[0])
    assert torch.isfinite(after[-1]).all(), "a residual of 0 divides nothing"


def test_conjugate_gradient_stops_where_it_is_told():
    """After n iterations x is the best of the Krylov space of that dimension, in the norm of the matrix."""
    matrices, targets = systems()
    matrix, target = matrices[0].astype(np.float64), targets[0].astype(np.float64)
    for iterations in (1, 2, 5):
        basis = np.linalg.qr(
            np.stack([np.linalg.matrix_power(matrix, power) @ target for power in range(iterations)], 1)
        )[0]
        best = basis @ np.linalg.solve(basis.T @ matrix @ basis, basis.T @ target)
        found = conjugate_gradient(product_of(matrices), torch.from_numpy(targets), iterations)
        np.testing.assert_allclose(found[0].numpy(), best, rtol=1e-3, atol=1e-4)


def test_conjugate_gradient_has_the_same_bits_alone():
    """Conjugate gradient gives a run the same bits alone and in a stack."""
    matrices, targets = systems()
    together = conjugate_gradient(product_of(matrices), torch.from_numpy(targets), 10)
    for run in range(5):
        alone = conjugate_gradient(product_of(matrices[run : run + 1]), torch.from_numpy(targets[run : run + 1]), 10)
        assert torch.equal(alone[0], together[run])


# --- The Fisher matrix -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_fisher_product_is_that_of_the_dense_hessian_of_the_kl(space):
    trpo = trpo_of([tiny(cg_damping=0.1), tiny(cg_damping=0.0), tiny(cg_damping=2.0)], space)
    batch = batch_of(trpo, 50)
    with torch.no_grad():
        product = trpo.damped_fisher_product(batch.observations)
        columns = torch.eye(trpo.policy.parameters.shape[1])[: trpo.policy.actor_columns.stop]
        images = torch.stack([product(column.expand(3, -1).contiguous()) for column in columns], dim=1)
    for run, own in enumerate(trpo.settings):
        fisher = Dense(trpo, run, batch).fisher()
        expected = fisher + own.cg_damping * torch.eye(len(fisher), dtype=torch.float64)
        torch.testing.assert_close(images[run, :, : len(fisher)].double(), expected, rtol=1e-4, atol=1e-5)
        assert (images[run, :, len(fisher) :] == 0).all(), "the critic's columns are not the policy's"
        assert fisher.abs().max() > 0.1, "a matrix that can be told from none"


def test_the_fisher_product_is_linear_and_symmetric_in_every_run():
    trpo = trpo_of([tiny(), tiny()])
    batch = batch_of(trpo)
    with torch.no_grad():
        product = trpo.damped_fisher_product(batch.observations)
        one, other = torch.randn((2, *trpo.policy.parameters.shape), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close((one * product(other)).sum(1), (other * product(one)).sum(1), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(product(2 * one - other), 2 * product(one) - product(other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [1, 3, 5])
def test_fisher_matrix_is_of_every_nth_state(factor, monkeypatch):
    """The Fisher matrix is that of every n-th state, and the gradient that of all."""
    trpo = trpo_of([tiny(sub_sampling_factor=factor), tiny(sub_sampling_factor=factor)])
    batch = batch_of(trpo, 20)
    asked: dict[str, Any] = {}

    def recording(name):
        plain = getattr(trpo, name)
        monkeypatch.setattr(trpo, name, lambda given: asked.setdefault(name, given) is not None and plain(given))

    recording("damped_fisher_product")
    recording("gradient")
    trpo.improve(batch)
    expected = torch.stack([batch.observations[:, index] for index in range(0, 20, factor)], dim=1)
    assert torch.equal(asked["damped_fisher_product"], expected)
    assert torch.equal(asked["gradient"].observations, batch.observations)


# --- The step --------------------------------------------------------------------------------------------------------

STEPS = [
    {"max_kl": 0.01},
    {"max_kl": 0.001, "cg_damping": 0.01},
    {"max_kl": 0.1, "cg_damping": 1.0},
]


@pytest.mark.parametrize(
    "common",
    [
        {},
        {"fixed_log_std": True},
        {"sub_sampling_factor": 5},
        {"norm_adv": "none"},
        {"line_search": True, "kl_margin": 1e6},
    ],
    ids=str,
)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_step_is_the_natural_gradient_of_a_dense_solve(space, common):
    trpo = trpo_of([tiny(**own, **common) for own in STEPS], space)
    batch = batch_of(trpo)
    expected = [Dense(trpo, run, batch).step for run in range(3)]
    before = parameters(trpo)
    metrics = trpo.update(batch)
    change = parameters(trpo) - before
    actor = trpo.policy.actor_columns
    for run in range(3):
        scale = expected[run].abs().max().item()
        torch.testing.assert_close(change[run, actor].double(), expected[run], rtol=2e-3, atol=2e-3 * scale)
    assert metrics["losses/step_size"].tolist() == [1, 1, 1]
    log_std = change[:, trpo.policy.log_std_columns]
    assert (log_std == 0).all() if "fixed_log_std" in common else (log_std != 0).all()


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_step_causes_the_kl_it_may_less_what_the_damping_takes(space):
    """delta = KL + damping |x|^2 / 2, to the second order."""
    settings = [tiny(max_kl=max_kl, cg_damping=0.02) for max_kl in (1e-5, 1e-4)]
    trpo = trpo_of(settings, space)
    batch = batch_of(trpo)
    dense = [Dense(trpo, run, batch) for run in range(2)]
    trpo.update(batch)
    for run, own in enumerate(settings):
        row = parameters(trpo)[run, trpo.policy.actor_columns].double()
        kl, length = dense[run].kl(row).item(), (row - dense[run].row).norm().item()
        assert kl + own.cg_damping * length**2 / 2 == pytest.approx(own.max_kl, rel=0.05)
        assert kl > 0.5 * own.max_kl


def test_without_a_gradient_the_policy_stays_to_the_bit():
    """Advantages that are 0 in one run ask for no step, nor for 0 / 0; its neighbour goes its way."""
    for own in (tiny(), tiny(line_search=True)):
        trpo = trpo_of([own, own])
        batch = batch_of(trpo)
        batch.advantages[0] = 0
        before = parameters(trpo)
        metrics = trpo.update(batch)
        assert torch.equal(parameters(trpo)[0], before[0])
        assert not torch.equal(parameters(trpo)[1], before[1])
        assert torch.isfinite(metrics["losses/approx_kl"]).all()


@pytest.mark.parametrize("norm_adv", ["batch", "none"])
def test_advantages_are_standardised_where_the_setting_says(norm_adv):
    trpo = trpo_of([tiny(norm_adv=norm_adv), tiny(norm_adv=norm_adv)])
    batch = batch_of(trpo)
    raw = batch.advantages.double().numpy()
    seen = []
    improve = trpo.improve
    trpo.improve = lambda given: seen.append(given.advantages.double().numpy().copy()) or improve(given)
    trpo.update(batch)
    scaled = (raw - raw.mean(1, keepdims=True)) / raw.std(1, keepdims=True)
    np.testing.assert_allclose(seen[0], scaled if norm_adv == "batch" else raw, rtol=1e-4, atol=1e-5)


# --- sb3-contrib -----------------------------------------------------------------------------------------------------


def sb3_twin(trpo, run, batch, reference):
    """sb3-contrib's TRPO with the run's weights and settings and the batch in its rollout buffer.

    Its KL is the mean over the action's components, where the divergence of the whole action is their sum: the same
    step needs a ``target_kl`` and a damping smaller by their number.
    """
    own, size = trpo.settings[run], batch.values.shape[1]
    components = 1 if trpo.policy.discrete else trpo.policy.action_size
    twin = stable_baselines.twin(
        SB3TRPO,
        trpo.env.action_space,
        reference,
        n_steps=size,
        batch_size=size,
        learning_rate=own.vf_learning_rate,
        cg_max_steps=own.cg_iters,
        cg_damping=own.cg_damping / components,
        line_search_shrinking_factor=0.5,
        line_search_max_iter=own.line_search_iters,
        n_critic_updates=own.vf_epochs,
        target_kl=own.max_kl / components,
        sub_sampling_factor=1,
        normalize_advantage=own.norm_adv == "batch",
        optimizer={"optimizer_kwargs": {"eps": 1e-5}},
    )
    stable_baselines.fill(twin, batch, run)
    return twin


FAR = {"cg_damping": 0.01, "cg_iters": 4}  # with so little damping, ten iterations make much of the last digits
SB3_CASES: dict[str, list[dict[str, Any]]] = {
    "whole steps": [{"max_kl": 0.01}, {"max_kl": 0.001, "cg_damping": 0.5, "vf_learning_rate": 1e-2}],
    "halved steps": [{**FAR, "max_kl": 1.0}, {**FAR, "max_kl": 3.0}],
    "refused steps": [{"max_kl": 1.0, "cg_damping": 0.001, "line_search_iters": 1}, {"line_search_iters": 1}],
    "raw advantages": [{"norm_adv": "none"}, {"norm_adv": "none", "cg_damping": 1.0}],
    "few iterations": [{"cg_iters": 2, "cg_damping": 0.5}, {"cg_iters": 2, "cg_damping": 1.0, "max_kl": 0.05}],
}


@pytest.mark.parametrize("case", SB3_CASES)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_next_weights_are_those_of_sb3_contrib(space, case, monkeypatch):
    """Its own ``train()``, one instance for each run of our stack: policy step, search and value function.

    Its conjugate gradient starts at a little noise, ours at 0; and its KL is that of the old policy from the new,
    which decides otherwise at the edge of the trust region, and is turned round here.
    """
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(np.random, "permutation", np.arange)  # in which its buffer would shuffle the sums
    monkeypatch.setattr("sb3_contrib.trpo.trpo.kl_divergence", lambda new, old: sb3_kl_divergence(old, new))
    size = 256
    common = {"kl_margin": 1.0, "sub_sampling_factor": 1, "vf_epochs": 3, "vf_minibatch_size": size}
    trpo = trpo_of([TRPOSettings(**{**common, **own}) for own in SB3_CASES[case]], space, noise=0.1)
    batch = batch_of(trpo, size)
    before = parameters(trpo)
    used, actor = trpo.policy.critic_columns.stop, trpo.policy.actor_columns
    metrics = trpo.update(batch)
    change = parameters(trpo)[:, :used] - before[:, :used]
    for run, reference in enumerate(references(trpo.policy, before)):
        twin = sb3_twin(trpo, run, batch, reference)
        twin.train()
        after = stable_baselines.as_row(reference, twin.policy, lambda parameter: parameter)
        theirs = (after - before[run])[:used]
        policy, critic = slice(actor.stop), slice(actor.stop, used)
        largest = theirs[policy].abs().max().item()
        torch.testing.assert_close(change[run, policy], theirs[policy], rtol=1e-2, atol=2e-3 * largest)
        torch.testing.assert_close(change[run, critic], theirs[critic], rtol=1e-2, atol=2e-2 * 1e-3)
        assert theirs[critic].abs().max() > trpo.settings[run].vf_learning_rate
        assert (largest > 0) == (metrics["losses/step_size"][run] > 0)
    sizes = metrics["losses/step_size"].tolist()
    if case == "halved steps":
        assert 0 < min(sizes) < 1
    else:
        assert sizes == ([0, 1] if case == "refused steps" else [1, 1])


# --- The search ------------------------------------------------------------------------------------------------------

SEARCHES = [
    {"max_kl": 0.01},  # the whole step
    {"max_kl": 0.01, "kl_margin": 0.1},  # too far at first
    {"max_kl": 30.0, "kl_margin": 1e6},  # as far as it likes; but at first that is worse than to stay
    {"max_kl": 0.01, "kl_margin": 0.006},  # too far for long
    {"max_kl": 1.0, "kl_margin": 1e-7},  # for ever
]
FURTHER = 5.0
"""Added to all advantages: whatever was done was good, so to go too far from it is bad."""


def searching(space=CONTINUOUS_3, runs=None, **changes):
    """A stack of the searches above, or of some of them, as they are in the whole stack; and its batch."""
    common = {"sub_sampling_factor": 1, "vf_epochs": 0, "norm_adv": "none", "cg_iters": 100}
    settings = [tiny(**{**common, "line_search": True, **own, **changes}) for own in SEARCHES]
    whole = trpo_of(settings, space)
    batch = batch_of(whole)
    batch.advantages.add_(FURTHER)
    if runs is None:
        return whole, batch
    some = trpo_of([settings[run] for run in runs], space, seeds=[run + 1 for run in runs])
    with torch.no_grad():
        some.policy.parameters.copy_(whole.policy.parameters[runs])
    return some, rows_of(batch, runs)


@pytest.mark.parametrize("line_search_iters", [10, 3, 1])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_search_takes_the_first_good_halving(space, line_search_iters):
    """Each run takes the first halving that is near enough and better.

    As a search in float64 finds it: its size, what it gained, the KL it caused, and nothing of what failed.
    """
    trpo, batch = searching(space, line_search_iters=line_search_iters)
    before, dense = parameters(trpo), [Dense(trpo, run, batch) for run in range(len(SEARCHES))]
    metrics = trpo.update(batch)
    after = parameters(trpo)
    for run, one in enumerate(dense):
        size, gain, kl = one.search()
        assert metrics["losses/step_size"][run].item() == size
        assert -metrics["losses/policy_loss"][run].item() == pytest.approx(gain, rel=0.02, abs=1e-6)
        assert metrics["losses/approx_kl"][run].item() == pytest.approx(kl, rel=0.02, abs=1e-6)
        if size == 0:
            assert torch.equal(after[run], before[run])
            continue
        row, step = after[run, trpo.policy.actor_columns].double(), one.step
        torch.testing.assert_close(row - one.row, size * step, rtol=2e-3, atol=2e-3 * size * step.abs().max().item())
        assert one.kl(row) <= one.own.kl_margin * one.own.max_kl
        assert one.surrogate(row) > one.advantages.mean()
        entropy = one.distribution(row).entropy().mean().item()
        assert metrics["losses/entropy"][run].item() == pytest.approx(entropy, rel=1e-4)
    whole, too_far, worse, too_far_for_long, never = metrics["losses/step_size"].tolist()
    assert (whole, never) == (1, 0)
    assert too_far == (0 if line_search_iters == 1 else 0.25)
    assert too_far_for_long == (1 / 16 if line_search_iters == 10 else 0), "the search gives up when it is told to"
    if space != DISCRETE_4:  # a choice among four cannot leave all that was good at once
        assert worse == (0 if line_search_iters == 1 else 0.25)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_search_has_the_same_bits_alone(space):
    """A run's search is the same alone and beside others, to the bit."""
    full_size = {"network": "64-64", "cg_iters": 10, "vf_epochs": 1, "vf_minibatch_size": 32}
    trpo, batch = searching(space, **full_size)
    metrics = trpo.update(batch)
    assert len(set(metrics["losses/step_size"].tolist())) >= 4, "different runs, different searches"
    for runs in ([0], [1], [2], [4], [4, 3, 0], [2, 4]):
        some, own_batch = searching(space, runs=runs, **full_size)
        own_metrics = some.update(own_batch)
        assert torch.equal(parameters(some), parameters(trpo)[runs]), runs
        for name, values in metrics.items():
            assert torch.equal(own_metrics[name], values[runs]), name


def test_worse_steps_leave_the_policy_alone():
    """Where every step makes things worse, the policy stays as it is, to the bit.

    Steps down the surrogate, all well within the trust region; a step that was tried must leave nothing behind.
    """
    trpo = trpo_of([tiny(line_search=True, max_kl=max_kl) for max_kl in (0.01, 1e-4, 0.01)])
    batch = batch_of(trpo)
    plain, signs = trpo.gradient, torch.tensor([[-1.0], [-1.0], [1.0]])
    trpo.gradient = lambda given: signs * plain(given)
    before = parameters(trpo)
    metrics = trpo.update(batch)
    after = parameters(trpo)
    assert torch.equal(after[:2], before[:2])
    assert not torch.equal(after[2], before[2])
    assert metrics["losses/step_size"].tolist() == [0, 0, 1]
    assert metrics["losses/approx_kl"][:2].tolist() == [0, 0]
    assert metrics["losses/policy_loss"][:2].tolist() == [0, 0]


def test_the_step_never_allowed_leaves_the_policy_to_the_bit():
    trpo, batch = searching(max_kl=1.0, kl_margin=1e-7)
    before = parameters(trpo)
    metrics = trpo.update(batch)
    assert torch.equal(parameters(trpo), before)
    assert (metrics["losses/step_size"] == 0).all()


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_npg_takes_the_whole_step(space):
    """The natural policy gradient takes the whole step, whatever comes of it."""
    assert NPG.Settings().line_search is False
    assert TRPO.Settings().line_search is True
    settings = [tiny(norm_adv="none", **own) for own in SEARCHES]
    npg = trpo_of(settings, space, kind=NPG)
    batch = batch_of(npg)
    batch.advantages.add_(FURTHER)
    dense = [Dense(npg, run, batch) for run in range(len(SEARCHES))]
    before = parameters(npg)
    metrics = npg.update(batch)
    change = parameters(npg) - before
    for run, one in enumerate(dense):
        step, row = one.step, parameters(npg)[run, npg.policy.actor_columns].double()
        actual = change[run, npg.policy.actor_columns].double()
        torch.testing.assert_close(actual, step, rtol=2e-3, atol=2e-3 * step.abs().max().item())
        assert metrics["losses/approx_kl"][run].item() == pytest.approx(one.kl(row).item(), rel=0.01, abs=1e-6)
        gain = (one.surrogate(row) - one.advantages.mean()).item()
        assert -metrics["losses/policy_loss"][run].item() == pytest.approx(gain, rel=0.01, abs=1e-5)
    assert (metrics["losses/step_size"] == 1).all()
    assert metrics["losses/approx_kl"][-1] > 1e3 * SEARCHES[-1]["kl_margin"] * SEARCHES[-1]["max_kl"]
    if space != DISCRETE_4:
        assert metrics["losses/policy_loss"][2] > 0, "worse than before"


# --- Who moves what --------------------------------------------------------------------------------------------------


def test_steps_move_actor_and_critic_apart():
    """The policy's step moves the actor alone, and the value function's the critic alone."""
    settings = [TRPOSettings(vf_minibatch_size=32), TRPOSettings(vf_minibatch_size=32, vf_learning_rate=0.0)]
    trpo = trpo_of(settings)
    batch, policy = batch_of(trpo), trpo.policy
    before = parameters(trpo)
    trpo.improve(batch)
    after_policy = parameters(trpo)
    trpo.critic.fit(batch)
    after_critic = parameters(trpo)
    actor, rest = policy.actor_columns, slice(policy.actor_columns.stop, None)
    assert torch.equal(after_policy[:, rest], before[:, rest])
    assert (after_policy[:, actor] != before[:, actor]).float().mean() > 0.9
    assert torch.equal(after_critic[:, actor], after_policy[:, actor])
    moved = (after_critic != after_policy)[:, policy.critic_columns]
    assert moved[0].float().mean() > 0.9
    assert not moved[1].any(), "the rate is each run's own"
    assert (after_critic[:, policy.critic_columns.stop :] == 0).all(), "the padding stays what it is"


def test_value_function_is_fitted_vf_epochs_times():
    """The value function is fitted as often as it is told, and gets nearer to the returns."""
    trpo = trpo_of([TRPOSettings(vf_epochs=4, vf_minibatch_size=30)] * 2, engine="torch")
    batch = batch_of(trpo, 100)
    steps, step = [], trpo.critic.optimizer.step
    trpo.critic.optimizer.step = lambda loss: steps.append(loss.detach()) or step(loss)
    with torch.no_grad():
        errors = ((trpo.policy.values(batch.observations) - batch.returns) ** 2).mean(1)
    metrics = trpo.update(batch)
    assert len(steps) == 4 * 4, "100 samples are three minibatches of 30 and one of 10"
    with torch.no_grad():
        now = ((trpo.policy.values(batch.observations) - batch.returns) ** 2).mean(1)
    torch.testing.assert_close(metrics["losses/value_loss"], now)
    assert (now < errors).all()


def trained(kind, settings, iterations=4):
    """The stack, and what its policies were before, between and after its iterations."""
    env = ScriptedEnv([5, 9, 7, 6], CONTINUOUS_3)
    training = kind(env, [settings] * 2, [1, 2], total_timesteps=settings.num_envs * settings.num_steps * iterations)
    policies = [parameters(training)]
    while training.steps_done < training.total_timesteps:
        training.iterate()
        policies.append(parameters(training))
    assert len(policies) == iterations + 1
    return training, policies


SMALL = {"num_envs": 2, "num_steps": 48, "vf_epochs": 1}


def test_trpo_of_2017_never_moves_its_log_std():
    training, policies = trained(TRPO2017, TRPO2017Settings(**SMALL))
    columns, network = training.policy.log_std_columns, slice(0, training.policy.networks["actor"].size)
    for before, after in pairwise(policies):
        assert torch.equal(after[:, columns], torch.zeros(2, 3))
        assert (before[:, network] != after[:, network]).any(dim=1).all(), "while the mean learns"
    training, policies = trained(TRPO, TRPOSettings(**SMALL))
    assert (policies[-1][:, training.policy.log_std_columns] != 0).all(), "unlike that of TRPO"


def test_trpo_of_2017_does_not_standardise_its_advantages():
    assert TRPO2017Settings() == TRPO2017.Settings()
    fields = {field.name for field in dataclasses.fields(TRPOSettings)}
    differing = {name for name in fields if getattr(TRPO2017Settings(), name) != getattr(TRPOSettings(), name)}
    bugs, usage = {"norm_adv", "fixed_log_std"}, {"network", "initialisation", "clip_obs", "obs_filter"}
    tuned = {"norm_reward"}  # of TRPO; the file that was released scales none
    assert differing == bugs | usage | tuned | {"vf_adam_eps", "accept_zero"}
    trpo = trpo_of([TRPO2017Settings()], kind=TRPO2017)
    batch = batch_of(trpo)
    raw = batch.advantages.clone()
    trpo.update(batch)
    assert torch.equal(batch.advantages, raw)


REFUSED = [
    *((name, value) for name in ("max_kl", "kl_margin") for value in (0.0, -0.01, INF, NAN)),
    *(("cg_damping", value) for value in (-0.1, INF, NAN)),
    *((name, value) for name in ("cg_iters", "sub_sampling_factor", "line_search_iters") for value in (0, -1)),
    *(("vf_learning_rate", value) for value in (-1e-3, INF, NAN)),
    *(("norm_adv", value) for value in ("minibatch", True)),
    ("vf_epochs", -1),
    ("vf_minibatch_size", 0),
    ("num_steps", 0),
    ("gamma", 1.1),
]


@pytest.mark.parametrize("kind", [TRPO, TRPO2017, NPG])
@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(kind, name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}") as error:
        kind.Settings(**{name: value}).check()
    assert "\n" not in str(error.value)
