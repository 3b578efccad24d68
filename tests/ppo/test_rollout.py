"""Collecting, in an environment whose every number says where it belongs."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from ppo.normalizers import ObservationNormalizer, RewardNormalizer
from ppo.policies import ActorCritic
from ppo.rollout import Collector, Episode, sent
from tests.helpers.batches import made_up_batch
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4, ScriptedEnv

RUNS, ENVS, STEPS = 2, 2, 11
LENGTHS = [3, 4, 5, 100]


def collector_of(action_space=CONTINUOUS_1, normalised=False, lengths=LENGTHS, **options):
    env = ScriptedEnv(lengths, action_space, **options)
    policy = ActorCritic(env.observation_shape, action_space, [1, 2])
    observation = ObservationNormalizer(RUNS, env.observation_shape) if normalised else None
    reward = RewardNormalizer(np.array([[0.9], [0.9]]), ENVS) if normalised else None
    collector: Any = Collector(env, policy.act, RUNS, observation, reward)
    collector.policy = policy  # at hand for the tests
    return collector


def noise_of(collector, steps=STEPS, iteration=0):
    return collector.policy.draw_noise([1, 2], iteration, steps, ENVS)


def test_every_number_stands_where_it_belongs():
    """Rewards are the action's own, not the next one's; what an ended episode led to is its own last observation."""
    collector = collector_of()
    experience = collector.collect(noise_of(collector), 0, keep_next=True)
    for run in range(RUNS):
        for env in range(ENVS):
            row = run * ENVS + env
            length = LENGTHS[row]
            for step in range(STEPS):
                episode, time = divmod(step, length)
                ended = time == length - 1
                assert experience.observations[step, run, env].tolist() == [row, episode, time]
                assert experience.next_observations[step, run, env].tolist() == [row, episode, time + 1]
                assert experience.rewards[step, run, env] == 100 * row + 10 * episode + time
                assert experience.ended[step, run, env] == ended
                assert experience.terminated[step, run, env] == (ended and row % 2 == 0)
            episode, time = divmod(STEPS, length)
            assert experience.last_observations[run, env].tolist() == [row, episode, time]


def test_environment_gets_clipped_actions():
    """Clipped actions reach the environment, and the drawn ones are kept."""
    collector = collector_of(CONTINUOUS_3)
    collector.clips_actions = True
    noise = 2 * noise_of(collector)
    experience = collector.collect(noise, 0, keep_next=False)
    drawn = experience.actions.numpy()
    sent = np.array(collector.env.actions).reshape(drawn.shape)
    low, high = CONTINUOUS_3.low, CONTINUOUS_3.high
    assert (sent >= low).all()
    assert (sent <= high).all()
    outside = (drawn < low) | (drawn > high)
    assert 0.05 < outside.mean() < 0.95
    np.testing.assert_array_equal(sent[~outside], drawn[~outside])
    np.testing.assert_array_equal(sent[outside], np.where(drawn < low, low, high)[outside])
    assert collector_of(CONTINUOUS_3).clips_actions is False


@pytest.mark.parametrize("clips", [False, True])
def test_minus_one_to_one_is_mapped_onto_the_bounds(clips):
    space = Box(np.array([0.0, -3.0], np.float32), np.array([255.0, 1.0], np.float32))
    drawn = np.array([[-1.0, 1.0], [0.0, 0.5], [2.5, -4.0]], np.float32)
    expected = [[0.0, 1.0], [127.5, 0.0], [255.0, -3.0] if clips else [446.25, -9.0]]
    np.testing.assert_allclose(sent(drawn, space, clips, rescales=True), expected)


@pytest.mark.parametrize("action_space", [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4], ids=str)
def test_actions_are_the_policys(action_space):
    """The actions are the policy's at the recorded observations, and reach the environment."""
    collector = collector_of(action_space, normalised=True)
    noise = noise_of(collector)
    experience = collector.collect(noise, 0, keep_next=False)
    for step in range(STEPS):
        expected = collector.policy.distribution(experience.observations[step]).sample(torch.from_numpy(noise[step]))
        torch.testing.assert_close(experience.actions[step], expected.detach(), rtol=1e-5, atol=5e-6)
        sent = collector.env.actions[step].reshape(RUNS, ENVS, *action_space.shape)
        np.testing.assert_array_equal(sent, experience.actions[step].numpy())
        assert sent.dtype == action_space.dtype
    assert experience.next_observations is None


def test_episodes_are_recorded_in_raw_rewards_with_the_runs_steps():
    """Whatever scales the rewards for learning; and a half-finished episode goes on in the next collection."""
    collector = collector_of(normalised=True)
    episodes = collector.collect(noise_of(collector), 0, keep_next=False).episodes
    episodes += collector.collect(noise_of(collector), STEPS * ENVS, keep_next=False).episodes
    expected = []
    for step in range(2 * STEPS):
        for row, length in enumerate(LENGTHS):
            episode, time = divmod(step, length)
            if time == length - 1:
                total = sum(100.0 * row + 10.0 * episode + t for t in range(length))
                expected.append(Episode(row // ENVS, (step + 1) * ENVS, total, length))
    assert episodes == expected
    assert {episode.run for episode in episodes} == {0, 1}


def test_lives_are_for_learning_games_for_records():
    """A game of several lives is recorded whole and raw, while learning sees lives and signs."""
    lives = 3
    collector = collector_of(lives=lives)
    experience = collector.collect(noise_of(collector, 40), 0, keep_next=False)
    expected = []
    for step in range(40):
        for row, length in enumerate(LENGTHS):
            ended = step % length == length - 1
            assert experience.ended[step, row // ENVS, row % ENVS] == ended
            assert experience.rewards[step, row // ENVS, row % ENVS] == (row + step > 0)
            game = step // (lives * length)
            if ended and step + 1 == (game + 1) * lives * length:
                played = [(game * lives + life, time) for life in range(lives) for time in range(length)]
                total = sum(100.0 * row + 10.0 * episode + time for episode, time in played)
                expected.append(Episode(row // ENVS, (step + 1) * ENVS, total, lives * length))
    assert experience.episodes == expected
    assert len(expected) == 4 + 3 + 2


@pytest.mark.parametrize("normalised", [False, True])
def test_observations_of_bytes_stay_bytes_unless_they_are_normalised(normalised):
    env = ScriptedEnv(LENGTHS, dtype=np.uint8)
    seen = []

    def act(observations, noise):
        seen.append(observations.dtype)
        return noise

    normalizer = ObservationNormalizer(RUNS, env.observation_shape) if normalised else None
    collector = Collector(env, act, RUNS, normalizer)
    experience = collector.collect(np.zeros((STEPS, RUNS, ENVS, 1), np.float32), 0, keep_next=True)
    for observations in (experience.observations, experience.next_observations, experience.last_observations):
        assert observations.dtype == (torch.float32 if normalised else torch.uint8)
    assert set(seen) == {np.dtype(np.float32 if normalised else np.uint8)}
    if not normalised:
        assert experience.observations[4, 1, 0].tolist() == [2, 0, 4]
        assert experience.last_observations[1, 0].tolist() == [2, 2, 1]


def test_normalisation_uses_the_past_alone():
    """Normalised observations use all that was seen up to then, and no more."""
    collector = collector_of(normalised=True)
    raw = collector_of()
    normalised = collector.collect(noise_of(collector), 0, keep_next=True)
    plain = raw.collect(noise_of(raw), 0, keep_next=True)
    seen = ObservationNormalizer(RUNS, (3,))
    for step in range(STEPS):
        seen.update(plain.observations[step].numpy().astype(np.float64))
        expected = seen(plain.observations[step].numpy().astype(np.float64))
        np.testing.assert_allclose(normalised.observations[step], expected, rtol=1e-5, atol=1e-5)
        final = seen(plain.next_observations[step].numpy().astype(np.float64))
        np.testing.assert_allclose(normalised.next_observations[step], final, rtol=1e-5, atol=1e-5)


def test_a_diverged_run_gets_zeros_and_records_no_episodes():
    collector = collector_of(CONTINUOUS_3)
    with torch.no_grad():
        collector.policy.parameters[0] = torch.nan
    collector.diverged[0] = True
    experience = collector.collect(noise_of(collector), 0, keep_next=False)
    for actions in collector.env.actions:
        assert (actions[:ENVS] == 0).all()
        assert (actions[ENVS:] != 0).all()
    assert {episode.run for episode in experience.episodes} == {1}


def test_a_restored_collector_continues_to_the_bit():
    collector, restored = collector_of(normalised=True), collector_of(normalised=True)
    collector.collect(noise_of(collector), 0, keep_next=False)
    state = collector.state()
    restored.load_state(state)
    noise = noise_of(collector, iteration=1)
    expected = collector.collect(noise, 22, keep_next=True)
    found = restored.collect(noise, 22, keep_next=True)
    assert found.episodes == expected.episodes != []
    for name in ("observations", "actions", "next_observations", "last_observations"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    np.testing.assert_array_equal(found.rewards, expected.rewards)


@pytest.mark.parametrize("action_space", [CONTINUOUS_3, DISCRETE_4], ids=str)
def test_a_selection_of_a_batch_keeps_each_samples_fields_together(action_space):
    policy = ActorCritic((5,), action_space, [1, 2])
    batch = made_up_batch(policy, 20)
    rng = np.random.default_rng(0)
    order = torch.from_numpy(np.stack([rng.permutation(20) for _ in range(2)]))
    part = list(batch.select(order).split(7))[1]
    for run in range(2):
        chosen = order[run, 7:14]
        for name in ("observations", "actions", "log_probs", "values", "advantages", "returns"):
            assert torch.equal(getattr(part, name)[run], getattr(batch, name)[run, chosen]), name
        old = part.distribution.log_prob(part.actions)[run]
        torch.testing.assert_close(old, batch.log_probs[run, chosen])
