"""Hours and price of protocols on a machine, from measured speeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.planning import planner
from experiments.planning.costs import CONSTANTS, Costs, Measured, fit
from experiments.run import Run
from experiments.store.files import StoreError, read_json, write_json

LONGEST_STEP = 1e6
"""Seconds that no vector step of a stack takes."""


@dataclass(frozen=True)
class Machine:
    """A machine, or several equal ones that are rented together."""

    cores: int
    gpus: int = 0
    price: float | None = None
    """per hour, in any currency"""


@dataclass(frozen=True)
class Estimate:
    """Training a set of runs on one machine from the beginning."""

    machine: Machine
    gpus: int
    """of the machine that train"""
    stacks: int
    hours: float
    busy: float
    """average part of the hours in which a core trains"""
    longest_stack: float
    """in hours"""

    @property
    def price(self) -> float | None:
        """In the currency of the machine's price; None if that is unknown."""
        return None if self.machine.price is None else self.hours * self.machine.price


def write_measured(path: Path, device: str, measured: Sequence[Measured], about: Mapping[str, Any]) -> None:
    """Write ``measured`` for ``read_costs``; keep the measurements of other devices in ``path``."""
    data = read_json(path) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**data, device: {**about, "measured": [vars(one) for one in measured]}})


def read_costs(path: Path) -> dict[str, Costs]:
    """Read the costs by device ("cpu", "cuda") from the measurements in ``path``; a CPU without any: the constants.

    Raises ``StoreError`` if the file holds something else.
    """
    return {"cpu": CONSTANTS, **{device: fit(measured) for device, measured in read_measured(path).items()}}


def read_measured(path: Path) -> dict[str, list[Measured]]:
    """Read the measurements in ``path`` by device; {} if there is no such file. Raises ``StoreError`` as above."""
    try:
        return {device: [_measured(one) for one in data["measured"]] for device, data in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} holds no measured speeds ({error}): `make throughput` replaces it") from error


def _measured(one: Mapping[str, Any]) -> Measured:
    """Read one timed stack. Raises ``ValueError`` for a value that no measurement gives."""
    timed = Measured(**one)
    for name in ("environment", "algorithm"):
        if not isinstance(one[name], str):
            raise ValueError(f"{name} is {one[name]!r}")
    if type(timed.rows) is not int or timed.rows < 1:
        raise ValueError(f"rows are {timed.rows!r}")
    if type(timed.seconds) not in (int, float) or not 0 < timed.seconds < LONGEST_STEP:
        raise ValueError(f"seconds are {timed.seconds!r}")
    return timed


def estimates(
    runs: Sequence[Run], machine: Machine, costs: Mapping[str, Costs], gpus_per_stack: float
) -> Iterator[Estimate]:
    """Estimate ``runs`` on ``machine``: trained by its cores, and also by its GPUs if their speed is known."""
    for device, workers in _devices(machine, costs, gpus_per_stack).items():
        stacks = planner.stacks(runs, workers)
        yield Estimate(
            machine,
            gpus=machine.gpus if device == "cuda" else 0,
            stacks=len(stacks),
            hours=planner.seconds(stacks, workers, costs[device]) / 3600,
            busy=planner.busy(stacks, workers, costs[device]),
            longest_stack=max(costs[device].seconds(stack.runs) for stack in stacks) / 3600,
        )


def _devices(machine: Machine, costs: Mapping[str, Costs], gpus_per_stack: float) -> dict[str, int]:
    """List the devices that it can train on, and how many stacks at once."""
    devices = {"cpu": machine.cores}
    stacks = min(machine.cores, int(machine.gpus / gpus_per_stack))
    return devices | ({"cuda": stacks} if "cuda" in costs and stacks else {})
