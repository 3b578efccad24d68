"""The one command: ppo plan | run | status | merge | train | evaluate | video | report."""

import argparse
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console

from baselines import ALGORITHMS
from experiments import collecting, engine, estimates, evaluation, interpolation, merging, planner, status
from experiments.cluster import Ray
from experiments.flags import add_settings, count, fraction, seconds, share, sweep
from experiments.jobs import Executor
from experiments.local import Local
from experiments.protocols import PROTOCOLS, Protocol, Run, kept, select, unknown, usual_settings
from experiments.settings import PROFILES
from experiments.store import BusyError, writable
from ppo.algorithm import SettingsError, check_budget
from ppo.envs import make
from ppo.envs.atari import ATARI_ROMS

ONLY = {"environments": "environment", "algorithms": "algorithm", "seeds": "seed"}
"""The flags that choose among a protocol's runs, and the field of a run that each is about."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


class Parser(argparse.ArgumentParser):
    """Says what was wrong in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(2)


def plan(arguments: argparse.Namespace) -> int:
    """Say which runs, stacks, steps and hours, and start nothing."""
    protocols = _selected(arguments)
    workers = arguments.workers or _cores()
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
        collecting.check_profile(arguments.results / protocol.name, arguments.profile)
    status.print_plan(console, protocols, [stack.part(arguments.fraction) for stack in stacks], executor.slots())
    outcome = engine.train(arguments.results, stacks, executor, console)
    damaged: list[str] = []
    for protocol in protocols:
        if protocol.name == "figure2":
            if not outcome.stopped and not interpolation.measured(arguments.results):
                interpolation.measure(arguments.results, protocol, arguments.profile)
        elif protocol.runs:
            about: dict[str, Any] = {"protocol": protocol.name, "profile": arguments.profile}
            about |= {"fraction": arguments.fraction} if arguments.fraction < 1 else {}
            folder = arguments.results / protocol.name
            damaged = collecting.collect(arguments.results, folder, about, protocol.runs)
    evaluation.keep_policies(arguments.results, kept(PROFILES[arguments.profile]))
    return _report_outcome(outcome, damaged)


def train(arguments: argparse.Namespace) -> int:
    """Train anything by hand."""
    defaults = usual_settings(arguments.environment, arguments.algorithm)
    runs = [
        Run(arguments.environment, arguments.algorithm, name, seed, arguments.total_timesteps, settings)
        for name, settings in sweep(arguments, defaults).items()
        for seed in arguments.seeds
    ]
    _check(runs)
    executor = _executor(arguments)
    out: Path = arguments.out
    writable(out)
    recorded, problems = collecting.recorded_runs(out, mend=True)
    for problem in problems:
        console.print(problem)
    stacks = collecting.left_to_train(out, runs, _finished(recorded, 1.0), executor.slots())
    console.print(f"{len(runs)} runs, {len(runs) - sum(len(stack.runs) for stack in stacks)} finished before")
    outcome = engine.train(out, stacks, executor, console)
    damaged = collecting.collect(out, out, {"protocol": None, "profile": "train"}, runs, keep=True)
    return _report_outcome(outcome, damaged)


def merge(arguments: argparse.Namespace) -> int:
    """Join results folders, such as those of a job array's parts, into one; the sources stay as they are."""
    for line in merging.merge(arguments.destination, arguments.sources, arguments.mixed):
        console.print(line)
    return status.show(console, arguments.destination, [])


def report(arguments: argparse.Namespace) -> int:
    """Draw the tables and figures."""
    where = ["--results", str(arguments.results), "--out", str(arguments.out or arguments.results)]
    # A process of its own: analysis reads what experiments wrote, and nothing here imports it.
    return subprocess.call([sys.executable, "-m", "analysis", *where])


def _selected(arguments: argparse.Namespace) -> list[Protocol]:
    """The protocols that were asked for. Raises ``ValueError`` if what is asked for of them is in none."""
    protocols = select(arguments.protocols, PROFILES[arguments.profile])
    for flag, field in ONLY.items():
        planned = {str(getattr(run, field)) for protocol in protocols for run in protocol.runs}
        for name in map(str, getattr(arguments, flag) or ()):
            if name not in planned:
                raise ValueError(unknown(f"{field} of these protocols", name, sorted(planned)))
    return protocols


def _planned(
    arguments: argparse.Namespace, protocols: Sequence[Protocol], workers: int, mend: bool = False
) -> tuple[list[planner.Stack], list[str]]:
    """The stacks of this shard that are not finished, and what was found damaged."""
    runs = {run.key: run for protocol in protocols if protocol.name != "figure2" for run in protocol.runs}
    wanted = _wanted(arguments, runs.values())
    recorded, problems = collecting.recorded_runs(arguments.results, mend)
    finished = _finished(recorded, arguments.fraction)
    stacks = collecting.left_to_train(arguments.results, wanted, finished, workers, arguments.shard)
    return stacks, problems


def _finished(recorded: Mapping[str, collecting.Recorded], fraction: float) -> set[str]:
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
    if arguments.cluster is None:
        _check_device(arguments.device)
        workers = arguments.workers or _cores()
        return Local(workers, [*flags, "--processes", str(max(_cores() // workers, 1))])
    if arguments.device not in ("cpu", "cuda"):
        raise ValueError(f"--cluster chooses the GPU itself: write --device cuda, not {arguments.device}")
    share = arguments.gpus_per_stack if arguments.device == "cuda" else 0.0
    return Ray(arguments.cluster, arguments.workers, share, flags)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report_outcome(outcome: engine.Outcome, problems: Sequence[str]) -> int:
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


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard: write i/n with 1 <= i <= n, such as 2/8")
    return int(index), int(count)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=count, help=f"processes, one core each (default: {_cores()}; with --cluster, all its cores)"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="train on the Ray cluster at HOST:PORT, or auto for this machine's"
    )
    parser.add_argument(
        "--gpus-per-stack", type=share, default=0.25, help="with --cluster and --device cuda (default: 0.25)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: cpu)")
    parser.add_argument(
        "--checkpoint-interval", type=seconds, default=60.0, help="seconds between two checkpoints (default: 60)"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard scalars beside each checkpoint")


def _parser(environment: str, algorithm: str) -> Parser:
    parser = Parser(prog="ppo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in (("plan", plan), ("run", run)):
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.add_argument("protocols", nargs="+", metavar="PROTOCOL", help=", ".join([*PROTOCOLS, "all"]))
        command.add_argument(
            "--profile", choices=list(PROFILES), default="paper", help="how much of it (default: paper)"
        )
        command.add_argument(
            "--results", type=Path, default=None, help="default: results, or benchmark for --profile quick"
        )
        for flag, field in ONLY.items():
            command.add_argument(
                f"--{flag}",
                nargs="+",
                type=int if field == "seed" else str,
                metavar=field.upper(),
                help=f"only these {flag} of the protocols",
            )
        command.add_argument(
            "--shard", type=_shard, default=(1, 1), metavar="I/N", help="train only the i-th of n parts"
        )
        command.add_argument(
            "--fraction",
            type=fraction,
            default=1.0,
            help="train only this first part of each run, to be continued later (default: 1)",
        )
        if function is plan:
            command.add_argument(
                "--machines",
                nargs="+",
                type=estimates.machine,
                metavar="MACHINE",
                help="also say how long all of it takes on each, and what it costs: cores=16,gpus=1,price=2.5",
            )
            command.add_argument(
                "--throughput", type=Path, help="what `make throughput` measured (default: throughput.json in results)"
            )
        _add_training_options(command)
        command.set_defaults(function=function)
    command = commands.add_parser("status", help="How far the protocols in a results folder are.")
    command.add_argument("protocols", nargs="*", metavar="PROTOCOL", help="default: all that are there")
    command.add_argument("--results", type=Path, default=Path("results"))
    command.set_defaults(function=lambda arguments: status.show(console, arguments.results, arguments.protocols))
    command = commands.add_parser("merge", help=merge.__doc__, description=merge.__doc__)
    command.add_argument("destination", type=Path, metavar="DESTINATION", help="made if it is not there")
    command.add_argument("sources", type=Path, nargs="+", metavar="SOURCE")
    command.add_argument(
        "--mixed",
        action="store_true",
        help="also join what differs in versions, profile, settings or results; of two results the first folder's",
    )
    command.set_defaults(function=merge)
    command = commands.add_parser("train", help=train.__doc__, description=train.__doc__)
    command.add_argument("environment", metavar="ENV", help="a Gymnasium id, such as Hopper-v4")
    command.add_argument("--algorithm", default="ppo", help=f"{', '.join(ALGORITHMS)} (default: ppo)")
    command.add_argument("--seeds", type=int, nargs="+", default=[1], help="one run for each (default: 1)")
    command.add_argument(
        "--total-timesteps", type=int, default=1_000_000, help="environment steps of each run (default: 1000000)"
    )
    command.add_argument("--out", type=Path, required=True, help="folder to train into; what it holds is continued")
    _add_training_options(command)
    add_settings(command, usual_settings(environment, algorithm))
    command.set_defaults(function=train)
    evaluation.add_commands(commands, console)
    command = commands.add_parser("report", help=report.__doc__, description=report.__doc__)
    command.add_argument("--results", type=Path, default=Path("results"))
    command.add_argument(
        "--out", type=Path, help="where tables/, figures/ and report.html go (default: the results folder)"
    )
    command.set_defaults(function=report)
    return parser


def _flags(parser: argparse.ArgumentParser, command: str) -> list[str]:
    """The flags that ``command`` knows."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [flag for option in action.choices[command]._actions for flag in option.option_strings]
    return []


def _trained(argv: Sequence[str]) -> tuple[str, str]:
    """The environment and the algorithm that are asked for: which settings there are depends on them."""
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--algorithm", default="ppo")
    known = first.parse_known_args(argv)[0]
    if known.algorithm not in ALGORITHMS:
        raise ValueError(unknown("algorithm", known.algorithm, ALGORITHMS))
    return next((word for word in argv if word in ATARI_ROMS), ""), known.algorithm


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, 1 if a stack failed, 2 for bad input, 130 if stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser(*_trained(argv))
        arguments: Any
        arguments, rest = parser.parse_known_args(argv)
        if rest:
            flags = [flag for flag in _flags(parser, arguments.command) if flag.startswith("--")]
            raise ValueError(unknown("argument", rest[0], flags))
        if getattr(arguments, "results", True) is None:
            arguments.results = Path("benchmark" if arguments.profile == "quick" else "results")
        return int(arguments.function(arguments))
    except ValueError as error:
        print(f"ppo: {error}", file=sys.stderr)
        return 2
    except (BusyError, OSError) as error:
        print(f"ppo: {error}; what was recorded before is kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
