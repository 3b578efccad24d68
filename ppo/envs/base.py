"""The interface of environments: rows of one task, stepped together."""

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

State = dict[str, Any]
"""Everything an environment needs to continue to the bit. Each value has one entry per row on its first axis:
an array ``[rows, ...]`` or a list of ``rows`` strings, so the rows of one run can be cut out and joined to others."""


class Transition(NamedTuple):
    """One step of all rows. A row that ended has already been reset (Gymnasium's ``SAME_STEP``).

    Learning sees ``rewards``, ``terminated`` and ``truncated``; scores are computed from ``raw_rewards`` and
    ``game_over``. On Atari these differ: learning sees clipped rewards and an episode that ends with each lost life,
    while the literature's scores are points of whole games. Elsewhere both are the same.
    """

    observations: NDArray[Any]
    """``[rows, *observation_shape]``: where the next action is taken; after an episode's end, the next one's start."""
    rewards: NDArray[np.float64]
    """``[rows]``: what learning sees: on Atari the sign of the points, elsewhere the environment's reward."""
    terminated: NDArray[np.bool_]
    """``[rows]``: the task ended the episode; on Atari also a lost life does."""
    truncated: NDArray[np.bool_]
    """``[rows]``: the time limit cut the episode."""
    final_observations: NDArray[Any]
    """``[rows, *observation_shape]``: the state after the action: the last one of an ended episode, else
    ``observations``."""
    raw_rewards: NDArray[np.float64]
    """``[rows]``: points of the running or just ended game since the last step, neither scaled nor clipped."""
    game_over: NDArray[np.bool_]
    """``[rows]``: that game ended."""


class EnvironmentDied(RuntimeError):
    """A simulator process died; resume from the last saved state."""


class EnvironmentFailed(RuntimeError):
    """An environment raised an error, or gave what it may not give."""


class VectorEnv(ABC):
    """``rows`` copies of one environment, one seed each, that reset themselves.

    The arrays that ``reset`` and ``step`` return belong to the caller: a later step does not change them.
    """

    rows: int
    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype[Any]
    frames: int = 1
    """Number of consecutive frames along an observation's last axis, the newest last; frames before the episode's
    start are zeros."""
    action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete
    """The space of one row's action."""
    restarted: Mapping[int, str] = MappingProxyType({})
    """The rows whose episode the last ``set_state`` could not put back and began anew instead, and why."""
    failures: Mapping[int, str] = MappingProxyType({})
    """Of each row whose environment failed: why. It is not stepped any more, and its numbers are NaN."""

    @abstractmethod
    def reset(self) -> NDArray[Any]:
        """Start every row's first episode; returns ``[rows, *observation_shape]``."""

    @abstractmethod
    def step(self, actions: NDArray[Any]) -> Transition:
        """Step every row with ``actions`` ``[rows, *action_space.shape]``, of ``action_space.dtype``, not clipped."""

    @abstractmethod
    def get_state(self) -> State:
        """Return a copy of everything that later steps depend on."""

    @abstractmethod
    def set_state(self, state: State) -> NDArray[Any]:
        """Continue from ``state``; returns the current observations. A state that does not fit: ``ValueError``."""

    def not_restorable(self) -> Mapping[int, str]:
        """Try whether ``set_state`` restores all rows; return the rows that it does not, with the reason."""
        return {}

    def close(self) -> None:  # noqa: B027 (most environments hold no processes or windows)
        """Release processes and windows."""


def close_quietly(env: VectorEnv) -> None:
    """Close an environment that was only looked at: what its close() raises stops nothing."""
    with contextlib.suppress(EnvironmentFailed):
        env.close()


def generator_state(generator: np.random.Generator) -> str:
    """Return a generator's state as JSON: unlike a pickle, an untrusted file cannot run code through it."""
    return json.dumps(generator.bit_generator.state)


def set_generator_state(generator: np.random.Generator, state: str) -> None:
    """Restore what :func:`generator_state` returned."""
    try:
        generator.bit_generator.state = json.loads(state)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        kind = type(getattr(generator, "bit_generator", generator)).__name__
        raise ValueError(f"state of a random generator: not the JSON of a {kind}'s state ({error})") from None


Seeds = Sequence[int]
"""One seed per row, passed to the row's generator as ``gymnasium.Env.reset(seed=...)`` does."""


def check_state(env_id: str, state: State, texts: Sequence[str], arrays: Mapping[str, NDArray[Any]], rows: int) -> None:
    """Raise a one-line ``ValueError`` unless ``state`` is one of ``rows`` rows of ``env_id``.

    Apart from ``environment``, the id of each row, it holds lists of strings ``texts``, and arrays of the names, shapes
    and types of ``arrays``.
    """
    needed = {"environment", *texts, *arrays}
    if set(state) != needed:
        raise ValueError(f"state for {env_id}: has {sorted(state)}, needed are {sorted(needed)}")
    for name in ("environment", *texts):
        value = state[name]
        if not (isinstance(value, list) and len(value) == rows and all(isinstance(entry, str) for entry in value)):
            raise ValueError(f"state for {env_id}: {name!r} must be a list of {rows} strings")
    others = set(state["environment"]) - {env_id}
    if others:
        raise ValueError(f"state for {env_id}: it was saved by {', '.join(sorted(others))}")
    for name, array in arrays.items():
        value = state[name]
        if not isinstance(value, np.ndarray) or (value.shape, value.dtype) != (array.shape, array.dtype):
            actual = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(f"state for {env_id}: {name!r} is {actual}, needed is {array.dtype} {array.shape}")


def state_of_rows(env_id: str, generators: Sequence[np.random.Generator], arrays: Mapping[str, NDArray[Any]]) -> State:
    """Copy the state of rows that are stepped by one engine: a generator each, and ``arrays`` by their names."""
    if not generators:
        raise ValueError(f"{env_id}: get_state() was called before reset()")
    return {
        "environment": [env_id] * len(generators),
        "generators": [generator_state(generator) for generator in generators],
        **{name: array.copy() for name, array in arrays.items()},
    }


def restore_rows(
    env_id: str, state: State, arrays: Mapping[str, NDArray[Any]], max_episode_steps: int
) -> list[np.random.Generator]:
    """Write a state of :func:`state_of_rows` into ``arrays``, of which ``elapsed`` ``[rows]`` counts the steps of each
    row's episode; return its generators. A state that does not fit: ``ValueError``, and nothing is written."""
    rows = len(arrays["elapsed"])
    check_state(env_id, state, ["generators"], arrays, rows)
    if not ((state["elapsed"] >= 0) & (state["elapsed"] < max_episode_steps)).all():
        raise ValueError(f"state for {env_id}: 'elapsed' must lie between 0 and {max_episode_steps - 1}")
    generators = [np.random.Generator(np.random.PCG64(0)) for _ in range(rows)]
    for generator, text in zip(generators, state["generators"], strict=True):
        set_generator_state(generator, text)
    for name, array in arrays.items():
        array[...] = state[name]
    return generators
