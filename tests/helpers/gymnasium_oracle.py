"""A loop over Gymnasium's own environments as the oracle, and how to compare with it."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from ppo.envs.base import State, Transition, VectorEnv

Array = npt.NDArray[Any]
Row = tuple[Array, Array, Any, bool, bool]
"""Next observation, final observation, reward, terminated, truncated."""


def make_oracle(env_id: str) -> Any:
    """Gymnasium's environment; where the force is not clamped, which Gymnasium has no id for, without its limit."""
    env: Any = gymnasium.make(env_id.replace("Unclamped", ""))
    if "Unclamped" in env_id:
        env.unwrapped.model.actuator_ctrllimited[:] = 0
    return env


class Oracle:
    """``gymnasium.make(env_id)`` per seed, stepped one by one, each reset on the step that ends its episode."""

    def __init__(self, env_id: str, seeds: Sequence[int]) -> None:
        self.envs = [make_oracle(env_id) for _ in seeds]
        self.seeds = seeds

    def reset(self) -> list[Array]:
        return [env.reset(seed=seed)[0] for env, seed in zip(self.envs, self.seeds, strict=True)]

    def step(self, actions: Array) -> list[Row]:
        """Of each row: next observation, final observation, reward, terminated, truncated."""
        rows = []
        for env, action in zip(self.envs, actions, strict=True):
            final, reward, terminated, truncated, _ = env.step(action)
            observation = env.reset()[0] if terminated or truncated else final
            rows.append((observation, final, reward, terminated, truncated))
        return rows


def assert_same_step(transition: Transition, expected: Sequence[Row]) -> None:
    """Every number of the transition is the oracle's: ``==``, and NaN where it has NaN."""
    assert len(expected) == len(transition.rewards)
    for i, (observation, final, reward, terminated, truncated) in enumerate(expected):
        np.testing.assert_array_equal(transition.observations[i], observation, strict=True)
        np.testing.assert_array_equal(transition.final_observations[i], final, strict=True)
        np.testing.assert_array_equal(transition.rewards[i], np.float64(reward))
        assert transition.terminated[i] == terminated
        assert transition.truncated[i] == truncated


def compare(env: VectorEnv, oracle: Oracle, actions: Array) -> collections.Counter[str]:
    """Step both from a reset; counts what was compared: rows' steps, and how their episodes ended."""
    np.testing.assert_array_equal(env.reset(), np.stack(oracle.reset()), strict=True)
    counts: collections.Counter[str] = collections.Counter()
    for action in actions:
        transition = env.step(action)
        assert_same_step(transition, oracle.step(action))
        counts["steps"] += len(action)
        counts["terminated"] += int(transition.terminated.sum())
        counts["truncated"] += int(transition.truncated.sum())
    return counts


def random_actions(env: VectorEnv, steps: int, scale: float = 1.5, seed: int = 0) -> Array:
    """``[steps, rows, *action_shape]``; at scale > 1 many beyond the bounds, where MuJoCo clamps but costs do not."""
    generator = np.random.default_rng(seed)
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        return generator.integers(env.action_space.n, size=(steps, env.rows))
    size = (steps, env.rows, *env.action_space.shape)
    return (scale * env.action_space.high * generator.standard_normal(size)).astype(env.action_space.dtype)


def assert_same_transition(one: Transition, other: Transition) -> None:
    for name, a, b in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name, strict=True)


def take_rows(state: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """The given rows of a state, as moving runs between stacks does."""
    return {
        name: value[rows] if isinstance(value, np.ndarray) else [value[i] for i in rows]
        for name, value in state.items()
    }


def join_rows(*states: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.concatenate([state[name] for state in states])
        if isinstance(value, np.ndarray)
        else [entry for state in states for entry in state[name]]
        for name, value in states[0].items()
    }


def assert_rows_go_on_elsewhere(three: VectorEnv, four: VectorEnv, actions: Array, begin: int) -> None:
    """Row 1 twice, beside the others, from the state of ``three`` after ``begin`` of the ``actions``."""
    for action in actions[:begin]:
        three.step(action)
    state = three.get_state()
    order = [1, 0, 1, 2]
    four.set_state(join_rows(take_rows(state, [1]), state))
    for action in actions[begin:]:
        transition = three.step(action)
        assert_same_transition(four.step(action[order]), Transition._make(array[order] for array in transition))


def assert_refused(env: VectorEnv, ill_fitting: Mapping[str, State]) -> None:
    """Each state of ``ill_fitting`` in one line that matches its key."""
    for message, bad in ill_fitting.items():
        with pytest.raises(ValueError, match=message) as error:
            env.set_state(bad)
        assert "\n" not in str(error.value)
