"""The one command, ppo: plan, run, gpu, status, merge, import, verify, train, check, evaluate, video, report, compare.

Each sub-command imports what it needs when it is called: most need no torch, which takes seconds.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from experiments.cli.arguments import parse
from experiments.paper.profiles import PROFILES, Profile
from experiments.store.files import BusyError
from experiments.store.printable import printable


def _plan(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import protocols

    return protocols.plan(arguments, console)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import protocols

    return protocols.run(arguments, console)


def _gpu(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import gpu

    return gpu.gpu(arguments, console, lambda argv: parse(argv, {arguments.profile.name: arguments.profile}))


def _train(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import train

    return train.train(arguments, console)


def _check(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli.checking import check

    return check.check(arguments, console)


def _status(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import status

    return status.show(console, arguments.results, arguments.protocols)


def _merge(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import status
    from experiments.store import merging
    from experiments.store.stack_folder import stack_folders

    destination, sources = arguments.destination, arguments.sources
    known = None
    if not merging.same_settings([destination, *sources]):
        from experiments.run import known_settings  # older records lack settings, whose defaults the algorithms define

        known = known_settings()
    saved = {}
    begun = [stack for folder in (destination, *sources) for stack in stack_folders(folder) if not stack.finished]
    if begun:
        from experiments.saved import saved_steps  # reads checkpoints, and so needs torch

        saved = saved_steps(begun)
    for line in merging.merge(destination, sources, known, arguments.mixed, saved):
        console.print(line)
    return status.show(console, destination, [])


def _import(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.importing.command import import_runs

    flags = ("environment", "algorithm", "seeds", "scalar", "values", "total_timesteps")
    asked = {name: getattr(arguments, name) for name in flags}
    for line in import_runs(arguments.results, arguments.name, arguments.sources, **asked):
        console.print(line, markup=False)
    return 0


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli.checking import verify

    return verify.verify(arguments, console)


def _evaluate(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import policies

    return policies.evaluate(arguments, console)


def _video(arguments: argparse.Namespace, console: Console) -> int:
    from experiments.cli import policies

    return policies.video(arguments, console)


def _report(arguments: argparse.Namespace, console: Console) -> int:
    from analysis import report

    if arguments.folder and arguments.results:
        raise ValueError(f"two folders are named, {arguments.folder} and --results {arguments.results}: name one")
    named = arguments.folder or arguments.results
    results = named or Path("results")
    if named and not results.is_dir():
        raise ValueError(f"there is no folder {results}: `ppo run` and `ppo train` make one")
    out = arguments.out or results
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is no folder: --out names one, for tables/, figures/ and report.html")
    return report.report(results, out)


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    from analysis import compare
    from experiments.paper.about import PROTOCOLS, unknown

    if arguments.protocol and arguments.protocol not in PROTOCOLS:
        raise ValueError(unknown(arguments.protocol))
    first, second = arguments.names
    compare.print_comparison(first, second, arguments.results, arguments.protocol)
    return 0


class PlainConsole(Console):
    """A terminal to which texts are sent as they read: a name may come from a file of somebody else's, and is neither
    markup nor a command to the terminal."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **{**how, "markup": False, "emoji": False})

    def on_broken_pipe(self) -> None:
        """Leave it to ``main`` to say so: rich would stop without a word."""
        raise BrokenPipeError


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "plan": _plan,
    "run": _run,
    "gpu": _gpu,
    "status": _status,
    "merge": _merge,
    "import": _import,
    "verify": _verify,
    "train": _train,
    "check": _check,
    "evaluate": _evaluate,
    "video": _video,
    "report": _report,
    "compare": _compare,
}


def main(argv: Sequence[str] | None = None, profiles: Mapping[str, Profile] = PROFILES) -> int:
    """Run the command; return the exit code: 0 if everything is done, 1 if not, 2 for bad input, 130 if stopped.

    ``profiles``: those that --profile can name.
    """
    _prepare_output()
    console = PlainConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv, profiles)
        code = COMMANDS[arguments.command](arguments, console)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still flushes at the end
        print("ppo: nobody reads what it prints any more: stopped; the same command goes on", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"ppo: there is not enough memory: {error}".rstrip(": "), file=sys.stderr)
        return 1
    except ValueError as error:
        print(printable(f"ppo: {error}"), file=sys.stderr)
        return 2
    except (BusyError, OSError) as error:
        print(printable(f"ppo: {error}; results recorded so far are kept"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ppo: stopped before the end; the same command does the rest", file=sys.stderr)
        return 130


def _prepare_output() -> None:
    """Let the command print whatever happens: where output is closed, to nowhere; a name that is no text, escaped."""
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:  # or the next file that is opened would be taken for output
        pass
    os.close(spare)
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
