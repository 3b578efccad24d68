"""Runs that another program trained: RESULTS/imported/<name>/, one folder for each `ppo import`.

imported.json     where they are from, what a row is, and every run as a manifest has it
returns.parquet   one row per episode, or per average that was logged

There is no manifest.json, so `ppo run`, `plan`, `status`, `merge` and `verify` do not see them.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from experiments.store.file_names import file_name
from experiments.store.files import StoreError, ensure_writable, write_json
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.tables import read_table, write_table

Values = Literal["episodes", "averages"]
"""What a row is: the return of one episode, or a mean over some that another program took."""

FOLDER = "imported"
RETURN_COLUMNS = {
    "environment": "str",
    "algorithm": "str",
    "setting": "str",
    "seed": "int64",
    "step": "int64",
    "episodic_return": "float64",
}


def imported_folders(results: Path) -> list[Path]:
    """List the folders of all imports in ``results``."""
    return [path.parent for path in sorted((results / FOLDER).glob("*/imported.json"))]


def read_imported(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read one import: imported.json, and its rows with RETURN_COLUMNS. Raises ``StoreError`` for what is damaged."""
    path = folder / "imported.json"
    about = read_manifest(path)
    if about.get("values") not in get_args(Values):
        raise StoreError(f"{path} is not of an import: its `values` are neither {' nor '.join(get_args(Values))}")
    if not (_are_words(about.get("kinds")) and _are_words(about.get("scalars"))):
        raise StoreError(f"{path} is not of an import: its `kinds` and `scalars` are no lists of words")
    return about, read_table(folder / "returns.parquet", RETURN_COLUMNS, most_rows(about))


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def check_name(results: Path, name: str) -> None:
    """Raise ``StoreError`` if no import can have this name here."""
    if file_name(name) != name or "/" in name:
        raise StoreError(f"{name!r} cannot be the name of a folder: use letters, digits, dots and dashes")
    if (results / FOLDER / name).exists():
        raise StoreError(f"{results / FOLDER / name} is there already: choose another name, or remove that folder")


def write_imported(results: Path, name: str, about: dict[str, Any], rows: pd.DataFrame) -> Path:
    """Write RESULTS/imported/NAME at once: the folder is there whole, or not at all. Returns it."""
    check_name(results, name)
    if len(rows) > most_rows(about):
        raise StoreError(f"{name} has {len(rows):,} rows in {most_rows(about):,} steps: each takes a step at least")
    ensure_writable(results / FOLDER)
    folder = results / FOLDER / name
    beginning = folder.with_name(f".{name}.{os.getpid()}.writing")
    shutil.rmtree(beginning, ignore_errors=True)
    try:
        beginning.mkdir()
        write_table(beginning / "returns.parquet", rows[list(RETURN_COLUMNS)])
        write_json(beginning / "imported.json", about)
        beginning.rename(folder)
    finally:
        shutil.rmtree(beginning, ignore_errors=True)
    return folder


def algorithms(about: dict[str, Any]) -> Sequence[str]:
    """List the algorithms of an import, by the names that it has here."""
    return sorted({run["algorithm"] for run in about["runs"]})
