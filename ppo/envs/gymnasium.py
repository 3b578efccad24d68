"""Any other Gymnasium environment: a loop over separate environments, restored by replaying each row's episode."""

import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import seeding
from numpy.typing import NDArray

from ppo.envs import answers
from ppo.envs.base import (
    EnvironmentFailed,
    Seeds,
    State,
    Transition,
    VectorEnv,
    check_state,
    close_quietly,
    generator_state,
    set_generator_state,
)
from ppo.envs.making import Env, check_actions, make_one

FAILED = "failed: "
"""What a row's start begins with in the state of an environment that failed there; the rest says why."""
FOREIGN = "its np_random is a "
"""What it begins with where the generator cannot be put back."""


class GymnasiumVectorEnv(VectorEnv):
    """Row i is ``make_one(env_id)`` after ``reset(seed=seeds[i])``, for Discrete or 1-D Box actions.

    Gymnasium has no way to read an environment's state, and a pickle can run code when it is loaded. So the state of a
    row is its generator before the episode began, and the actions since; restoring plays them again. This is exact if
    all of the environment's randomness comes from its ``np_random`` and it carries nothing else from one episode to the
    next; it takes as long as the unfinished episodes took. If the replay does not lead to the saved observation,
    ``set_state`` begins a new episode in that row.
    """

    action_space: Box | Discrete

    def __init__(self, env_id: str, seeds: Seeds) -> None:
        self._env_id = env_id
        self._seeds = [int(seed) for seed in seeds]
        self.rows = len(self._seeds)
        self._envs = [make_one(env_id) for _ in seeds]
        observation_space, action_space = self._envs[0].observation_space, self._envs[0].action_space
        check_actions(env_id, action_space)
        assert isinstance(observation_space, Box)
        assert isinstance(action_space, Box | Discrete)
        self.action_space = action_space
        self._action_shape = action_space.shape or ()
        self.observation_shape = observation_space.shape
        self.observation_dtype = observation_space.dtype
        self._observations = np.zeros((self.rows, *self.observation_shape), self.observation_dtype)
        self._starts = [""] * self.rows
        self.failures: dict[int, str] = {}
        self._actions: list[list[Any]] = [[] for _ in range(self.rows)]

    def reset(self) -> NDArray[Any]:
        for i, (env, seed) in enumerate(zip(self._envs, self._seeds, strict=True)):
            if i in self.failures:
                continue
            self._actions[i] = []
            with self._failing(i, "at the beginning"):
                self._observations[i], taken = answers.begin(env, seed)
                self._starts[i] = generator_state(seeding.np_random(taken)[0])
        return self._observations.copy()

    def step(self, actions: NDArray[Any]) -> Transition:
        needed = (self.rows, *self._action_shape)
        if actions.shape != needed:
            raise ValueError(f"{self._env_id}: actions have shape {actions.shape}, needed is {needed}")
        rewards = np.zeros(self.rows)
        terminated, truncated = np.zeros(self.rows, np.bool_), np.zeros(self.rows, np.bool_)
        recorded = actions.copy()  # an environment may keep or change the action it gets
        for i, env in enumerate(self._envs):
            if i in self.failures:
                continue
            with self._failing(i, f"in step {len(self._actions[i]) + 1} of an episode"):
                answer = answers.step(env, actions[i].copy())
                self._observations[i], rewards[i], terminated[i], truncated[i] = answer
                self._actions[i].append(recorded[i])
        final_observations = self._observations.copy()
        ended = terminated | truncated
        for i in np.flatnonzero(ended).tolist():
            env = self._envs[i]
            self._starts[i] = _start(env)
            self._actions[i] = []
            with self._failing(i, "after an episode"):
                self._observations[i] = answers.reset(env)
        rewards[list(self.failures)] = np.nan
        return Transition(self._observations.copy(), rewards, terminated, truncated, final_observations, rewards, ended)

    @contextlib.contextmanager
    def _failing(self, i: int, when: str) -> Iterator[None]:
        """Give row i up if its environment fails."""
        try:
            yield
        except EnvironmentFailed as error:
            self._give_up(i, f"{error} ({when})")

    def _give_up(self, i: int, why: str) -> None:
        """Step row i no more; its run learns from it that its numbers are none any more."""
        self.failures[i] = why
        self._starts[i], self._actions[i] = FAILED + why, []
        self._observations[i] = np.nan if self._observations.dtype.kind == "f" else 0

    def get_state(self) -> State:
        if not all(self._starts):
            raise ValueError(f"{self._env_id}: get_state() was called before reset()")
        return {
            "environment": [self._env_id] * self.rows,
            "starts": list(self._starts),
            "actions": [json.dumps([action.tolist() for action in actions]) for actions in self._actions],
            "observations": self._observations.copy(),
        }

    def set_state(self, state: State) -> NDArray[Any]:
        check_state(self._env_id, state, ["starts", "actions"], {"observations": self._observations}, self.rows)
        self.failures, self.restarted = {}, {}
        for i, start in enumerate(state["starts"]):
            if start.startswith(FAILED):
                self._give_up(i, start.removeprefix(FAILED))
        played = [self._played(i, actions) for i, actions in enumerate(state["actions"])]
        for i in sorted(set(range(self.rows)) - set(self.failures)):
            with self._failing(i, "where a training continues"):
                if why := self._replay(i, state["starts"][i], played[i], state["observations"][i]):
                    self._begin(i, state["starts"][i])
                    self.restarted[i] = why
        return self._observations.copy()

    def _played(self, i: int, actions: str) -> list[Any]:
        """Read the actions of row i's unfinished episode."""
        try:
            return list(np.array(json.loads(actions), self.action_space.dtype).reshape(-1, *self._action_shape))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"state for {self._env_id}: 'actions' of row {i} are not actions of it ({error})"
            ) from None

    def _replay(self, i: int, start: str, actions: list[Any], expected: NDArray[Any]) -> str:
        """Play row i's unfinished episode again; ``start`` is its generator before the reset. Returns why that does not
        lead to what was ``expected``, or nothing."""
        self._begin(i, start)
        try:
            for action in actions:
                self._observations[i], *_ = answers.step(self._envs[i], action.copy())
                self._actions[i].append(action)
        except EnvironmentFailed as error:  # the episode ended earlier than it did, say
            return f"playing its episode again fails: {error}"
        if np.array_equal(self._observations[i], expected, equal_nan=True):
            return ""
        return "playing its episode again does not lead to its last observation: not deterministic, or another version"

    def _begin(self, i: int, start: str) -> None:
        """Begin an episode of row i with its generator at ``start``, if it is one that can be put back."""
        env = self._envs[i]
        generator = _generator(env)
        if generator is not None and not start.startswith(FOREIGN):
            set_generator_state(generator, start)
        self._starts[i], self._actions[i] = start, []
        self._observations[i] = answers.reset(env)

    def not_restorable(self) -> Mapping[int, str]:
        """Put the state into other copies of the environments; generators that all share stay as they are."""
        shared = random.getstate(), np.random.get_state()  # noqa: NPY002
        copies = GymnasiumVectorEnv(self._env_id, self._seeds)
        try:
            copies.set_state(self.get_state())
        finally:
            close_quietly(copies)
            random.setstate(shared[0])
            np.random.set_state(shared[1])  # noqa: NPY002
        return {i: why for i, why in {**copies.failures, **copies.restarted}.items() if i not in self.failures}

    def close(self) -> None:
        """Close every row's environment; what the first one raised that did is raised once all were asked."""
        errors: list[BaseException] = []
        for env in self._envs:
            try:
                env.close()
            except (Exception, SystemExit) as error:
                errors.append(error)
        if errors:
            raise EnvironmentFailed(f"close() raised {type(errors[0]).__name__}: {errors[0]}") from errors[0]


def _start(env: Env) -> str:
    """Return the state of an environment's generator; of one that is not Gymnasium's kind, what says that it cannot be
    put back."""
    generator = _generator(env)
    if generator is not None:
        return generator_state(generator)
    other = getattr(env.unwrapped, "np_random", None)
    return f"{FOREIGN}{type(getattr(other, 'bit_generator', other)).__name__}, not numpy's Generator of PCG64"


def _generator(env: Env) -> np.random.Generator | None:
    """Return the environment's generator, if its state is a few numbers, as that of Gymnasium's own is."""
    generator = getattr(env.unwrapped, "np_random", None)
    known = isinstance(generator, np.random.Generator) and isinstance(generator.bit_generator, np.random.PCG64)
    return generator if known else None
