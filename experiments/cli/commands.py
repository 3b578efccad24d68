"""The one command: ppo plan | run | status | merge | train | evaluate | video | report | compare."""

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from experiments.cli import status
from experiments.cli.arguments import ONLY, parse
from experiments.cli.setting_flags import sweep
from experiments.paper.protocols import Protocol, Run, kept, select, unknown, usual_settings
from experiments.paper.readings import DEFAULT
from experiments.paper.settings import PROFILES
from experiments.planning import estimates, planner
from experiments.policies import evaluation
from experiments.store import merging, results
from experiments.store.files import BusyError, writable
from experiments.training import first_update, scheduler
from experiments.training.executor import Executor
from experiments.training.local import Local
from experiments.training.ray_cluster import Ray
from ppo.algorithm import SettingsError, check_budget
from ppo.envs import make
from ppo.envs.atari import cores
from ppo.stacked.engine import available

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


def plan(arguments: argparse.Namespace) -> int:
    """Say which runs, stacks, steps and hours, and start nothing."""
    protocols = _selected(arguments)
    workers = arguments.workers or cores()
    stacks, _ = _planned(arguments, protocols, workers)
    costs = estimates.read_costs(arguments.throughput or arguments.results / "throughput.json")
    parts = [stack.part(arguments.fraction) for stack in stacks]
    status.print_plan(console, protocols, parts, workers, costs["cpu"])
    if arguments.machines:
        wanted = [
            dataclasses.replace(one, runs=tuple(run.part(arguments.fraction) for run in _wanted(arguments, one.runs)))
            for one in protocols
        ]
        estimates.print_estimates(console, wanted, arguments.machines, costs, arguments.gpus_per_stack)
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Train what the protocols still miss, and gather their episodes."""
    protocols = _selected(arguments)  # before any folder is made
    executor = _executor(arguments)
    writable(arguments.results)
    stacks, problems = _planned(arguments, protocols, executor.slots(), mend=True)
    for problem in problems:
        console.print(problem)
    for protocol in protocols:
        results.check_profile(arguments.results / protocol.name, arguments.profile)
    results.check_reading(arguments.results, arguments.reading)
    status.print_plan(console, protocols, [stack.part(arguments.fraction) for stack in stacks], executor.slots())
    outcome = scheduler.train(arguments.results, stacks, executor, console)
    damaged: list[str] = []
    for protocol in protocols:
        about: dict[str, Any] = {"protocol": protocol.name, "profile": arguments.profile}
        about |= {"reading": arguments.reading} if arguments.reading != DEFAULT else {}
        curves = first_update.folder_of(arguments.results, protocol)
        updates = _wanted(arguments, protocol.first_updates)
        if updates and not outcome.stopped and not first_update.measured(curves, protocol.first_updates):
            first_update.measure(curves, about, protocol.first_updates)
        if protocol.runs:
            about |= {"fraction": arguments.fraction} if arguments.fraction < 1 else {}
            folder = arguments.results / protocol.name
            damaged = results.collect(arguments.results, folder, about, protocol.runs)
    evaluation.keep_policies(arguments.results, kept(PROFILES[arguments.profile]))
    return _report_outcome(outcome, damaged)


def train(arguments: argparse.Namespace) -> int:
    """Train anything by hand."""
    defaults = usual_settings(arguments.environment, arguments.algorithm, arguments.reading)
    read = "" if arguments.reading == DEFAULT else f"+{arguments.reading}"
    runs = [
        Run(arguments.environment, arguments.algorithm, f"{name}{read}", seed, arguments.total_timesteps, settings)
        for name, settings in sweep(arguments, defaults).items()
        for seed in arguments.seeds
    ]
    _check(runs)
    executor = _executor(arguments)
    out: Path = arguments.out
    writable(out)
    recorded, problems = results.recorded_runs(out, mend=True)
    for problem in problems:
        console.print(problem)
    stacks = results.left_to_train(out, runs, _finished(recorded, 1.0), executor.slots())
    console.print(f"{len(runs)} runs, {len(runs) - sum(len(stack.runs) for stack in stacks)} finished before")
    outcome = scheduler.train(out, stacks, executor, console)
    damaged = results.collect(out, out, {"protocol": None, "profile": "train"}, runs, keep=True)
    return _report_outcome(outcome, damaged)


def merge(arguments: argparse.Namespace) -> int:
    """Join results folders, such as those of a job array's parts, into one; the sources stay as they are."""
    for line in merging.merge(arguments.destination, arguments.sources, arguments.mixed):
        console.print(line)
    return status.show(console, arguments.destination, [])


def report(arguments: argparse.Namespace) -> int:
    """Draw the tables and figures."""
    return _analyse("analysis", "--results", arguments.results, "--out", arguments.out or arguments.results)


def compare(arguments: argparse.Namespace) -> int:
    """Print two algorithms or settings side by side."""
    protocol = ["--protocol", arguments.protocol] if arguments.protocol else []
    return _analyse("analysis.compare", "--results", arguments.results, *protocol, "--", *arguments.names)


def _analyse(module: str, *flags: object) -> int:
    # A process of its own: analysis reads what experiments wrote, and nothing here imports it.
    return subprocess.call([sys.executable, "-m", module, *map(str, flags)])


def _selected(arguments: argparse.Namespace) -> list[Protocol]:
    """The protocols that were asked for. Raises ``ValueError`` if what is asked for of them is in none."""
    protocols = select(arguments.protocols, PROFILES[arguments.profile], arguments.reading)
    for flag, field in ONLY.items():
        runs = [run for protocol in protocols for run in (*protocol.runs, *protocol.first_updates)]
        planned = {str(getattr(run, field)) for run in runs}
        for name in map(str, getattr(arguments, flag) or ()):
            if name not in planned:
                raise ValueError(unknown(f"{field} of these protocols", name, sorted(planned)))
    return protocols


def _planned(
    arguments: argparse.Namespace, protocols: Sequence[Protocol], workers: int, mend: bool = False
) -> tuple[list[planner.Stack], list[str]]:
    """The stacks of this shard that are not finished, and what was found damaged."""
    runs = {run.key: run for protocol in protocols for run in protocol.runs}
    wanted = _wanted(arguments, runs.values())
    recorded, problems = results.recorded_runs(arguments.results, mend)
    finished = _finished(recorded, arguments.fraction)
    stacks = results.left_to_train(arguments.results, wanted, finished, workers, arguments.shard)
    return stacks, problems


def _finished(recorded: Mapping[str, results.Recorded], fraction: float) -> set[str]:
    """The keys of the runs of which that part is trained."""
    return {key for key, own in recorded.items() if own.reaches(fraction)}


def _wanted(arguments: argparse.Namespace, runs: Iterable[Run]) -> tuple[Run, ...]:
    """Those of ``runs`` with the environments, algorithms and seeds that were asked for."""
    asked = {field: getattr(arguments, flag) for flag, field in ONLY.items()}
    return tuple(run for run in runs if all(not of or getattr(run, field) in of for field, of in asked.items()))


def _check(runs: Sequence[Run]) -> None:
    """Refuse, before anything is trained, what cannot be."""
    first = runs[0]
    make(first.environment, [0]).close()
    for run in runs:
        if run.seed < 0:
            raise SettingsError(f"seed = {run.seed} cannot be used: it must be at least 0")
        check_budget(run.total_timesteps, run.settings.num_envs)


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"cannot use device {device!r}: {str(error).splitlines()[0]}") from error


def _executor(arguments: argparse.Namespace) -> Executor:
    """This machine, or a cluster. Raises ``ValueError`` if it cannot be used."""
    flags = ["--device", arguments.device, "--checkpoint-interval", str(arguments.checkpoint_interval)]
    flags += ["--fraction", str(getattr(arguments, "fraction", 1.0))]
    flags += ["--tensorboard"] if arguments.tensorboard else []
    flags += ["--engine", arguments.engine] if arguments.engine else []
    if arguments.device == "cpu" and not arguments.engine and not available():
        console.print("numba is not installed: the torch engine trains, which is slower")
    if arguments.cluster is None:
        _check_device(arguments.device)
        workers = arguments.workers or cores()
        return Local(workers, [*flags, "--processes", str(max(cores() // workers, 1))])
    if arguments.device not in ("cpu", "cuda"):
        raise ValueError(f"--cluster chooses the GPU itself: write --device cuda, not {arguments.device}")
    share = arguments.gpus_per_stack if arguments.device == "cuda" else 0.0
    return Ray(arguments.cluster, arguments.workers, share, flags)


def _report_outcome(outcome: scheduler.Outcome, problems: Sequence[str]) -> int:
    for problem in problems:
        console.print(problem)
    for name in outcome.busy:
        console.print(f"{name}: another process is training it; left to that")
    for reason in outcome.failed.values():
        console.print(f"failed: {reason}")
    if outcome.stopped:
        console.print("stopped; the same command continues where it stopped")
        return 130
    return 1 if outcome.failed else 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": plan,
    "run": run,
    "status": lambda arguments: status.show(console, arguments.results, arguments.protocols),
    "merge": merge,
    "train": train,
    "evaluate": lambda arguments: evaluation.evaluate(console, arguments),
    "video": lambda arguments: evaluation.video(console, arguments),
    "report": report,
    "compare": compare,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, 1 if a stack failed, 2 for bad input, 130 if stopped."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        return COMMANDS[arguments.command](arguments)
    except ValueError as error:
        print(f"ppo: {error}", file=sys.stderr)
        return 2
    except (BusyError, OSError) as error:
        print(f"ppo: {error}; what was recorded before is kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
