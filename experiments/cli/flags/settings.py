"""Every setting of an algorithm as a command-line flag, with its docstring as help."""

import argparse
import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from baselines import ALGORITHMS, REFERENCE
from experiments.cli.flags.shared import Parser
from experiments.cli.flags.values import whole
from experiments.modules import import_modules
from experiments.paper.readings import DEFAULT
from experiments.paper.settings import usual_settings
from ppo.envs import ROBOSCHOOL_IDS
from ppo.envs.atari import ATARI_ROMS
from ppo.envs.making import bare_id, module_of
from ppo.settings import Settings, declared


def field_docs(kind: type[Settings]) -> dict[str, str]:
    """Read the docstring under each field of a settings class and its base classes."""
    docs: dict[str, str] = {}
    for cls in reversed(kind.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        except (OSError, TypeError):  # made by a call: there is no text to read
            continue
        if not isinstance(body, ast.ClassDef):
            continue
        for node, following in itertools.pairwise(body.body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(following, ast.Expr)
            ):
                docs[node.target.id] = inspect.cleandoc(ast.literal_eval(following.value))
    return docs


def add_settings_of_trained(command: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Add one flag for each setting of what ``argv`` trains, which depends on environment, algorithm and reading;
    several values of a flag make a sweep."""
    first = Parser(prog="ppo train", add_help=False)
    first.add_argument("--algorithm", default=REFERENCE)
    first.add_argument("--reading", default=DEFAULT)
    known = first.parse_known_args(argv)[0]
    environment = next((word for word in map(bare_id, argv) if word in {*ATARI_ROMS, *ROBOSCHOOL_IDS}), "")
    import_modules([module_of(known.algorithm)], Path.cwd())
    add_settings(
        command, usual_settings(environment, known.algorithm, known.reading), "several values of one make a sweep"
    )


def add_settings_of_checked(command: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Add one flag for each setting of the algorithm that ``argv`` names, if it does."""
    words = [word for word in argv[1:] if not word.startswith("-")]
    for algorithm in ([word for word in words if module_of(word) or word in ALGORITHMS] or words)[:1]:
        import_modules([module_of(algorithm)], Path.cwd())
        add_settings(command, usual_settings("", algorithm), "for the checks that it learns in 20,000 steps")


def add_settings(command: argparse.ArgumentParser, defaults: Settings, what_for: str) -> None:
    """Add one flag for each setting; ``what_for`` stands in their heading."""
    kind = type(defaults)
    group = command.add_argument_group(f"settings ({kind.__name__}; {what_for})")
    docs = field_docs(kind)
    for name, declaration in declared(kind).items():
        flag = "--" + name.replace("_", "-")
        try:
            group.add_argument(
                flag,
                dest=f"setting_{name}",
                nargs="*" if declaration.kind is bool else "+",
                type={bool: _boolean, int: whole}.get(declaration.kind, declaration.kind),
                choices=declaration.choices or None,
                metavar=None if declaration.choices else declaration.kind.__name__.upper(),
                help=f"{docs.get(name, '')} (default: {getattr(defaults, name)})".replace("%", "%%"),
            )
        except argparse.ArgumentError as error:
            raise ValueError(
                f"{kind.__name__} has a setting {name}, and {command.prog} a flag {flag}: rename it"
            ) from error


def sweep(arguments: argparse.Namespace, defaults: Settings) -> dict[str, Settings]:
    """Return every combination of the flags' values, by a name that lists its differences from ``defaults``."""
    usual = dataclasses.asdict(defaults)
    choices = {name: _typed(arguments, name) or [value] for name, value in usual.items()}
    combinations: dict[str, Settings] = {}
    for values in itertools.product(*choices.values()):
        combination: dict[str, Any] = dict(zip(choices, values, strict=True))
        changed = [f"{name}={value}" for name, value in combination.items() if value != usual[name]]
        settings = replace(defaults, **combination)
        settings.check()
        combinations[",".join(changed) or "default"] = settings
    return combinations


def given(arguments: argparse.Namespace, kind: type[Settings]) -> dict[str, Any]:
    """Return the settings that were typed. Raises ``ValueError`` for several values of one, and what is no setting."""
    typed = {name: values for name in declared(kind) if (values := _typed(arguments, name))}
    for name, values in typed.items():
        if len(values) > 1:
            raise ValueError(f"--{name.replace('_', '-')} takes one value here, not {len(values)}")
    return {name: values[0] for name, values in typed.items()}


def _typed(arguments: argparse.Namespace, name: str) -> list[Any] | None:
    """Return the values of a setting's flag, that of a bare one being true; None if it was not typed."""
    values: list[Any] | None = getattr(arguments, f"setting_{name}")
    return [True] if values == [] else values


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "yes", "1"):
        return True
    if text.lower() in ("false", "no", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
