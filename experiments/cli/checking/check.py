"""`ppo check`: hold an algorithm to what every algorithm here promises."""

import argparse
from pathlib import Path

from rich.console import Console

from baselines import ALGORITHMS, record_of
from experiments.cli.flags.settings import given
from experiments.contract.check import verdicts
from experiments.messages import unknown_name_message
from experiments.modules import import_modules
from ppo.envs.making import module_of
from ppo.process import prepare_process


def check(arguments: argparse.Namespace, console: Console) -> int:
    """Print a line for each check; returns 1 if one failed."""
    import_modules([module_of(arguments.algorithm)], Path.cwd())
    if not (module_of(arguments.algorithm) or arguments.algorithm in ALGORITHMS):
        raise ValueError(unknown_name_message("algorithm", arguments.algorithm, ALGORITHMS, own="MODULE:CLASS"))
    record = record_of(arguments.algorithm)
    kind = record.load()
    few_steps = {**record.few_steps, **given(arguments, kind.Settings)}
    kind.Settings(**few_steps).check()
    prepare_process()
    failed = count = 0
    for verdict in verdicts(kind, few_steps):
        reason = f": {verdict.reason}" if verdict.reason else ""
        console.print(f"{'passed' if verdict.passed else 'FAILED'}  {verdict.promise}{reason}", markup=False)
        failed, count = failed + (not verdict.passed), count + 1
    console.print(f"{count - failed} of {count} checks passed")
    return 1 if failed else 0
