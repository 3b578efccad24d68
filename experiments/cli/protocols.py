"""`ppo plan` and `ppo run`: the paper's protocols."""

import argparse
import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.cli.execution import finished_keys, make_executor, report_outcome
from experiments.cli.flags.shared import ONLY
from experiments.cli.plan_tables import print_estimates, print_plan
from experiments.messages import unknown_name_message
from experiments.modules import import_modules
from experiments.paper.games import GROUPS
from experiments.paper.protocol import Protocol
from experiments.paper.protocols import runs_with_saved_policy, select
from experiments.paper.readings import DEFAULT
from experiments.planning import estimates, planner
from experiments.planning.remaining import left_to_train, without_what_is_saved
from experiments.policies import cards, evaluation
from experiments.run import Run, known_settings
from experiments.store import results
from experiments.store.files import StoreError, ensure_writable
from experiments.store.records import Known
from experiments.training import first_update, scheduler
from ppo.envs.atari import ATARI_ROMS, find_rom
from ppo.envs.making import bare_id, module_of
from ppo.process import cores


def plan(arguments: argparse.Namespace, console: Console) -> int:
    """Print runs, stacks, steps and hours; start nothing."""
    protocols = _selected(arguments)
    workers = arguments.workers or cores()
    stacks, problems = _remaining(arguments, protocols, known_settings(_own_algorithms(arguments)), workers)
    for problem in problems:
        console.print(problem)
    if arguments.throughput and not arguments.throughput.is_file():
        raise StoreError(f"there is no file {arguments.throughput}: `make throughput` writes results/throughput.json")
    costs = estimates.read_costs(arguments.throughput or arguments.results / "throughput.json")
    parts = without_what_is_saved(arguments.results, stacks, arguments.fraction)
    print_plan(console, protocols, parts, workers, costs["cpu"])
    if arguments.machines:
        wanted = [_part(arguments, protocol) for protocol in protocols]
        print_estimates(console, wanted, arguments.machines, costs, arguments.gpus_per_stack)
    return 0


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Train the runs that the protocols still lack, and collect their episodes."""
    outcome, problems = train(arguments, console)
    code = report_outcome(console, outcome, problems)
    if code == 0:
        folder = "" if arguments.results == Path("results") else f" --results {shlex.quote(str(arguments.results))}"
        console.print(f"next: `ppo report{folder}` draws the tables and figures", markup=False)
    return code


def train(
    arguments: argparse.Namespace, console: Console, until: float = math.inf
) -> tuple[scheduler.Outcome, list[str]]:
    """Do what ``run`` does, stopping at the time ``until`` of ``time.monotonic``; return the outcome, and a line for
    each thing that is damaged."""
    protocols = _selected(arguments)  # before any folder is made
    modules = list(map(module_of, _own_algorithms(arguments)))
    executor = make_executor(arguments, console, arguments.fraction, modules)
    ensure_writable(arguments.results)
    known = known_settings(_own_algorithms(arguments))
    stacks, problems = _remaining(arguments, protocols, known, executor.slots(), mend=True)
    for problem in problems:
        console.print(problem)
    for game in sorted({run.environment for stack in stacks for run in stack.runs} & set(ATARI_ROMS)):
        find_rom(game)
    for protocol in protocols:
        results.check_profile(arguments.results / protocol.name, arguments.profile.name)
    results.check_reading(arguments.results, arguments.reading)
    left = without_what_is_saved(arguments.results, stacks, arguments.fraction)
    print_plan(console, protocols, left, executor.slots())
    outcome = scheduler.train(arguments.results, stacks, executor, console, until)
    damaged: list[str] = []
    for protocol in protocols:
        about: dict[str, Any] = {"protocol": protocol.name, "profile": arguments.profile.name}
        about |= {"reading": arguments.reading} if arguments.reading != DEFAULT else {}
        if not outcome.stopped:
            _measure_first_updates(arguments, protocol, about)
        if protocol.runs:
            about |= {"fraction": arguments.fraction} if arguments.fraction < 1 else {}
            folder, records = arguments.results / protocol.name, [run.record for run in protocol.runs]
            damaged = results.collect(arguments.results, folder, about, records, known)
    damaged += evaluation.keep_policies(arguments.results, runs_with_saved_policy(arguments.profile, arguments.reading))
    cards.write_cards(arguments.results, known)
    return outcome, damaged


def _measure_first_updates(arguments: argparse.Namespace, protocol: Protocol, about: dict[str, Any]) -> None:
    folder = first_update.folder_of(arguments.results, protocol)
    if _filtered(arguments, protocol.first_updates) and not first_update.is_measured(folder, protocol.first_updates):
        first_update.measure(folder, about, protocol.first_updates)


def _selected(arguments: argparse.Namespace) -> list[Protocol]:
    """Plan the protocols that were asked for. Raises ``ValueError`` if what is asked for of them is in none, and if the
    reading changes nothing of it."""
    own = _own_algorithms(arguments)
    import_modules(map(module_of, own), Path.cwd())
    profile = replace(arguments.profile, own_algorithms=own)
    protocols = select(arguments.protocols, profile, arguments.reading)
    runs = _runs(protocols)
    for flag, field in ONLY.items():
        planned = {name for run in runs for name in _names(run, field)}
        planned |= {name for name, games in GROUPS.items() if planned & set(games)}
        for value in getattr(arguments, flag) or ():
            if value not in planned:
                valid = map(str, sorted(planned))
                raise ValueError(unknown_name_message(f"{field} of these protocols", str(value), valid))
    wanted = _filtered(arguments, runs)
    if runs and not wanted:
        given = [(flag, values) for flag in ONLY if (values := getattr(arguments, flag))]
        flags = " ".join(f"--{flag} {' '.join(map(str, values))}" for flag, values in given)
        raise ValueError(f"no run of {', '.join(arguments.protocols)} has all of {flags}")
    if arguments.reading != DEFAULT:
        usual = _runs(select(arguments.protocols, profile))
        if all(run in usual for run in wanted):
            raise ValueError(f"the {arguments.reading} reading changes nothing in the runs that the flags name")
    return protocols


def _runs(protocols: Iterable[Protocol]) -> list[Run]:
    return [run for protocol in protocols for run in (*protocol.runs, *protocol.first_updates)]


def _own_algorithms(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return those of the user's own, ``MODULE:CLASS``, that were asked for."""
    return tuple(name for name in arguments.algorithms or () if module_of(name))


def _remaining(
    arguments: argparse.Namespace,
    protocols: Sequence[Protocol],
    known: Known,
    workers: int,
    mend: bool = False,
) -> tuple[list[planner.Stack], list[str]]:
    """Return the unfinished stacks of this shard, and messages about damaged files."""
    runs = {run.key: run for protocol in protocols for run in protocol.runs}
    recorded, problems = results.recorded_runs(arguments.results, known, mend)
    finished = finished_keys(recorded, arguments.fraction)
    selected = _filtered(arguments, runs.values())
    return left_to_train(arguments.results, selected, finished, workers, arguments.shard), problems


def _filtered(arguments: argparse.Namespace, runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return those of ``runs`` with the environments, algorithms and seeds that the flags name."""
    only = {
        field: [one for name in getattr(arguments, flag) or () for one in GROUPS.get(name, (name,))]
        for flag, field in ONLY.items()
    }
    return tuple(run for run in runs if all(not of or _names(run, field) & {*of} for field, of in only.items()))


def _names(run: Run, field: str) -> set[Any]:
    """Return by what a flag can name a run: an environment with arguments also without them."""
    value = getattr(run, field)
    return {value, bare_id(value)} if field == "environment" else {value}


def _part(arguments: argparse.Namespace, protocol: Protocol) -> Protocol:
    """Return a protocol with only the runs that the flags name, shortened to --fraction."""
    trained, untrained = (
        tuple(run.part(arguments.fraction) for run in _filtered(arguments, runs))
        for runs in (protocol.trained, protocol.untrained)
    )
    return replace(protocol, trained=trained, untrained=untrained)
