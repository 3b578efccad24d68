"""`ppo evaluate` and `ppo video`: play and film saved policies."""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.policies.evaluation import TrainedPolicy, chosen_policies, play
from experiments.policies.video import film
from experiments.store.file_names import file_name
from experiments.store.files import StoreError, ensure_writable
from ppo.seeding import environment_seeds


def evaluate(arguments: argparse.Namespace, console: Console) -> int:
    """Play episodes with every policy in PATH and print their returns."""
    table = Table(box=None, pad_edge=False)
    for column in ("environment", "algorithm", "setting", "seed", "episodes", "mean return", "std", "min", "max"):
        table.add_column(column, justify="left" if column in ("environment", "algorithm", "setting") else "right")
    for policy in _chosen(arguments):
        returns = play(policy, arguments.episodes, arguments.seed, arguments.deterministic)
        numbers = [f"{value:,.1f}" for value in (returns.mean(), returns.std(), returns.min(), returns.max())]
        run = policy.run
        table.add_row(run.environment, run.algorithm, run.setting, str(run.seed), str(len(returns)), *numbers)
    console.print(table)
    return 0


def video(arguments: argparse.Namespace, console: Console) -> int:
    """Film one episode of every policy in PATH."""
    if arguments.format not in ("mp4", "gif"):
        raise StoreError(f"cannot film as {arguments.format!r}: choose mp4 or gif")
    count = len(_chosen(arguments))
    ensure_writable(arguments.out)
    with ProcessPoolExecutor(1, get_context("spawn")) as drawing:
        for index in range(count):
            path, episodic_return = drawing.submit(_film, arguments, index).result()
            console.print(f"{path}  return {episodic_return:,.1f}")
    return 0


def _film(arguments: argparse.Namespace, index: int) -> tuple[Path, float]:
    """Film with one of the chosen policies, in a process of its own: Mesa's EGL and triton, which PyTorch's CUDA build
    imports at times, bring two versions of LLVM, and a process that has loaded both crashes."""
    policy = _chosen(arguments)[index]
    run = policy.run
    name = file_name(f"{run.environment}_{run.algorithm}_{run.setting}_{run.seed}")
    path: Path = arguments.out / f"{name}.{arguments.format}"
    act, (seed,) = policy.actor(arguments.seed, arguments.deterministic), environment_seeds([arguments.seed], 1)
    return path, film(run.environment, act, path, seed, arguments.stills)


def _chosen(arguments: argparse.Namespace) -> list[TrainedPolicy]:
    return chosen_policies(arguments.path, arguments.modules, arguments.setting, arguments.run_seed)
