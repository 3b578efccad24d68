"""The humanoid tasks' part of ``make throughput``: training, and the environment beside its physics alone.

Seconds are CPU seconds. The environment is stepped by the policies of ``ppo run figure4``: a robot that walks has other
contacts than one that falls at once, as untrained ones do.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.paper.humanoid import figure4
from experiments.paper.profiles import PROFILES
from experiments.policies.evaluation import TrainedPolicy, chosen_policies
from experiments.store.file_names import file_name
from experiments.throughput.atari import one_core
from experiments.throughput.peers import ratio
from experiments.training.build import build
from ppo import envs
from ppo.envs.roboschool.environment import RoboschoolVectorEnv
from ppo.envs.roboschool.model import SUBSTEPS
from ppo.envs.roboschool.physics import Simulation
from ppo.seeding import environment_seeds

RUNS = {run.environment: run for run in figure4(PROFILES["paper"]).trained if run.seed == 1}
Seconds = dict[str, list[float]]
"""CPU seconds per environment step, block by block."""
TRAINING, ENVIRONMENT, PHYSICS = "training", "environment", "physics of it"
STEPS = 200
"""Control steps of a block, and before the first: at their starts all rows stand."""


class Walk:
    """Rows of a task that a policy plays, and the physics alone of each of their steps."""

    def __init__(self, trained: TrainedPolicy, rows: int) -> None:
        env = envs.make(trained.run.environment, environment_seeds([1], rows))
        assert isinstance(env, RoboschoolVectorEnv)
        self.env = env
        self.bare = Simulation(env.task.harder, rows)
        self.observations = self.env.reset()
        self.act = trained.actor(1, deterministic=False)
        self.steps = 0

    def step(self) -> tuple[float, float]:
        """Step once; return the seconds of the environment, and of MuJoCo's four physics steps from the same state
        without air drag."""
        actions = self.act(self.observations, self.steps)
        self.steps += 1
        self.bare.state[...] = self.env.sim.state
        self.bare.forces[...] = 0.0
        self.bare.ctrl[...] = actions
        start = time.process_time()
        self.observations = self.env.step(actions).observations
        stepped = time.process_time()
        self.bare.batch.step(nstep=SUBSTEPS)
        return stepped - start, time.process_time() - stepped

    def block(self) -> tuple[float, float]:
        """Return the seconds of both per step of a row, over STEPS control steps."""
        whole, physics = np.sum([self.step() for _ in range(STEPS)], axis=0) / (STEPS * self.env.rows)
        return float(whole), float(physics)


def measure(trained: TrainedPolicy, blocks: int) -> Seconds:
    """Measure a task with Table 4's number of actors, in turn and on one core; the first block warms up."""
    run = RUNS[trained.run.environment]
    settings = run.settings
    seconds: Seconds = {TRAINING: [], ENVIRONMENT: [], PHYSICS: []}
    with one_core():
        training, walk = build([run]), Walk(trained, settings.num_envs)
        for block in range(blocks + 1):
            start = time.process_time()
            training.iterate()
            per_step = (time.process_time() - start) / (settings.num_envs * settings.num_steps)
            whole, physics = walk.block()
            if block > 0:
                for name, value in ((TRAINING, per_step), (ENVIRONMENT, whole), (PHYSICS, physics)):
                    seconds[name].append(value)
    return seconds


def policies_in(folder: Path) -> list[TrainedPolicy]:
    """Load the policies of ``ppo run figure4``. Raises ``StoreError`` if one is missing."""
    files = [folder / file_name(f"{environment}_ppo.pt") for environment in RUNS]
    return [chosen_policies(file, (), None, None)[0] for file in files]


def sample(policies: Sequence[TrainedPolicy], blocks: int) -> dict[str, Any]:
    """Measure the task of each of ``policies``."""
    return {trained.run.environment: measure(trained, blocks) for trained in policies}


def rows(environment: str, seconds: Seconds) -> list[tuple[str, str, str]]:
    """Return the table's rows of one task."""
    remarks = {ENVIRONMENT: f"takes {ratio(seconds[ENVIRONMENT], seconds[PHYSICS]):.2f}x its physics' time"}
    return [
        (
            f"{environment}, {RUNS[environment].settings.num_envs} rows, {name}",
            f"{1 / statistics.median(values):,.0f}",
            remarks.get(name, ""),
        )
        for name, values in seconds.items()
    ]
