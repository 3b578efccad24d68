"""Continuing a stack from its checkpoint, and finding out in time whether it can be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.store.files import StoreError, read_json, set_aside
from experiments.store.stack_folder import StackFolder
from experiments.training.records.log import log
from ppo.checkpoint import CheckpointError
from ppo.training import InexactError, Training


class LostTrainingError(ValueError):
    """A training that was begun, and of which no whole checkpoint is left."""


def load_newest(
    folder: StackFolder,
    training: Training,
    about: dict[str, Any],
    *,
    change_engine: bool,
    exact: bool,
    begin_anew: bool,
) -> list[str]:
    """Load the newest whole checkpoint; returns what is to be said of it.

    A damaged or foreign one is named, and set aside once another one serves. Where none does, though something was
    saved before, everything stays as it is and ``LostTrainingError`` is raised, unless it is to begin anew.
    """
    problems: dict[Path, CheckpointError] = {}
    for path in (folder.checkpoint, folder.checkpoint_before):
        if not path.exists():
            continue
        try:
            training.load(path, about, change_engine=change_engine, exact=exact)
        except CheckpointError as error:
            problems[path] = error
            continue
        aside = [f"{problem}; set aside as {set_aside(each)[0].name}" for each, problem in problems.items()]
        inexact = [f"not exact from step {step:,}: {why}" for step, why in training.inexact]
        for line in [*aside, f"continuing at step {training.algorithm.steps_done} of {training.goal}", *inexact]:
            log(line)
        return [*aside, *inexact]
    if (problems or _saved_before(folder)) and not begin_anew:
        what = "; ".join(map(str, problems.values())) or f"{folder.checkpoint} is gone"
        raise LostTrainingError(f"{what}; nothing is changed: put a whole one there, or say --begin-anew")
    for path, problem in problems.items():
        log(f"{problem}; set aside as {set_aside(path)[0].name}")
    log(f"beginning, {training.goal} steps")
    return []


def look_ahead(training: Training, exact: bool) -> list[str]:
    """Find out, once something is saved, whether the environments could be put back; returns what is to be said."""
    env = training.algorithm.env
    lost: Mapping[int, str]
    try:
        lost = env.not_restorable()
    except Exception as error:  # whatever a second copy of somebody's environment raises
        lost = {0: f"a second copy of it fails: {type(error).__name__}: {error}"}
    if not lost:
        return []
    line = f"{len(lost)} of {env.rows} environments cannot be put back ({next(iter(lost.values()))})"
    if exact:
        raise InexactError(f"{line}: without --exact it is trained, and if it is stopped goes on with new episodes")
    line += ": if it is stopped, it goes on with new episodes, and is not exact from there"
    log(line)
    return [line]


def _saved_before(folder: StackFolder) -> bool:
    """Tell whether the folder says that a checkpoint was there."""
    if folder.finished:
        return True
    try:
        return int(read_json(folder.progress)["saved_at"]) > 0
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return False
