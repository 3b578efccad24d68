"""How far the trainings are that are not finished, as their checkpoints themselves say."""

from collections.abc import Iterable
from pathlib import Path

from experiments.store.files import StoreError
from experiments.store.stack_folder import StackFolder
from ppo import checkpoint


def saved_steps(folders: Iterable[StackFolder]) -> dict[Path, int]:
    """Return, by its folder, the step of each stack's newest checkpoint that is whole and its own; no others."""
    steps = {}
    for folder in folders:
        for path in (folder.checkpoint_before, folder.checkpoint):
            try:
                state = checkpoint.load(path)
                about = {"runs": [run.to_json() for run in folder.runs()]}
                if bool(state["about"] == about):
                    steps[folder.path] = int(state["algorithm"]["steps_done"])
            except (OSError, checkpoint.CheckpointError, StoreError, KeyError, TypeError, ValueError, RuntimeError):
                continue
    return steps
