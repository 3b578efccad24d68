"""``RESULTS/stacks/<stack>/``: a training, unfinished or finished.

It holds stack.json (its runs), checkpoint.pt, progress.json and log.txt; once finished also episodes.parquet and
manifest.json.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from experiments.store.files import StoreError, check_inside, read_json, read_text, write_json
from experiments.store.records import RunRecord, records_from_json
from ppo.files import make_folder

MOST_TEXT = 100_000
"""Bytes of error.txt at most."""


class StackFolder:
    """``RESULTS/stacks/<stack>``: one stack's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack = path / "stack.json"
        self.checkpoint = path / "checkpoint.pt"
        self.checkpoint_before = path / "checkpoint.pt.previous"
        self.progress = path / "progress.json"
        self.log = path / "log.txt"
        self.episodes = path / "episodes.parquet"
        self.manifest = path / "manifest.json"
        self.error = path / "error.txt"

    @property
    def finished(self) -> bool:
        """Whether the training is finished: the manifest is written last."""
        return self.manifest.exists() and self.episodes.exists()

    def failure(self) -> str:
        """Read why its training failed."""
        return read_text(self.error, MOST_TEXT).strip()

    @property
    def recorded(self) -> tuple[int, int] | None:
        """What changes whenever results are written; None if there are none."""
        try:
            about = self.manifest.stat()
        except FileNotFoundError:
            return None
        return about.st_ino, about.st_mtime_ns

    def create(self, runs: Sequence[RunRecord]) -> None:
        """Write stack.json for a worker to train ``runs``. An existing list of the same runs is kept: the checkpoint
        has its order."""
        self.check()
        make_folder(self.path)
        try:
            if {run.key for run in self.runs()} == {run.key for run in runs}:
                return
        except (FileNotFoundError, StoreError):
            pass
        write_json(self.stack, {"runs": [run.to_json() for run in runs]})

    def check(self) -> None:
        """Raise ``StoreError`` if files written here would land elsewhere."""
        check_inside(Path(os.path.abspath(self.path)).parents[1], self.path)

    def runs(self) -> list[RunRecord]:
        """Read the stack's runs, in order. Raises ``StoreError`` for a damaged file."""
        return records_from_json(self.stack, read_json(self.stack).get("runs"))


def stack_folders(results: Path) -> list[StackFolder]:
    """List all stacks in ``results``."""
    return [StackFolder(path.parent) for path in sorted((results / "stacks").glob("*/stack.json"))]
