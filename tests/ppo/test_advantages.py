"""Advantage estimators against tables worked by hand, Stable-Baselines3, sums, and a value known in advance."""

import dataclasses

import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import RolloutBuffer

from ppo.advantages import gae, retrace
from ppo.envs import make
from ppo.ppo import PPO, PPOSettings
from tests.helpers.environments import CONTINUOUS_1, ENDLESS, ENDLESS_LIMIT

NO = [False] * 4

TABLE = [
    # lambda, terminal, ended -> advantages, with gamma = 0.5, rewards 1 2 3 4, values 10 20 30 40, next 20 30 40 50
    # deltas without a terminal: 1 + 10 - 10 = 1, 2 + 15 - 20 = -3, 3 + 20 - 30 = -7, 4 + 25 - 40 = -11
    pytest.param(0.0, NO, NO, [1, -3, -7, -11], id="lambda 0: one-step errors"),
    pytest.param(1.0, NO, NO, [-3.625, -9.25, -12.5, -11], id="lambda 1: the whole sum"),
    pytest.param(0.5, NO, NO, [-0.359375, -5.4375, -9.75, -11], id="lambda 0.5"),
    # the second step's state has no future: delta 2 - 20 = -18, and nothing comes back from the third
    pytest.param(0.0, [0, 1, 0, 0], [0, 1, 0, 0], [1, -18, -7, -11], id="terminated, lambda 0"),
    pytest.param(1.0, [0, 1, 0, 0], [0, 1, 0, 0], [-8, -18, -12.5, -11], id="terminated, lambda 1"),
    pytest.param(0.5, [0, 1, 0, 0], [0, 1, 0, 0], [-3.5, -18, -9.75, -11], id="terminated, lambda 0.5"),
    # cut by the time limit: its delta keeps the value of the last state, but nothing comes back from the third
    pytest.param(1.0, NO, [0, 1, 0, 0], [-0.5, -3, -12.5, -11], id="truncated, lambda 1"),
    pytest.param(0.5, NO, [0, 1, 0, 0], [0.25, -3, -9.75, -11], id="truncated, lambda 0.5"),
    # first truncated, third terminated (delta 3 - 30 = -27)
    pytest.param(0.5, [0, 0, 1, 0], [1, 0, 1, 0], [1, -9.75, -27, -11], id="both"),
    # the last step terminated: delta 4 - 40 = -36
    pytest.param(1.0, [0, 0, 0, 1], [0, 0, 0, 1], [-6.75, -15.5, -25, -36], id="terminated at the end"),
]


@pytest.mark.parametrize(("gae_lambda", "terminal", "ended", "expected"), TABLE)
def test_hand_computed_table(gae_lambda, terminal, ended, expected):
    rewards, values = np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 40])
    next_values = np.array([20.0, 30, 40, 50])
    terminal, ended = np.array(terminal, np.bool_), np.array(ended, np.bool_)
    np.testing.assert_array_equal(gae(rewards, values, next_values, terminal, ended, 0.5, gae_lambda), expected)


def random_experience(steps, *shape, seed=0):
    rng = np.random.default_rng(seed)
    rewards, values, next_values = rng.standard_normal((3, steps, *shape))
    ended = rng.random((steps, *shape)) < 0.1
    terminal = ended & (rng.random((steps, *shape)) < 0.5)
    return rewards, values, next_values, terminal, ended


def test_every_run_has_its_own_gamma_and_lambda():
    experience = random_experience(50, 3, 2)
    gamma, gae_lambda = np.array([[0.9], [0.99], [1.0]]), np.array([[0.0], [0.95], [1.0]])
    together = gae(*experience, gamma, gae_lambda)
    for run in range(3):
        for env in range(2):
            alone = gae(*(array[:, run, env] for array in experience), gamma[run, 0], gae_lambda[run, 0])
            np.testing.assert_array_equal(together[:, run, env], alone)


def test_equal_to_stable_baselines3_where_every_end_is_a_termination():
    """SB3 takes next values from the next row, and knows one mask: episodes' starts."""
    steps, envs = 60, 4
    rewards, values, _, _, ended = random_experience(steps, envs)
    last = np.random.default_rng(1).standard_normal(envs)
    buffer = RolloutBuffer(steps, CONTINUOUS_1, CONTINUOUS_1, gae_lambda=0.9, gamma=0.97, n_envs=envs)
    starts = np.zeros(envs)
    for step in range(steps):
        nothing = np.zeros((envs, 1), np.float32)
        buffer.add(nothing, nothing, rewards[step], starts, torch.tensor(values[step]), torch.zeros(envs))
        starts = ended[step].astype(np.float64)
    buffer.compute_returns_and_advantage(torch.tensor(last), ended[-1].astype(np.float64))
    next_values = np.concatenate([values[1:], last[None]])
    ours = gae(rewards, values, next_values, ended, ended, 0.97, 0.9)
    np.testing.assert_allclose(buffer.advantages, ours, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(buffer.returns, ours + values, rtol=1e-4, atol=1e-5)


def test_nothing_leaks_back_over_the_end_of_an_episode():
    """Neither a termination nor a truncation lets the next episode's numbers into the one before."""
    rewards, values, next_values, terminal, ended = random_experience(30, seed=2)
    ended[[9, 19]], terminal[9], terminal[19] = True, True, False
    before = gae(rewards, values, next_values, terminal, ended, 0.99, 0.95)
    for end in (9, 19):
        others = [array.copy() for array in (rewards, values, next_values)]
        for array in others:
            array[end + 1 :] += 1000.0
        after = gae(*others, terminal, ended, 0.99, 0.95)
        np.testing.assert_array_equal(after[: end + 1], before[: end + 1])
        assert (after[end + 1 :] != before[end + 1 :]).all()


@pytest.mark.parametrize("terminal_value", [0.0, 1e6])
def test_a_terminated_steps_next_value_does_not_count(terminal_value):
    advantages = gae(np.ones(1), np.zeros(1), np.full(1, terminal_value), np.ones(1, bool), np.ones(1, bool), 0.9, 0.9)
    np.testing.assert_array_equal(advantages, [1.0])


@pytest.mark.parametrize("gamma", [0.5, 0.75])
def test_bootstrapping_learns_an_endless_tasks_value(gamma):
    """The value of an endless task is learned over time limits only if they are bootstrapped.

    Reward 1 for ever is worth 1 / (1 - gamma), whatever the time limit. Where limits count as terminations, the
    value of the one state there is settles where the estimated advantages of its steps have mean 0.
    """
    gae_lambda = 0.9
    settings = PPOSettings(
        num_steps=64,
        minibatch_size=64,
        learning_rate=1e-2,
        gamma=gamma,
        gae_lambda=gae_lambda,
        norm_obs=False,
        norm_reward="none",
        max_grad_norm=10.0,
        vf_coef=1.0,
    )
    left = np.arange(1, ENDLESS_LIMIT + 1)  # steps before the limit; (gamma lambda)^j weighs the error j steps on
    weights = np.cumsum((gamma * gae_lambda) ** (left - 1.0))
    cut_value = weights.sum() / (weights.sum() - gamma * weights[:-1].sum())
    expected = {True: 1 / (1 - gamma), False: cut_value}
    for bootstrap, value in expected.items():
        own = dataclasses.replace(settings, bootstrap_truncation=bootstrap)
        ppo = PPO(make(ENDLESS, [1]), [own], [1], 64 * 40)
        for _ in range(40):
            ppo.iterate()
        with torch.no_grad():
            assert ppo.policy.values(torch.ones(1, 1, 1)).item() == pytest.approx(value, rel=0.03)
    assert expected[False] < 0.85 * expected[True], "two values that can be told apart"


# --- Retrace ---------------------------------------------------------------------------------------------------------

RETRACE_TABLE = [
    # gamma = 0.5, rewards 1 2 3, V 10 20 30, Q 12 16 36, V after the last step 40
    # backwards: Q^ret_2 = 3 + 20 = 23; then r_t + 0.5 (min(1, rho_{t+1}) (Q^ret_{t+1} - Q_{t+1}) + V_{t+1})
    pytest.param([1, 1, 1], [0, 0, 0], [8.25, 10.5, 23], id="on the policy"),  # 1 + (-5.5 + 20) / 2, 2 + (-13 + 30) / 2
    pytest.param([9, 9, 9], [0, 0, 0], [8.25, 10.5, 23], id="ratios above 1 count as 1"),
    pytest.param([1, 0, 0], [0, 0, 0], [11, 17, 23], id="actions that the policy never takes: one-step targets"),
    pytest.param([1, 0.5, 0.25], [0, 0, 0], [10.84375, 15.375, 23], id="in between"),  # 1 + (-0.3125 + 20) / 2, ...
    pytest.param([1, 1, 1], [0, 1, 0], [4, 2, 23], id="an end: nothing comes from beyond it"),  # 1 + (2 - 16 + 20) / 2
    pytest.param([1, 1, 1], [0, 0, 1], [3.25, 0.5, 3], id="an end at the end"),  # 2 + (3 - 36 + 30) / 2
]


@pytest.mark.parametrize(("ratios", "ended", "expected"), RETRACE_TABLE)
def test_retrace_hand_computed_table(ratios, ended, expected):
    rewards, values, q = torch.tensor([[1.0, 2, 3], [10, 20, 30], [12, 16, 36]])
    ended, ratios = torch.tensor(ended, dtype=torch.bool), torch.tensor(ratios)
    targets = retrace(rewards, ended, values, q, ratios, torch.tensor(40.0), torch.tensor(0.5))
    assert targets.tolist() == expected


def made_up_segment(seed=0, steps=12, runs=3, envs=4):
    rewards, values, q, _, ended = random_experience(steps, runs, envs, seed=seed)
    rng = np.random.default_rng(seed + 1)
    ratios, last_values = rng.exponential(size=rewards.shape), rng.standard_normal((runs, envs))
    return tuple(torch.from_numpy(own) for own in (rewards, ended, values, q, ratios, last_values))


def test_retrace_is_the_sum_of_corrected_errors():
    """Munos et al. 2016, equation 3: Q + sum over s >= t of gamma^(s-t) c_{t+1} ... c_s delta_s, written out."""
    segment = made_up_segment()
    gamma = torch.tensor([[0.9], [0.99], [0.5]], dtype=torch.float64)
    found = retrace(*segment, gamma)
    rewards, ended, values, q, ratios, last = (own.numpy() for own in segment)
    assert ended.sum() > 5
    steps = len(rewards)
    for run, env in np.ndindex(3, 4):
        for start in range(steps):
            total, weight = q[start, run, env], 1.0
            for step in range(start, steps):
                if step > start:
                    weight *= gamma[run, 0].item() * min(1.0, ratios[step, run, env])
                following = last[run, env] if step == steps - 1 else values[step + 1, run, env]
                future = 0.0 if ended[step, run, env] else gamma[run, 0].item() * following
                total += weight * (rewards[step, run, env] + future - q[step, run, env])
                if ended[step, run, env]:
                    break
            assert found[start, run, env].item() == pytest.approx(total, rel=1e-9)


def test_retrace_on_policy_is_the_n_step_return():
    """Retrace on the policy, with a critic that knows no actions, is the n-step return."""
    rewards, ended, values, _, _, last = made_up_segment()
    gamma = torch.tensor([[0.9], [0.99], [0.5]], dtype=torch.float64)
    found = retrace(rewards, ended, values, values, torch.ones_like(values), last, gamma)
    following = torch.cat([values[1:], last[None]]).numpy()
    whole = gae(rewards.numpy(), values.numpy(), following, ended.numpy(), ended.numpy(), gamma.numpy(), 1.0)
    np.testing.assert_allclose(found, whole + values.numpy(), rtol=1e-12)
