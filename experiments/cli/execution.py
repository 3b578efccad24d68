"""Shared by `ppo run` and `ppo train`: where stacks are trained, and the outcome."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from experiments.store.results import Recorded
from experiments.training.executor import Executor
from experiments.training.local import LocalExecutor
from experiments.training.options import Options
from experiments.training.ray_cluster import RayExecutor, asks_for_no_token
from experiments.training.scheduler import Outcome
from ppo.process import cores
from ppo.stacked.engine import available


def make_executor(
    arguments: argparse.Namespace, console: Console, fraction: float = 1.0, modules: Sequence[str] = ()
) -> Executor:
    """Return the executor for this machine or a cluster, whose workers import ``modules``. Raises ``ValueError`` if it
    cannot be used."""
    if arguments.device == "cpu" and not arguments.engine and not available():
        console.print("numba is not installed: training with the torch engine, which is slower")
    workers: int = arguments.workers or cores()
    options = Options(
        device=arguments.device,
        processes=1 if arguments.cluster else max(cores() // workers, 1),
        engine=arguments.engine,
        fraction=fraction,
        checkpoint_interval=arguments.checkpoint_interval,
        tensorboard=arguments.tensorboard,
        modules=tuple(modules),
        directory=str(Path.cwd()) if modules else "",
        exact=arguments.exact,
        begin_anew=arguments.begin_anew,
        command=arguments.typed,
    )
    if arguments.cluster is None:
        check_device(arguments.device)
        return LocalExecutor(workers, options)
    if arguments.device not in ("cpu", "cuda"):
        raise ValueError(f"--cluster chooses the GPU itself: write --device cuda, not {arguments.device}")
    share = arguments.gpus_per_stack if arguments.device == "cuda" else 0.0
    cluster = RayExecutor(arguments.cluster, arguments.workers, share, options)
    if asks_for_no_token():
        console.print(
            "the cluster asks for no token: whoever reaches its ports can run code on its nodes (docs/cluster.md)"
        )
    return cluster


def check_device(device: str) -> None:
    """Raise ``ValueError`` for another kind of device than is tested, and if PyTorch cannot use ``device``."""
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", device):
        raise ValueError(f"cannot use device {device!r}: write cpu, cuda, or cuda:1 and so on")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"cannot use device {device!r}: {str(error).splitlines()[0]}") from error


def finished_keys(recorded: Mapping[str, Recorded], fraction: float) -> set[str]:
    """Return the keys of the runs that are trained up to this fraction of the budget."""
    return {key for key, run in recorded.items() if run.reaches(fraction)}


def report_outcome(console: Console, outcome: Outcome, problems: Sequence[str]) -> int:
    """Print problems; return the exit code, which is 0 only if everything is trained."""
    for problem in problems:
        console.print(problem)
    for name in outcome.busy:
        console.print(f"{name}: another process is training it")
    for reason in outcome.failed.values():
        console.print(f"failed: {reason}", markup=False)
    if outcome.stopped:
        console.print("stopped; the same command continues where it stopped")
        return 130
    return 1 if outcome.failed or outcome.busy else 0
