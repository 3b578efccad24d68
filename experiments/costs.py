"""What a stack costs in time: a model with few numbers, fitted to what was measured.

A vector step of a stack (every run takes a step in each of its ``num_envs`` environments) takes

    runs x num_envs x (environment + algorithm)  +  vector

seconds: a part for each environment step, which depends on the task and the algorithm, and a part for each vector step
however few its runs, which depends on the algorithm: PyTorch's cost per operation. Updates are in both.

The constants: 41 stacks (PPO with 3 and 33 runs on all tasks and with 1, 9 and 18 on some; each other algorithm with
3 and 12 runs on HalfCheetah, and some on Hopper) were timed in CPU seconds and fitted by least squares of the
relative errors: the fit is within 18 % of each (tests/experiments/stack_seconds.csv holds them). All was then
multiplied by 1.5, which is what a second of CPU took by the clock with two workers on two cores of an AMD EPYC: the
median over the finished stacks in results/, and over the table of `make throughput`. Of those finished stacks two
thirds took from half to twice as long as the model says, the median 1.0 times; where their machine did much other
work, up to 2.5 times as long.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import lsq_linear

from experiments.protocols import Run

GAME = "NoFrameskip-v4"
"""How the ids of Atari games end."""

START_SECONDS = 4.0
"""For a worker to start."""


@dataclass(frozen=True)
class Costs:
    """Seconds, on one core or one share of a GPU."""

    environment: Mapping[str, float]
    """per environment step of PPO; "" for all the rest"""
    algorithm: Mapping[str, float]
    """what another algorithm takes beyond that (below zero: less)"""
    vector: Mapping[str, float]
    """per vector step, by algorithm; "" for all the rest"""
    atari: Mapping[str, float] = field(default_factory=dict)
    """per agent step of a game, by algorithm: emulator and network together, in a stack of whatever size"""

    def per_vector_step(self, environment: str, algorithm: str, rows: int) -> float:
        """Seconds of a vector step with ``rows`` = runs x num_envs environments."""
        name = environment.replace("-v5", "-v4")
        if name.endswith(GAME) and algorithm in self.atari:
            return rows * self.atari[algorithm]
        step = self.environment.get(name, self.environment[""])
        row = max(step + self.algorithm.get(algorithm, 0.0), 0.1 * step)
        return rows * row + self.vector.get(algorithm, self.vector[""])

    def seconds(self, runs: Sequence[Run]) -> float:
        """Of training ``runs`` as one stack."""
        first = runs[0]
        envs = first.settings.num_envs
        vector_steps = first.total_timesteps / envs
        return START_SECONDS + vector_steps * self.per_vector_step(first.environment, first.algorithm, len(runs) * envs)


CONSTANTS = Costs(
    environment={
        "HalfCheetah-v4": 104e-6,
        "Hopper-v4": 179e-6,
        "InvertedDoublePendulum-v4": 160e-6,
        "InvertedPendulum-v4": 80e-6,
        "Reacher-v4": 83e-6,
        "Swimmer-v4": 118e-6,
        "Walker2d-v4": 236e-6,
        "": 500e-6,  # a guess
    },
    algorithm={
        "a2c": -41e-6,
        "a2c-trust-region": -37e-6,
        "cem": -43e-6,
        "npg": -19e-6,
        "trpo": -23e-6,
        "trpo-2017": -16e-6,
        "vpg": -30e-6,
    },
    vector={
        "a2c": 1233e-6,
        "a2c-trust-region": 1412e-6,
        "cem": 459e-6,
        "npg": 165e-6,
        "ppo": 333e-6,
        "trpo": 173e-6,
        "trpo-2017": 163e-6,
        "vpg": 304e-6,
        "": 333e-6,
    },
    atari={"ppo": 6.2e-3, "a2c": 3.6e-3, "acer": 9.1e-3},  # CPU seconds on Breakout, times 1.5 as all of them
)


@dataclass(frozen=True)
class Measured:
    """One timed stack."""

    environment: str
    algorithm: str
    rows: int
    """runs x num_envs"""
    seconds: float
    """of one vector step"""


def fit(measured: Sequence[Measured]) -> Costs:
    """The costs with the least sum of squared relative errors; what was not measured is the constants', times how this
    machine compares with them where both are known."""
    games = [one for one in measured if one.environment.endswith(GAME)]
    measured = [one for one in measured if not one.environment.endswith(GAME)]
    names: list[tuple[str, str]] = []
    for one in measured:
        names += [("environment", one.environment), ("vector", one.algorithm)]
        names += [("algorithm", one.algorithm)] if one.algorithm != "ppo" else []
    columns = {name: index for index, name in enumerate(dict.fromkeys(names))}
    matrix = np.zeros((len(measured), len(columns)))
    for row, one in enumerate(measured):
        for kind, name, factor in (
            ("environment", one.environment, one.rows),
            ("algorithm", one.algorithm, one.rows),
            ("vector", one.algorithm, 1),
        ):
            if (kind, name) in columns:
                matrix[row, columns[kind, name]] = factor / one.seconds
    lowest = [-np.inf if kind == "algorithm" else 0.0 for kind, _ in columns]
    found = lsq_linear(matrix, np.ones(len(measured)), bounds=(lowest, np.inf)).x
    ratios = [one.seconds / CONSTANTS.per_vector_step(one.environment, one.algorithm, one.rows) for one in measured]
    level = statistics.median(ratios or [1.0])
    parts: dict[str, dict[str, float]] = {
        kind: {name: level * value for name, value in getattr(CONSTANTS, kind).items()}
        for kind in ("environment", "algorithm", "vector")
    }
    for (kind, name), index in columns.items():
        parts[kind][name] = float(found[index])
    atari = {name: level * value for name, value in CONSTANTS.atari.items()}
    for name in {one.algorithm for one in games}:
        atari[name] = statistics.median(one.seconds / one.rows for one in games if one.algorithm == name)
    return Costs(**parts, atari=atari)
