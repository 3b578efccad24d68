"""One Gymnasium environment: its name with its arguments, how it is made, and whether it keeps to Gymnasium's API.

A run's environment is a text: an id, or what one would write in Python, ``Ant-v5(ctrl_cost_weight=0.1)``. What stands
in brackets are literals for ``gymnasium.make``, so a name that a file holds runs nothing but the environment itself.
"""

import ast
import contextlib
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.utils import passive_env_checker as checker
from gymnasium.wrappers import (
    DtypeObservation,
    FlattenObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    ReshapeObservation,
    TimeLimit,
)

from ppo.envs.answers import place_of

Env = gymnasium.Env[Any, Any]


def with_arguments(environment: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of ``environment`` with further arguments of ``gymnasium.make``, in the order of the alphabet:
    the same for the same environment."""
    env_id, own = split_arguments(environment)
    both = sorted({**own, **arguments}.items())
    return f"{env_id}({', '.join(f'{name}={value!r}' for name, value in both)})" if both else env_id


def split_arguments(environment: str) -> tuple[str, dict[str, Any]]:
    """Return an environment's id and the arguments of ``gymnasium.make``. Raises ``ValueError`` for what is neither."""
    env_id, bracket, rest = environment.partition("(")
    if not bracket:
        return environment, {}
    try:
        call = ast.parse(f"make({rest}", mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args):
            raise ValueError("not one call with arguments by name")
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg is not None}
        if len(given) < len(call.keywords):
            raise ValueError("a name twice, or none")
        return env_id, given
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"environment {environment!r} is neither an id nor ID(NAME=VALUE, ...)") from None


def module_of(name: str) -> str:
    """Return the module of ``MODULE:NAME``, or of ``MODULE:ID(...)``; "" of a plain name."""
    module, colon, _ = name.partition("(")[0].partition(":")
    return module if colon else ""


def bare_id(name: str) -> str:
    """Return ``ID`` of ``MODULE:ID(...)``."""
    return name.partition("(")[0].rpartition(":")[2]


def make_one(environment: str, **more: Any) -> Env:
    """Make an environment whose observations a network can take: vectors of floats, or pictures ``[height, width,
    channels]`` of bytes. Whatever else they are is flattened. ``more``: further arguments of ``gymnasium.make``.

    What cannot be made raises a one-line ``ValueError``.
    """
    env_id, arguments = split_arguments(environment)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)  # as v4 of MuJoCo's tasks is
            made: Env = gymnasium.make(env_id, disable_env_checker=True, **{**arguments, **more})
    except (Exception, SystemExit) as error:  # a constructor of anybody's may raise anything
        why = f"environment {environment!r} cannot be made: {_one_line(error)}"
        if isinstance(error, TypeError) and (names := _arguments_of(env_id)):
            why += f"; --env-kwargs NAME=VALUE can give it {', '.join(names)}"
        raise ValueError(why) from error
    for name in ("observation_space", "action_space"):
        _check_is_space(environment, made, name)
    return _for_networks(environment, made)


def _check_is_space(environment: str, env: Env, name: str) -> None:
    space = None
    with contextlib.suppress(Exception):  # a wrapper asks what it wraps, which may have none
        space = getattr(env, name)
    if not isinstance(space, Space):
        what = "missing" if space is None else f"a {type(space).__name__}"
        raise ValueError(f"environment {environment!r}: its {name} is {what}; it must be one of gymnasium.spaces")


def _for_networks(environment: str, env: Env) -> Env:
    space = env.observation_space
    if is_picture(space):
        height, width, *channels = space.shape or ()
        return env if channels else ReshapeObservation(env, (height, width, 1))
    if not _is_flattenable(space):
        kind = type(space).__name__
        raise ValueError(
            f"environment {environment!r}: observations are a {kind} space that cannot be flattened; register what one "
            "of its own wrappers returns, and train that"
        )
    if not isinstance(space, Box) or len(space.shape) != 1:
        env = FlattenObservation(env)
    flat = env.observation_space
    return env if flat.dtype is not None and flat.dtype.kind == "f" else DtypeObservation(env, np.float32)


def _is_flattenable(space: Space[Any]) -> bool:
    try:
        return bool(space.is_np_flattenable)
    except NotImplementedError:  # a package's own kind of space
        return False


def is_picture(space: Space[Any]) -> bool:
    """Return whether observations are pictures: bytes in two or three dimensions."""
    return isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)


def check_actions(environment: str, space: Space[Any]) -> None:
    """Raise a one-line ``ValueError`` for actions that no policy here draws."""
    known = isinstance(space, Discrete) or (isinstance(space, Box) and len(space.shape) == 1)
    if not known:
        kind = f"{type(space).__name__} space of shape {space.shape or ()}"
        raise ValueError(f"environment {environment!r}: actions are a {kind}; Discrete and 1-D Box are supported")
    if isinstance(space, Box) and space.dtype.kind != "f":
        raise ValueError(
            f"environment {environment!r}: actions are a Box of {space.dtype}, and the policy draws fractions; "
            "declare a Box of float32 and round in step(), or a Discrete space"
        )
    if isinstance(space, Discrete) and space.start != 0:
        raise ValueError(f"environment {environment!r}: actions start at {space.start}; 0 ... n-1 is supported")


def check_environment(environment: str, raw_actions: bool) -> list[str]:
    """Try an environment on an instance of its own, by Gymnasium's passive checks; returns what they warn of, a line
    each. ``raw_actions``: whether it will get actions beyond its bounds.

    A breach of the API raises a one-line ``ValueError``.
    """
    env_id, arguments = split_arguments(environment)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
        with _refused(environment, "cannot be made a second time"):
            bare: Env = gymnasium.make(env_id, disable_env_checker=True, **arguments)
        while isinstance(bare, PassiveEnvChecker | OrderEnforcing | TimeLimit):
            bare = bare.env  # what was registered itself, whose answers no wrapper of Gymnasium's has read yet
        with _refused(environment, "does not keep to Gymnasium's API"):
            _try(bare)
        if raw_actions:
            _try_beyond_bounds(environment, bare)
        with contextlib.suppress(Exception, SystemExit):
            bare.close()
    return list(dict.fromkeys(_plain(str(warning.message)) for warning in caught))


def _try(env: Env) -> None:
    """Reset and step once."""
    checker.check_observation_space(env.observation_space)
    checker.check_action_space(env.action_space)
    started: Any = checker.env_reset_passive_checker(env, seed=0)
    if not isinstance(started, tuple) or len(started) != 2:
        raise ValueError(f"reset() must return (observation, info), not {_described(started)} as before Gymnasium")
    _check_shape("reset", started[0], env.observation_space)
    env.action_space.seed(0)
    done: Any = checker.env_step_passive_checker(env, env.action_space.sample())
    if len(done) != 5:
        needed = "(observation, reward, terminated, truncated, info)"
        raise ValueError(f"step() must return {needed}, not {_described(done)} as before Gymnasium")
    _check_shape("step", done[0], env.observation_space)


def _check_shape(method: str, observation: Any, space: Space[Any]) -> None:
    if isinstance(space, Box) and np.shape(observation) != space.shape:
        raise ValueError(f"{method}() gave an observation of shape {np.shape(observation)}, its space is {space.shape}")


def _try_beyond_bounds(environment: str, env: Env) -> None:
    space = env.action_space
    if isinstance(space, Box) and np.isfinite(space.high).any():
        with _refused(environment, "cannot begin another episode"):
            env.reset(seed=0)
        beyond = np.where(np.isfinite(space.high), space.high + 1, 0).astype(space.dtype)
        with _refused(environment, "refuses actions beyond its bounds, so --clip-actions true is needed"):
            env.step(beyond)


def note_on_bounds(environment: str, space: Space[Any]) -> str | None:
    """Say what raw actions do to a space with bounds; None if it has none."""
    if not isinstance(space, Box) or not np.isfinite([*space.low, *space.high]).any():
        return None
    return (
        f"{environment}: its actions lie in {space.low.min():g} ... {space.high.max():g}, and the policy's are sent as "
        "drawn, at first about 0 with deviation 1; --clip-actions true keeps them within the bounds, --rescale-actions "
        "true maps -1 ... 1 onto them"
    )


@contextlib.contextmanager
def _refused(environment: str, what: str) -> Iterator[None]:
    """Turn whatever an environment raises into a one-line ``ValueError``."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ValueError(f"environment {environment!r} {what}: {_one_line(error)}") from error


def _described(answer: Any) -> str:
    return f"{len(answer)} values" if isinstance(answer, tuple) else f"one {type(answer).__name__}"


def _arguments_of(env_id: str) -> list[str]:
    """Return what an environment can be given, as far as its constructor names it."""
    with contextlib.suppress(Exception):
        entry = gymnasium.spec(bare_id(env_id)).entry_point
        creator: Any = load_env_creator(entry) if isinstance(entry, str) else entry
        given = inspect.signature(creator).parameters.values()
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return [own.name for own in given if own.kind not in variable and own.name != "render_mode"]
    return []


def _one_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({error.code if error.code is not None else ''})"
    text = " ".join(_plain(str(error)).partition(" was raised from the environment creator")[0].split())
    plain = isinstance(error, AssertionError | ValueError | ImportError | gymnasium.error.Error)
    return text if plain and text else f"{type(error).__name__}: {text or place_of(error)}".rstrip(": ")


def _plain(text: str) -> str:
    """Without the colours of Gymnasium's warnings."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("WARN: ").strip()
