"""The stacks that remain to be trained for a set of runs."""

from collections.abc import Container, Iterable
from pathlib import Path

from experiments.planning import planner
from experiments.planning.planner import Stack
from experiments.run import Run, trainable
from experiments.store.files import StoreError, read_json
from experiments.store.stack_folder import StackFolder, stack_folders


def left_to_train(
    results: Path, runs: Iterable[Run], finished: Container[str], workers: int, shard: tuple[int, int] = (1, 1)
) -> list[Stack]:
    """Plan the stacks of part ``shard`` of ``runs`` that are not finished.

    A run that was begun continues in its stack; only the others are grouped again. The parts depend only on the runs,
    so that every shard sees the same ones.
    """
    index, count = shard
    part = planner.shard(planner.stacks(runs, count), index, count)
    waiting = {run.key: run for stack in part for run in stack.runs if run.key not in finished}
    begun = []
    for folder in stack_folders(results):
        try:
            stack = Stack(tuple(trainable(folder.stack, folder.runs())))
        except StoreError:
            continue
        if stack.runs and stack.name == folder.path.name and all(run.key in waiting for run in stack.runs):
            begun.append(stack)
            for run in stack.runs:
                del waiting[run.key]
    fresh = planner.stacks(waiting.values(), workers, begun)
    return sorted([*begun, *fresh], key=lambda stack: -stack.seconds)


def without_what_is_saved(results: Path, stacks: Iterable[Stack], fraction: float) -> list[Stack]:
    """Return the stacks, stopped at ``fraction`` of their budget, as long as what no checkpoint has: for estimates."""
    saved = {folder.path.name: _saved(folder) for folder in stack_folders(results)}
    left = []
    for stack in stacks:
        share = saved.get(stack.name, 0) / stack.runs[0].total_timesteps
        left.append(stack.part(min(max(fraction - share, 0.0), 1.0)))
    return left


def _saved(folder: StackFolder) -> int:
    """Return the step of a stack's checkpoint, as its progress tells; 0 if that cannot be read."""
    try:
        return int(read_json(folder.progress)["saved_at"]) if folder.checkpoint.exists() else 0
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return 0
