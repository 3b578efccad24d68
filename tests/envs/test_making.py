"""One Gymnasium environment: its text and its arguments, what a network gets of it, and what is refused beforehand."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple

from ppo.envs import make
from ppo.envs.gymnasium import GymnasiumVectorEnv
from ppo.envs.making import (
    check_environment,
    make_one,
    module_of,
    note_on_bounds,
    split_arguments,
    with_arguments,
)
from ppo.envs.mujoco import MujocoVectorEnv

NUMBERS = Box(-np.inf, np.inf, (2,), np.float32)
ACTION = Box(-1, 1, (1,), np.float32)


class Own(gymnasium.Env):
    """Observations are samples of their space."""

    def __init__(self, observation_space=NUMBERS, action_space=ACTION):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(0)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture
def own(monkeypatch):
    """Register an environment for one test; returns what does it, which returns the id."""

    def register(create, **spec):
        monkeypatch.setitem(gymnasium.registry, "Own-v0", gymnasium.envs.registration.EnvSpec("Own-v0", create, **spec))
        return "Own-v0"

    return register


# The text


def test_a_text_with_arguments_is_written_in_one_order_and_read_back():
    arguments = {"scale": 0.1, "name": "a, b)=(", "sizes": (1, 2), "on": True, "limit": None}
    text = with_arguments("module:Ant-v5", dict(reversed(arguments.items())))
    assert text == "module:Ant-v5(limit=None, name='a, b)=(', on=True, scale=0.1, sizes=(1, 2))"
    assert split_arguments(text) == ("module:Ant-v5", arguments)
    assert with_arguments(text, {"scale": 2}) == text.replace("0.1", "2")


def test_without_arguments_the_text_is_the_id():
    assert with_arguments("Hopper-v4", {}) == "Hopper-v4"
    assert split_arguments("Hopper-v4") == ("Hopper-v4", {})


@pytest.mark.parametrize(
    "text", ["A-v0(1)", "A-v0(x=print())", "A-v0(x=1)(y=2)", "A-v0(**{'x': 1}", "A-v0(x=1", "A-v0(" + "(" * 9999]
)
def test_a_text_that_holds_more_than_literals_is_refused(text):
    with pytest.raises(ValueError, match="is neither an id nor"):
        split_arguments(text)


@pytest.mark.parametrize(
    ("name", "module"),
    [("a.b:C-v0", "a.b"), ("C-v0", ""), ("C-v0(x='a:b')", ""), ("a:C-v0(x='b:c')", "a"), ("m:Class", "m")],
)
def test_the_module_is_what_stands_before_the_colon(name, module):
    assert module_of(name) == module


# Arguments


def test_arguments_reach_the_environment_and_the_time_limit():
    one = make_one("Hopper-v4(ctrl_cost_weight=0.5, max_episode_steps=3)")
    plain = gymnasium.make("Hopper-v4")
    for env in (one, plain):
        env.reset(seed=3)
    action = np.ones(3, np.float32)
    (_, reward, *_), (_, usual, *_) = one.step(action), plain.step(action)
    assert usual - reward == pytest.approx((0.5 - 1e-3) * 3)
    one.step(action)
    assert one.step(action)[3], "the third step is the last"


def test_an_environment_with_arguments_is_stepped_by_gymnasium():
    assert isinstance(make("Hopper-v4", [0]), MujocoVectorEnv)
    assert isinstance(make("Hopper-v4(max_episode_steps=9)", [0]), GymnasiumVectorEnv)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hopper-v4(foo=1)", r"unexpected keyword argument 'foo'; --env-kwargs NAME=VALUE can give it forward_reward"),
        ("PongNoFrameskip-v4(frameskip=2)", "Atari games are played as in 2017, and take no frameskip"),
        ("Hoper-v4(foo=1)", "did you mean Hopper-v4"),
    ],
)
def test_arguments_that_cannot_be_taken_are_one_line(text, message):
    with pytest.raises(ValueError, match=message) as error:
        make(text, [0])
    assert "\n" not in str(error.value)


def test_an_argument_that_is_missing_is_named(own):
    with pytest.raises(ValueError, match=r"missing 1 .* 'level'; --env-kwargs NAME=VALUE can give it level, size"):
        make_one(own(lambda level, size=1: Own()))
    assert make_one("Own-v0(level=3)")


def test_whatever_a_constructor_raises_is_one_line(own):
    def broken():
        raise OSError("no such\nfile")

    with pytest.raises(ValueError, match=r"^environment 'Own-v0' cannot be made: OSError: no such file$"):
        make_one(own(broken))


# What a network gets


@pytest.mark.parametrize(
    ("space", "observation", "flat"),
    [
        (Box(0, 1, (2, 2), np.float32), np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), [0.1, 0.2, 0.3, 0.4]),
        (Box(0, 1, (), np.float32), np.float32(0.5), [0.5]),
        (Discrete(3), 1, [0, 1, 0]),
        (Discrete(3, start=5), 5, [1, 0, 0]),
        (MultiBinary(2), np.array([1, 0], np.int8), [1, 0]),
        (Tuple([Discrete(2), NUMBERS]), (1, np.array([7, 8], np.float32)), [0, 1, 7, 8]),
        (Dict({"b": Discrete(2), "a": NUMBERS}), {"a": np.array([7, 8], np.float32), "b": 0}, [7, 8, 1, 0]),
        (Box(0, 255, (2,), np.uint8), np.array([3, 4], np.uint8), [3, 4]),
    ],
)
def test_observations_become_vectors_of_floats(own, space, observation, flat):
    class Says(Own):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return observation, {}

    env = GymnasiumVectorEnv(own(lambda: Says(space)), [0])
    assert env.observation_dtype.kind == "f"
    np.testing.assert_allclose(env.reset(), [flat])


@pytest.mark.parametrize(("shape", "seen"), [((40, 50, 3), (40, 50, 3)), ((40, 50), (40, 50, 1))])
def test_pictures_stay_bytes_with_their_channels_last(own, shape, seen):
    env = GymnasiumVectorEnv(own(lambda: Own(Box(0, 255, shape, np.uint8))), [0])
    assert env.observation_shape == seen
    assert env.observation_dtype == np.uint8
    assert env.reset().shape == (1, *seen)


# What is said and refused before a training


def test_a_good_environment_is_not_spoken_of(own):
    assert check_environment(own(Own, max_episode_steps=5), raw_actions=True) == []
    assert check_environment("CartPole-v1", raw_actions=True) == []


def answering(**answers):
    """An environment whose methods answer as given."""

    class Answering(Own):
        def reset(self, *, seed=None, options=None):
            usual = super().reset(seed=seed)
            return answers["reset"](*usual) if "reset" in answers else usual

        def step(self, action):
            usual = super().step(action)
            return answers["step"](action, *usual) if "step" in answers else usual

    return Answering


def raising(action, *usual):
    assert abs(action) <= 1, f"{action} is outside"
    return usual


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"step": lambda a, o, r, te, tr, i: (o, r, te, i)}, r"step\(\) must return .* not 4 values as before Gym"),
        ({"reset": lambda o, i: o}, r"reset\(\) must return \(observation, info\), not one ndarray as before"),
        ({"reset": lambda o, i: (o, None)}, "was not a dictionary"),
        ({"reset": lambda o, i: (o[:1], i)}, r"reset\(\) gave an observation of shape \(1,\), its space is \(2,\)"),
        ({"step": lambda a, o, *rest: (o[:1], *rest)}, r"step\(\) gave an observation of shape \(1,\)"),
        ({"step": raising}, r"refuses actions beyond its bounds, so --clip-actions true is needed: \[2.\] is outside"),
    ],
)
@pytest.mark.parametrize("limit", [None, 5])
def test_breaches_of_the_api_are_refused_in_one_line(own, answers, message, limit):
    with pytest.raises(ValueError, match=f"^environment 'Own-v0' .*{message}") as error:
        check_environment(own(answering(**answers), max_episode_steps=limit), raw_actions=True)
    assert "\n" not in str(error.value)


def test_an_environment_that_checks_its_actions_passes_if_they_are_clipped(own):
    assert check_environment(own(answering(step=raising)), raw_actions=False) == []


def test_what_is_odd_but_works_is_said_in_a_line_without_colours(own):
    (line,) = check_environment(own(answering(step=lambda a, o, r, *rest: (o, np.nan, *rest))), raw_actions=True)
    assert line == "The reward is a NaN value."


@pytest.mark.parametrize(
    ("space", "bounds"),
    [
        (Box(0, 255, (2,), np.float32), "0 ... 255"),
        (ACTION, "-1 ... 1"),
        (Box(0, np.inf, (1,), np.float32), "0 ... inf"),
    ],
)
def test_bounds_that_raw_actions_ignore_are_named(space, bounds):
    note = note_on_bounds("Own-v0", space)
    assert bounds in note
    assert "--clip-actions true" in note
    assert "--rescale-actions true" in note


def test_actions_without_bounds_need_no_note():
    assert note_on_bounds("Own-v0", Discrete(2)) is None
    assert note_on_bounds("Own-v0", Box(-np.inf, np.inf, (1,), np.float32)) is None
