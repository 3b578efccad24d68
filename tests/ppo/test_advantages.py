"""Generalised advantage estimation against tables worked by hand, Stable-Baselines3, and a value known in advance."""

import dataclasses

import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stubs import CONTINUOUS_1, ENDLESS, ENDLESS_LIMIT

from ppo.advantages import gae
from ppo.envs import make
from ppo.ppo import PPO, PPOSettings

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
def test_the_value_of_an_endless_task_is_learned_over_time_limits_only_if_they_are_bootstrapped(gamma):
    """Reward 1 for ever is worth 1 / (1 - gamma), whatever the time limit. Where limits count as terminations, the
    value of the one state there is settles where the estimated advantages of its steps have mean 0."""
    gae_lambda = 0.9
    settings = PPOSettings(
        num_steps=64,
        minibatch_size=64,
        learning_rate=1e-2,
        gamma=gamma,
        gae_lambda=gae_lambda,
        norm_obs=False,
        norm_reward=False,
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
