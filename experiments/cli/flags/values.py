"""Types of the command's flags: each reads a value, or raises ``ArgumentTypeError``."""

import argparse
import ast
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.store.records import LARGEST_BUDGET, LARGEST_SEED

LARGEST = 2**53
"""Whole numbers below it are exact, wherever they are stored."""
MOST_WORKERS = 65_536
"""More cores than any machine has."""

if TYPE_CHECKING:
    from experiments.planning.estimates import Machine


def whole(text: str) -> int:
    """Read a whole number, such as 50000 or 5e4."""
    value = _number(text)
    if not abs(value) < LARGEST or not value.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number below 2**53, such as 512 or 5e4")
    return int(value)


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if not 1 <= _number(text) < LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return whole(text)


def steps(text: str) -> int:
    """Read a whole number of at least 1, such as 50000 or 5e4."""
    value = _number(text)
    if not (1 <= value <= LARGEST_BUDGET and value.is_integer()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number of steps, of 1 to {LARGEST_BUDGET:.0e}, such as 50000 or 5e4"
        )
    return int(value)


def workers(text: str) -> int:
    """Read a number of processes."""
    if not 1 <= _number(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 to {MOST_WORKERS:,}")
    return whole(text)


def seed(text: str) -> int:
    """Read the seed of a run or of episodes."""
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_SEED):
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: it must lie between 0 and {LARGEST_SEED}")
    return int(text)


def path(text: str) -> Path:
    """Read the name of a file or a folder, which must be text: Parquet files can have no other names."""
    if not text:
        raise argparse.ArgumentTypeError("no folder is named")
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(text).decode(errors="backslashreplace")
        raise argparse.ArgumentTypeError(f"the name '{shown}' is not UTF-8: rename it, or choose another") from None
    if (longest := max((len(os.fsencode(part)) for part in Path(text).parts), default=0)) > 255:
        raise argparse.ArgumentTypeError(f"a name of {longest} bytes, and a file's has at most 255")
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
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return name, value
    try:
        ast.literal_eval(repr(read))  # an infinite number is no literal: the environment's name could not be read again
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} holds a number that is too large") from None
    return name, read


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
    if (
        not 1 <= described.cores <= MOST_WORKERS
        or not 0 <= described.gpus <= MOST_WORKERS
        or not 0 <= (described.price or 0.0) < math.inf
    ):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no machine: 1 to {MOST_WORKERS:,} cores, no GPUs or price below 0"
        )
    return described


def _number(text: str) -> float:
    """Read a number; NaN, for which every comparison is false, if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
