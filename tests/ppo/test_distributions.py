"""Densities, entropies and divergences against torch.distributions; samples against their own statistics."""

import numpy as np
import pytest
import torch

from ppo.distributions import Categorical, DiagonalGaussian, take

RUNS, BATCH = 3, 20


def randn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gaussian(size, seed):
    ours = DiagonalGaussian(randn(RUNS, BATCH, size, seed=seed), 0.5 * randn(RUNS, 1, size, seed=seed + 1))
    normal = torch.distributions.Normal(ours.mean, ours.log_std.exp().expand_as(ours.mean))
    return ours, torch.distributions.Independent(normal, 1)


def categorical(size, seed):
    ours = Categorical(3 * randn(RUNS, BATCH, size, seed=seed) + 5)
    return ours, torch.distributions.Categorical(logits=ours.logits)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("make", [gaussian, categorical])
def test_log_prob_entropy_and_kl_are_those_of_torch_distributions(make, size):
    if make is categorical:
        size += 1
    (ours, theirs), (other, their_other) = make(size, 1), make(size, 10)
    actions = theirs.sample()
    kl = torch.distributions.kl_divergence(theirs, their_other)
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.kl(other), kl, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.kl(ours), torch.zeros(RUNS, BATCH), rtol=0, atol=1e-6)
    assert (kl - torch.distributions.kl_divergence(their_other, theirs)).abs().max() > 0.1, "a direction to get wrong"


@pytest.mark.parametrize("quantity", ["log_prob", "entropy", "kl"])
@pytest.mark.parametrize("make", [gaussian, categorical])
def test_their_gradients_are_those_of_torch_distributions(make, quantity):
    (ours, _), (other, their_other) = make(3, 1), make(3, 10)
    actions = their_other.sample()
    leaves = [getattr(ours, name).double().requires_grad_() for name in vars(ours)]
    own = type(ours)(*leaves)
    fixed = type(other)(*(getattr(other, name).double() for name in vars(other)))

    def reference(ours):
        if make is gaussian:
            deviation = ours.log_std.exp().expand_as(ours.mean)
            return torch.distributions.Independent(torch.distributions.Normal(ours.mean, deviation), 1)
        return torch.distributions.Categorical(logits=ours.logits)

    theirs, their_fixed = reference(own), reference(fixed)
    values = {
        "log_prob": lambda: (own.log_prob(actions), theirs.log_prob(actions)),
        "entropy": lambda: (own.entropy(), theirs.entropy()),
        # of KL[old, new] the new one has the gradient
        "kl": lambda: (fixed.kl(own), torch.distributions.kl_divergence(their_fixed, theirs)),
    }[quantity]()
    for mine, expected in zip(
        *(torch.autograd.grad(value.sum(), leaves, allow_unused=True, materialize_grads=True) for value in values),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected, rtol=1e-8, atol=1e-8)


def test_gaussian_samples_have_the_mean_and_deviation():
    mean, log_std = torch.tensor([[[1.0, -2.0]], [[0.0, 30.0]]]), torch.tensor([[[0.0, 1.0]], [[-2.0, 0.5]]])
    count = 40_000
    noise = DiagonalGaussian.draw_noise(np.random.default_rng(0), (2, count), 2)
    samples = DiagonalGaussian(mean.expand(2, count, 2), log_std).sample(torch.from_numpy(noise)).double()
    std = log_std[:, 0].exp().double()
    assert ((samples.mean(1) - mean[:, 0]).abs() < 4 * std / count**0.5).all()
    torch.testing.assert_close(samples.std(1), std, rtol=4 / (2 * count) ** 0.5, atol=0)
    correlation = torch.corrcoef(samples[0].T)[0, 1]
    assert correlation.abs() < 4 / count**0.5, "components are independent"


def test_categorical_samples_have_the_probabilities():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]])
    count = 40_000
    logits = (probabilities.log() + 3).unsqueeze(1).expand(2, count, 3)
    noise = Categorical.draw_noise(np.random.default_rng(0), (2, count), 3)
    actions = Categorical(logits).sample(torch.from_numpy(noise))
    assert actions.dtype == torch.int64
    for run in range(2):
        frequency = torch.bincount(actions[run], minlength=3) / count
        deviation = (probabilities[run] * (1 - probabilities[run]) / count).sqrt()
        assert ((frequency - probabilities[run]).abs() < 4 * deviation).all()


def test_noise_is_float32_and_has_no_infinities():
    rng = np.random.default_rng(0)
    for kind in (DiagonalGaussian, Categorical):
        noise = kind.draw_noise(rng, (50, 7), 3)
        assert noise.shape == (50, 7, 3)
        assert noise.dtype == np.float32
        assert np.isfinite(noise).all()


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_a_selection_or_piece_is_the_distribution_at_those_states(make):
    (ours, theirs), (other, _) = make(3, 1), make(3, 10)
    actions = theirs.sample()
    indices = torch.stack([torch.randperm(BATCH, generator=torch.Generator().manual_seed(i))[:7] for i in range(RUNS)])
    rows = torch.arange(RUNS).unsqueeze(1)
    selected = ours.select(indices)
    assert torch.equal(selected.log_prob(actions[rows, indices]), ours.log_prob(actions)[rows, indices])
    assert torch.equal(selected.kl(other.select(indices)), ours.kl(other)[rows, indices])
    part = ours.split(4)[1]
    torch.testing.assert_close(part.log_prob(actions[:, 4:8]), ours.log_prob(actions)[:, 4:8])
    torch.testing.assert_close(part.entropy(), ours.entropy()[:, 4:8])


def test_take_gives_each_run_its_own_indices():
    values = torch.arange(2 * 5 * 3).view(2, 5, 3)
    indices = torch.tensor([[4, 0], [1, 1]])
    assert take(values, indices).tolist() == [
        [values[0, 4].tolist(), values[0, 0].tolist()],
        [values[1, 1].tolist(), values[1, 1].tolist()],
    ]


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_detached_distributions_are_data(make):
    ours, _ = make(3, 1)
    moving = type(ours)(*(getattr(ours, name).clone().requires_grad_() for name in vars(ours)))
    detached = moving.detach()
    assert moving.entropy().requires_grad
    assert not detached.entropy().requires_grad
    assert torch.equal(detached.kl(ours), ours.kl(ours))


def tensors_of(distribution):
    return [values for values in vars(distribution).values() if isinstance(values, torch.Tensor)]


def torchs(kind, *leaves):
    """torch.distributions' of our fields."""
    if issubclass(kind, Categorical):
        return torch.distributions.Categorical(logits=leaves[0])
    return torch.distributions.Independent(torch.distributions.Normal(leaves[0], leaves[1].exp()), 1)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("make", [gaussian, categorical])
def test_fisher_product_is_the_hessian_of_the_kl_at_equality(make, size):
    """With respect to the outputs of the network; torch's own divergence, differentiated twice."""
    ours, _ = make(size, 1)
    outputs, *rest = (values.double() for values in tensors_of(ours))
    rest = [values.expand_as(outputs) for values in rest]
    leaf = outputs.clone().requires_grad_()
    divergence = torch.distributions.kl_divergence(
        torchs(type(ours), outputs, *rest), torchs(type(ours), leaf, *rest)
    ).sum()
    (gradient,) = torch.autograd.grad(divergence, leaf, create_graph=True)
    change = randn(RUNS, BATCH, size, seed=3).double()
    (expected,) = torch.autograd.grad((gradient * change).sum(), leaf)
    double = type(ours)(*(values.double() for values in tensors_of(ours)))
    torch.testing.assert_close(double.fisher_product(change), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(ours.fisher_product(change.float()).double(), expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 0.1

    # and one state's whole Hessian, a column for each direction
    def kl_of_one(one):
        others = [values[1, 2] for values in rest]
        return torch.distributions.kl_divergence(
            torchs(type(ours), outputs[1, 2], *others), torchs(type(ours), one, *others)
        )

    hessian = torch.autograd.functional.hessian(kl_of_one, outputs[1, 2])
    columns = [double.fisher_product(unit.expand_as(outputs))[1, 2] for unit in torch.eye(size, dtype=torch.float64)]
    torch.testing.assert_close(torch.stack(columns), hessian, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_a_distribution_is_told_by_its_statistics(make):
    (ours, theirs), (other, their_other) = make(3, 1), make(3, 10)
    actions = theirs.sample()
    statistics = ours.statistics()
    expected = torch.cat([theirs.mean, theirs.stddev.log()], dim=-1) if make is gaussian else theirs.probs
    torch.testing.assert_close(statistics, expected, rtol=1e-5, atol=1e-6)
    again = other.of_statistics(statistics)  # of its kind, whatever it was itself
    assert isinstance(again, type(ours))
    torch.testing.assert_close(again.statistics(), statistics, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again.log_prob(actions), theirs.log_prob(actions), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(again.entropy(), theirs.entropy(), rtol=1e-5, atol=1e-5)
    for one, two, expected in (
        (again, other, torch.distributions.kl_divergence(theirs, their_other)),
        (other, again, torch.distributions.kl_divergence(their_other, theirs)),
    ):
        torch.testing.assert_close(one.kl(two), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("states", [1, BATCH], ids=["one state", "many states"])
@pytest.mark.parametrize("shared", [True, False], ids=["one deviation", "a deviation per state"])
def test_log_prob_gradients_are_torchs(shared, states):
    """Gradients of log_prob are torch's, whether a deviation is shared by the states or not.

    Every state with a weight of its own, so that one's gradient in another's place shows.
    """
    mean, weights = randn(RUNS, states, 3, seed=1).double(), randn(RUNS, states, seed=2).double()
    log_std = 0.5 * randn(RUNS, 1 if shared else states, 3, seed=3).double()
    actions = randn(RUNS, states, 3, seed=4).double()
    leaves = [mean.requires_grad_(), log_std.requires_grad_()]
    ours = DiagonalGaussian(*leaves).log_prob(actions)
    theirs = torch.distributions.Normal(mean, log_std.exp().expand_as(mean)).log_prob(actions).sum(-1)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for mine, expected in zip(
        *(torch.autograd.grad((value * weights).sum(), leaves) for value in (ours, theirs)), strict=True
    ):
        assert mine.shape == expected.shape
        torch.testing.assert_close(mine, expected, rtol=1e-8, atol=1e-8)


def gradients_of(distribution, other, actions):
    """Of log_prob, entropy and KL[other, .], each state's weighted with its own number, in the statistics."""
    leaf = distribution.statistics().double().requires_grad_()
    own, fixed = distribution.of_statistics(leaf), other.of_statistics(other.statistics().double())
    weights = randn(RUNS, BATCH, seed=6).double()
    values = (own.log_prob(actions), own.entropy(), fixed.kl(own))
    gradients = [torch.autograd.grad((value * weights).sum(), leaf, retain_graph=True)[0] for value in values]
    return leaf.detach(), fixed.statistics(), [gradient / weights.unsqueeze(-1) for gradient in gradients]


def test_gaussian_statistics_gradients_are_torchs():
    """Gradients with respect to a Gaussian's statistics are those of torch.distributions.

    The means and the logarithms of the deviations, each state's own.
    """
    (ours, _), (other, _) = gaussian(3, 1), gaussian(3, 10)
    actions = randn(RUNS, BATCH, 3, seed=5).double()
    phi, fixed, gradients = gradients_of(ours, other, actions)
    leaf = phi.requires_grad_()
    theirs, their_fixed = (torchs(DiagonalGaussian, *values.chunk(2, dim=-1)) for values in (leaf, fixed))
    values = theirs.log_prob(actions), theirs.entropy(), torch.distributions.kl_divergence(their_fixed, theirs)
    for mine, value in zip(gradients, values, strict=True):
        (expected,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True)
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-8)


def test_probability_gradients_are_unnormalised():
    """Gradients with respect to probabilities take them as they are.

    By hand, nothing divided by their sum, as ACER has it: 1 / p of the action alone, -(log p + 1), -q / p.
    """
    (ours, _), (other, _) = categorical(3, 1), categorical(3, 10)
    actions = torch.randint(3, (RUNS, BATCH), generator=torch.Generator().manual_seed(5))
    p, q, (log_prob, entropy, kl) = gradients_of(ours, other, actions)
    taken = torch.nn.functional.one_hot(actions, 3).double()
    torch.testing.assert_close(log_prob, taken / p, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(entropy, -(p.log() + 1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(kl, -q / p, rtol=1e-6, atol=1e-8)
