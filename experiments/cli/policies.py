"""`ppo evaluate` and `ppo video`: play and film saved policies."""

import argparse
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.cli.flags.shared import environment_arguments
from experiments.policies.evaluation import TrainedPolicy, chosen_policies, play_within
from experiments.policies.video import film
from experiments.run import Run
from experiments.store.file_names import file_name
from experiments.store.files import StoreError, ensure_writable
from ppo.envs.base import EnvironmentDied, EnvironmentFailed
from ppo.seeding import environment_seeds


def evaluate(arguments: argparse.Namespace, console: Console) -> int:
    """Play episodes with every policy in PATH and print their returns."""
    table = Table(box=None, pad_edge=False)
    for column in ("environment", "algorithm", "setting", "seed", "episodes", "mean return", "std", "min", "max"):
        table.add_column(column, justify="left" if column in ("environment", "algorithm", "setting") else "right")
    failed = 0
    for policy in _chosen(arguments, console):
        run, limit = policy.run, arguments.max_steps
        console.print(f"playing {_name(run)}: {arguments.episodes} episodes, of {limit:,} steps at most")
        try:
            returns, cut = play_within(limit, policy, arguments.episodes, arguments.seed, arguments.deterministic)
        except (EnvironmentDied, EnvironmentFailed) as error:
            console.print(f"failed: {_name(run)}: {error}")
            failed += 1
            continue
        numbers = [f"{value:,.1f}" for value in (returns.mean(), returns.std(), returns.min(), returns.max())]
        count = f"{len(returns)} ({cut.sum()} cut)" if cut.any() else str(len(returns))
        table.add_row(run.environment, run.algorithm, run.setting, str(run.seed), count, *numbers)
    if table.row_count:
        console.print(table)
    return 1 if failed else 0


def video(arguments: argparse.Namespace, console: Console) -> int:
    """Film one episode of every policy in PATH."""
    if arguments.format not in ("mp4", "gif"):
        raise StoreError(f"cannot film as {arguments.format!r}: choose mp4 or gif")
    chosen = [(policy.file or arguments.path, policy.run) for policy in _chosen(arguments, console)]
    ensure_writable(arguments.out)
    failed = 0
    for file, run in chosen:
        try:
            with ProcessPoolExecutor(1, get_context("spawn")) as drawing:
                path, episodic_return, cut = drawing.submit(_film, arguments, file, run.key).result()
        except (EnvironmentDied, EnvironmentFailed, BrokenProcessPool) as error:
            console.print(f"failed: {_name(run)}: {error}")
            failed += 1
            continue
        console.print(f"{path}  return {episodic_return:,.1f}{' (cut)' if cut else ''}")
    return 1 if failed else 0


def _film(arguments: argparse.Namespace, file: Path, key: str) -> tuple[Path, float, bool]:
    """Film with the policy of one run, in a process of its own: Mesa's EGL and triton, which PyTorch's CUDA build
    imports at times, bring two versions of LLVM, and a process that has loaded both crashes."""
    policy = next(policy for policy in _loaded(arguments, file) if policy.run.key == key)
    run = policy.run
    name = file_name(f"{run.environment}_{run.algorithm}_{run.setting}_{run.seed}")
    path: Path = arguments.out / f"{name}.{arguments.format}"
    if path.is_symlink():
        raise StoreError(f"{path} is a link, which would be written through: remove it")
    act, (seed,) = policy.actor(arguments.seed, arguments.deterministic), environment_seeds([arguments.seed], 1)
    try:
        return path, *film(run.environment, act, path, seed, arguments.stills, arguments.max_steps)
    except (EnvironmentDied, EnvironmentFailed):
        path.unlink(missing_ok=True)
        raise


def _name(run: Run) -> str:
    return f"{run.environment} {run.algorithm} {run.setting} seed {run.seed}"


def _loaded(arguments: argparse.Namespace, path: Path) -> list[TrainedPolicy]:
    typed = environment_arguments(arguments.env_kwargs)
    return chosen_policies(path, arguments.modules, arguments.setting, arguments.run_seed, typed)


def _chosen(arguments: argparse.Namespace, console: Console) -> list[TrainedPolicy]:
    """Load the policies that were asked for; those that are no numbers are named, and left out."""
    chosen = _loaded(arguments, arguments.path)
    for policy in chosen:
        if not policy.finite:
            console.print(f"{_name(policy.run)}: its parameters are no numbers (it diverged): not played")
    if not any(policy.finite for policy in chosen):
        raise StoreError(f"{arguments.path} holds no policy that can be played")
    return [policy for policy in chosen if policy.finite]
