"""What an environment is to the rest of the project: rows of one task, stepped together."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

State = dict[str, Any]
"""Everything an environment needs to continue to the bit. Each value has one entry per row on its first axis:
an array ``[rows, ...]`` or a list of ``rows`` strings, so the rows of one run can be cut out and joined to others."""


class Transition(NamedTuple):
    """One step of all rows. A row that ended has already been reset (Gymnasium's ``SAME_STEP``).

    What is learnt from (``rewards``, ``terminated``, ``truncated``) is one thing, what is recorded (``raw_rewards``,
    ``game_over``) another: on Atari, learning sees clipped rewards and ends an episode with each lost life, while the
    scores of the literature are whole games in the game's own points. Elsewhere both are the same.
    """

    observations: NDArray[Any]
    """``[rows, *observation_shape]``: where the next action is taken; after an episode's end, the next one's start."""
    rewards: NDArray[np.float64]
    """``[rows]``: what learning sees: on Atari the sign of the points, elsewhere the environment's own reward."""
    terminated: NDArray[np.bool_]
    """``[rows]``: the task ended the episode; on Atari also a lost life does."""
    truncated: NDArray[np.bool_]
    """``[rows]``: the time limit cut the episode."""
    final_observations: NDArray[Any]
    """``[rows, *observation_shape]``: what the action led to: an ended episode's last one, else ``observations``."""
    raw_rewards: NDArray[np.float64]
    """``[rows]``: all that the game which is running, or ended in this step, has paid since the last step, neither
    scaled nor clipped."""
    game_over: NDArray[np.bool_]
    """``[rows]``: that game ended."""


class EnvironmentDied(RuntimeError):
    """A process that an environment needs is no more. What it knew is lost; a state saved before can be continued."""


class VectorEnv(ABC):
    """``rows`` copies of one environment, one seed each, that reset themselves.

    The arrays that ``reset`` and ``step`` return belong to the caller: a later step does not change them.
    """

    rows: int
    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype[Any]
    frames: int = 1
    """How many consecutive frames an observation holds along its last axis, the newest last; those that would be from
    before the episode are zeros."""
    action_space: gymnasium.spaces.Box | gymnasium.spaces.Discrete
    """The space of one row's action."""

    @abstractmethod
    def reset(self) -> NDArray[Any]:
        """Start every row's first episode; returns ``[rows, *observation_shape]``."""

    @abstractmethod
    def step(self, actions: NDArray[Any]) -> Transition:
        """``actions``: ``[rows, *action_space.shape]``, of ``action_space.dtype``; not clipped to its bounds."""

    @abstractmethod
    def get_state(self) -> State:
        """A copy of everything that the continuation depends on."""

    @abstractmethod
    def set_state(self, state: State) -> NDArray[Any]:
        """Continue from ``state``; returns the current observations. A state that does not fit: ``ValueError``."""

    def close(self) -> None:  # noqa: B027 (most environments hold nothing that must be given back)
        """Give back what the environment holds (processes, windows)."""


def generator_state(generator: np.random.Generator) -> str:
    """A generator's state as JSON: unlike a pickle, a file from a stranger cannot run code through it."""
    return json.dumps(generator.bit_generator.state)


def set_generator_state(generator: np.random.Generator, state: str) -> None:
    """The inverse of :func:`generator_state`."""
    try:
        generator.bit_generator.state = json.loads(state)
    except (ValueError, TypeError, KeyError) as error:
        kind = type(generator.bit_generator).__name__
        raise ValueError(f"state of a random generator: not the JSON of a {kind}'s state ({error})") from None


Seeds = Sequence[int]
"""One seed per row, handed to the row's own generator as ``gymnasium.Env.reset(seed=...)`` would."""


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
            found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(f"state for {env_id}: {name!r} is {found}, needed is {array.dtype} {array.shape}")


def state_of_rows(env_id: str, generators: Sequence[np.random.Generator], arrays: Mapping[str, NDArray[Any]]) -> State:
    """Copy what an engine that steps all rows at once keeps of them: a generator each, and ``arrays`` by their names in
    the state."""
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
