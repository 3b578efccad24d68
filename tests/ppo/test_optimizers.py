"""Adam with a row per run against torch.optim.Adam, RMSProp against Stable-Baselines3's, one for each run."""

import math

import pytest
import torch
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from ppo.stacked.optimizers import Adam, RMSProp
from ppo.stacked.parameters import Group

RUNS, SIZE = 3, 48
RATES = torch.tensor([[1e-2], [3e-4], [0.0]])
NORMS = torch.tensor([[0.5], [math.inf], [2.0]])


def start(seed=0):
    return torch.randn((RUNS, SIZE), generator=torch.Generator().manual_seed(seed))


def loss_of(parameters, step, scale=3.0):
    """A different badly scaled quadratic at every step: ``[runs]``."""
    rng = torch.Generator().manual_seed(100 + step)
    target = torch.randn(parameters.shape[-1], generator=rng)
    weights = scale * torch.rand(parameters.shape[-1], generator=rng)
    return (weights * (parameters - target).square()).sum(-1)


@pytest.mark.parametrize("eps", [1e-5, 1e-8])
def test_every_run_is_a_torch_adam_with_its_own_rate_and_clipping(eps):
    ours = start().requires_grad_()
    optimizer = Adam(ours, RATES, NORMS, eps=eps)
    theirs = [row.clone().requires_grad_() for row in start()]
    references = [torch.optim.Adam([row], lr=rate.item(), eps=eps) for row, rate in zip(theirs, RATES, strict=True)]
    for step in range(50):
        scale = 3.0 if step % 2 else 0.02  # gradients above and below the norms
        norms = optimizer.step(loss_of(ours, step, scale))
        for row, reference, limit, norm in zip(theirs, references, NORMS, norms, strict=True):
            reference.zero_grad()
            loss_of(row, step, scale).backward()
            before = torch.nn.utils.clip_grad_norm_([row], limit.item())
            reference.step()
            torch.testing.assert_close(norm, before, rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.detach(), torch.stack(theirs).detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(ours[2], start()[2]), "a rate of 0 changes nothing"
    assert (ours[0] - start()[0]).abs().max() > 0.3, "the others moved"


def test_a_changed_learning_rate_counts_from_the_next_step():
    ours, row = start().requires_grad_(), start()[0].clone().requires_grad_()
    optimizer = Adam(ours, RATES, torch.full((RUNS, 1), math.inf))
    reference = torch.optim.Adam([row], lr=1e-2, eps=1e-5)
    for step in range(6):
        factor = 1 - step / 6
        optimizer.learning_rate = RATES * factor
        reference.param_groups[0]["lr"] = 1e-2 * factor
        optimizer.step(loss_of(ours, step))
        reference.zero_grad()
        loss_of(row, step).backward()
        reference.step()
    torch.testing.assert_close(ours[0], row, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("columns", [slice(16, 32), slice(3, 40)], ids=str)
def test_adam_changes_the_given_columns(columns):
    """Only the given columns change, and their gradient alone is clipped."""
    ours = start().requires_grad_()
    optimizer = Adam(Group(ours, columns), RATES, NORMS)
    rows = [row[columns].clone().requires_grad_() for row in start()]
    references = [torch.optim.Adam([row], lr=rate.item(), eps=1e-5) for row, rate in zip(rows, RATES, strict=True)]
    for step in range(10):
        optimizer.step(loss_of(ours, step))
        for whole, row, reference, limit in zip(start(), rows, references, NORMS, strict=True):
            reference.zero_grad()
            loss_of(torch.cat([whole[: columns.start], row, whole[columns.stop :]]), step).backward()
            torch.nn.utils.clip_grad_norm_([row], limit.item())
            reference.step()
    torch.testing.assert_close(ours[:, columns].detach(), torch.stack(rows).detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(ours[:, : columns.start], start()[:, : columns.start])
    assert torch.equal(ours[:, columns.stop :], start()[:, columns.stop :])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_adam_with_nan_leaves_the_others_alone(poison):
    """A run whose gradient is no number leaves the others as they are."""

    def train(factor):
        ours = start().requires_grad_()
        optimizer = Adam(ours, torch.full((RUNS, 1), 1e-2), NORMS)
        for step in range(5):
            factors = torch.tensor([1.0, factor if step == 2 else 1.0, 1.0])
            optimizer.step(loss_of(ours, step) * factors)
        return ours.detach()

    healthy, poisoned = train(1.0), train(poison)
    assert not torch.isfinite(poisoned[1]).any()
    assert torch.equal(poisoned[[0, 2]], healthy[[0, 2]])


@pytest.mark.parametrize("columns", [slice(None), slice(3, 40)], ids=str)
def test_a_runs_steps_do_not_depend_on_its_place_in_the_stack(columns):
    """Nor on where within a vector register its columns begin and end."""

    def train(rows):
        ours = start()[rows].clone().requires_grad_()
        optimizer = Adam(Group(ours, columns), RATES[rows], NORMS[rows])
        for step in range(30):
            optimizer.step(loss_of(ours, step))
        return ours.detach()

    whole = train([0, 1, 2])
    for rows in ([0], [1], [2], [2, 0], [1, 2, 0]):
        assert torch.equal(train(rows), whole[rows]), rows


def test_a_restored_optimizer_continues_to_the_bit():
    def steps(optimizer, parameters, numbers):
        for step in numbers:
            optimizer.step(loss_of(parameters, step))

    ours = start().requires_grad_()
    optimizer = Adam(ours, RATES, NORMS)
    steps(optimizer, ours, range(7))
    saved = {name: torch.as_tensor(value).clone() for name, value in optimizer.state().items()}
    parameters = ours.detach().clone().requires_grad_()
    steps(optimizer, ours, range(7, 12))

    restored = Adam(parameters, RATES, NORMS)
    restored.load_state(saved)
    steps(restored, parameters, range(7, 12))
    assert torch.equal(parameters, ours)
    for name, value in restored.state().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(optimizer.state()[name])), name


# --- RMSProp ---------------------------------------------------------------------------------------------------------

DECAYS = torch.tensor([[0.99], [0.9], [0.5]])
EPSILONS = torch.tensor([[1e-5], [1e-2], [0.3]])
RMS_RATES = torch.tensor([[1e-1], [1e-3], [0.0]])


def rmsprop(parameters, rates=RMS_RATES, norms=NORMS, rows=slice(None), **more):
    return RMSProp(parameters, rates[rows], norms[rows], decay=DECAYS[rows], eps=EPSILONS[rows], **more)


def sb3_rmsprop(row, run, rates=RMS_RATES):
    alpha, eps = DECAYS[run].item(), EPSILONS[run].item()
    return RMSpropTFLike([row], lr=rates[run].item(), alpha=alpha, eps=eps)


@pytest.mark.parametrize("rates", [RMS_RATES, RMS_RATES.flip(0)], ids=["last still", "first still"])
def test_rmsprop_is_tensorflow_like_in_every_run(rates):
    """Every run is a TensorFlow-like RMSProp with its own rate, decay, epsilon and clipping.

    Stable-Baselines3's, one for each run.
    """
    ours = start().requires_grad_()
    optimizer = rmsprop(ours, rates)
    theirs = [row.clone().requires_grad_() for row in start()]
    references = [sb3_rmsprop(row, run, rates) for run, row in enumerate(theirs)]
    for step in range(50):
        scale = 3.0 if step % 2 else 0.02  # gradients above and below the norms
        norms = optimizer.step(loss_of(ours, step, scale))
        for row, reference, limit, norm in zip(theirs, references, NORMS, norms, strict=True):
            reference.zero_grad()
            loss_of(row, step, scale).backward()
            before = torch.nn.utils.clip_grad_norm_([row], limit.item())
            reference.step()
            torch.testing.assert_close(norm, before, rtol=1e-5, atol=0)
        torch.testing.assert_close(ours.detach(), torch.stack(theirs).detach(), rtol=1e-5, atol=1e-6)
    moved = (ours - start()).abs().amax(dim=1)
    assert (moved[rates[:, 0] == 0] == 0).all(), "a rate of 0 changes nothing"
    assert (moved[rates[:, 0] > 0] > 0.02).all(), "the others moved"


@pytest.mark.parametrize("columns", [slice(16, 32), slice(3, 40)], ids=str)
def test_rmsprop_changes_the_given_columns(columns):
    """RMSProp changes only the given columns, and clips their gradient alone."""
    ours = start().requires_grad_()
    optimizer = rmsprop(Group(ours, columns))
    rows = [row[columns].clone().requires_grad_() for row in start()]
    references = [sb3_rmsprop(row, run) for run, row in enumerate(rows)]
    for step in range(10):
        optimizer.step(loss_of(ours, step))
        for whole, row, reference, limit in zip(start(), rows, references, NORMS, strict=True):
            reference.zero_grad()
            loss_of(torch.cat([whole[: columns.start], row, whole[columns.stop :]]), step).backward()
            torch.nn.utils.clip_grad_norm_([row], limit.item())
            reference.step()
    torch.testing.assert_close(ours[:, columns].detach(), torch.stack(rows).detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(ours[:, : columns.start], start()[:, : columns.start])
    assert torch.equal(ours[:, columns.stop :], start()[:, columns.stop :])
    assert (ours[:2, columns] - start()[:2, columns]).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("columns", [slice(None), slice(3, 40)], ids=str)
def test_a_runs_rmsprop_does_not_depend_on_its_place_in_the_stack(columns):
    def train(rows):
        ours = start()[rows].clone().requires_grad_()
        optimizer = rmsprop(Group(ours, columns), rows=rows)
        for step in range(30):
            optimizer.step(loss_of(ours, step))
        return ours.detach()

    whole = train([0, 1, 2])
    for rows in ([0], [1], [2], [2, 0], [1, 2, 0]):
        assert torch.equal(train(rows), whole[rows]), rows


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_rmsprop_with_nan_leaves_the_others_alone(poison):
    """A run whose RMSProp has no numbers left leaves the others as they are."""

    def train(factor):
        ours = start().requires_grad_()
        optimizer = rmsprop(ours)
        for step in range(5):
            optimizer.step(loss_of(ours, step) * torch.tensor([1.0, factor if step == 2 else 1.0, 1.0]))
        return ours.detach()

    healthy, poisoned = train(1.0), train(poison)
    assert not torch.isfinite(poisoned[1]).any()
    assert torch.equal(poisoned[[0, 2]], healthy[[0, 2]])


@pytest.mark.parametrize("columns", [slice(None), slice(3, 40)], ids=str)
def test_a_restored_rmsprop_continues_to_the_bit(columns):
    ours = start().requires_grad_()
    optimizer = rmsprop(Group(ours, columns))
    for step in range(7):
        optimizer.step(loss_of(ours, step))
    saved = {name: value.clone() for name, value in optimizer.state().items()}
    parameters = ours.detach().clone().requires_grad_()
    fresh = ours.detach().clone().requires_grad_()
    restored, forgetful = rmsprop(Group(parameters, columns)), rmsprop(Group(fresh, columns))
    restored.load_state(saved)
    for step in range(7, 12):
        for optimiser, values in ((optimizer, ours), (restored, parameters), (forgetful, fresh)):
            optimiser.step(loss_of(values, step))
    assert torch.equal(parameters, ours)
    for name, value in restored.state().items():
        assert torch.equal(value, optimizer.state()[name]), name
    assert not torch.equal(fresh, ours), "a state that matters"


@pytest.mark.parametrize("make", ["adam", "rmsprop"])
def test_skipped_steps_never_happened(make):
    """A run that leaves steps out is where it would be without them.

    Alone it would not have taken them at all: parameters, moments and, of Adam, the number of steps.
    """

    def optimizer_of(rows):
        parameters = start()[rows].clone().requires_grad_()
        if make == "rmsprop":
            return parameters, rmsprop(parameters, rows=rows)
        return parameters, Adam(parameters, RATES[rows], NORMS[rows])

    takes = {0: {0, 1, 2, 3, 4, 5}, 1: {0, 3, 5}, 2: set()}
    together, optimizer = optimizer_of([0, 1, 2])
    for step in range(6):
        optimizer.step(loss_of(together, step), torch.tensor([step in takes[run] for run in range(RUNS)]))
    for run, own in takes.items():
        alone, single = optimizer_of([run])
        for step in sorted(own):
            single.step(loss_of(alone, step))
        assert torch.equal(together[run], alone[0]), run
        for name, value in single.state().items():
            assert torch.equal(optimizer.state()[name][run], value[0]), (run, name)
    assert not torch.equal(together[1], start()[1])
