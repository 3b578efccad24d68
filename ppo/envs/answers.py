"""What one Gymnasium environment answers, checked at every step: anybody may have written it.

What it raises, ``sys.exit()`` included, and what it may not answer becomes an ``EnvironmentFailed``.
"""

import traceback
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ppo.envs.base import EnvironmentFailed

Env = gymnasium.Env[Any, Any]
SMALL = 2**31
"""Seeds below it can be had everywhere."""


def begin(env: Env, seed: int) -> tuple[NDArray[Any], int]:
    """Begin the first episode; returns its first observation, and the seed that it took.

    An environment that cannot take a seed of 64 bits, as one that hands it to numpy's old generator, gets 31 of them.
    """
    try:
        return reset(env, seed), seed
    except EnvironmentFailed as error:
        if seed < SMALL or not isinstance(error.__cause__, ValueError | OverflowError | TypeError):
            raise
    return reset(env, seed % SMALL), seed % SMALL


def reset(env: Env, seed: int | None = None) -> NDArray[Any]:
    """Begin an episode; returns its first observation."""
    try:
        answer: Any = env.reset() if seed is None else env.reset(seed=seed)
    except (Exception, SystemExit) as error:
        raise EnvironmentFailed(_said("reset()", error)) from error
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        raise EnvironmentFailed("reset() did not return (observation, info): it has the API of before Gymnasium")
    return _observation("reset()", env, answer[0])


def step(env: Env, action: Any) -> tuple[NDArray[Any], float, bool, bool]:
    """Take a step; returns observation, reward, whether the task ended, and whether a time limit did."""
    try:
        answer: Any = env.step(action)
    except (Exception, SystemExit) as error:
        raise EnvironmentFailed(_said("step()", error)) from error
    if not (isinstance(answer, tuple) and len(answer) == 5):
        raise EnvironmentFailed(
            "step() did not return (observation, reward, terminated, truncated, info): the API of before Gymnasium"
        )
    observation, reward, terminated, truncated, _ = answer
    return _observation("step()", env, observation), _number(reward), bool(terminated), bool(truncated)


def _observation(method: str, env: Env, observation: Any) -> NDArray[Any]:
    space = env.observation_space
    values = np.asarray(observation)
    assert space.dtype is not None
    if values.shape != space.shape:
        raise EnvironmentFailed(f"{method} gave an observation of shape {values.shape}, its space is {space.shape}")
    if not np.can_cast(values.dtype, space.dtype, "same_kind"):
        raise EnvironmentFailed(f"{method} gave an observation of {values.dtype}, its space is of {space.dtype}")
    return values


def _number(reward: Any) -> float:
    if type(reward) is float:
        return reward
    values = np.asarray(reward)
    if values.size != 1 or values.dtype.kind not in "bfiu":
        raise EnvironmentFailed(f"step() gave the reward {reward!r:.80}, which is not one number")
    return float(values.item())


def _said(method: str, error: BaseException) -> str:
    text = " ".join(str(error).split())[:200] or place_of(error)
    return f"{method} raised {type(error).__name__}" + (f": {text}" if text else "")


def place_of(error: BaseException) -> str:
    """Return file, line and code where an error was first raised: all there is to say of one that has no text."""
    while error.__context__ is not None:
        error = error.__context__
    places = traceback.extract_tb(error.__traceback__)
    return f"{Path(places[-1].filename).name}:{places[-1].lineno}: {places[-1].line}"[:200] if places else ""
