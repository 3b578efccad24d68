"""Any other Gymnasium environment: Gymnasium's own numbers, and an exact continuation by replay."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Sequence, Space

from ppo.envs.gymnasium import GymnasiumVectorEnv
from tests.helpers.gymnasium_oracle import (
    Oracle,
    assert_refused,
    assert_rows_go_on_elsewhere,
    assert_same_transition,
    compare,
    random_actions,
    take_rows,
)

SEEDS = [3, 14, 15]
IDS = ["CartPole-v1", "Pendulum-v1", "Ant-v5"]


@pytest.mark.parametrize("env_id", IDS)
def test_every_number_is_gymnasiums(env_id):
    env = GymnasiumVectorEnv(env_id, SEEDS)
    counts = compare(env, Oracle(env_id, SEEDS), random_actions(env, 220))
    assert counts["steps"] == 660
    assert counts["truncated"] == (3 if env_id == "Pendulum-v1" else 0)
    assert counts["terminated"] > (5 if env_id != "Pendulum-v1" else -1)


@pytest.mark.parametrize("env_id", IDS)
def test_a_restored_environment_continues_to_the_bit(env_id):
    env, restored = GymnasiumVectorEnv(env_id, SEEDS), GymnasiumVectorEnv(env_id, [0, 0, 0])
    actions = random_actions(env, 280)
    env.reset()
    for action in actions[:67]:
        observations = env.step(action).observations
    state = env.get_state()
    np.testing.assert_array_equal(restored.set_state(state), observations)
    ended = 0
    for action in actions[67:]:
        transition = env.step(action)
        ended += int((transition.terminated | transition.truncated).sum())
        assert_same_transition(restored.step(action), transition)
    assert ended >= 3


@pytest.mark.parametrize("env_id", IDS)
def test_state_of_a_first_episode_restores(env_id):
    """A state restores in the first episode, and saves again unchanged."""
    env, restored = GymnasiumVectorEnv(env_id, SEEDS), GymnasiumVectorEnv(env_id, [0, 0, 0])
    env.reset()
    actions = random_actions(env, 6, scale=0.1)
    for action in actions[:3]:
        env.step(action)
    state = env.get_state()
    restored.set_state(state)
    again = restored.get_state()
    for name, value in state.items():
        np.testing.assert_array_equal(again[name], value)
    for action in actions[3:]:
        assert_same_transition(restored.step(action), env.step(action))


def test_rows_can_be_cut_out_and_joined():
    three, four = GymnasiumVectorEnv("CartPole-v1", SEEDS), GymnasiumVectorEnv("CartPole-v1", [0] * 4)
    actions = random_actions(three, 80)
    three.reset()
    assert_rows_go_on_elsewhere(three, four, actions, 20)


def test_ill_fitting_states_are_refused():
    env = GymnasiumVectorEnv("CartPole-v1", SEEDS)
    with pytest.raises(ValueError, match="before reset"):
        env.get_state()
    env.reset()
    for action in random_actions(env, 3):
        env.step(action)
    state = env.get_state()
    ill_fitting = {
        "'environment' must be a list of 3 strings": take_rows(state, [0, 2]),
        "saved by Acrobot-v1": state | {"environment": ["Acrobot-v1"] * 3},
        r"'observations' is float32 \(3, 2\), needed is float32 \(3, 4\)": state
        | {"observations": state["observations"][:, :2]},
        "'actions' of row 0 are not actions of it": state | {"actions": ["no"] * 3},
        "not the JSON of a PCG64's state": state | {"starts": ["{}"] * 3},
    }
    assert_refused(env, ill_fitting)
    env.set_state(state)
    assert not env.restarted


def test_a_row_whose_episode_cannot_be_played_again_begins_a_new_one():
    env = GymnasiumVectorEnv("CartPole-v1", SEEDS)
    env.reset()
    for action in random_actions(env, 3):
        env.step(action)
    state = env.get_state()
    first = json.loads(state["actions"][0])
    other = [json.dumps([1 - action for action in first]), *state["actions"][1:]]
    observations = env.set_state(state | {"actions": other})
    assert list(env.restarted) == [0]
    assert "does not lead to its last observation" in env.restarted[0]
    np.testing.assert_array_equal(observations[1:], state["observations"][1:])
    again = env.get_state()
    assert again["actions"] == ["[]", *state["actions"][1:]]
    assert again["starts"] == state["starts"]


class Stub(gymnasium.Env):
    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.random(self.observation_space.shape, np.float32), {}

    def step(self, action):
        action[...] = 0.0  # an environment may do this to the action it is given
        return self.np_random.random(self.observation_space.shape, np.float32), 1, False, False, {}


class Foreign(Space):
    """A package's own kind of space, as MiniGrid's missions are, which says nothing of flattening."""


BOX = Box(0, 1, (2,), np.float32)


@pytest.fixture
def stub():
    """Register an environment of the given spaces; yields the function that does it."""
    names: list[str] = []

    def register(observation_space=BOX, action_space=BOX):
        names.append(f"Stub{len(names)}-v0")
        gymnasium.register(names[-1], lambda: Stub(observation_space, action_space))
        return names[-1]

    yield register
    for name in names:
        del gymnasium.registry[name]


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"observation_space": Dict({"a": Sequence(BOX)})}, "'Stub0-v0': observations are a Dict space that cannot be"),
        ({"observation_space": Foreign()}, "observations are a Foreign space that cannot be flattened"),
        ({"action_space": Box(0, 9, (1,), np.int64)}, "actions are a Box of int64, and the policy draws fractions"),
        ({"action_space": Discrete(3, start=1)}, "actions start at 1"),
        ({"action_space": MultiDiscrete([2, 2])}, r"'Stub0-v0': actions are a MultiDiscrete space of shape \(2,\)"),
        ({"action_space": Box(0, 1, (2, 2))}, r"a Box space of shape \(2, 2\); Discrete and 1-D Box are supported"),
        ({"action_space": Box(0, 1, ())}, r"a Box space of shape \(\)"),
    ],
)
def test_unsupported_spaces_are_named_in_one_line(stub, spaces, message):
    with pytest.raises(ValueError, match=message) as error:
        GymnasiumVectorEnv(stub(**spaces), [0])
    assert "\n" not in str(error.value)


def test_an_environment_may_change_the_action_that_it_gets(stub):
    env = GymnasiumVectorEnv(stub(), [0, 1])
    assert env.reset().shape == (2, 2)
    actions = np.full((2, 2), 0.25, np.float32)
    transition = env.step(actions)
    assert transition.observations.shape == (2, 2)
    assert transition.rewards.dtype == np.float64
    assert (actions == 0.25).all()
    assert env.get_state()["actions"] == ["[[0.25, 0.25]]"] * 2
    env.close()


def test_actions_of_another_shape_are_refused():
    env = GymnasiumVectorEnv("Pendulum-v1", SEEDS)
    env.reset()
    with pytest.raises(ValueError, match=r"Pendulum-v1: actions have shape \(3,\), needed is \(3, 1\)"):
        env.step(np.zeros(3, np.float32))
