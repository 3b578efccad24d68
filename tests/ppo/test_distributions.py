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
    if make is gaussian:
        theirs, their_fixed = (
            torch.distributions.Independent(torch.distributions.Normal(d.mean, d.log_std.exp().expand_as(d.mean)), 1)
            for d in (own, fixed)
        )
    else:
        theirs, their_fixed = (torch.distributions.Categorical(logits=d.logits) for d in (own, fixed))
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
