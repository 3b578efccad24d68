"""The humanoid tasks of section 6.3 (Figures 4 and 5, Table 4) on MuJoCo: Roboschool's v0 rules over many rows.

The rules are those of Roboschool at commit c1cb983, the last before its v1 tasks: gym_forward_walkers.py and
gym_humanoid_flagrun.py; ``rules`` has what v1 changed. The body is defined in ``model``, its physics in ``physics``.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from ppo.envs.base import Seeds, State, Transition, VectorEnv, restore_rows, state_of_rows
from ppo.envs.mujoco_simulation import Bools, Floats
from ppo.envs.roboschool.model import CONTROL_STEP, POWERS
from ppo.envs.roboschool.physics import ALL, Rows, Simulation, Torso
from ppo.envs.roboschool.rules import REMEMBERED, RULES, STANDING, UNKNOWN, WALK, failure_rates, poses, upright

OBSERVATION_SIZE = 44
EPISODE_STEPS = 1000
FALLEN = 0.78
"""Metres: below, the episodes of the two tasks without getting up end."""
FLAG_RANGE = np.array([13.125, 6.25])
"""Metres: flags lie within +-, x and y: half of the stadium, 26.25 by 12.5."""
DOWN_STEPS = 170
"""In Harder the episode ends when this many more steps were spent down than standing."""
CUBE_DISTANCE = 4.0
"""Metres from which the cube is thrown."""
REWARD_PARTS = ("alive", "progress", "electricity", "joints_at_limit", "feet_collision")
STALL = 0.425
"""Weight of the mean of action^2: 0.1 x 4.25."""


class RoboschoolVectorEnv(VectorEnv):
    """Rows of a task, row i the same to the bit as ``gymnasium.make(env_id)`` after ``reset(seed=seeds[i])``.

    ``rules``: Roboschool's, 0 for v0's or 1 for v1's (``rules.RULES``).

    A row's result does not depend on the other rows. ``reward_parts`` has the last step's rewards in their five parts,
    ``[rows, 5]``, in the order of ``REWARD_PARTS``. Actions are not clipped in the reward, as in Roboschool; the motors
    clip them to +-1.

    Without ``autoreset`` no episode ends by its time, and a row whose robot fell waits for ``begin``.
    """

    def __init__(self, env_id: str, seeds: Seeds, autoreset: bool = True, rules: int = 0) -> None:
        if type(rules) is not int or rules not in RULES:
            raise ValueError(f"{env_id}: rules is {rules!r}; {' or '.join(map(str, RULES))} is possible")
        if env_id not in RULES[rules]:
            known = ", ".join(RULES[rules])
            raise ValueError(f"{env_id!r} is not one of Roboschool's humanoid tasks; known are {known}")
        self._env_id, self.task = env_id, RULES[rules][env_id]
        self._seeds, self._autoreset = [int(seed) for seed in seeds], autoreset
        self.rows = rows = len(self._seeds)
        self.sim = Simulation(self.task.harder, rows)
        self.observation_shape = (OBSERVATION_SIZE,)
        self.observation_dtype = np.dtype(np.float64)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, self.sim.ctrl.shape[1:], np.float32)
        self.reward_parts: Floats = np.zeros((rows, len(REWARD_PARTS)))
        low, high = self.sim.model.jnt_range[1 : 1 + self.sim.ctrl.shape[1]].T
        self._middle, self._half_range = (low + high) / 2, (high - low) / 2
        self._generators: list[np.random.Generator] = []
        self._observations: Floats = np.zeros((rows, OBSERVATION_SIZE))
        self._elapsed = np.zeros(rows, np.int64)
        self.target: Floats = np.tile([1000.0, 0.0], (rows, 1))
        """``[rows, 2]``, metres."""
        self._timeout = np.zeros(rows, np.int64)
        self._contact: Floats = np.zeros((rows, 2))  # feet on the floor, for the next observation
        self._potential: Floats = np.zeros(rows)
        self._on_ground = np.zeros(rows, np.int64)
        self._crawl_start: Floats = np.full(rows, np.nan)  # NaN while the robot is not down
        self._crawl_ignored: Floats = np.zeros(rows)
        self._poses = poses(self.task)
        self._start = np.full(rows, WALK)
        self._outcomes = np.full((rows, len(self._poses), REMEMBERED), UNKNOWN, np.int8)
        """Of v1's Harder: how each start ended lately, the newest last."""
        self._over = np.zeros(rows, np.bool_)

    def reset(self) -> NDArray[np.float64]:
        self.forget()
        return self.begin([seeding.np_random(seed)[0] for seed in self._seeds])

    def forget(self) -> None:
        """Forget how earlier episodes ended."""
        self._outcomes[...] = UNKNOWN

    def begin(self, generators: list[np.random.Generator]) -> NDArray[np.float64]:
        """Start every row's first episode, with a generator for each row."""
        self._generators = generators
        self._start_episodes(np.arange(self.rows))
        return self._observations.copy()

    def step(self, actions: NDArray[Any]) -> Transition:
        """Step every row. If no episode ends, ``final_observations`` is the array ``observations`` itself."""
        sim = self.sim
        if actions.shape != sim.ctrl.shape:
            raise ValueError(f"{self._env_id}: actions have shape {actions.shape}, needed is {sim.ctrl.shape}")
        if not self._generators:
            raise ValueError(f"{self._env_id}: step() was called before reset()")
        sim.advance(actions)
        torso, position, joints = sim.torso(), sim.mean_position(), self._joints(ALL)
        distance, angle, moved = self._advance_flags(ALL, position, torso.yaw)
        self._observations[...] = self._observe(ALL, torso, angle, joints)
        if self.task.harder:
            self._throw_cubes(torso, position)
            self._count_on_ground(torso.height)
        alive = self._alive(torso.height)
        potential = self._potentials(ALL, distance, torso.height)
        progress = np.where(moved, 0.0, potential - self._potential)  # a flag that moves pays nothing
        self._potential[...] = potential
        at_limits = np.add.reduce(np.abs(joints[0]) > 0.99, axis=1)
        self._contact[...], touching = sim.feet()
        feet = np.add.reduce(touching, axis=1)
        electricity = self._electricity(actions, joints[1], torso.height)
        parts = alive, progress, electricity, -self.task.joint_at_limit * at_limits, -feet
        self.reward_parts = np.stack(parts, axis=1)
        rewards = np.add.reduce(self.reward_parts, axis=1)
        terminated = (alive < 0) | ~np.isfinite(self._observations).all(axis=1)
        self._elapsed += 1
        if self.task.by_failure:
            self._note_outcomes(terminated)
        truncated = (self._elapsed >= EPISODE_STEPS) & self._autoreset
        ended = terminated | truncated
        observations = final_observations = self._observations.copy()
        if self._autoreset and ended.any():
            self._start_episodes(np.flatnonzero(ended))
            observations = self._observations.copy()
        return Transition(observations, rewards, terminated, truncated, final_observations, rewards, ended)

    def _advance_flags(self, rows: Rows, position: Floats, yaw: Floats) -> tuple[Floats, Floats, Bools]:
        """Count the flags' steps and move those that are reached or whose time is over. Return the distance to each
        target, the angle to it, and whether it moved."""
        moved = np.zeros(len(yaw), np.bool_)
        x, y = (self.target[rows] - position).T
        if self.task.flags:
            self._timeout[rows] -= 1
            moved = (np.hypot(x, y) < 1) | (self._timeout[rows] <= 0)
            if moved.any():
                for row in np.arange(self.rows)[rows][moved].tolist():
                    self._set_flag(row)
                x, y = (self.target[rows] - position).T
        return np.hypot(x, y), np.arctan2(y, x) - yaw, moved

    def _set_flag(self, row: int, first: bool = False) -> None:
        generator = self._generators[row]
        if first and self.task.straight and generator.integers(2) == 0:
            self.target[row] = [generator.uniform(FLAG_RANGE[0], 2 * FLAG_RANGE[0]), 0.0]
        else:
            self.target[row] = [generator.uniform(-limit, limit) for limit in FLAG_RANGE]
        self._timeout[row] = self.task.flag_steps

    def _observe(self, rows: Rows, torso: Torso, angle: Floats, joints: tuple[Floats, Floats]) -> Floats:
        """Return the observations ``[n, 44]``: height, angle, velocity seen from the torso's yaw, roll, pitch; position
        and speed of each joint; the feet's contacts as they were before the step."""
        observations = np.empty((len(angle), OBSERVATION_SIZE))
        x, y, z = torso.velocity.T
        cos, sin = np.cos(torso.yaw), np.sin(torso.yaw)
        observations[:, 0] = torso.height - STANDING
        observations[:, 1] = np.sin(angle)
        observations[:, 2] = np.cos(angle)
        observations[:, 3] = 0.3 * (cos * x + sin * y)
        observations[:, 4] = 0.3 * (cos * y - sin * x)
        observations[:, 5] = 0.3 * z
        observations[:, 6] = torso.roll
        observations[:, 7] = torso.pitch
        observations[:, 8:42:2], observations[:, 9:42:2] = joints
        observations[:, 42:] = self._contact[rows]
        return np.clip(observations, -5.0, 5.0, out=observations)

    def _joints(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the joints' positions, -1 and 1 at the ends of their ranges, and tenths of their speeds in rad/s."""
        return (self.sim.joints[rows] - self._middle) / self._half_range, 0.1 * self.sim.joint_speeds(rows)

    def _alive(self, height: Floats) -> Floats:
        """Return the reward for being alive, negative where the episode ends."""
        if not self.task.harder:
            return np.where(height > FALLEN, 2.0, -1.0)
        return np.where(self._on_ground < DOWN_STEPS, self._upright(ALL, height), -1.0)

    def _upright(self, rows: Rows, height: Floats) -> Floats:
        return upright(self.task, height, self.sim.pelvis_height(rows))

    def _throw_cubes(self, torso: Torso, position: Floats) -> None:
        """Throw the cubes that are due: at robots that stood before this step."""
        due = (self._elapsed % 30 == 0) & (self._elapsed > 100) & (self._on_ground == 0)
        for row in np.flatnonzero(due).tolist():
            self._throw(row, np.array([*position[row], torso.height[row]]), torso.velocity[row])

    def _count_on_ground(self, height: Floats) -> None:
        """Count a step more of each robot that is down, and one less of the others; in v1 a fall from a start on the
        feet counts as too many."""
        down = height < STANDING
        self._on_ground += np.where(down, 1, -1)
        np.maximum(self._on_ground, 0, out=self._on_ground)
        if self.task.by_failure:
            self._on_ground[down & (self._start == WALK)] = DOWN_STEPS

    def _note_outcomes(self, terminated: Bools) -> None:
        """Remember the episodes that end with this step, and whether they lasted to the time limit."""
        ended = (terminated | (self._elapsed == EPISODE_STEPS)) & ~self._over
        self._over |= ended
        for row in np.flatnonzero(ended).tolist():
            of_start = self._outcomes[row, self._start[row]]
            of_start[:-1] = of_start[1:]
            of_start[-1] = self._elapsed[row] == EPISODE_STEPS

    def _throw(self, row: int, torso: Floats, velocity: Floats) -> None:
        """Throw the cube from a random side and 1 m above, with 20 to 30 m/s, to where the torso will be."""
        generator = self._generators[row]
        angle, speed = generator.uniform(-3.14, 3.14), generator.uniform(20.0, 30.0)
        aim = torso + velocity * (CUBE_DISTANCE / speed)
        start = aim + np.array([CUBE_DISTANCE * np.cos(angle), CUBE_DISTANCE * np.sin(angle), 1.0])
        attack = (aim - start) * (speed / np.linalg.norm(aim - start)) + generator.uniform(-1.0, 1.0, 3)
        self.sim.throw_cube(row, start, attack)

    def _potentials(self, rows: Rows, distance: Floats, height: Floats) -> Floats:
        """Return the potential, whose change is the reward for progress: the negative distance in control steps at
        1 m/s; in Harder without the distance crawled, and 100 to 200 for the height."""
        progress = -distance / CONTROL_STEP
        if not self.task.harder:
            return progress
        down, start, ignored = height < STANDING, self._crawl_start[rows], self._crawl_ignored[rows]
        start = np.where(np.isnan(start), progress - ignored, start)
        self._crawl_start[rows] = np.where(down, start, np.nan)
        self._crawl_ignored[rows] = np.where(down, progress - start, ignored)
        return np.where(down, start, progress - ignored) + 100.0 * self._upright(rows, height)

    def _electricity(self, actions: NDArray[Any], speeds: Floats, height: Floats) -> Floats:
        """Return the cost of the unclipped actions at the speeds after the step, negative."""
        weight: Floats | float = self.task.electricity
        if self.task.electricity_down is not None:
            weight = np.where(height < STANDING, self.task.electricity_down, weight)
        efforts = actions.astype(np.float64)
        power = np.add.reduce(np.abs(efforts * speeds), axis=1) / efforts.shape[1]
        stall = np.add.reduce(np.square(efforts), axis=1) / efforts.shape[1]
        cost: Floats = -weight * power - STALL * stall
        return cost

    def _start_episodes(self, ids: NDArray[np.intp]) -> None:
        """Begin the episodes of these rows and leave the others: measured again, they would show newer contacts."""
        for row in ids.tolist():
            self._place(row)
        self.sim.refresh(ids)
        self._elapsed[ids] = self._on_ground[ids] = 0
        self._crawl_start[ids], self._crawl_ignored[ids] = np.nan, 0.0
        self._contact[ids] = 0.0
        self._over[ids] = False
        torso = self.sim.torso(ids)
        distance, angle, _ = self._advance_flags(ids, self.sim.mean_position(ids), torso.yaw)
        self._observations[ids] = self._observe(ids, torso, angle, self._joints(ids))
        self._potential[ids] = self._potentials(ids, distance, torso.height)

    def _place(self, row: int) -> None:
        """Draw a start: joints, yaw, standing or lying, flag."""
        generator, task = self._generators[row], self.task
        joints = generator.uniform(-0.1, 0.1, len(POWERS))
        if task.by_failure:
            rates = failure_rates(self._outcomes[row])
            self._start[row] = generator.choice(len(rates), p=rates / rates.sum())
        yaw = generator.uniform(-task.yaw, task.yaw) if task.yaw else 0.0
        if task.harder and not task.by_failure:
            self._start[row] = 1 + generator.integers(2) if generator.integers(2) == 0 else WALK
        pitch, height = self._poses[self._start[row]]
        self.sim.place(row, yaw, pitch, height, joints)
        if task.flags:
            self._set_flag(row, first=True)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a state, by name: everything that later steps depend on but the generators."""
        memory = {"start": self._start, "outcomes": self._outcomes} if self.task.by_failure else {}
        return memory | {
            "simulation": self.sim.state,  # mjSTATE_INTEGRATION, with the drag and the solver's warm start
            "elapsed": self._elapsed,
            "target": self.target,
            "timeout": self._timeout,
            "contact": self._contact,
            "potential": self._potential,
            "on_ground": self._on_ground,
            "crawl_start": self._crawl_start,
            "crawl_ignored": self._crawl_ignored,
            "observations": self._observations,  # not a function of the rest: derived fields lag
        }

    def get_state(self) -> State:
        return state_of_rows(self._env_id, self._generators, self._arrays())

    def set_state(self, state: State) -> NDArray[np.float64]:
        self._generators = restore_rows(self._env_id, state, self._arrays(), EPISODE_STEPS)
        return self._observations.copy()
