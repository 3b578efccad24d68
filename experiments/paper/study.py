"""The study of the details that the text omits: the designed experiment, and the readings that it chooses; what moves
Figure 2's update beside them, and what makes Table 1's first row fall."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from experiments.paper.profiles import Profile
from experiments.paper.protocol import Protocol, first_updates
from experiments.paper.readings import CHOSEN, DESIGN, DETAILS, PENDULUMS, TRIED, Levels, settings_of
from experiments.paper.settings import MUJOCO, TABLE1
from experiments.run import Run

STATED: tuple[tuple[str, Any], ...] = (
    ("update_epochs", 15),
    ("minibatch_size", 32),
    ("learning_rate", 0.0005),
    ("num_steps", 1024),
    ("num_steps", 4096),
    ("gae_lambda", 0.9),
    ("gae_lambda", 1.0),
    ("gamma", 0.995),
    ("network", "32-32"),
)
"""Settings that the text states (Table 3, section 6.1), each with another value: no readings of it, but what would move
Figure 2's update further."""


def readings(profile: Profile) -> Protocol:
    """Plan the designed experiment over the details that the text omits.

    HalfCheetah with and without clipping (the row of -0.39), InvertedPendulum, and Figure 2's update on Hopper.
    """
    runs = [
        run
        for point, levels in DESIGN.items()
        for environment, row in (
            ("HalfCheetah-v4", "clip-0.2"),
            ("HalfCheetah-v4", "none"),
            (PENDULUMS[levels["pendulum-force"]], "clip-0.2"),
        )
        for run in _read_runs(profile, environment, row, point, levels)
    ]
    return Protocol("readings", tuple(runs), first_updates=_updates(profile, DESIGN))


def readings_best(profile: Profile) -> Protocol:
    """Plan the readings nearest to the paper, on all seven tasks; and the row "none" on HalfCheetah."""
    runs = [
        run
        for reading, levels in TRIED.items()
        for environment, row in (*((name, "clip-0.2") for name in profile.environments), ("HalfCheetah-v4", "none"))
        for run in _read_runs(
            profile,
            PENDULUMS[levels["pendulum-force"]] if environment == PENDULUMS["clamped"] else environment,
            row,
            reading,
            levels,
        )
    ]
    return Protocol("readings-best", tuple(runs), first_updates=_updates(profile, TRIED))


def none_on_reacher(profile: Profile) -> Protocol:
    """Plan the row "none" of Table 1 on Reacher in the chosen reading, and with each of its details changed, one at a
    time: there it falls too, where the paper tells of HalfCheetah alone."""
    chosen = DESIGN[CHOSEN]
    changed = {"paper": chosen} | {
        f"{detail}={level}": {**chosen, detail: level}
        for detail, levels in DETAILS.items()
        for level in levels
        if detail != "pendulum-force" and level != chosen[detail]
    }
    runs = [run for name, levels in changed.items() for run in _read_runs(profile, "Reacher-v4", "none", name, levels)]
    return Protocol("none-on-reacher", tuple(runs))


def _read_runs(profile: Profile, environment: str, row: str, reading: str, levels: Levels) -> list[Run]:
    """Plan a row of Table 1 in one reading, with every seed of the study."""
    settings = replace(TABLE1[row], **settings_of(levels))
    setting, steps = f"{row}+{reading}", profile.total_timesteps
    return [Run(environment, "ppo", setting, seed, steps, settings) for seed in profile.study_seeds]


def _updates(profile: Profile, designed: Mapping[str, Levels]) -> tuple[Run, ...]:
    """Plan Figure 2's runs in each reading."""
    return tuple(
        replace(run, setting=f"{run.setting}+{reading}", settings=replace(run.settings, **settings_of(levels)))
        for reading, levels in designed.items()
        for run in first_updates(profile.first_update_seeds)
    )


def figure2_settings(profile: Profile) -> Protocol:
    """Plan Figure 2's update with one of the settings that the text states changed."""
    runs = []
    for name, value in STATED:
        settings = replace(MUJOCO, **{name: value})
        runs += [
            replace(run, setting=f"{run.setting}+{name}={value}", total_timesteps=settings.num_steps, settings=settings)
            for run in first_updates(profile.figure2_seeds)
        ]
    return Protocol("figure2-settings", first_updates=tuple(runs))
