"""`ppo train`: any algorithm in any environment."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.cli.execution import finished_keys, make_executor, report_outcome
from experiments.cli.setting_flags import sweep
from experiments.paper.readings import DEFAULT
from experiments.paper.settings import usual_settings
from experiments.planning.remaining import left_to_train
from experiments.run import Run, known_settings
from experiments.store import results
from experiments.store.files import ensure_writable
from experiments.training import scheduler
from ppo.algorithm import check_budget
from ppo.envs import make
from ppo.settings import SettingsError


def train(arguments: argparse.Namespace, console: Console) -> int:
    """Train the runs that the flags describe."""
    usual = usual_settings(arguments.environment, arguments.algorithm, arguments.reading)
    reading = "" if arguments.reading == DEFAULT else f"+{arguments.reading}"
    runs = [
        Run(arguments.environment, arguments.algorithm, f"{name}{reading}", seed, arguments.total_timesteps, settings)
        for name, settings in sweep(arguments, usual).items()
        for seed in arguments.seeds
    ]
    _check(runs)
    executor = make_executor(arguments, console)
    out: Path = arguments.out
    ensure_writable(out)
    known = known_settings()
    recorded, problems = results.recorded_runs(out, known, mend=True)
    for problem in problems:
        console.print(problem)
    stacks = left_to_train(out, runs, finished_keys(recorded, 1.0), executor.slots())
    console.print(f"{len(runs)} runs, {len(runs) - sum(len(stack.runs) for stack in stacks)} finished before")
    outcome = scheduler.train(out, stacks, executor, console)
    about = {"protocol": None, "profile": "train"}
    damaged = results.collect(out, out, about, [run.record for run in runs], known, keep=True)
    return report_outcome(console, outcome, damaged)


def _check(runs: Sequence[Run]) -> None:
    """Raise ``ValueError`` for runs that cannot be trained, before any training starts."""
    first = runs[0]
    make(first.environment, [0]).close()
    for run in runs:
        if run.seed < 0:
            raise SettingsError(f"seed = {run.seed} cannot be used: it must be at least 0")
        check_budget(run.total_timesteps, run.settings.num_envs)
