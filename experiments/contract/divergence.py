"""A run that diverges does not affect the others, and is recorded."""

import dataclasses
import math
from pathlib import Path
from unittest import SkipTest

import numpy as np
import torch

from experiments.contract.stacks import (
    CONTINUOUS,
    DISCRETE,
    SEVERAL_ACTIONS,
    Kind,
    assert_same,
    finish,
    home,
    outcome,
    run_of,
    training_of,
)
from ppo.training import Training


def poisoned(training: Training, run: int) -> None:
    """Make a run's parameters no numbers."""
    with torch.no_grad():
        training.algorithm.policy.parameters[run] = math.nan


def check_divergence_stays_alone(kind: Kind, environment: str | None = None) -> None:
    """Check that a run which diverges changes no bit of the others in its stack, and that its step is recorded."""
    environment = environment or home(kind)
    runs = [run_of(kind, environment, seed, 700, variant=seed - 1) for seed in (1, 2, 3)]
    healthy, sick = training_of(kind, *runs), training_of(kind, *runs)
    for training in (healthy, sick):
        finish(training, iterations=2)
    before = len(sick.episodes()["run"])
    poisoned(sick, 1)
    finish(sick, iterations=1)
    step = sick.algorithm.steps_done
    at_once = len(sick.episodes()["run"])
    finish(healthy)
    finish(sick)
    assert sick.done
    for run in (0, 2):
        assert_same(outcome(sick, run), outcome(healthy, run), f"run {run}:")
    assert sick.algorithm.diverged_at == [None, step, None]
    assert healthy.algorithm.diverged_at == [None] * 3
    episodes = sick.episodes()
    assert not (episodes["run"][at_once:] == 1).any(), "a policy that is no more has no episodes"
    assert (episodes["step"][episodes["run"] == 1] <= step).all()
    if environment != CONTINUOUS or before:
        assert (episodes["run"][at_once:] != 1).any(), "the others go on"
    if environment != DISCRETE:
        assert not np.isfinite(sick.algorithm.policy.parameters[1].detach().numpy()).all()


def check_blowing_up_stays_alone(kind: Kind) -> None:
    """Through the loss, the gradient, the optimiser and the environment, as a mad learning rate does it."""
    fields = {field.name for field in dataclasses.fields(kind.Settings)}
    rates = [field for field in sorted(fields) if field.endswith("learning_rate")]
    if not rates:
        raise SkipTest(f"{kind.__name__} has no learning rate")
    runs = [
        run_of(kind, home(kind, SEVERAL_ACTIONS), seed, 480, 0, **{rates[0]: rate})
        for seed, rate in ((1, 3e-4), (2, 1e30), (3, 3e-4))
    ]
    mad = finish(training_of(kind, *runs))
    step = mad.algorithm.diverged_at[1]
    assert step is not None
    assert 0 < step <= 480
    for run in (0, 2):
        assert_same(outcome(mad, run), outcome(finish(training_of(kind, runs[run])), 0), f"run {run}:")
    assert mad.algorithm.diverged_at[0] is mad.algorithm.diverged_at[2] is None


def check_divergence_is_remembered(kind: Kind, folder: Path) -> None:
    """Over a stop, with its checkpoint in ``folder``."""
    runs = [run_of(kind, seed=seed, total_timesteps=700) for seed in (1, 2)]
    training = training_of(kind, *runs)
    poisoned(training, 0)
    finish(training, iterations=1)
    training.save(folder / "c.pt", {})
    resumed = training_of(kind, *runs)
    resumed.load(folder / "c.pt", {})
    finish(training)
    finish(resumed)
    assert resumed.algorithm.diverged_at == training.algorithm.diverged_at == [96, None]
    for run in (0, 1):
        assert_same(outcome(resumed, run), outcome(training, run))
