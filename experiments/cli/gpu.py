"""`ppo gpu`: check a GPU, measure it beside its CPU, and train on it for some hours.

The results have a folder of their own: other bits than a CPU's, so compared with its, and never mixed with them.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from baselines import REFERENCE
from experiments.cli import protocols
from experiments.cli.execution import check_device, report_outcome
from experiments.cli.plan_tables import print_estimates
from experiments.paper.games import TWELVE
from experiments.paper.profiles import Profile
from experiments.paper.protocols import atari
from experiments.planning.costs import Measured
from experiments.planning.estimates import Machine, read_costs, read_measured
from experiments.store.files import ensure_writable
from ppo.envs.atari import find_rom
from ppo.process import cores

MEASURED = ("HalfCheetah-v4", "Hopper-v4")
"""Tasks in which stacks of PPO are measured."""
GAME = "PongNoFrameskip-v4"
"""Game in which a run of each algorithm is measured."""

Parse = Callable[[list[str]], argparse.Namespace]


def gpu(arguments: argparse.Namespace, console: Console, parse: Parse) -> int:
    """Check, measure, train until the hours are over, and say what to keep; ``parse``: of the command's arguments.

    Returns 0 also where the hours ended the training: the same command continues it. A part of which something failed
    does not keep the next one from being trained.
    """
    until = time.monotonic() + 3600 * arguments.hours
    check_cuda(arguments.device)
    find_rom(GAME)
    results: Path = arguments.results
    ensure_writable(results)
    speeds = results / "throughput.json"
    for device in dict.fromkeys(("cpu", arguments.device)):
        if not read_measured(speeds).get(device.partition(":")[0]):
            console.print(f"measuring on {device} ...")
            measure(speeds, device)
    print_speeds(console, speeds, arguments.device.partition(":")[0])
    machine = Machine(cores(), gpus=1)
    print_estimates(console, [atari(arguments.profile)], [machine], read_costs(speeds), arguments.gpus_per_stack)
    failed = stopped = False
    for planned in parts(arguments.profile):
        command = ["run", *planned, "--profile", arguments.profile.name, "--results", str(results)]
        command += ["--device", arguments.device, "--workers", str(arguments.workers or cores())]
        console.print(f"ppo {' '.join(command)}")
        outcome, problems = protocols.train(parse(command), console, until)
        report_outcome(console, outcome, problems)
        failed |= bool(outcome.failed or outcome.busy)
        stopped = outcome.stopped
        if stopped:
            break
    over = time.monotonic() >= until
    if over:
        console.print(f"the {arguments.hours:g} hours are over")
    print_advice(console, arguments, results)
    return 1 if failed else 130 if stopped and not over else 0


def check_cuda(device: str) -> None:
    """Raise ``ValueError`` if ``device`` cannot be used, with what is missing."""
    if device.startswith("cuda"):
        if torch.version.cuda is None:
            raise ValueError(
                f"no CUDA: torch {torch.__version__} is built without it; download.pytorch.org/whl has builds with it"
            )
        if not torch.cuda.is_available():
            raise ValueError("no CUDA: torch finds no NVIDIA GPU with a driver; `nvidia-smi` must list one")
    check_device(device)


def measure(path: Path, device: str) -> None:
    """Measure stacks on MuJoCo and runs on Atari on ``device``, in a process of its own, into ``path``. Raises
    ``ValueError`` if that fails."""
    command = [sys.executable, "-m", "experiments.throughput", "--few", "--costs", str(path), "--device", device]
    if subprocess.run([*command, "--environments", *MEASURED, "--games", GAME]).returncode:
        raise ValueError(f"measuring on {device} failed, for the reason above: {' '.join(command[1:])}")


def print_speeds(console: Console, path: Path, device: str) -> None:
    """Print the environment steps per second of each measured stack, on the CPU and on ``device``."""
    measured = read_measured(path)
    table = Table(box=None, pad_edge=False)
    for column in ("steps/s", "CPU, one core", device, "ratio"):
        table.add_column(column, justify="left" if column == "steps/s" else "right")
    others = {(one.environment, one.algorithm, one.rows): one for one in measured[device]}
    for one in measured["cpu"]:
        other: Measured | None = others.get((one.environment, one.algorithm, one.rows))
        if other:
            speeds = [f"{each.rows / each.seconds:,.0f}" for each in (one, other)]
            name = f"{one.environment} {one.algorithm}, {one.rows} environments"
            table.add_row(name, *speeds, f"{one.seconds / other.seconds:.2f}")
    console.print(table)


def parts(profile: Profile) -> Iterator[list[str]]:
    """Yield what is trained, one after the other, as arguments of `ppo run`: Table 1 with the paper's three seeds, then
    Atari, the chosen games and PPO first."""
    seeds = [str(seed) for seed in profile.table1_seeds.usual[:3]]
    yield ["table1", "--seeds", *seeds]
    games = [f"{game}NoFrameskip-v4" for game in profile.games if game in TWELVE]
    if games:
        yield ["atari", "--environments", *games, "--algorithms", REFERENCE, "--seeds", str(profile.atari_seeds[0])]
        yield ["atari", "--environments", *games]
    yield ["atari"]


def print_advice(console: Console, arguments: argparse.Namespace, results: Path) -> None:
    """Print what to keep, to commit and to compare."""
    console.print(
        f"keep {results} with its folder stacks/: {arguments.typed} continues there\n"
        f"commit: git add {results}/*/episodes.parquet {results}/*/manifest.json {results}/throughput.json\n"
        f"compare with the CPU's: ppo compare clip-0.2@results clip-0.2@{results}\n"
        f"draw: ppo report --results {results}"
    )
