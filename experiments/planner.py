"""Runs -> stacks -> schedule."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.protocols import Run

MAX_STACK = 64
"""Runs in one stack at most: beyond about 30 a stack gains no more speed, and its memory and checkpoints grow."""

SECONDS_PER_STEP = {  # of one run in a stack, measured with two workers on the two cores of an AMD EPYC
    "HalfCheetah-v4": 1 / 10_200,
    "Hopper-v4": 1 / 5_600,
    "InvertedDoublePendulum-v4": 1 / 7_500,
    "InvertedPendulum-v4": 1 / 15_600,
    "Reacher-v4": 1 / 12_800,
    "Swimmer-v4": 1 / 7_500,
    "Walker2d-v4": 1 / 4_300,
}
OTHER_SECONDS_PER_STEP = 1 / 2_000
SECONDS_PER_VECTOR_STEP = 500e-6
"""What a step of a stack costs however few its runs."""
START_SECONDS = 4.0
"""For a worker to start."""


@dataclass(frozen=True)
class Stack:
    """Runs that are trained in lockstep in one process: same environment, algorithm, budget and shapes."""

    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """A folder's name: the same for the same runs, whatever else is planned."""
        first = self.runs[0]
        digest = hashlib.sha256("\n".join(sorted(run.key for run in self.runs)).encode()).hexdigest()[:10]
        return f"{first.environment.replace('/', '-')}_{first.algorithm}_{len(self.runs)}_{digest}"

    @property
    def total_timesteps(self) -> int:
        """Environment steps of all runs together."""
        return sum(run.total_timesteps for run in self.runs)

    @property
    def seconds(self) -> float:
        """A guess at the time on one core."""
        first = self.runs[0]
        per_step = SECONDS_PER_STEP.get(first.environment.replace("-v5", "-v4"), OTHER_SECONDS_PER_STEP)
        vector_steps = first.total_timesteps / first.settings.num_envs
        return START_SECONDS + self.total_timesteps * per_step + vector_steps * SECONDS_PER_VECTOR_STEP


def stacks(runs: Iterable[Run], workers: int = 1) -> list[Stack]:
    """Group runs that can be trained in lockstep, longest stack first.

    The grouping depends on the runs and nothing else, so every shard of a protocol sees the same stacks; only where
    there are fewer stacks than ``workers`` are the longest split, so that no core stands idle.
    """
    groups: dict[object, list[Run]] = {}
    for run in dict.fromkeys(runs):
        group = (run.environment, run.algorithm, run.total_timesteps, run.settings.structure())
        groups.setdefault(group, []).append(run)
    planned = [
        Stack(tuple(group[start : start + MAX_STACK]))
        for group in groups.values()
        for start in range(0, len(group), MAX_STACK)
    ]
    while planned and len(planned) < workers:
        longest = max(planned, key=lambda stack: (len(stack.runs), stack.name))
        half = (len(longest.runs) + 1) // 2
        if half == len(longest.runs):
            break
        planned.remove(longest)
        planned += [Stack(longest.runs[:half]), Stack(longest.runs[half:])]
    return sorted(planned, key=lambda stack: (-stack.seconds, stack.name))


def shard(planned: Sequence[Stack], index: int, count: int) -> list[Stack]:
    """Part ``index`` (1 ... ``count``) of the stacks, dealt out like cards: every part gets long and short ones."""
    return list(planned[index - 1 :: count])


def seconds(planned: Sequence[Stack], workers: int) -> float:
    """A guess at the time that ``workers`` cores need, taking the longest stack first."""
    loads = [0.0] * max(workers, 1)
    for stack in planned:
        loads[loads.index(min(loads))] += stack.seconds
    return max(loads)
