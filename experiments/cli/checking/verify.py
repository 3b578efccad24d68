"""`ppo verify`: audit a results folder; one verdict at the end."""

import argparse

from rich.console import Console

from analysis.verify import Remade, remake
from experiments.store.files import StoreError
from experiments.verification.comparison import NEAR, Retrained, compare
from experiments.verification.retraining import candidates, pick, retrain


def verify(arguments: argparse.Namespace, console: Console) -> int:
    """Make tables and figures again, begin some runs again, and say whether all is as recorded."""
    for folder in (arguments.results, arguments.against or arguments.results):
        if not folder.is_dir():
            raise StoreError(f"there is no results folder {folder}: `ppo run` makes it")
    if arguments.against:
        both = compare(arguments.results, arguments.against)
        if not both:
            raise StoreError(f"no run of {arguments.results} is also recorded in {arguments.against}: none to compare")
        lines, code = against(both, str(arguments.against))
        for line in lines:
            console.print(line, markup=False)
        return code
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
    elsewhere, ranged, inside = _elsewhere(retrained)
    parts = [f"{same} of {len(retrained)} runs begun again are equal to the bit"] if retrained else []
    if elsewhere:
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


def against(compared: list[Retrained], reference: str) -> tuple[list[str], int]:
    """Say in words how runs compare with those of another folder; the exit code is 1 if any differs unexplained."""
    same = sum(run.same for run in compared)
    lines = [told(run) for run in compared if not run.same and not run.differs]
    wrong = len(lines)
    lines.append(
        f"of {len(compared)} runs that are recorded in {reference} too, {same} have the same episodes, to the bit"
    )
    elsewhere, ranged, inside = _elsewhere(compared)
    if elsewhere:
        # of n + 1 equally likely draws one is neither the lowest nor the highest n - 1 times
        expected = sum((run.seeds - 1) / (run.seeds + 1) for run in ranged)
        why = "; ".join(dict.fromkeys(reason for run in elsewhere for reason in run.differs))
        lines.append(f"{len(elsewhere)} have other rounding ({why})")
        lines.append(
            f"of these, {inside} of {len(ranged)} have a mean return within the range of the seeds there at the same "
            f"step; {expected:.0f} is what chance alone gives"
        )
    if wrong:
        lines.append(
            f"{wrong} differ{'s' * (wrong == 1)} where nothing explains it: the code or the record was changed"
        )
    return lines, int(bool(wrong))


def _elsewhere(runs: list[Retrained]) -> tuple[list[Retrained], list[Retrained], int]:
    """Return the runs that differ for a reason, those of them with several recorded seeds, and how many of these lie in
    the seeds' range."""
    elsewhere = [run for run in runs if not run.same and run.differs]
    ranged = [run for run in elsewhere if run.seeds > 1]
    return elsewhere, ranged, sum(run.inside for run in ranged)
