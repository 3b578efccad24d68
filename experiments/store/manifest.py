"""A manifest as it is read: whoever wrote it, its runs hold what a run of ours may hold."""

from pathlib import Path
from typing import Any

from experiments.store.files import StoreError, read_json

REQUIRED = ("environment", "algorithm", "setting", "seed", "total_timesteps", "settings", "status")
TEXTS = (
    "environment",
    "algorithm",
    "setting",
    "status",
    "superseded",
    "commit",
    "machine",
    "device",
    "engine",
    "error",
)
COUNTS = ("seed", "total_timesteps", "steps_done", "diverged_at", "failed_at", "threads", "stack")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest: a JSON object with a list of ``runs``. Raises ``StoreError`` if it holds something else, or a
    run with a value that no run of ours has."""
    manifest = read_json(path)
    if not isinstance(manifest.get("runs"), list):
        raise StoreError(f"{path} is not a manifest: it has no list of runs")
    for name, value in manifest.items():
        if not _says(name, value):
            raise StoreError(f"{path} has {name} = {str(value)[:80]!r}")
    for run in manifest["runs"]:
        if not isinstance(run, dict):
            raise StoreError(f"{path} has a run that is no object")
        if missing := [name for name in REQUIRED if name not in run]:
            raise StoreError(f"{path} has a run without {', '.join(missing)}")
        if run["status"] != "missing" and "steps_done" not in run:
            raise StoreError(f"{path} has a run without steps_done")
        for name, value in run.items():
            if not _fits(name, value):
                raise StoreError(f"{path} has a run with {name} = {str(value)[:80]!r}")
    return manifest


def most_rows(manifest: dict[str, Any]) -> int:
    """Return how many episodes the runs of a manifest can have: each takes a step at least.

    By their budgets, not by the steps done: a kill can leave a table that is newer than its manifest.
    """
    return sum(run["total_timesteps"] for run in manifest["runs"])


def _says(name: str, value: Any) -> bool:
    """Tell whether a manifest of ours may say ``value`` under this ``name`` of all its runs."""
    if name in ("protocol", "profile", "reading"):
        return isinstance(value, str) or (value is None and name == "protocol")
    return name != "fraction" or (type(value) in (int, float) and 0 < value <= 1)


def _fits(name: str, value: Any) -> bool:
    """Tell whether a run of ours may have ``value`` under this ``name``; a name of a later version may have any."""
    if name in ("diverged_at", "failed_at") and value is None:
        return True
    if name in COUNTS:
        return type(value) is int and value >= 0
    if name in TEXTS:
        return isinstance(value, str) or (value is None and name not in REQUIRED)
    if name == "wall_time":
        return type(value) in (int, float) and value >= 0
    if name == "inexact":
        return value is None or isinstance(value, list)
    if name in ("versions", "began_with", "processor", "settings"):
        return isinstance(value, dict) or (value is None and name != "settings")
    return True
