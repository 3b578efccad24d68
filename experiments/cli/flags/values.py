"""Types of the command's flags: each reads a value, or raises ``ArgumentTypeError``."""

import argparse
import ast
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.planning.estimates import Machine


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def steps(text: str) -> int:
    """Read a whole number of at least 1, such as 50000 or 5e4."""
    value = _number(text)
    if not (1 <= value < math.inf and value.is_integer()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of steps of at least 1, such as 50000 or 5e4")
    return int(text) if text.isdigit() else int(value)


def path(text: str) -> Path:
    """Read the name of a file or a folder, which must be text: Parquet files can have no other names."""
    if not text:
        raise argparse.ArgumentTypeError("no folder is named")
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(text).decode(errors="backslashreplace")
        raise argparse.ArgumentTypeError(f"the name '{shown}' is not UTF-8: rename it, or choose another") from None
    return Path(text)


def argument(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE`` as an argument for an environment: a number, true, false, none, any Python literal; else the
    text itself."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as ctrl_cost_weight=0.1")
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return name, words[value.lower()]
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return name, value


def seconds(text: str) -> float:
    """Read a time of at least 0."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds of at least 0")
    return value


def hours(text: str) -> float:
    """Read a time above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours above 0, such as 0.1 or 24")
    return value


def fraction(text: str) -> float:
    """Read a fraction above 0, at most 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction above 0 and at most 1")
    return value


def share(text: str) -> float:
    """Read a fraction of a GPU, or a number of GPUs."""
    value = _number(text)
    if not (0 < value <= 1 or (1 < value < math.inf and value.is_integer())):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of GPUs above 0, such as 0.25 or 1")
    return value


def shard(text: str) -> tuple[int, int]:
    """Read i/n, one part of several."""
    index, _, of = text.partition("/")
    if not (index.isdigit() and of.isdigit() and 1 <= int(index) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard: write i/n with 1 <= i <= n, such as 2/8")
    return int(index), int(of)


def machine(text: str) -> "Machine":
    """Read ``cores=16,gpus=1,price=2.5``; all but the cores may be left out."""
    from experiments.planning.estimates import Machine  # takes seconds to import; only `ppo plan` needs it

    kinds = {"cores": int, "gpus": int, "price": float}
    try:
        parts = [part.split("=") for part in text.split(",")]
        described = Machine(**{name: kinds[name](value) for name, value in parts})
    except (KeyError, TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no machine: write cores=16,gpus=1,price=2.5") from None
    if described.cores < 1 or described.gpus < 0 or not 0 <= (described.price or 0.0) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no machine: at least one core, no GPUs or price below 0")
    return described


def _number(text: str) -> float:
    """Read a number; NaN, for which every comparison is false, if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
