"""Grouping runs into stacks, and scheduling stacks."""

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from experiments.planning.costs import CONSTANTS, Costs
from experiments.run import Run
from experiments.store.file_names import file_name
from ppo.stacked.convolutional import ARCHITECTURES

MAX_STACK = 64
"""Limit of runs in one stack: beyond about 30 a stack gains no more speed, and its memory and checkpoints grow.
Convolutions gain nothing from a stack: such runs are trained separately, side by side on the cores or on one GPU."""

MANY_ENVS = 32
"""A run with so many environments is apart too: its vector steps are as large as a stack's, and where runs take hours
the cores are better balanced."""

WORTH = 0.99
"""Split further only if the total time shrinks below this fraction."""


@dataclass(frozen=True)
class Stack:
    """Runs that are trained in lockstep in one process: same environment, algorithm, budget and shapes."""

    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The name of its folder, which depends only on its runs."""
        first = self.runs[0]
        digest = hashlib.sha256(
            "\n".join(sorted(run.key for run in self.runs)).encode(errors="surrogatepass")
        ).hexdigest()[:10]
        return f"{file_name(first.environment)}_{first.algorithm}_{len(self.runs)}_{digest}"

    def part(self, fraction: float) -> "Stack":
        """Return a stack as long as this ``fraction`` of it, for estimates."""
        return Stack(tuple(run.part(fraction) for run in self.runs))

    @property
    def total_timesteps(self) -> int:
        """Environment steps of all runs together."""
        return sum(run.total_timesteps for run in self.runs)

    @property
    def seconds(self) -> float:
        """Estimated time on one core, the same on every machine so that every machine plans the same stacks."""
        return CONSTANTS.seconds(self.runs)


class StackGroup:
    """Runs that could be one stack."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        settings = runs[0].settings
        largest = 1 if settings.network in ARCHITECTURES or settings.num_envs >= MANY_ENVS else MAX_STACK
        self.fewest = -(-len(runs) // largest)
        times = [CONSTANTS.seconds(runs[: size + 1]) for size in range(len(runs))]
        self.loads = {
            count: [times[stop - start - 1] for start, stop in self._bounds(count)]
            for count in range(self.fewest, len(runs) + 1)
        }
        """number of parts -> seconds of each"""

    def count(self, limit: float) -> int:
        """Return the fewest parts of which none takes longer than ``limit``; at most one part per run."""
        return next((count for count, loads in self.loads.items() if max(loads) <= limit), len(self.runs))

    def parts(self, count: int) -> list[Stack]:
        """Split into even parts, independent of the order of the runs."""
        runs = self.runs if count == 1 else sorted(self.runs, key=lambda run: run.key)
        return [Stack(tuple(runs[start:stop])) for start, stop in self._bounds(count)]

    def _bounds(self, count: int) -> Iterator[tuple[int, int]]:
        return itertools.pairwise(len(self.runs) * index // count for index in range(count + 1))


def stacks(runs: Iterable[Run], workers: int = 1, begun: Sequence[Stack] = ()) -> list[Stack]:
    """Group runs that can be trained in lockstep, longest stack first.

    A run costs least in a large stack, but with few large stacks some cores are idle at the end: stacks are split into
    even parts if ``workers`` cores then finish them and the ``begun`` stacks earlier. A run's results are the same in
    any stack.

    The grouping depends only on these arguments, so every shard of a protocol has the same stacks.
    """
    alike: dict[object, list[Run]] = {}
    for run in dict.fromkeys(runs):
        alike.setdefault((run.environment, run.algorithm, run.total_timesteps, run.settings.structure()), []).append(
            run
        )
    groups = [StackGroup(group) for group in alike.values()]
    counts = _counts(groups, workers, [stack.seconds for stack in begun])
    planned = [stack for group, count in zip(groups, counts, strict=True) for stack in group.parts(count)]
    return sorted(planned, key=_longest_first)


def _counts(groups: Sequence[StackGroup], workers: int, begun: Sequence[float]) -> list[int]:
    """Choose the numbers of parts of each group with the shortest total time, as well as can be had in a second.

    Three starts: no group split, all split into runs, and the best of all limits, where groups that take longer than a
    limit are split. From each, one group at a time is split otherwise, as long as that helps.
    """

    def length(counts: Sequence[int]) -> float:
        parts = [group.loads[count] for group, count in zip(groups, counts, strict=True)]
        return _length([*begun, *itertools.chain(*parts)], workers)

    limits = {max(loads) for group in groups for loads in group.loads.values()}
    by_limit = dict.fromkeys(tuple(group.count(limit) for group in groups) for limit in sorted(limits, reverse=True))
    fewest, most = tuple(group.fewest for group in groups), tuple(len(group.runs) for group in groups)
    starts = [fewest, min(by_limit, key=length, default=fewest), most]
    found = [_improved(start, groups, length) for start in dict.fromkeys(starts)]
    best = found[0]  # the fewest parts, unless others are worth it
    for counts in found[1:]:
        if length(counts) < WORTH * length(best):
            best = counts
    return list(best)


def _improved(
    counts: tuple[int, ...], groups: Sequence[StackGroup], length: Callable[[Sequence[int]], float]
) -> tuple[int, ...]:
    """Split one group otherwise, the one with the best effect, until none has any."""
    while True:
        others = [
            (*counts[:index], count, *counts[index + 1 :])
            for index, group in enumerate(groups)
            for count in group.loads
        ]
        nearest = min(others, key=length, default=counts)
        if length(nearest) >= WORTH * length(counts):
            return counts
        counts = nearest


def _length(loads: Iterable[float], workers: int) -> float:
    """Return the time at which the last of ``workers`` is done, if each free one takes the longest remaining stack."""
    busy = [0.0] * max(workers, 1)
    for load in sorted(loads, reverse=True):
        heapq.heapreplace(busy, busy[0] + load)
    return max(busy)


def _longest_first(stack: Stack) -> tuple[float, str]:
    return -stack.seconds, stack.name


def shard(planned: Iterable[Stack], index: int, count: int) -> list[Stack]:
    """Return part ``index`` (1 ... ``count``) of the stacks; the parts take about the same time."""
    loads = [(0.0, number) for number in range(1, count + 1)]
    part = []
    for stack in sorted(planned, key=_longest_first):
        load, number = loads[0]
        heapq.heapreplace(loads, (load + stack.seconds, number))
        if number == index:
            part.append(stack)
    return part


def seconds(planned: Iterable[Stack], workers: int, costs: Costs = CONSTANTS) -> float:
    """Estimate the time that ``workers`` cores need, taking the longest stack first."""
    return _length([costs.seconds(stack.runs) for stack in planned], workers)


def busy(planned: Sequence[Stack], workers: int, costs: Costs = CONSTANTS) -> float:
    """Return the average part of that time in which a core trains."""
    length = seconds(planned, workers, costs)
    return sum(costs.seconds(stack.runs) for stack in planned) / (workers * length) if length else 1.0
