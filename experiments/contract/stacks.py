"""Small stacks of any algorithm, and everything that a run of one ended with."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from numpy.typing import NDArray

from baselines import ALGORITHMS
from experiments.run import Run
from experiments.training.build import build
from ppo.settings import SettingsError
from ppo.training import Training

CONTINUOUS, SEVERAL_ACTIONS, DISCRETE = "InvertedPendulum-v4", "Hopper-v4", "CartPole-v1"
ENVIRONMENTS = [CONTINUOUS, SEVERAL_ACTIONS, DISCRETE]
SIX_ACTIONS = "HalfCheetah-v4"
"""Six numbers to a state: in a stack, most runs' begin where no vector of the processor does."""

Kind = type[Any]
"""An algorithm's class."""
Outcome = dict[str, NDArray[Any]]
"""Arrays by the path that they have in a state."""

SMALL = {
    "num_envs": 1,
    "num_steps": 96,
    "minibatch_size": 32,
    "update_epochs": 2,
    "vf_minibatch_size": 32,
    "vf_epochs": 2,
    "population": 4,
    "replay_start": 96,
    "replay_capacity": 192,
}
"""Quick to train, with several updates from each batch; of these an algorithm gets the settings that it has."""

DIFFERENT: list[Mapping[str, float]] = [
    {},
    {"learning_rate": 1e-3, "gamma": 0.9, "clip_coef": math.inf, "kl_coef": 1.0, "kl_target": 0.01},
    {"gae_lambda": 0.5, "max_grad_norm": math.inf, "clip_coef": 0.1, "ent_coef": 0.01, "vf_coef": 0.5},
    {"vf_clip_range": 0.1, "max_grad_norm": 0.1, "kl_coef": 3.0, "learning_rate": 1e-4},
]
"""Settings that runs of one stack may differ in; every other float of an algorithm is varied too."""

ONE_FOR_ALL = {"adam_eps", "vf_adam_eps"}
"""Floats that the runs of a stack share: PyTorch's fused Adam takes a single epsilon."""


def home(kind: Kind, environment: str = CONTINUOUS) -> str:
    """Return the environment, or one of discrete actions where the algorithm is for these alone."""
    return environment if kind.continuous else DISCRETE


def name_of(kind: Kind) -> str:
    """Return the algorithm's name in the list, or that of its class."""
    return next((name for name, record in ALGORITHMS.items() if record.load() is kind), kind.__name__)


def settings_of(kind: Kind, variant: int = 0, **changes: Any) -> Any:
    """Small settings of the algorithm; ``variant`` counts through different values of all that are floats."""
    fields = {field.name for field in dataclasses.fields(kind.Settings)}
    settings = kind.Settings(**{name: value for name, value in {**SMALL, **changes}.items() if name in fields})
    if variant == 0:
        return settings
    listed = DIFFERENT[variant % len(DIFFERENT)]
    known: set[str] = set().union(*DIFFERENT)
    for field, value in dataclasses.asdict(settings).items():
        if field in changes or not isinstance(value, float) or (field in known and field not in listed):
            continue
        wanted = listed.get(field, value)
        if wanted == value:
            wanted = value * (1 - variant / 50) if 0 < value < math.inf else variant / 100
        try:
            changed = dataclasses.replace(settings, **{field: wanted})
            changed.check()
        except SettingsError:
            continue
        if changed.structure() == settings.structure():
            settings = changed
    return settings


def unvaried(runs: Sequence[Run]) -> list[str]:
    """List the floats that have one value in all the runs, but for those that a stack shares."""
    values = [dataclasses.asdict(run.settings) for run in runs]
    floats = {name for name, value in values[0].items() if isinstance(value, float)} - ONE_FOR_ALL
    return sorted(name for name in floats if len({own[name] for own in values}) == 1)


def run_of(
    kind: Kind,
    environment: str | None = None,
    seed: int = 1,
    total_timesteps: int = 500,
    variant: int = 0,
    **changes: Any,
) -> Run:
    """Plan a run of small settings of the algorithm (``settings_of``)."""
    settings = settings_of(kind, variant, **changes)
    return Run(environment or home(kind), name_of(kind), f"variant-{variant}", seed, total_timesteps, settings)


def training_of(kind: Kind, *runs: Run) -> Training:
    """Return a stack in training; skip what the algorithm says it does not do."""
    try:
        return Training(build(runs, reports=True, kind=kind))
    except SettingsError as error:
        raise SkipTest(str(error)) from error


def finish(training: Training, iterations: int = 10**9) -> Training:
    """Train to the end, or for so many iterations; returns the training."""
    while not training.done and iterations > 0:
        training.iterate()
        iterations -= 1
    return training


def tensors_of(value: Any, name: str = "") -> Outcome:
    """Every array and number of a nested state, by path."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in tensors_of(item, f"{name}/{key}").items()}
    if isinstance(value, torch.Tensor):
        return {name: value.detach().numpy().copy()}
    return {name: np.array(value)}


def outcome(training: Training, run: int) -> Outcome:
    """Everything that one run of a stack ended with, to be compared to the bit: weights, episodes, normalisers,
    simulator, optimiser, schedules. In a state an array belongs to the runs row by row, or to all of them at once."""
    algorithm = training.algorithm
    episodes = training.episodes()
    mine = episodes["run"] == run
    result = {f"episodes/{key}": episodes[key][mine] for key in ("step", "episodic_return", "episodic_length")}
    result["diverged_at"] = np.array(algorithm.diverged_at[run] or -1)
    result["steps_done"] = np.array(algorithm.steps_done)
    for name, array in tensors_of(algorithm.state()).items():
        if array.ndim and len(array) == algorithm.runs:
            result[name] = array[run]
        elif array.ndim and len(array) == algorithm.env.rows:
            result[name] = array.reshape(algorithm.runs, -1, *array.shape[1:])[run]
        elif array.ndim == 0:
            result[name] = array
    return result


def assert_same(one: Outcome, other: Outcome, what: str = "") -> None:
    """Hold that two outcomes are the same to the bit."""
    assert sorted(one) == sorted(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=f"{what} {name}")


def same(one: Outcome, other: Outcome) -> bool:
    """Return whether they are."""
    return all(np.array_equal(value, other[name], equal_nan=value.dtype.kind == "f") for name, value in one.items())


@contextlib.contextmanager
def refusing(kind: type[Exception], pattern: str = "") -> Iterator[None]:
    """Hold that what is done within raises an error of ``kind`` whose message has ``pattern``."""
    said = None
    try:
        yield
    except kind as error:
        said = str(error)
    assert said is not None, f"not refused: {kind.__name__} was to be raised"
    assert re.search(pattern, said), f"{said} does not name {pattern}"
