"""Costs on paper: how long protocols take on a machine and what they cost, from speeds that were measured."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.paper.protocols import Protocol
from experiments.planning import planner
from experiments.planning.costs import CONSTANTS, Costs, Measured, fit
from experiments.store.files import StoreError, read_json, write_json


@dataclass(frozen=True)
class Machine:
    """A machine, or several alike that are rented together."""

    cores: int
    gpus: int = 0
    price: float | None = None
    """per hour, in whatever currency"""


def machine(text: str) -> Machine:
    """``cores=16,gpus=1,price=2.5``; all but the cores may be left out."""
    kinds = {"cores": int, "gpus": int, "price": float}
    try:
        given = [part.split("=") for part in text.split(",")]
        found = Machine(**{name: kinds[name](value) for name, value in given})
    except (KeyError, TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no machine: write cores=16,gpus=1,price=2.5") from None
    if found.cores < 1 or found.gpus < 0 or not 0 <= (found.price or 0.0) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no machine: at least one core, no GPUs or price below 0")
    return found


def write_measured(path: Path, device: str, measured: Sequence[Measured], about: Mapping[str, Any]) -> None:
    """Keep ``measured`` for ``read_costs``, beside what ``path`` holds of another device."""
    data = read_json(path) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**data, device: {**about, "measured": [vars(one) for one in measured]}})


def read_costs(path: Path) -> dict[str, Costs]:
    """Costs by device ("cpu", "cuda") as measured in ``path``; the constants for a CPU that was not measured.

    Raises ``StoreError`` if the file holds something else.
    """
    costs = {"cpu": CONSTANTS}
    if path.exists():
        try:
            for device, data in read_json(path).items():
                costs[device] = fit([Measured(**one) for one in data["measured"]])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path} holds no measured speeds ({error}): `make throughput` writes it anew") from error
    return costs


def print_estimates(
    console: Console,
    protocols: Sequence[Protocol],
    machines: Sequence[Machine],
    costs: Mapping[str, Costs],
    gpus_per_stack: float,
) -> None:
    """A row for each protocol, and for all together, on each machine: hours and price from nothing to finished."""
    trained = {protocol.name: protocol.runs for protocol in protocols if protocol.runs}
    if len(trained) > 1:
        trained["together"] = tuple(dict.fromkeys(run for runs in trained.values() for run in runs))
    table = Table(box=None, pad_edge=False)
    for column in ("from nothing", "on", "stacks", "hours", "cores busy", "longest stack", "price"):
        table.add_column(column, justify="left" if column in ("from nothing", "on") else "right")
    for one in machines:
        for device, workers in _devices(one, costs, gpus_per_stack).items():
            for name, runs in trained.items():
                stacks = planner.stacks(runs, workers)
                hours = planner.seconds(stacks, workers, costs[device]) / 3600
                longest = max(costs[device].seconds(stack.runs) for stack in stacks) / 3600
                table.add_row(
                    name,
                    f"{one.cores} cores" + (f", {one.gpus} GPUs" if device == "cuda" else ""),
                    str(len(stacks)),
                    f"{hours:.2f}",
                    f"{planner.busy(stacks, workers, costs[device]):.0%}",
                    f"{longest:.2f} h",
                    "" if one.price is None else f"{hours * one.price:.2f}",
                )
    console.print(table)
    if any(one.gpus for one in machines) and "cuda" not in costs:
        console.print("GPUs are left out: no speed on one is known (`make throughput DEVICE=cuda` there measures it)")


def _devices(one: Machine, costs: Mapping[str, Costs], gpus_per_stack: float) -> dict[str, int]:
    """The devices that it can train on, and how many stacks at once."""
    devices = {"cpu": one.cores}
    if "cuda" in costs and one.gpus:
        devices["cuda"] = min(one.cores, int(one.gpus / gpus_per_stack))
    return devices
