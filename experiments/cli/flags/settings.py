"""Every setting of an algorithm as a command-line flag, with its docstring as help."""

import argparse
import ast
import dataclasses
import inspect
import itertools
import textwrap
from dataclasses import replace
from typing import Any

from ppo.settings import Settings, declared


def field_docs(kind: type[Settings]) -> dict[str, str]:
    """Read the docstring under each field of a settings class and its base classes."""
    docs: dict[str, str] = {}
    for cls in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, following in itertools.pairwise(body.body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(following, ast.Expr)
            ):
                docs[node.target.id] = inspect.cleandoc(ast.literal_eval(following.value))
    return docs


def add_settings(parser: argparse.ArgumentParser, defaults: Settings) -> None:
    """Add one flag per setting; several values of a flag make a sweep."""
    kind = type(defaults)
    group = parser.add_argument_group(f"settings ({kind.__name__}; several values of one make a sweep)")
    docs = field_docs(kind)
    for name, declaration in declared(kind).items():
        group.add_argument(
            "--" + name.replace("_", "-"),
            dest=f"setting_{name}",
            nargs="+",
            type=_boolean if declaration.kind is bool else declaration.kind,
            choices=declaration.choices or None,
            metavar=None if declaration.choices else declaration.kind.__name__.upper(),
            help=f"{docs.get(name, '')} (default: {getattr(defaults, name)})".replace("%", "%%"),
        )


def sweep(arguments: argparse.Namespace, defaults: Settings) -> dict[str, Settings]:
    """Return every combination of the flags' values, by a name that lists its differences from ``defaults``."""
    usual = dataclasses.asdict(defaults)
    choices = {name: getattr(arguments, f"setting_{name}") or [value] for name, value in usual.items()}
    combinations: dict[str, Settings] = {}
    for values in itertools.product(*choices.values()):
        combination: dict[str, Any] = dict(zip(choices, values, strict=True))
        changed = [f"{name}={value}" for name, value in combination.items() if value != usual[name]]
        settings = replace(defaults, **combination)
        settings.check()
        combinations[",".join(changed) or "default"] = settings
    return combinations


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "yes", "1"):
        return True
    if text.lower() in ("false", "no", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
