"""The budget is exact, and what comes out of a training is what it says."""

import dataclasses
from collections.abc import Mapping
from typing import Any

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
    name_of,
    outcome,
    refusing,
    run_of,
    settings_of,
    training_of,
)
from experiments.run import Run
from experiments.training.build import build
from ppo.settings import SettingsError


def check_budget_is_spent_exactly(kind: Kind, num_envs: int = 1, total_timesteps: int = 203) -> None:
    """Check that a run takes exactly its budget of steps, where that is no multiple of an iteration's too."""
    training = training_of(kind, run_of(kind, total_timesteps=total_timesteps, num_envs=num_envs))
    env: Any = training.algorithm.env
    steps, step = list[int](), env.step

    def counting_step(actions: Any) -> Any:
        steps.append(len(actions))
        return step(actions)

    env.step = counting_step
    finish(training)
    assert training.algorithm.steps_done == total_timesteps, "steps that it says it has done"
    assert sum(steps) == total_timesteps, "as many steps as the environments were asked for"
    episodes = training.episodes()
    assert (episodes["step"] <= total_timesteps).all()
    assert episodes["episodic_length"].sum() <= total_timesteps


def check_stopped_early_is_a_prefix(kind: Kind) -> None:
    """Schedules belong to the declared budget, not to where a run was stopped."""
    run = run_of(kind, total_timesteps=960, anneal_lr=True, anneal_clip=True)
    early, full = finish(training_of(kind, run), iterations=4), finish(training_of(kind, run))
    assert not early.done
    episodes, all_episodes = early.episodes(), full.episodes()
    count = len(episodes["run"])
    assert 0 < count < len(all_episodes["run"])
    for column, values in episodes.items():
        np.testing.assert_array_equal(values, all_episodes[column][:count])
    assert all_episodes["step"][count] > early.algorithm.steps_done
    assert_same(outcome(finish(early), 0), outcome(full, 0))


def check_metrics(kind: Kind, environment: str | None = None) -> None:
    """Numbers of each run under known names."""
    training = training_of(kind, *(run_of(kind, environment, seed) for seed in (1, 2, 3)))
    names: set[str] | None = None
    while not training.done:
        metrics = training.iterate()
        assert metrics
        assert names in (None, set(metrics)), "the same ones in every iteration"
        names = set(metrics)
        for key, values in metrics.items():
            assert key.startswith(("losses/", "charts/")), key
            assert values.shape == (3,), f"{key}: one number for each run"
            assert not values.requires_grad, key
            assert torch.isfinite(values).all(), key


def check_reports_change_nothing(kind: Kind, **changes: Any) -> None:
    """Hold that what only people read does not change the training."""
    reporting, silent = (training_of(kind, run_of(kind, **changes)) for _ in range(2))
    silent.algorithm.log_metrics = False
    assert_same(outcome(finish(silent), 0), outcome(finish(reporting), 0), "without reports:")


def check_episodes_are_the_environments_own(kind: Kind) -> None:
    """Add them up from what the environment itself gave, before any normaliser saw it."""
    environment = home(kind, SEVERAL_ACTIONS)
    training = training_of(kind, *(run_of(kind, environment, seed, 400, num_envs=2) for seed in (1, 2)))
    env_of_all: Any = training.algorithm.env
    rewards: list[Any] = []
    ended: list[Any] = []
    step = env_of_all.step

    def recording_step(actions: Any) -> Any:
        transition = step(actions)
        rewards.append(transition.rewards.reshape(2, 2).copy())
        ended.append((transition.terminated | transition.truncated).reshape(2, 2))
        return transition

    env_of_all.step = recording_step
    finish(training)
    expected: list[tuple[float, ...]] = []
    starts = np.zeros((2, 2), int)
    for time_step, ends in enumerate(ended):
        for run, env in np.argwhere(ends).tolist():
            own = np.array(rewards)[starts[run, env] : time_step + 1, run, env]
            expected.append((run, 2 * (time_step + 1), own.sum(), len(own)))
            starts[run, env] = time_step + 1
    episodes = training.episodes()
    assert len(expected) > 10
    for column, values in zip(episodes, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(episodes[column], values, rtol=1e-12)


def check_what_no_stack_can_hold_is_refused(kind: Kind) -> None:
    """Check that runs whose settings no stack can hold together are refused in one line."""
    settings = [settings_of(kind), dataclasses.replace(settings_of(kind), norm_obs=False)]
    with refusing(SettingsError):
        build([dataclasses.replace(run_of(kind), settings=own) for own in settings], kind=kind)


LEARNING = {CONTINUOUS: 50.0, DISCRETE: 70.0}
"""The mean return of the last 100 episodes that 20,000 steps must lead to. The untrained policy holds the pendulum for
some 8 steps and the cart's pole for some 22."""
FEW_STEPS = 20_000


def check_it_learns(kind: Kind, environment: str, few_steps: Mapping[str, Any]) -> None:
    """Better than the untrained policy, in 20,000 steps with these settings."""
    name, settings, wanted = name_of(kind), kind.Settings(**few_steps), LEARNING[environment]
    training = training_of(kind, *(Run(environment, name, "own", seed, FEW_STEPS, settings) for seed in (1, 2)))
    finish(training)
    for run, learned in enumerate(training.scores()):
        assert learned > wanted, (
            f"seed {run + 1} ends with a mean return of {learned:.1f}, not above {wanted:g}. If the defaults are meant "
            "for more steps, give settings for so few: `few_steps` of the record, or as flags of `ppo check`"
        )
