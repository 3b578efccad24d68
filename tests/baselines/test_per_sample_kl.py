"""Per-sample KL against PPO's clipped surrogate: the same gradient, the same updates; its loss by hand."""

import math

import numpy as np
import pytest
import torch

from baselines.per_sample_kl import PerSampleKL
from ppo.ppo import PPO, PPOSettings
from tests.helpers.batches import made_up_batch
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4
from tests.helpers.stacks import perturbed_stack

INF = math.inf
STACK = [  # what may differ between runs, the penalty and the bonus that the loss keeps included
    {"clip_coef": 0.2},
    {"clip_coef": 0.05, "vf_coef": 1.0},
    {"clip_coef": INF},
    {"clip_coef": 0.3, "ent_coef": 0.1},
    {"clip_coef": 0.1, "kl_coef": 2.0},
]


def stack_of(kind, space=CONTINUOUS_3, **changes):
    """The runs of STACK with weights off their special first values: the same for every ``kind``."""
    settings = [PPOSettings(**{**changes, **own}) for own in STACK]
    return perturbed_stack(kind, settings, space, engine="torch")


def ratios(algorithm, batch):
    with torch.no_grad():
        return (algorithm.policy.distribution(batch.observations).log_prob(batch.actions) - batch.log_probs).exp()


@pytest.mark.parametrize("norm_adv", ["batch", "minibatch"])
@pytest.mark.parametrize("space", [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4], ids=str)
def test_its_gradient_is_that_of_the_clipped_surrogate_for_every_run(space, norm_adv):
    clipped, penalised = (stack_of(kind, space, norm_adv=norm_adv) for kind in (PPO, PerSampleKL))
    batch = made_up_batch(clipped.policy, 400, move=0.1)
    batch.advantages.add_(0.2)
    ratio, epsilon = ratios(clipped, batch), clipped.clip_coef
    for good in (batch.advantages > 0, batch.advantages < 0):  # all four cases outside the range occur
        for outside in (ratio > 1 + epsilon, ratio < 1 - epsilon):
            assert (good & outside)[:2].sum(dim=1).min() > 0
    expected, found = (
        torch.autograd.grad(own.loss(batch, own.clip_coef).sum(), own.policy.parameters)[0]
        for own in (clipped, penalised)
    )
    for run in range(len(STACK)):
        largest = expected[run].abs().max().item()
        torch.testing.assert_close(found[run], expected[run], rtol=1e-4, atol=1e-6 * largest)


def test_its_loss_by_hand():
    """Of A and w: 1 and 1.5 (stopped), 1 and 0.5, -1 and 1.5, -1 and 0.5 (stopped), 1 and 1.1, 0 and 3."""
    advantages, ratio = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 0.0]), np.array([1.5, 0.5, 1.5, 0.5, 1.1, 3.0])
    algorithm = stack_of(PerSampleKL, vf_coef=0.0)
    batch = made_up_batch(algorithm.policy, 6)
    with torch.no_grad():
        log_probs = algorithm.policy.distribution(batch.observations).log_prob(batch.actions)
    batch.log_probs.copy_(log_probs - torch.from_numpy(np.log(ratio)).float())
    batch.advantages.copy_(torch.from_numpy(advantages).float().expand(len(STACK), 6))
    loss = algorithm.loss(batch, algorithm.clip_coef)
    # -E[w A]: -(1.5 + 0.5 - 1.5 - 0.5 + 1.1) / 6. b k = -w A (-log w): 1.5 log 1.5 and -0.5 log 0.5.
    expected = (-1.1 + 1.5 * math.log(1.5) - 0.5 * math.log(0.5)) / 6
    assert loss[0].item() == pytest.approx(expected, rel=1e-4)
    assert loss[2].item() == pytest.approx(-1.1 / 6, rel=1e-4)  # epsilon is infinite: nothing is stopped


def test_impossible_action_keeps_the_gradient_finite():
    """An action that has become impossible leaves the gradient a number.

    A ratio that underflows to 0, with a negative advantage, is stopped: b k is 0, not 0 x inf.
    """
    algorithm = stack_of(PerSampleKL)
    batch = made_up_batch(algorithm.policy, 6)
    batch.log_probs.add_(500.0)
    batch.advantages.copy_(-batch.advantages.abs())
    loss = algorithm.loss(batch, algorithm.clip_coef)[:3]
    (gradient,) = torch.autograd.grad(loss.sum(), algorithm.policy.parameters)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_whole_updates_land_where_ppos_do():
    """Of 96 minibatches by Adam, after which every run has moved thousands of times as far as rounding leads apart."""
    ends, starts, clipfracs = [], [], []
    for kind in (PPO, PerSampleKL):
        algorithm = stack_of(kind, minibatch_size=64, update_epochs=3, learning_rate=1e-3)
        batch = made_up_batch(algorithm.policy, 2048, move=0.0)
        starts.append(algorithm.policy.parameters.detach().clone())
        clipfracs.append(algorithm.update(batch)["losses/clipfrac"])
        ends.append(algorithm.policy.parameters.detach())
    assert torch.equal(*starts)
    assert (clipfracs[0][:2] > 0.1).all(), "clipping stops gradients"
    assert (ends[0] - starts[0]).abs().mean(dim=1).min() > 1e-3
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-6)
