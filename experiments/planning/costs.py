"""The time of a stack: a model with few numbers, fitted to measurements.

A vector step of a stack (every run takes a step in each of its ``num_envs`` environments) takes

    runs x num_envs x (environment + algorithm)  +  vector

seconds: a part for each environment step, which depends on the task and the algorithm, and a part for each vector step,
for any number of runs, which depends on the algorithm (its `seconds` in `baselines.ALGORITHMS`): PyTorch's cost per
operation. Both include updates.

The constants: 41 stacks (PPO with 3 and 33 runs on all tasks and with 1, 9 and 18 on some; each other algorithm with
3 and 12 runs on HalfCheetah, and some on Hopper) were timed in CPU seconds and fitted by least squares of the
relative errors: the fit is within 20 % of each (tests/experiments/stack_seconds.csv). They are times of one otherwise
idle core of an Intel Xeon with AVX-512 (2026-11); those of games are of an AMD EPYC. On a busy machine wall time is
longer.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from baselines import ALGORITHMS, REFERENCE
from experiments.run import Run
from ppo.envs import ROBOSCHOOL_IDS
from ppo.envs.making import bare_id

GAME = "NoFrameskip-v4"
"""End of the ids of Atari games."""

START_SECONDS = 3.0
"""Time for a worker to start."""


@dataclass(frozen=True)
class Costs:
    """Seconds, on one core or one share of a GPU."""

    environment: Mapping[str, float]
    """per environment step of PPO (`REFERENCE`), by environment; "" for all others"""
    algorithm: Mapping[str, float]
    """additional time per environment step, by algorithm (may be negative)"""
    vector: Mapping[str, float]
    """per vector step, by algorithm; "" for all others"""
    atari: Mapping[str, float] = field(default_factory=dict)
    """per agent step of a game, by algorithm: emulator and network together, in a stack of any size"""

    def per_vector_step(self, environment: str, algorithm: str, rows: int) -> float:
        """Estimate the seconds of a vector step with ``rows`` = runs x num_envs environments."""
        name = environment.replace("-v5", "-v4")
        name = bare_id(name) if bare_id(name) in ROBOSCHOOL_IDS else name
        if name.endswith(GAME) and algorithm in self.atari:
            return rows * self.atari[algorithm]
        step = self.environment.get(name, self.environment[""])
        row = max(step + self.algorithm.get(algorithm, 0.0), 0.1 * step)
        return rows * row + self.vector.get(algorithm, self.vector[""])

    def seconds(self, runs: Sequence[Run]) -> float:
        """Estimate the seconds of training ``runs`` as one stack."""
        first = runs[0]
        envs = first.settings.num_envs
        vector_steps = first.total_timesteps / envs
        return START_SECONDS + vector_steps * self.per_vector_step(first.environment, first.algorithm, len(runs) * envs)


CONSTANTS = Costs(
    environment={
        "HalfCheetah-v4": 58e-6,
        "Hopper-v4": 120e-6,
        "InvertedDoublePendulum-v4": 87e-6,
        "InvertedPendulum-v4": 43e-6,
        "InvertedPendulumUnclamped-v4": 43e-6,  # the same but for a flag
        "Reacher-v4": 43e-6,
        "Swimmer-v4": 76e-6,
        "Walker2d-v4": 142e-6,
        # Not fitted: CPU seconds of single runs with Table 4's settings, in states of a policy that walks, on a machine
        # that did other work.
        "RoboschoolHumanoid-v0": 190e-6,
        "RoboschoolHumanoidFlagrun-v0": 170e-6,
        "RoboschoolHumanoidFlagrunHarder-v0": 180e-6,
        "": 330e-6,  # a guess
    },
    algorithm={name: record.seconds.step for name, record in ALGORITHMS.items() if record.seconds.step is not None},
    vector={
        "": 34e-6,  # PPO's
        **{name: record.seconds.vector for name, record in ALGORITHMS.items() if record.seconds.vector is not None},
    },
    atari={  # on Breakout
        name: record.seconds.game for name, record in ALGORITHMS.items() if record.seconds.game is not None
    },
)
"""Used for an algorithm whose record has no times: those of PPO."""


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
    """Return the costs with the least sum of squared relative errors.

    Numbers that were not measured are the constants, scaled by this machine's ratio to the constants that were.
    """
    from scipy.optimize import lsq_linear  # slow to import; needed only for measured speeds

    games = [one for one in measured if one.environment.endswith(GAME)]
    measured = [one for one in measured if not one.environment.endswith(GAME)]
    names: list[tuple[str, str]] = []
    for one in measured:
        names += [("environment", one.environment), ("vector", one.algorithm)]
        names += [("algorithm", one.algorithm)] if one.algorithm != REFERENCE else []
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
    fitted = lsq_linear(matrix, np.ones(len(measured)), bounds=(lowest, np.inf)).x
    ratios = [one.seconds / CONSTANTS.per_vector_step(one.environment, one.algorithm, one.rows) for one in measured]
    level = statistics.median(ratios or [1.0])
    parts: dict[str, dict[str, float]] = {
        kind: {name: level * value for name, value in getattr(CONSTANTS, kind).items()}
        for kind in ("environment", "algorithm", "vector")
    }
    for (kind, name), index in columns.items():
        parts[kind][name] = float(fitted[index])
    atari = {name: level * value for name, value in CONSTANTS.atari.items()}
    for name in {one.algorithm for one in games}:
        atari[name] = statistics.median(one.seconds / one.rows for one in games if one.algorithm == name)
    return Costs(**parts, atari=atari)
