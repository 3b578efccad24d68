"""What changes along the budget or with the KL: by hand."""

import dataclasses
import math

import pytest
import torch

from ppo.ppo import PPO, PPOSettings
from ppo.schedules import adapted_learning_rate, annealed
from ppo.settings import SettingsError
from tests.helpers.batches import column, made_up_batch
from tests.helpers.environments import CONTINUOUS_3, DISCRETE_4, ScriptedEnv

INF = math.inf


def ppo_of(*settings, engine="numba", space=CONTINUOUS_3, total_timesteps=96):
    """A stack of small updates: 20 steps an iteration, two minibatches of 10, twice."""
    small = {"num_steps": 20, "minibatch_size": 10, "update_epochs": 2}
    runs = [PPOSettings(**{**small, **own}) for own in settings]
    return PPO(ScriptedEnv([7] * len(runs), space), runs, range(1, len(runs) + 1), total_timesteps, engine=engine)


@pytest.mark.parametrize(
    ("remaining", "expected"), [(1.0, (-0.7, 2.0)), (0.75, (-0.925, 1.5)), (0.5, (-1.15, 1.0)), (0.0, (-1.6, 0.0))]
)
def test_annealing_is_linear(remaining, expected):
    found = annealed(column(-0.7, 2.0), remaining, column(-1.6, 0.0))
    torch.testing.assert_close(found, column(*expected))


RATE_TABLE = [
    # rate, KL, target -> next rate
    (1e-3, 0.0, 0.25, 1.5e-3),
    (1e-3, 0.1249, 0.25, 1.5e-3),
    (1e-3, 0.125, 0.25, 1e-3),  # half of it exactly
    (1e-3, 0.1251, 0.25, 1e-3),
    (1e-3, 0.25, 0.25, 1e-3),
    (1e-3, 0.4999, 0.25, 1e-3),
    (1e-3, 0.5, 0.25, 1e-3),  # twice exactly
    (1e-3, 0.5001, 0.25, 1e-3 / 1.5),
    (1e-3, INF, 0.25, 1e-3 / 1.5),
    (1e-3, math.nan, 0.25, 1e-3),
    (6.0, 0.3, 0.125, 4.0),
    (6.0, 0.3, 1.0, 9.0),
    (0.0, 9.0, 0.25, 0.0),
    (1e-3, 9.0, 0.0, 1e-3),  # no target
    (1e-3, 0.0, 0.0, 1e-3),
]


def test_the_step_size_is_divided_or_multiplied_by_one_and_a_half():
    """Above twice the target KL and below half of it; between, borders included, it stays."""
    rate, kl, target, expected = (column(*values) for values in zip(*RATE_TABLE, strict=True))
    result = adapted_learning_rate(rate, kl, target)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=0)
    kept = (expected == rate).flatten()
    assert torch.equal(result[kept], rate[kept])


def test_the_step_size_stays_within_its_bounds():
    rate, kl = column(0.9, 1.2e-8, 0.5), column(0.0, 9.0, 0.0)
    result = adapted_learning_rate(rate, kl, column(0.25, 0.25, 0.25), bounds=(1e-8, 1.0))
    torch.testing.assert_close(result, column(1.0, 1e-8, 0.75))


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_log_std_follows_its_schedule(engine):
    """The log-std is what the schedule says while acting and while updating.

    The last of five iterations has 16 of 96 steps left; the second run has a schedule of its own.
    """
    ppo = ppo_of({"anneal_log_std": True}, {"anneal_log_std": True, "log_std_start": 0.0, "log_std_end": -4.8},
                 engine=engine)  # fmt: skip
    seen, act, update = [], ppo.collector.act, ppo.update

    def watched_act(*arguments):
        seen.append(ppo.policy.log_std.clone())
        return act(*arguments)

    def watched_update(batch):
        before = ppo.policy.parameters.detach().clone()
        assert torch.equal(batch.distribution.log_std, ppo.policy.log_std)
        metrics = update(batch)
        assert torch.equal(batch.distribution.log_std, ppo.policy.log_std), "no gradient step moves it"
        assert not torch.equal(before, ppo.policy.parameters)
        return metrics

    ppo.collector.act, ppo.update = watched_act, watched_update
    for done in (0, 20, 40, 60, 80):
        seen.clear()
        _, metrics = ppo.iterate()
        expected = torch.tensor([-0.7 - 0.9 * done / 96, -4.8 * done / 96])
        for log_std in seen:
            torch.testing.assert_close(log_std, expected.view(2, 1, 1).expand(2, 1, 3))
        entropy = 3 * (expected + 0.5 * math.log(2 * math.pi * math.e))
        torch.testing.assert_close(metrics["losses/entropy"], entropy)
    assert ppo.steps_done == 96


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_an_annealed_log_std_has_no_part_in_the_gradients_norm(engine):
    """Two stacks that differ in whether it is learned: the one's norm is the other's without the log-std's part."""
    settings = {"num_steps": 40, "minibatch_size": 40, "update_epochs": 1, "ent_coef": 0.5, "norm_adv": "none"}
    fixed, free = (ppo_of({**settings, "anneal_log_std": own}, engine=engine) for own in (True, False))
    with torch.no_grad():
        free.policy.parameters.copy_(fixed.policy.parameters)
    batch = made_up_batch(free.policy, 40, move=0.05)
    (gradient,) = torch.autograd.grad(free.loss(batch, free.clip_coef).sum(), free.policy.parameters)
    part = gradient[0, free.policy.log_std_columns].norm()
    norms = [ppo.update(batch)["losses/grad_norm"].item() for ppo in (fixed, free)]
    assert part > 0.3
    assert norms[1] ** 2 - norms[0] ** 2 == pytest.approx(part.item() ** 2, rel=1e-4)


def test_the_step_size_follows_the_kl_once_an_update():
    """Of four runs whose targets are out of reach above and below, that have none, or are content."""
    targets = {"raised": 100.0, "lowered": 1e-9, "without": 0.0}
    ppo = ppo_of(*({"lr_kl_target": target, "learning_rate": 1e-3} for target in targets.values()))
    for iteration in range(4):
        _, metrics = ppo.iterate()
        expected = [1e-3 * 1.5**iteration, 1e-3 / 1.5**iteration, 1e-3]
        assert metrics["charts/learning_rate"].tolist() == pytest.approx(expected, rel=1e-5)


def test_a_step_size_that_is_annealed_too_is_the_product():
    ppo = ppo_of({"lr_kl_target": 100.0, "learning_rate": 1e-3, "anneal_lr": True}, total_timesteps=60)
    rates = [ppo.iterate()[1]["charts/learning_rate"].item() for _ in range(3)]
    assert rates == pytest.approx([1e-3, 1.5e-3 * 2 / 3, 2.25e-3 / 3], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_kl_target": -0.1}, "lr_kl_target = -0.1"),
        ({"lr_kl_target": INF}, "lr_kl_target = inf"),
        ({"lr_kl_target": 0.01, "learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"log_std_start": INF}, "log_std_start = inf"),
        ({"log_std_end": math.nan}, "log_std_end = nan"),
    ],
)
def test_schedules_that_cannot_be_trained_are_refused_by_name(changes, message):
    with pytest.raises(SettingsError, match=message) as error:
        dataclasses.replace(PPOSettings(), **changes).check()
    assert "\n" not in str(error.value)


def test_a_log_std_to_anneal_needs_continuous_actions():
    with pytest.raises(SettingsError, match=r"anneal_log_std = True .* discrete"):
        ppo_of({"anneal_log_std": True}, space=DISCRETE_4)
