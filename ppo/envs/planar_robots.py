"""HalfCheetah, Swimmer, Hopper and Walker2d: robots in a plane, rewarded for speed less control cost.

Hopper and Walker2d are also rewarded for being alive, and their episodes end with a fall. In numpy, observations and
rewards take two dozen calls, which cost a single run a third of the time of its physics. ``settle`` does the same in
one compiled call, in the same order of floating-point operations and so to the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppo.envs.mujoco_simulation import Actions, Bools, Floats, Simulation, clip_to_10, control_cost
from ppo.stacked.optional import exactly


def torso_x(sim: Simulation) -> Floats:
    """Return the robots' x before a step: ``[rows]``."""
    return sim.x.copy()


@dataclass(frozen=True)
class PlanarRobot:
    """The constants of one robot, and the rules that all four share: observation, fall, reward."""

    control_weight: float
    hidden: int = 1
    """Positions that are not observed: x, and in Swimmer y."""
    clips_velocities: bool = False
    """Whether velocities are observed within +-10."""
    alive: float = 0.0
    """Reward of a step for being alive."""
    alive_at_fall: bool = True
    """Whether this reward is also given on the step of the fall."""
    low: Floats = field(default_factory=lambda: np.empty(0))
    """A robot has fallen unless its first numbers after x are strictly between ``low`` and ``high``."""
    high: Floats = field(default_factory=lambda: np.empty(0))

    def observe(self, sim: Simulation) -> None:
        """Write the observations: positions, except for the hidden ones, and velocities."""
        sim.observations[...] = sim.motion[:, self.hidden :]
        if self.clips_velocities:
            clip_to_10(sim.observations[:, sim.qpos.shape[1] - self.hidden :])

    def fell(self, sim: Simulation) -> Bools:
        """Return the rows in which a bounded value is not between its bounds, ``[rows]``; NaN never is."""
        bounded = sim.motion[:, 1 : 1 + len(self.low)]
        inside = bounded > self.low
        inside &= bounded < self.high
        out: Bools = ~np.logical_and.reduce(inside, axis=1)
        return out

    def reward(self, sim: Simulation, x_before: Floats, actions: Actions, terminated: Bools) -> Floats:
        """Return forward velocity, plus the reward for being alive, less control cost: ``[rows]``."""
        rewards: Floats = (sim.x - x_before) / sim.dt
        if self.alive:
            rewards = rewards + (self.alive if self.alive_at_fall else self.alive * ~terminated)
        return rewards - control_cost(self.control_weight, actions)


@exactly
def _settle(
    motion: Floats,
    positions: int,
    x_before: Floats,
    dt: float,
    actions: Actions,
    control_weight: float,
    hidden: int,
    clips_velocities: bool,
    alive: float,
    alive_at_fall: bool,
    low: Floats,
    high: Floats,
    observations: Floats,
    rewards: Floats,
    terminated: Bools,
) -> None:
    """Fill the last three arrays from the others, row by row; ``positions``: their number in ``motion``'s columns."""
    for row in range(len(motion)):
        fell = False
        for column in range(len(low)):
            value = motion[row, 1 + column]
            fell = fell or not (low[column] < value < high[column])
        for column in range(hidden, motion.shape[1]):
            value = motion[row, column]
            if clips_velocities and column >= positions:
                value = -10.0 if value < -10.0 else value
                value = 10.0 if value > 10.0 else value
            observations[row, column - hidden] = value
        cost = actions.dtype.type(0)
        for column in range(actions.shape[1]):
            cost += actions[row, column] * actions[row, column]
        reward = (motion[row, 0] - x_before[row]) / dt
        if alive != 0.0 and (alive_at_fall or not fell):
            reward += alive
        rewards[row] = reward - cost * actions.dtype.type(control_weight)
        terminated[row] = fell


def settle(robot: PlanarRobot) -> Callable[[Simulation, Floats, Actions], tuple[Floats, Bools]] | None:
    """Return ``observe``, ``fell`` and ``reward`` of ``robot`` as one compiled function ``(sim, x_before, actions) ->
    (rewards, terminated)``; None without numba."""
    if _settle is None:
        return None
    rules = robot.control_weight, robot.hidden, robot.clips_velocities, robot.alive, robot.alive_at_fall

    def settled(sim: Simulation, x_before: Floats, actions: Actions) -> tuple[Floats, Bools]:
        rewards, terminated = np.empty(len(x_before)), np.empty(len(x_before), np.bool_)
        pays: Any = (sim.motion, sim.qpos.shape[1], x_before, sim.dt, actions, *rules, robot.low, robot.high)
        _settle(*pays, sim.observations, rewards, terminated)
        return rewards, terminated

    return settled
