"""Argument parser of the ppo command: sub-commands and flags.

Only the named sub-command gets its flags, and it imports what they need: help that needs no algorithm is fast.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ppo
from experiments.cli.flags.shared import (
    Parser,
    add_choice_of_policies,
    add_choice_of_runs,
    add_environment_arguments,
    add_reading,
    add_training_options,
)
from experiments.cli.flags.values import count, hours, machine, path, seed, share, steps, workers
from experiments.messages import unknown_name_message
from experiments.paper.profiles import Profile


@dataclass(frozen=True)
class Command:
    """A sub-command."""

    about: str
    add_flags: Callable[[Parser, Sequence[str]], None]
    example: str
    """A line to type: its help ends with it."""


def parse(argv: Sequence[str], profiles: Mapping[str, Profile]) -> argparse.Namespace:
    """Parse ``argv``; ``profiles``: those that --profile can name.

    Raises ``ValueError`` for an unknown command, algorithm, profile or flag.
    """
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise ValueError(unknown_name_message("command", argv[0], COMMANDS))
    parser = Parser(
        prog="ppo",
        description="The whole paper from one command, or an agent of your own.",
        epilog="`ppo COMMAND --help` has its flags, and an example.",
    )
    parser.add_argument("--version", action="version", version=f"ppo-reproduction {ppo.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, one in COMMANDS.items():
        command: Parser = commands.add_parser(
            name, help=one.about, description=one.about, epilog=f"example: {one.example}"
        )
        if [name] == list(argv[:1]):
            one.add_flags(command, argv)
            _refuse_repeated(command, argv)
    arguments, rest = parser.parse_known_args(argv)
    arguments.typed = shlex.join(["ppo", *argv])
    if rest and not rest[0].startswith("-"):
        raise ValueError(f"{rest[0]!r} is one argument too many")
    if rest:
        flags = [flag for option in commands.choices[arguments.command]._actions for flag in option.option_strings]
        raise ValueError(unknown_name_message("argument", rest[0], [flag for flag in flags if flag.startswith("--")]))
    if "profile" in arguments:
        if arguments.profile not in profiles:
            raise ValueError(unknown_name_message("profile", arguments.profile, profiles))
        arguments.profile = profiles[arguments.profile]
        arguments.results = arguments.results or Path(arguments.profile.results)
    if "environments" in arguments:
        arguments.fraction = arguments.fraction or arguments.profile.fraction
    return arguments


def _refuse_repeated(command: Parser, argv: Sequence[str]) -> None:
    """Raise ``ValueError`` for a flag of several values that is given twice: the first values would be lost."""
    given = [word.partition("=")[0] for word in argv]
    for flag in [flag for action in command._actions if action.nargs in ("+", "*") for flag in action.option_strings]:
        if given.count(flag) > 1:
            raise ValueError(f"{flag} is given twice: write all its values after one {flag}")


def _add_plan(command: Parser, argv: Sequence[str]) -> None:
    add_choice_of_runs(command)
    command.add_argument(
        "--machines",
        nargs="+",
        type=machine,
        metavar="MACHINE",
        help="also estimate hours and price of all runs on each machine: cores=16,gpus=1,price=2.5",
    )
    command.add_argument(
        "--throughput", type=path, help="speeds measured by `make throughput` (default: throughput.json in results)"
    )
    add_training_options(command)


def _add_run(command: Parser, argv: Sequence[str]) -> None:
    add_choice_of_runs(command)
    add_training_options(command)


def _add_gpu(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument("--hours", type=hours, required=True, help="time for all of it; the rest is trained next time")
    command.add_argument("--profile", default="paper", help="how much of the runs, as in ppo run (default: paper)")
    command.add_argument("--results", type=path, default=Path("results/gpu"), help="default: results/gpu")
    command.add_argument("--device", default="cuda", help="cuda, cuda:1 ... (default: cuda)")
    command.add_argument(
        "--workers", type=workers, help="trainings side by side on the GPU (default: one for each core)"
    )
    command.add_argument("--gpus-per-stack", type=share, default=0.25, help="for the estimate (default: 0.25)")


def _add_status(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument("protocols", nargs="*", metavar="PROTOCOL", help="default: all in the folder")
    command.add_argument("--results", type=path, default=Path("results"))


def _add_merge(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument("destination", type=path, metavar="DESTINATION", help="folder to join into, made if missing")
    command.add_argument("sources", type=path, nargs="+", metavar="SOURCE")
    command.add_argument(
        "--mixed",
        action="store_true",
        help="also join different versions, profiles or settings; of two results of a run keep the first folder's",
    )


def _add_train(command: Parser, argv: Sequence[str]) -> None:
    from baselines import ALGORITHMS, REFERENCE
    from experiments.cli.flags.settings import add_settings_of_trained

    command.add_argument(
        "environment",
        metavar="ENV",
        help="a Gymnasium id, such as Hopper-v4; MODULE:ID for one of your own or of another package, whose module is "
        "looked for in this folder too",
    )
    add_environment_arguments(command, "arguments of the environment, such as ctrl_cost_weight=0.1")
    command.add_argument("--max-episode-steps", type=steps, help="time limit (default: the environment's own)")
    command.add_argument(
        "--algorithm",
        default=REFERENCE,
        help=f"{', '.join(ALGORITHMS)}, or MODULE:CLASS for one of your own (default: {REFERENCE})",
    )
    command.add_argument("--seeds", type=seed, nargs="+", default=[1], help="one run for each (default: 1)")
    command.add_argument(
        "--total-timesteps", type=steps, default=1_000_000, help="environment steps of each run (default: 1000000)"
    )
    command.add_argument("--out", type=path, required=True, help="folder to train into; trainings in it are continued")
    add_reading(command)
    add_training_options(command)
    add_settings_of_trained(command, argv)


def _add_check(command: Parser, argv: Sequence[str]) -> None:
    from experiments.cli.flags.settings import add_settings_of_checked

    command.add_argument("algorithm", metavar="MODULE:CLASS", help="an algorithm of your own, or a listed one's name")
    add_settings_of_checked(command, argv)


def _add_evaluate(command: Parser, argv: Sequence[str]) -> None:
    add_choice_of_policies(command)
    command.add_argument("--episodes", type=count, default=10, help="default: 10")


def _add_video(command: Parser, argv: Sequence[str]) -> None:
    add_choice_of_policies(command)
    command.add_argument("--out", type=path, default=Path("videos"), help="folder (default: videos)")
    command.add_argument("--format", default="mp4", help="mp4 or gif (default: mp4)")
    command.add_argument("--stills", type=count, default=0, help="also put so many pictures of it into one PNG")


def _add_report(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument(
        "folder", type=path, nargs="?", metavar="DIR", help="any results folder, or one of `ppo train`"
    )
    command.add_argument("--results", type=path, help="the same as DIR (default: results)")
    command.add_argument(
        "--out", type=path, help="where tables/, figures/ and report.html go (default: the results folder)"
    )


def _add_compare(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument("names", nargs=2, metavar="NAME", help="an algorithm or a setting, or NAME@DIR of a folder")
    command.add_argument("--results", type=path, default=Path("results"), help="results folder, if NAME has no DIR")
    command.add_argument("--protocol", help="protocol to compare in (default: the first that has both)")


def _add_verify(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument("--results", type=path, default=Path("results"), help="default: results")
    command.add_argument("--runs", type=count, default=3, help="how many to begin again, cheap ones (default: 3)")
    command.add_argument("--seed", type=seed, default=0, help="of the choice of these runs (default: 0)")
    command.add_argument(
        "--against",
        type=path,
        metavar="DIR",
        help="instead of all that, compare each run with the one that is recorded in DIR, at the same step",
    )


def _add_import(command: Parser, argv: Sequence[str]) -> None:
    command.add_argument("name", metavar="NAME", help="what to call these runs, such as sb3-ppo")
    command.add_argument(
        "sources",
        type=path,
        nargs="+",
        metavar="SOURCE",
        help="one for each run: a folder of monitor.csv files (one file per environment), or of TensorBoard's event "
        "files; or a .csv or .parquet with the columns environment, algorithm, seed, step, return",
    )
    command.add_argument("--results", type=path, default=Path("results"), help="default: results")
    command.add_argument("--environment", help="of logs that do not name theirs")
    command.add_argument("--algorithm", help="what to call the algorithm of logs (default: NAME)")
    command.add_argument("--seeds", type=seed, nargs="+", help="one for each log (default: what it says, or 1, 2, ...)")
    command.add_argument(
        "--scalar", metavar="TAG", help="the curve of TensorBoard logs (default: the episodes' returns)"
    )
    command.add_argument(
        "--values",
        choices=("episodes", "averages"),
        help="what a row is, where the source does not say; averages get no score",
    )
    command.add_argument(
        "--total-timesteps", type=steps, help="budget of each run (default: the last step of the longest on its task)"
    )


COMMANDS = {
    "plan": Command(
        "Print runs, stacks, steps and hours; start nothing.",
        _add_plan,
        "ppo plan table1 figure3 --machines cores=16 cores=64,gpus=1,price=2.5",
    ),
    "run": Command(
        "Train the runs that the protocols still lack, and collect their episodes.",
        _add_run,
        "ppo run table1 --settings clip-0.2 --environments Hopper-v4 --results runs/clip",
    ),
    "gpu": Command(
        "Check a GPU, measure it, and train Table 1 and Atari on it for some hours.",
        _add_gpu,
        "ppo gpu --hours 2",
    ),
    "status": Command(
        "Print the progress of the protocols in a results folder.",
        _add_status,
        "ppo status --results results",
    ),
    "merge": Command(
        "Join results folders, such as those of a job array's parts, into one; the sources are not changed.",
        _add_merge,
        "ppo merge results part1 part2",
    ),
    "train": Command(
        "Train anything by hand.",
        _add_train,
        "ppo train Hopper-v4 --clip-coef 0.1 0.2 0.3 --seeds 1 2 3 --total-timesteps 2e5 --out runs/sweep",
    ),
    "check": Command(
        "Hold an algorithm to what every algorithm here promises: minutes.",
        _add_check,
        "ppo check vpg --num-steps 256",
    ),
    "import": Command(
        "Read runs of other programs, to stand beside ours in tables, figures and `ppo compare`.",
        _add_import,
        "ppo import sb3-ppo logs/seed1 logs/seed2 --environment Hopper-v4",
    ),
    "verify": Command(
        "Make every table and figure again, begin some runs again, and say whether all is as recorded.",
        _add_verify,
        "ppo verify --results results --runs 3",
    ),
    "evaluate": Command(
        "Play episodes with every policy in PATH and print their returns.",
        _add_evaluate,
        "ppo evaluate runs/sweep --episodes 20 --setting clip_coef=0.1",
    ),
    "video": Command(
        "Film one episode of every policy in PATH.",
        _add_video,
        "ppo video runs/sweep --run-seed 1 --out videos",
    ),
    "report": Command(
        "Draw the tables and figures.",
        _add_report,
        "ppo report runs/sweep",
    ),
    "compare": Command(
        "Compare two algorithms or settings, with intervals over their seeds.",
        _add_compare,
        "ppo compare ppo trpo",
    ),
}
