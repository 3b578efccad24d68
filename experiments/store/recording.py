"""How a table and its manifest.json are written: the one place, and it loses no row that is recorded already."""

from pathlib import Path
from typing import Any

import pandas as pd

from experiments.store.files import StoreError, keep_aside, write_json
from experiments.store.manifest import read_manifest
from experiments.store.records import Known, completed, records_from_json
from experiments.store.tables import read_table, write_table

KEPT = ("finished", "running")
"""The states of runs that have episodes."""


def write_recorded(
    path: Path, table: pd.DataFrame, columns: dict[str, str], manifest: dict[str, Any], known: Known | None = None
) -> None:
    """Write ``table`` to ``path`` and ``manifest`` beside it, the manifest last.

    If a row that is there would be lost (settings changed, say, or the manifest is damaged or gone), both files are
    copied first, as ``NAME.replaced-N``. The files stay until they are replaced, for what the new table needs may be
    nowhere else; the manifest then names no run whose rows the new table may not have, as a kill may come between.
    """
    beside = path.with_name("manifest.json")
    if _would_lose(path, table, columns):
        keep_aside(beside, path, why="replaced")
        keys = {run.key for run in records_from_json(beside, manifest["runs"])}
        write_json(beside, {**manifest, "runs": [entry for key, entry in _entries(beside, known) if key in keys]})
    write_table(path, table[list(columns)].astype(columns))
    write_json(beside, manifest)


def recorded_entries(path: Path, manifest: dict[str, Any], known: Known | None) -> list[tuple[str, dict[str, Any]]]:
    """List the entries of the runs that have episodes, each with its run's key."""
    entries = manifest["runs"]
    runs = completed(path, records_from_json(path, entries), known)
    return [(run.key, entry) for run, entry in zip(runs, entries, strict=True) if entry.get("status") in KEPT]


def _would_lose(path: Path, table: pd.DataFrame, columns: dict[str, str]) -> bool:
    """Tell whether ``table`` lacks a row of the file at ``path``, or what that file held cannot be told."""
    try:
        return _lacks(table, read_table(path, columns))
    except FileNotFoundError:
        return bool(_entries(path.with_name("manifest.json"), None))  # what is known of runs whose rows are gone
    except StoreError:
        return True


def _lacks(table: pd.DataFrame, old: pd.DataFrame) -> bool:
    """Tell whether a row of ``old`` is not in ``table``, or less often."""
    kept, before = (pd.util.hash_pandas_object(rows, index=False).value_counts() for rows in (table, old))
    return bool((kept.reindex(before.index, fill_value=0) < before).any())


def _entries(path: Path, known: Known | None) -> list[tuple[str, dict[str, Any]]]:
    """Return ``recorded_entries`` of the manifest at ``path``; none of one that cannot be read."""
    try:
        return recorded_entries(path, read_manifest(path), known)
    except (FileNotFoundError, StoreError):
        return []
