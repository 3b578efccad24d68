"""The argument parser, and the flags that several sub-commands share."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, get_args

from experiments.cli.flags.values import argument, fraction, path, seconds, seed, shard, share, steps, workers
from experiments.paper.about import PROTOCOLS
from experiments.paper.games import GROUPS
from experiments.paper.readings import DEFAULT, NAMES
from experiments.store.printable import printable
from experiments.training.options import Engine, Options

ONLY = {"environments": "environment", "algorithms": "algorithm", "settings": "setting", "seeds": "seed"}
"""The flags that choose among a protocol's runs, and the field of a run that each is about."""


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, with exit code 2. Takes no abbreviations: a flag to come could change what they
    mean."""

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        print(printable(f"{self.prog}: {message}"), file=sys.stderr)
        sys.exit(2)


def add_choice_of_runs(command: Parser) -> None:
    """Add the flags that choose protocols, their profile, and some of their runs."""
    command.add_argument("protocols", nargs="+", metavar="PROTOCOL", help=", ".join([*PROTOCOLS, "all"]))
    command.add_argument(
        "--profile",
        default="paper",
        help="how much of the runs: paper, hour, benchmark (minutes) or quick (a test of everything; default: paper)",
    )
    command.add_argument(
        "--results", type=path, default=None, help="default: results for --profile paper, else the profile's name"
    )
    for flag, field in ONLY.items():
        command.add_argument(
            f"--{flag}",
            nargs="+",
            type=seed if field == "seed" else str,
            metavar=field.upper(),
            help=f"only these {flag}" + (f"; also {', '.join(GROUPS)}" if flag == "environments" else ""),
        )
    add_reading(command)
    command.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="train only the i-th of n parts")
    command.add_argument(
        "--fraction",
        type=fraction,
        help="train only this first part of each run; it can be continued later (default: all, or the profile's part)",
    )


def add_reading(command: Parser) -> None:
    """Add the flag that names a reading of the paper."""
    command.add_argument(
        "--reading",
        default=DEFAULT,
        metavar="NAME",
        help=f"choice of the details of PPO on MuJoCo or Atari that the text omits: {', '.join(NAMES)} "
        f"(default: {DEFAULT})",
    )


def add_training_options(command: Parser) -> None:
    """Add the flags of where and how to train; those of ``Options`` have its fields' names and defaults."""
    from ppo.process import cores

    command.add_argument(
        "--workers", type=workers, help=f"processes, one core each (default: {cores()}; with --cluster, all its cores)"
    )
    command.add_argument(
        "--cluster", metavar="ADDRESS", help="train on the Ray cluster at HOST:PORT, or auto for this machine's"
    )
    command.add_argument(
        "--gpus-per-stack", type=share, default=0.25, help="with --cluster and --device cuda (default: 0.25)"
    )
    usual = Options()
    command.add_argument("--device", default=usual.device, help="cpu, cuda, cuda:1 ... (default: cpu)")
    command.add_argument(
        "--checkpoint-interval",
        type=seconds,
        default=usual.checkpoint_interval,
        help="seconds between two checkpoints (default: 60)",
    )
    command.add_argument(
        "--engine",
        choices=get_args(Engine),
        help="numba or torch (default: numba if installed, for networks for vectors on a CPU; a training that another "
        "engine began continues only if this flag names the new one)",
    )
    command.add_argument(
        "--exact", action="store_true", help="refuse to go on where that cannot be to the same bits as without a stop"
    )
    command.add_argument(
        "--begin-anew",
        action="store_true",
        help="set aside what cannot be continued, such as damaged checkpoints, and train it from the beginning",
    )
    command.add_argument("--tensorboard", action="store_true", help="write TensorBoard scalars beside each checkpoint")


def add_environment_arguments(command: Parser, what: str) -> None:
    """Add the flag of an environment's arguments; ``what`` is its help."""
    command.add_argument("--env-kwargs", type=argument, nargs="+", default=[], metavar="NAME=VALUE", help=what)


def environment_arguments(given: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of that flag. Raises ``ValueError`` for a name that is given twice."""
    arguments = dict(given)
    if len(arguments) < len(given):
        raise ValueError("--env-kwargs gives one name twice")
    return arguments


def add_choice_of_policies(command: Parser) -> None:
    """Add the flags that choose saved policies and how they act."""
    command.add_argument(
        "path", type=path, metavar="PATH", help="folder of `ppo train`, a policy file, or a folder of those"
    )
    command.add_argument("--setting", help="only this setting's policies")
    command.add_argument(
        "--import",
        nargs="+",
        default=[],
        dest="modules",
        metavar="MODULE",
        help="import what MODULE:ID needs; this folder is on the path",
    )
    add_environment_arguments(command, "arguments in the policy's file that you trust, though they may name files")
    command.add_argument("--run-seed", type=seed, help="only policies of runs with this seed")
    command.add_argument("--seed", type=seed, default=1_000_000, help="seed of the episodes (default: 1000000)")
    command.add_argument("--deterministic", action="store_true", help="take the most likely action instead of sampling")
    command.add_argument(
        "--max-steps", type=steps, default=100_000, help="where an episode is cut that does not end (default: 100000)"
    )
