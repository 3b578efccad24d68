"""Running statistics against numpy's of all the data, and the reward normaliser against a plain loop."""

import numpy as np
import pytest

from ppo.normalizers import ObservationNormalizer, RewardNormalizer, RunningMeanStd

RUNS = 3


def batches(count, envs, shape=(4,), seed=0):
    """Of each run on another scale: ``[count, runs, envs, *shape]``."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((count, RUNS, envs, *shape))
    scale = np.array([1.0, 100.0, 0.1]).reshape(RUNS, *[1] * (data.ndim - 2))
    return data * scale + 3 * scale + rng.standard_normal(shape)


@pytest.mark.parametrize("envs", [1, 2, 8])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)], ids=str)
def test_mean_and_variance_are_those_of_all_the_data(envs, shape):
    data = batches(300, envs, shape)
    statistics = RunningMeanStd(RUNS, shape)
    for batch in data:
        statistics.update(batch)
    rows = data.transpose(1, 0, 2, *range(3, data.ndim)).reshape(RUNS, -1, *shape)
    # the statistics begin with 1e-4 of a sample of mean 0 and variance 1, which 300 samples leave little of
    np.testing.assert_allclose(statistics.mean, rows.mean(1), rtol=1e-5)
    np.testing.assert_allclose(statistics.var, rows.var(1), rtol=2e-5 if envs > 1 else 1e-4, atol=1e-5)
    assert statistics.count == pytest.approx(300 * envs)


def test_the_statistics_begin_as_those_of_openai_baselines():
    """Not of the data alone: 1e-4 of a sample with mean 0 and variance 1 is in them, as a weighted average states."""
    data = batches(5, 2, seed=4)
    statistics = RunningMeanStd(RUNS, (4,))
    for batch in data:
        statistics.update(batch)
    rows = data.transpose(1, 0, 2, 3).reshape(RUNS, 10, 4)
    mean = rows.sum(1) / (10 + 1e-4)
    second_moment = (1e-4 * 1.0 + np.square(rows).sum(1)) / (10 + 1e-4)
    np.testing.assert_allclose(statistics.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(statistics.var, second_moment - mean**2, rtol=1e-7)


def test_observations_are_standardised_per_run_clipped_and_float32():
    data = batches(200, 2)
    normalizer = ObservationNormalizer(RUNS, (4,))
    for batch in data:
        normalizer.update(batch)
    outliers = data[-1].copy()
    outliers[1, 0, 2], outliers[1, 1, 2] = 1e6, -1e6
    normalised = normalizer(outliers)
    rows = data.transpose(1, 0, 2, 3).reshape(RUNS, -1, 4)
    expected = (outliers - rows.mean(1)[:, None]) / rows.std(1)[:, None]
    np.testing.assert_allclose(normalised, expected.clip(-10, 10), rtol=1e-3, atol=1e-3)
    assert normalised.dtype == np.float32
    assert (normalised[1, :, 2] == [10, -10]).all()


def test_normalising_does_not_change_the_statistics():
    """Evaluation and the last states of episodes must leave no trace in training."""
    normalizer = ObservationNormalizer(RUNS, (4,))
    normalizer.update(batches(1, 2)[0])
    before = [np.copy(value) for value in normalizer.statistics.state().values()]
    normalizer(batches(1, 2, seed=9)[0])
    for value, old in zip(normalizer.statistics.state().values(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def loop(rewards, ended, gamma):
    """openai/baselines' VecNormalize for one run, in plain Python: ``[steps, envs]``."""
    returns = [0.0] * rewards.shape[1]
    mean, second, count, scaled = 0.0, 1.0 * 1e-4, 1e-4, []
    total = 0.0
    for row, ends in zip(rewards, ended, strict=True):
        returns = [gamma * own + reward for own, reward in zip(returns, row, strict=True)]
        count += len(row)
        total += sum(returns)
        second += sum(own**2 for own in returns)
        mean = total / count
        variance = second / count - mean**2
        scaled.append([min(max(reward / (variance + 1e-8) ** 0.5, -10), 10) for reward in row])
        returns = [0.0 if end else own for own, end in zip(returns, ends, strict=True)]
    return np.array(scaled)


@pytest.mark.parametrize("envs", [1, 3])
def test_rewards_are_scaled_as_by_a_plain_loop_with_each_runs_gamma(envs):
    rng = np.random.default_rng(0)
    steps, gamma = 200, np.array([[0.99], [0.9], [0.0]])
    rewards = rng.standard_normal((steps, RUNS, envs)) * 5 + 2
    rewards[::37] *= 300  # some that must be clipped
    ended = rng.random((steps, RUNS, envs)) < 0.05
    normalizer = RewardNormalizer(gamma, envs)
    scaled = np.array([normalizer(*step) for step in zip(rewards, ended, strict=True)])
    for run in range(RUNS):
        np.testing.assert_allclose(scaled[:, run], loop(rewards[:, run], ended[:, run], gamma[run, 0]), rtol=1e-6)
    assert (np.abs(scaled) == 10).any()
    assert (np.abs(scaled) < 10).any()


def test_return_restarts_after_any_end():
    """The return starts afresh after any end, but counts the last reward.

    Gymnasium's wrapper drops the return on a terminal step and runs on over time limits; neither happens here.
    """
    normalizer = RewardNormalizer(np.array([[0.5]]), 2)
    normalizer(np.array([[4.0, 4.0]]), np.array([[False, False]]))
    normalizer(np.array([[1.0, 1.0]]), np.array([[True, False]]))
    np.testing.assert_array_equal(normalizer.returns, [[0.0, 3.0]])
    normalizer(np.array([[1.0, 1.0]]), np.array([[False, False]]))
    np.testing.assert_array_equal(normalizer.returns, [[1.0, 2.5]])
    seen = np.array([4, 4, 3, 3, 1, 2.5])  # the 3 of the step that ended is among them
    assert normalizer.statistics.mean[0] == pytest.approx(seen.mean(), rel=1e-4)


def test_runs_are_independent_of_nan():
    """Runs are independent to the bit, even of one that is no number."""
    data, rng = batches(50, 2), np.random.default_rng(1)
    rewards, ended = data[..., 0], rng.random((50, RUNS, 2)) < 0.1
    gamma = np.full((RUNS, 1), 0.99)

    def scale(rows, poison):
        observation, reward = ObservationNormalizer(len(rows), (4,)), RewardNormalizer(gamma[rows], 2)
        out = []
        for step in range(50):
            observations, own = data[step][rows].copy(), rewards[step][rows].copy()
            if poison and step == 20:
                observations[0], own[0] = np.nan, np.inf
            observation.update(observations)
            out.append((observation(observations), reward(own, ended[step][rows])))
        return [np.array(part) for part in zip(*out, strict=True)]

    with np.errstate(invalid="ignore"):
        poisoned = scale([0, 1, 2], poison=True)
    assert np.isnan(poisoned[0][-1, 0]).all()
    for rows in ([1], [2, 1], [1, 2, 0]):
        for mine, whole in zip(scale(rows, poison=False), poisoned, strict=True):
            for place, row in enumerate(rows):
                if row != 0:
                    np.testing.assert_array_equal(mine[:, place], whole[:, row])


def test_restored_normaliser_continues():
    """A restored normaliser continues to the bit, and shares no memory."""
    rewards, ended = batches(30, 2)[..., 0], np.zeros((RUNS, 2), np.bool_)
    gamma = np.full((RUNS, 1), 0.9)
    normalizer, restored = RewardNormalizer(gamma, 2), RewardNormalizer(gamma, 2)
    for step in range(15):
        normalizer(rewards[step], ended)
    state = {
        name: np.copy(value) if isinstance(value, np.ndarray) else value for name, value in normalizer.state().items()
    }
    restored.load_state(normalizer.state())
    continued = [normalizer(rewards[step], ended) for step in range(15, 30)]
    for name, value in restored.state().items():
        np.testing.assert_array_equal(value, state[name])
    for step in range(15, 30):
        np.testing.assert_array_equal(restored(rewards[step], ended), continued[step - 15])
