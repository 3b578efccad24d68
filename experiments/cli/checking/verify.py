"""`ppo verify`: audit a results folder; one verdict at the end."""

import argparse

from rich.console import Console

from analysis.verify import Remade, remake
from experiments.store.files import StoreError
from experiments.verification.retraining import NEAR, Retrained, candidates, pick, retrain


def verify(arguments: argparse.Namespace, console: Console) -> int:
    """Make tables and figures again, begin some runs again, and say whether all is as recorded."""
    if not arguments.results.is_dir():
        raise StoreError(f"there is no results folder {arguments.results}: `ppo run` makes it")
    console.print("making every table and figure again from the episodes ...")
    remade = remake(arguments.results)
    for problem in remade.problems:
        console.print(problem, markup=False)
    console.print(f"equal: {remade.tables} tables, {remade.figures} figures, {remade.charts} charts of the page")
    found = candidates(arguments.results)
    picked = pick(found, arguments.runs, arguments.seed)
    if picked:
        console.print(
            f"training the first steps of {len(picked)} of {len(found)} runs again (--seed {arguments.seed}) ..."
        )
    else:
        console.print("no recorded run is of this version and cheap enough to begin again")
    retrained = []
    for own in picked:
        retrained.append(retrain(own))
        console.print(told(retrained[-1]), markup=False)
    verdict, code = conclude(remade, retrained)
    console.print(verdict, markup=False)
    return code


def told(run: Retrained) -> str:
    """Return one line about a run that was begun again."""
    if run.same:
        return f"{run.name}: all {run.episodes} episodes of the first {run.steps:,} steps are equal to the bit"
    if not run.differs:
        return (
            f"{run.name}: DIFFERS after {run.equal} of {run.episodes} episodes, on the same processor, versions and "
            "engine: the code that trains has changed, or the record"
        )
    among = f"{'inside' if run.inside else 'outside'} the {run.seeds} recorded seeds' {run.low:,.1f} to {run.high:,.1f}"
    beside = f"beside the one recorded seed's {run.low:,.1f}"
    return (
        f"{run.name}: of {run.episodes} episodes the first {run.equal} are equal to the bit, the first {run.near} to "
        f"{NEAR:g} of the return; the mean return over {run.steps:,} "
        f"steps, {run.mean:,.1f}, is {among if run.seeds > 1 else beside}; equal bits are not to be expected here: "
        f"{'; '.join(run.differs)}"
    )


def conclude(remade: Remade, retrained: list[Retrained]) -> tuple[str, int]:
    """Return the verdict and the exit code: 1 if anything is other than the same place and code must make it."""
    same = sum(run.same for run in retrained)
    wrong = sum(not run.same and not run.differs for run in retrained)
    elsewhere = [run for run in retrained if not run.same and run.differs]
    parts = [f"{same} of {len(retrained)} runs begun again are equal to the bit"] if retrained else []
    if elsewhere:
        ranged = [run for run in elsewhere if run.seeds > 1]
        inside = sum(run.inside for run in ranged)
        parts.append(
            f"{len(elsewhere)} cannot be here; of {len(ranged)} with several recorded seeds {inside} lie in their range"
        )
    if wrong:
        parts.append(f"{wrong} differ{'s' * (wrong == 1)} where nothing explains it")
    if remade.problems:
        parts.append(
            f"{len(remade.problems)} tables, figures or charts are not what the episodes give (`ppo report` draws them "
            "from these episodes)"
        )
    else:
        parts.append("every table and figure is what the episodes give")
    bad = bool(wrong or remade.problems)
    return f"{'NOT VERIFIED' if bad else 'VERIFIED'}: {'; '.join(parts)}", int(bad)
