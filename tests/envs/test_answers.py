"""What somebody's environment raises or answers, at any step: its row is given up with the reason, and no other."""

import os
import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from ppo.envs import answers
from ppo.envs.base import EnvironmentFailed
from ppo.envs.gymnasium import GymnasiumVectorEnv

SEED = 2**40 + 5


class Plain(gymnasium.Env):
    """Two random numbers; an episode takes six steps. ``odd`` says what happens in the fourth."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, odd=lambda env, answer: answer):
        self.odd = odd

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.np_random.random(2, np.float32), {}

    def step(self, action):
        self.t += 1
        answer: tuple[Any, ...] = (self.np_random.random(2, np.float32), 0.5, False, self.t == 6, {})
        return self.odd(self, answer) if self.t == 4 else answer


def raising(error):
    def odd(env, answer):
        raise error

    return odd


ODD = {
    "RuntimeError: unstable": raising(RuntimeError("unstable\nfor ever")),
    "SystemExit": raising(SystemExit(0)),
    "SystemExit: 3": raising(SystemExit(3)),
    "KeyError": raising(KeyError("x")),
    r"shape \(1,\), its space is \(2,\)": lambda env, answer: (answer[0][:1], *answer[1:]),
    r"shape \(2, 1\), its space is \(2,\)": lambda env, answer: (answer[0][:, None], *answer[1:]),
    "an observation of <U1": lambda env, answer: (np.array(["a", "b"]), *answer[1:]),
    "an observation of complex64": lambda env, answer: (answer[0] * 1j, *answer[1:]),
    "an observation of object": lambda env, answer: (np.array([None, None]), *answer[1:]),
    "API of before Gymnasium": lambda env, answer: answer[1:],
    "not one number": lambda env, answer: (answer[0], np.zeros(2), *answer[2:]),
    "reward None": lambda env, answer: (answer[0], None, *answer[2:]),
    "reward 'x'": lambda env, answer: (answer[0], "x", *answer[2:]),
}


@pytest.fixture
def register():
    """Register an environment of which one seed in three is odd; yields the function that does it."""
    names: list[str] = []

    def add(odd, seeds=(2,)):
        class Sometimes(Plain):
            def reset(self, *, seed=None, options=None):
                if seed is not None and seed in seeds:
                    self.odd = odd
                return super().reset(seed=seed, options=options)

        names.append(f"Odd{len(names)}-v0")
        gymnasium.register(names[-1], Sometimes)
        return names[-1]

    yield add
    for name in names:
        del gymnasium.registry[name]


def played(env, steps):
    env.reset()
    return [env.step(np.full((env.rows, 1), 0.1, np.float32)) for _ in range(steps)]


@pytest.mark.parametrize("what", ODD)
def test_a_row_that_fails_is_given_up_and_the_others_are_as_without_it(register, what):
    env = GymnasiumVectorEnv(register(ODD[what]), [1, 2, 3])
    steps = played(env, 10)
    others = played(GymnasiumVectorEnv(env._env_id, [1, 3]), 10)
    assert list(env.failures) == [1]
    with pytest.raises(AssertionError, match=what):
        raise AssertionError(env.failures[1])
    assert env.failures[1].endswith("(in step 4 of an episode)")
    assert "\n" not in env.failures[1]
    for step, alone in zip(steps, others, strict=True):
        np.testing.assert_array_equal(step.observations[[0, 2]], alone.observations)
        np.testing.assert_array_equal(step.rewards[[0, 2]], alone.rewards)
        np.testing.assert_array_equal(step.truncated[[0, 2]], alone.truncated)
    assert np.isfinite(steps[2].rewards).all()
    for step in steps[3:]:
        assert np.isnan(step.rewards[1])
        assert np.isnan(step.observations[1]).all()
        assert not step.game_over[1]


def test_a_row_that_was_given_up_stays_so_in_a_state(register):
    env_id = register(ODD["SystemExit"])
    env, restored = GymnasiumVectorEnv(env_id, [1, 2, 3]), GymnasiumVectorEnv(env_id, [0, 0, 0])
    played(env, 8)
    restored.reset()
    restored.set_state(env.get_state())
    assert restored.failures == env.failures
    action = np.full((3, 1), 0.1, np.float32)
    for _ in range(9):
        step, again = env.step(action), restored.step(action)
        np.testing.assert_array_equal(again.observations, step.observations)
        np.testing.assert_array_equal(again.rewards, step.rewards)


def test_rewards_and_observations_that_mean_one_thing_are_taken(register):
    def odd(env, answer):
        return answer[0].tolist(), np.array([[2]]), np.array([False]), np.bool_(False), {}

    env = GymnasiumVectorEnv(register(odd), [2])
    assert played(env, 4)[3].rewards.tolist() == [2.0]
    assert not env.failures


class Numpys(Plain):
    """Takes no seed that numpy's old generator does not."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            np.random.seed(seed)  # noqa: NPY002
        return super().reset(seed=seed, options=options)


def test_an_environment_gets_a_seed_that_it_can_take_and_others_all_64_bits():
    observation, taken = answers.begin(Numpys(), SEED)
    assert taken == SEED % 2**31
    np.testing.assert_array_equal(observation, Plain().reset(seed=SEED % 2**31)[0])
    observation, taken = answers.begin(Plain(), SEED)
    assert taken == SEED
    np.testing.assert_array_equal(observation, Plain().reset(seed=SEED)[0])


def test_what_a_reset_raises_for_another_reason_is_told():
    class Broken(Plain):
        def reset(self, *, seed=None, options=None):
            raise OSError("no display")

    with pytest.raises(EnvironmentFailed, match=r"^reset\(\) raised OSError: no display$"):
        answers.begin(Broken(), SEED)


def test_an_error_without_a_text_is_told_by_its_place():
    class Broken(Plain):
        def reset(self, *, seed=None, options=None):
            try:
                assert self.render_mode
            except AssertionError as error:
                raise AssertionError from error

    with pytest.raises(EnvironmentFailed) as failure:
        answers.begin(Broken(), SEED)
    assert re.fullmatch(
        r"reset\(\) raised AssertionError: test_answers\.py:\d+: assert self\.render_mode", str(failure.value)
    )


class Foreign(Plain):
    """Its generator is numpy's old one."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            generator: Any = np.random.RandomState(seed % 2**32)
            self._np_random = generator
        self.t = 0
        return self.drawn(), {}

    def step(self, action):
        self.t += 1
        return self.drawn(), 1, False, self.t == 6, {}

    def drawn(self):
        return self._np_random.random_sample(2)


def test_an_environment_with_a_generator_of_another_kind_is_stepped_and_its_state_says_so():
    gymnasium.register("Foreign-v0", Foreign)
    env = GymnasiumVectorEnv("Foreign-v0", [1, 2])
    played(env, 8)
    assert not env.failures
    said = "its np_random is a RandomState, not numpy's Generator of PCG64"
    assert env.get_state()["starts"] == [said] * 2
    del gymnasium.registry["Foreign-v0"]


class Mersenne(Foreign):
    """Its generator is numpy's new kind, with a state that is an array."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self._np_random = np.random.Generator(np.random.MT19937(seed % 2**32))
        return self.drawn(), {}

    def drawn(self):
        return self._np_random.random(2)


def test_a_generator_whose_state_is_no_few_numbers_is_stepped_and_not_put_back():
    gymnasium.register("Mersenne-v0", Mersenne)
    env = GymnasiumVectorEnv("Mersenne-v0", [1, 2])
    played(env, 8)
    assert not env.failures
    assert set(env.not_restorable()) == {0, 1}
    del gymnasium.registry["Mersenne-v0"]


def test_every_environment_is_closed_and_what_one_raises_told_last(register, tmp_path, monkeypatch):
    env = GymnasiumVectorEnv(register(ODD["KeyError"]), [1, 2, 3])
    for row, own in enumerate(env._envs):

        def close(row=row):
            os.mkdir(tmp_path / str(row))
            if row == 0:
                raise SystemExit(0)

        monkeypatch.setattr(own.unwrapped, "close", close)
    with pytest.raises(EnvironmentFailed, match=r"close\(\) raised SystemExit: 0"):
        env.close()
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
