"""Where results are kept, and how they are read and written without ever losing or trusting any.

RESULTS/<protocol>/episodes.parquet   one row per finished training episode of every finished run
RESULTS/<protocol>/manifest.json      every planned run: settings, versions, machine, status
RESULTS/stacks/<stack>/               a training in progress or done: stack.json, checkpoint, progress.json, log.txt,
                                      and once finished episodes.parquet, manifest.json
"""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from baselines import ALGORITHMS
from experiments.paper.protocols import Run, settings_from_json
from experiments.planning.planner import Stack
from ppo.training import EpisodeColumns

EPISODE_COLUMNS = {
    "environment": "str",
    "algorithm": "str",
    "setting": "str",
    "seed": "int64",
    "step": "int64",
    "episodic_return": "float64",
    "episodic_length": "int32",
}
INTERPOLATION_COLUMNS = {
    "environment": "str",
    "seed": "int64",
    "interpolation": "float64",
    "kl": "float64",
    "surrogate_cpi": "float64",
    "surrogate_clipped": "float64",
    "surrogate_clip": "float64",
}
IDENTITY = ["environment", "algorithm", "setting", "seed"]


class StoreError(ValueError):
    """A file of results that cannot be used, or a folder that cannot be written: one line naming it and why."""


class OtherVersionError(StoreError):
    """A file that another version of this project wrote: whole, but not to be read with this one's settings."""


class BusyError(RuntimeError):
    """Another process is at work on the same folder."""


def write_atomically(path: Path, write: Any) -> None:
    """Let ``write(temporary_path)`` make the file, then give it its name: readers see the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.writing")
    temporary.unlink(missing_ok=True)  # another process of this number may have been killed here
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """``data`` as JSON, atomically."""
    text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """Raises ``StoreError`` if the file is not a JSON object."""
    try:
        data = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is unreadable: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise StoreError(f"{path} holds a JSON {type(data).__name__} where an object was expected")
    return data


def set_aside(*paths: Path, why: str = "damaged") -> list[Path]:
    """Rename files that cannot be used any more, so that they are not lost either: those that are there, under one
    number; returns their new names."""
    targets = _free_names(paths, why)
    for path, target in targets.items():
        path.rename(target)
    return list(targets.values())


def keep_aside(*paths: Path, why: str) -> list[Path]:
    """Copy files that are about to be replaced: those that are there, under one number; returns the copies' names."""
    targets = _free_names(paths, why)
    for path, target in targets.items():
        try:
            os.link(path, target)
        except OSError:  # a file system without second names
            write_atomically(target, functools.partial(shutil.copyfile, path))
    return list(targets.values())


def _free_names(paths: Sequence[Path], why: str) -> dict[Path, Path]:
    """A name for each of ``paths`` that is there."""
    for number in range(1, 1000):
        targets = {path: path.with_name(f"{path.name}.{why}-{number}") for path in paths}
        if not any(map(os.path.lexists, targets.values())):
            return {path: target for path, target in targets.items() if path.exists()}
    raise StoreError(f"{paths[0].parent} holds 999 {why} files already: look at them and remove them")


def within(results: Path, folder: Path) -> Path:
    """``folder``, if it lies in ``results`` and so do the files in it. Raises ``StoreError`` for a link that leads
    elsewhere, as an archive from a stranger may hold one."""
    home = results.resolve()
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if not path.resolve().is_relative_to(home):
            raise StoreError(f"{path} leads out of {results}, to {path.resolve()}: remove that link")
    return folder


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed left half-written in ``folder``, which the caller holds (``locked``)."""
    for name in ("episodes.parquet", "manifest.json", "progress.json"):
        for path in folder.glob(f".{name}.*.writing"):
            path.unlink(missing_ok=True)


def writable(folder: Path) -> None:
    """Make ``folder``; raises ``StoreError`` if it cannot be written, before anything is trained for it."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise StoreError(f"cannot write results to {folder}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(folder: Path, patience: float = 0.0, unless: object = False) -> Iterator[None]:
    """Hold ``folder`` for this process; a dead process holds nothing. Raises ``BusyError`` if another still holds it
    after ``patience`` seconds, or once ``unless`` is true."""
    deadline = time.monotonic() + patience
    with (folder / ".lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline or unless:
                    raise BusyError(f"{folder} is being written by another process: wait for it, or stop it") from error
            time.sleep(0.05)
        yield


def held(folder: Path) -> bool:
    """Whether a process holds ``folder`` now, whatever its number is."""
    try:
        with (folder / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # for a moment, which a worker waits for
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def episode_frame(runs: list[Run], columns: EpisodeColumns) -> pd.DataFrame:
    """The tidy table of a stack's episodes."""
    index = columns["run"]
    table = {
        "environment": np.array([run.environment for run in runs], dtype=object)[index],
        "algorithm": np.array([run.algorithm for run in runs], dtype=object)[index],
        "setting": np.array([run.setting for run in runs], dtype=object)[index],
        "seed": np.array([run.seed for run in runs], dtype=np.int64)[index],
        **{name: columns[name] for name in ("step", "episodic_return", "episodic_length")},
    }
    frame = pd.DataFrame(table).astype(EPISODE_COLUMNS)
    return frame.sort_values([*IDENTITY, "step"], kind="stable", ignore_index=True)


def write_episodes(path: Path, frame: pd.DataFrame) -> None:
    """One Parquet file, atomically; the same episodes give the same bytes."""
    write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False, compression="zstd"))


def read_episodes(path: Path) -> pd.DataFrame:
    """Raises ``StoreError`` if the file is damaged or is not a table of episodes."""
    return read_table(path, EPISODE_COLUMNS)


def read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """``columns`` (name -> type) of a Parquet file. Raises ``StoreError`` if it is damaged or holds something else."""
    try:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                raise StoreError(f"{path} lacks the columns {', '.join(missing)}")
            # The columns and nothing else: what pandas notes in a file may name types and indices of a stranger's.
            frame: pd.DataFrame = file.read(list(columns)).to_pandas(ignore_metadata=True)
    except (FileNotFoundError, StoreError):
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise StoreError(f"{path} is unreadable: {_one_line(error)}") from error
    for name, kind in columns.items():
        if kind != "str" and not pd.api.types.is_numeric_dtype(frame[name]):
            raise StoreError(f"{path}: column {name} does not hold numbers")
    try:
        return frame[list(columns)].astype(columns)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path} holds other values than it should: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def empty_episodes() -> pd.DataFrame:
    """A table of no episodes."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EPISODE_COLUMNS.items()})


class StackFolder:
    """``RESULTS/stacks/<stack>``: one stack's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack = path / "stack.json"
        self.checkpoint = path / "checkpoint.pt"
        self.progress = path / "progress.json"
        self.log = path / "log.txt"
        self.episodes = path / "episodes.parquet"
        self.manifest = path / "manifest.json"
        self.error = path / "error.txt"

    @property
    def finished(self) -> bool:
        """Whether it is trained: the manifest is written last."""
        return self.manifest.exists() and self.episodes.exists()

    def create(self, stack: Stack) -> None:
        """Write what a worker needs to train it. A list of the same runs stays: their order is the checkpoint's."""
        self.check()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            if {run.key for run in self.runs()} == {run.key for run in stack.runs}:
                return
        except (FileNotFoundError, StoreError):
            pass
        write_json(self.stack, {"runs": [run.to_json() for run in stack.runs]})

    def check(self) -> None:
        """Raises ``StoreError`` if what is written here would land elsewhere."""
        within(Path(os.path.abspath(self.path)).parents[1], self.path)

    def runs(self) -> list[Run]:
        """The stack's runs, in its order. Raises ``StoreError`` for a file that is damaged or asks for the unknown."""
        return runs_from_json(self.stack, read_json(self.stack).get("runs"))


def runs_from_json(path: Path, data: Any) -> list[Run]:
    """Runs as a manifest or a stack holds them; ``path`` is for the message of the ``StoreError``.

    An algorithm or a setting that this version does not have is an ``OtherVersionError``: the file may be whole.
    """
    try:
        return [_run_from_json(path, item) for item in data]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path} does not describe runs: {_one_line(error)}") from error


def _run_from_json(path: Path, item: Any) -> Run:
    name, settings = str(item["algorithm"]), dict(item["settings"])
    try:
        if name not in ALGORITHMS:
            raise ValueError(f"there is no algorithm {name!r}")
        own = settings_from_json(ALGORITHMS[name].Settings, settings)
        own.check()
    except (TypeError, ValueError) as error:
        raise OtherVersionError(f"{path} is of another version of this project: {_one_line(error)}") from error
    environment, setting = str(item["environment"]), str(item["setting"])
    return Run(environment, name, setting, int(item["seed"]), int(item["total_timesteps"]), own)


def stack_folders(results: Path) -> list[StackFolder]:
    """All stacks that were ever begun in ``results``."""
    return [StackFolder(path.parent) for path in sorted((results / "stacks").glob("*/stack.json"))]
