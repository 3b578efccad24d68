"""The one command: ppo plan | run | status | merge | train | check | evaluate | video | report | compare.

Each sub-command imports what it needs when it is called: most need no torch, which takes seconds.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from experiments.cli.arguments import parse
from experiments.paper.profiles import PROFILES, Profile
from experiments.store.files import BusyError


def _plan(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import protocols

    return protocols.plan(arguments, console)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import protocols

    return protocols.run(arguments, console)


def _train(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import train

    return train.train(arguments, console)


def _check(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import check

    return check.check(arguments, console)


def _status(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import status

    return status.show(console, arguments.results, arguments.protocols)


def _merge(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import status
    from experiments.store import merging

    destination, sources = arguments.destination, arguments.sources
    known = None
    if not merging.same_settings([destination, *sources]):
        from experiments.run import known_settings  # older records lack settings, whose defaults the algorithms define

        known = known_settings()
    for line in merging.merge(destination, sources, known, arguments.mixed):
        console.print(line)
    return status.show(console, destination, [])


def _evaluate(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import policies

    return policies.evaluate(arguments, console)


def _video(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import policies

    return policies.video(arguments, console)


def _report(arguments: argparse.Namespace, console: Console) -> int:
    from analysis import report

    return report.main(["--results", str(arguments.results), "--out", str(arguments.out or arguments.results)])


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    from analysis import compare

    protocol = ["--protocol", arguments.protocol] if arguments.protocol else []
    return compare.main(["--results", str(arguments.results), *protocol, "--", *arguments.names])


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "plan": _plan,
    "run": _run,
    "status": _status,
    "merge": _merge,
    "train": _train,
    "check": _check,
    "evaluate": _evaluate,
    "video": _video,
    "report": _report,
    "compare": _compare,
}


def main(argv: Sequence[str] | None = None, profiles: Mapping[str, Profile] = PROFILES) -> int:
    """Run the command; return the exit code: 0, 1 if a stack failed, 2 for bad input, 130 if stopped.

    ``profiles``: those that --profile can name.
    """
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv, profiles)
        return COMMANDS[arguments.command](arguments, console)
    except ValueError as error:
        print(f"ppo: {error}", file=sys.stderr)
        return 2
    except (BusyError, OSError) as error:
        print(f"ppo: {error}; results recorded so far are kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
