"""Printing a plan: runs, stacks, steps, hours, and the price on other machines."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from experiments.messages import duration
from experiments.paper import about
from experiments.paper.protocol import Protocol
from experiments.planning.costs import CONSTANTS, GAME, Costs
from experiments.planning.estimates import Machine, estimates
from experiments.planning.planner import Stack, busy, seconds
from experiments.run import Run

PUBLISHED = (
    (275.0, "CleanRL's ppo_atari on one GPU, 264 to 285: docs/benchmark/ppo_atari_runtimes.md there"),
    (24.5, "LeanRL's, compiled, on one H100, 6,809 steps/s: its README"),
)
"""Minutes for 10M agent steps of PPO on a game, as others measured them on a GPU."""


def print_plan(
    console: Console,
    protocols: Sequence[Protocol],
    stacks: Sequence[Stack],
    workers: int,
    costs: Costs = CONSTANTS,
) -> None:
    """Print runs, stacks, steps and hours."""
    for protocol in protocols:
        updates = f" and {len(protocol.first_updates)} first updates" if protocol.first_updates else ""
        console.print(f"{protocol.name}: {len(protocol.runs)} runs{updates}, {about.PROTOCOLS[protocol.name]}")
        for line in _seeds(protocol):
            console.print(f"  {line}")
    table = Table(box=None, pad_edge=False)
    for column in ("stack", "runs", "settings", "seeds", "steps left", "about"):
        table.add_column(column, justify="left" if column in ("stack", "settings", "seeds") else "right")
    for stack in stacks:
        first = stack.runs[0]
        settings = list(dict.fromkeys(run.setting for run in stack.runs))
        seeds = sorted({run.seed for run in stack.runs})
        named = settings[0] if len(settings) == 1 else f"{settings[0]} ... {settings[-1]} ({len(settings)})"
        cells = (
            str(len(stack.runs)),
            named,
            ",".join(map(str, seeds)),
            f"{first.total_timesteps:,}",
            duration(costs.seconds(stack.runs)),
        )
        table.add_row(f"{first.environment} {first.algorithm}", *cells)
    if stacks:
        console.print(table)
    steps = sum(stack.total_timesteps for stack in stacks)
    total = seconds(stacks, workers, costs)
    runs = sum(len(stack.runs) for stack in stacks)
    console.print(
        f"to train: {runs} runs in {len(stacks)} stacks, {steps:,} steps, about {duration(total)} "
        f"({total / 3600:.1f} h) with {workers} worker{'s' if workers > 1 else ''}"
        + (f", which train {busy(stacks, workers, costs):.0%} of that time" if stacks else "")
    )


def _seeds(protocol: Protocol) -> list[str]:
    """Name the rows or algorithms with each set of seeds, a line per set; no lines if all have the same."""
    rows: dict[tuple[str, str], dict[int, None]] = {}
    for run in protocol.trained:
        rows.setdefault((run.algorithm, run.setting), {})[run.seed] = None
    one_algorithm = len({algorithm for algorithm, _ in rows}) == 1
    alike: dict[tuple[int, ...], list[str]] = {}
    for (algorithm, setting), seeds in rows.items():
        alike.setdefault(tuple(seeds), []).append(setting if one_algorithm else algorithm)
    if len(alike) < 2:
        return []
    return [f"seeds {','.join(map(str, seeds))}: {', '.join(dict.fromkeys(names))}" for seeds, names in alike.items()]


def print_estimates(
    console: Console,
    protocols: Sequence[Protocol],
    machines: Sequence[Machine],
    costs: Mapping[str, Costs],
    gpus_per_stack: float,
) -> None:
    """Print a row for each protocol, and for all together, on each machine: hours and price."""
    trained = {protocol.name: protocol.runs for protocol in protocols if protocol.runs}
    if len(trained) > 1:
        trained["together"] = tuple(dict.fromkeys(run for runs in trained.values() for run in runs))
    table = Table(box=None, pad_edge=False)
    for column in ("from nothing", "on", "stacks", "hours", "cores busy", "longest stack", "price"):
        table.add_column(column, justify="left" if column in ("from nothing", "on") else "right")
    rows = [
        (name, estimate)
        for machine in machines
        for name, runs in trained.items()
        for estimate in estimates(runs, machine, costs, gpus_per_stack)
    ]
    for name, estimate in sorted(rows, key=lambda row: (machines.index(row[1].machine), row[1].gpus > 0)):
        table.add_row(
            name,
            f"{estimate.machine.cores} cores" + (f", {estimate.gpus} GPUs" if estimate.gpus else ""),
            str(estimate.stacks),
            f"{estimate.hours:.2f}",
            f"{estimate.busy:.0%}",
            f"{estimate.longest_stack:.2f} h",
            "" if estimate.price is None else f"{estimate.price:.2f}",
        )
    console.print(table)
    if any(machine.gpus for machine in machines) and "cuda" not in costs:
        console.print("GPUs are left out: no speed on one is recorded (run `make gpu HOURS=0.1` there)")
        _print_published(console, trained, machines)


def _print_published(console: Console, trained: Mapping[str, Sequence[Run]], machines: Sequence[Machine]) -> None:
    """Print the hours and the price of the runs on Atari at the speeds that others measured on GPUs."""
    games = {run for runs in trained.values() for run in runs if run.environment.endswith(GAME)}
    steps = sum(run.total_timesteps for run in games)
    for minutes, source in PUBLISHED if steps else ():
        hours = steps / 10_000_000 * minutes / 60
        prices = [f", {hours * one.price:,.0f} at {one.price:g}" for one in machines if one.gpus and one.price]
        console.print(
            f"published: {minutes:g} minutes for 10M steps of PPO on a game ({source}): {hours:,.0f} hours for "
            f"{len(games)} runs, one after the other, if others take as long{''.join(dict.fromkeys(prices))}"
        )
