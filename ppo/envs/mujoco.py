"""The paper's MuJoCo tasks: the physics of all rows in one C++ call, the rest in numpy, to the bit Gymnasium's own.

Through Gymnasium, a step of one of these tasks costs as much Python as physics. ``mujoco.batch.Batch`` steps all rows
in one call, and a handful of numpy operations over the rows make the rest of it (mujoco_tasks.py).
"""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from ppo.envs.base import Seeds, State, Transition, VectorEnv, restore_rows, state_of_rows
from ppo.envs.mujoco_simulation import Simulation
from ppo.envs.mujoco_tasks import TASKS

MUJOCO_IDS: tuple[str, ...] = tuple(TASKS)
"""The environments that :class:`MujocoVectorEnv` knows."""


class MujocoVectorEnv(VectorEnv):
    """Row i is ``gymnasium.make(env_id)`` after ``reset(seed=seeds[i])``: the same bits at every step of every episode.

    Observations and rewards are float64. A row's result does not depend on the other rows. In a state,
    ``observations`` also carries what Reacher-v4 pays for at the next step: the distance before it.
    """

    def __init__(self, env_id: str, seeds: Seeds) -> None:
        if env_id not in TASKS:
            raise ValueError(f"{env_id!r} is not a MuJoCo task of this project; known are {', '.join(MUJOCO_IDS)}")
        self._env_id = env_id
        self._task = TASKS[env_id]
        self._seeds = [int(seed) for seed in seeds]
        self.rows = len(self._seeds)
        task = self._task
        self.sim = Simulation(task.xml, task.frame_skip, task.observation_size, self.rows, task.clamps)
        self.frame_skip = task.frame_skip
        self.observation_shape = (task.observation_size,)
        self.observation_dtype = np.dtype(np.float64)
        low, high = self.sim.model.actuator_ctrlrange.T.astype(np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self._elapsed = np.zeros(self.rows, np.int64)
        self._generators: list[np.random.Generator] = []

    def reset(self) -> NDArray[np.float64]:
        self._generators = [seeding.np_random(seed)[0] for seed in self._seeds]
        self._start_episodes(np.arange(self.rows))
        return self.sim.observations.copy()

    def step(self, actions: NDArray[Any]) -> Transition:
        """Step every row. If no episode ends, ``final_observations`` is the array ``observations`` itself."""
        sim, task = self.sim, self._task
        if actions.shape != sim.ctrl.shape:
            raise ValueError(f"{self._env_id}: actions have shape {actions.shape}, needed is {sim.ctrl.shape}")
        if not self._generators:
            raise ValueError(f"{self._env_id}: step() was called before reset()")
        before = task.before(sim)
        sim.ctrl[...] = actions
        if math.isnan(np.vdot(actions, actions)):
            # MuJoCo clamps huge and infinite controls, and takes a row's controls for zeros if one is NaN. Writing the
            # zeros here gives the same bits and spares a warning in ./MUJOCO_LOG.TXT for each episode of a dead run.
            sim.ctrl[np.isnan(actions).any(axis=1)] = 0.0
        sim.batch.step(nstep=task.frame_skip)
        if task.settle:
            rewards, terminated = task.settle(sim, before, actions)
        else:
            task.observe(sim)
            terminated = task.terminated(sim)
            rewards = task.reward(sim, before, actions, terminated)
        self._elapsed += 1
        truncated = self._elapsed >= task.max_episode_steps
        ended = terminated | truncated
        observations = final_observations = sim.observations.copy()
        if np.count_nonzero(ended):
            self._start_episodes(np.flatnonzero(ended))
            observations = sim.observations.copy()
        return Transition(observations, rewards, terminated, truncated, final_observations, rewards, ended)

    def _start_episodes(self, ids: NDArray[np.intp]) -> None:
        sim = self.sim
        sim.state[ids] = sim.rest_state
        for i in ids:
            sim.motion[i] = self._task.start(self._generators[i], sim.rest)
        sim.batch.forward(ids)
        self._task.observe(sim)  # of all rows: the others' fields, and so their observations, are as they were
        self._elapsed[ids] = 0

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a state, by name: everything that later steps depend on but the generators."""
        return {
            # mjSTATE_INTEGRATION: without the solver's warm start, part of it, a continuation is not exact
            "simulation": self.sim.state,
            "elapsed": self._elapsed,
            # not a function of the simulation alone: derived fields lag by one physics step
            "observations": self.sim.observations,
        }

    def get_state(self) -> State:
        return state_of_rows(self._env_id, self._generators, self._arrays())

    def set_state(self, state: State) -> NDArray[np.float64]:
        self._generators = restore_rows(self._env_id, state, self._arrays(), self._task.max_episode_steps)
        return self.sim.observations.copy()
