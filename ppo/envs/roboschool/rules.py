"""What differs between the three tasks of section 6.3, and between two states of Roboschool's rules for them.

0, those of v0: commit c1cb983 (2017-07-07), the last before the work on v1. 1, those of v1: commit 1f5c1b3
(2017-07-13), a week before the paper: gym_forward_walker.py, gym_mujoco_walkers.py and gym_humanoid_flagrun.py. The
paper's figure names v0, and its curves begin where v1's do (docs/humanoid.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo.envs.mujoco_simulation import Floats

STANDING = 0.8
"""Metres: observations hold the height above it, and in Harder the robot is down below it."""
WALK = 0
"""The place of the start on the feet among ``poses``."""
REMEMBERED = 10
"""Episodes of each start by whose failures v1's Harder chooses the next one."""
UNKNOWN = -1


@dataclass(frozen=True)
class Task:
    """A task under one of the rules."""

    flags: bool
    """Whether the target is a flag that moves; otherwise it is the point (1000, 0)."""
    harder: bool
    """Whether cubes are thrown, episodes may start on the ground, and a fall does not end them."""
    electricity: float
    """Weight of the mean of |action x joint speed / 10|."""
    electricity_down: float | None = None
    """The same while the robot is down, if it differs."""
    joint_at_limit: float = 0.1
    """Cost of a joint at the end of its range."""
    yaw: float = 0.0
    """An episode starts with a yaw between +- this, in rad."""
    flag_steps: int = 200
    """Steps for which a flag stands at most; 200 in the paper too (section 6.3)."""
    straight: bool = False
    """Whether the first flag of half of the episodes is straight ahead."""
    by_failure: bool = False
    """Harder's starts: whether the three are chosen by how often they failed lately, and a fall from standing ends the
    episode; otherwise half of them stand, and a quarter each lie on one side."""


RULES: dict[int, dict[str, Task]] = {
    0: {
        "RoboschoolHumanoid-v0": Task(flags=False, harder=False, electricity=2.0 * 4.25),
        "RoboschoolHumanoidFlagrun-v0": Task(flags=True, harder=False, electricity=2.0 * 4.25, yaw=3.14),
        "RoboschoolHumanoidFlagrunHarder-v0": Task(flags=True, harder=True, electricity=2.0 * 4.25 / 4, yaw=3.14),
    },
    1: {
        "RoboschoolHumanoid-v0": Task(
            flags=False, harder=False, electricity=2.0 * 4.25, joint_at_limit=0.2, yaw=np.pi / 16
        ),
        "RoboschoolHumanoidFlagrun-v0": Task(
            flags=True,
            harder=False,
            electricity=2.0 * 4.25 / 2,
            joint_at_limit=0.2,
            yaw=np.pi / 16,
            flag_steps=150,
            straight=True,
        ),
        "RoboschoolHumanoidFlagrunHarder-v0": Task(
            flags=True,
            harder=True,
            electricity=2.0 / 2,  # of the class attribute, which has no 4.25
            electricity_down=2.0 / 5,
            joint_at_limit=0.2,
            yaw=np.pi / 16,
            flag_steps=150,
            straight=True,
            by_failure=True,
        ),
    },
}
"""Rules -> id -> task."""


def poses(task: Task) -> NDArray[np.float64]:
    """Return pitch and height of each start: standing, face down, on the back."""
    back = (3 * np.pi / 2 - 0.15, 0.22) if task.by_failure else (3 * np.pi / 2, 0.25)
    return np.array([(0.0, 1.4), (np.pi / 2, 0.45), back])


def upright(task: Task, torso: Floats, pelvis: Floats) -> Floats:
    """Return what Harder pays for being alive, at these heights: 1 (on the ground) to 2 (standing), in v1 about so."""
    if not task.by_failure:
        low: Floats = np.clip(torso, 0.0, STANDING) / STANDING + 1.0
        return low
    mixed: Floats = 0.5 + 1.5 * np.clip(0.7 * torso + 0.3 * pelvis, 0.0, 0.7) / 0.7
    return mixed


def failure_rates(outcomes: NDArray[np.int8]) -> Floats:
    """Return v1's measure of failure of each start, ``[3]``, from ``outcomes`` ``[3, REMEMBERED]`` (1 for an episode
    that lasted to its time limit, 0 for another, UNKNOWN for none): 1 - successes / (1 + episodes)."""
    rates: Floats = 1.0 - (outcomes == 1).sum(axis=1) / (1.0 + (outcomes != UNKNOWN).sum(axis=1))
    return rates
