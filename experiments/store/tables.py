"""The tables of results, as Parquet files: episodes, and the curves of first updates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from experiments.store.files import StoreError, one_line
from experiments.store.records import RunRecord
from ppo.files import write_atomically

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


def episode_frame(runs: Sequence[RunRecord], columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Return the tidy table of a stack's episodes; ``columns``: as in ``ppo.training.EpisodeColumns``."""
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


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write one Parquet file, atomically; the same rows give the same bytes."""
    write_atomically(path, lambda file: frame.to_parquet(file, index=False, compression="zstd"))


def read_episodes(path: Path) -> pd.DataFrame:
    """Read a table of episodes. Raises ``StoreError`` if the file is damaged or holds something else."""
    return read_table(path, EPISODE_COLUMNS)


def all_episodes(results: Path) -> pd.DataFrame:
    """Read every episode of a results folder, or of one of `ppo train`; `protocol` is the name of the folder in it.

    Raises ``StoreError`` if there are none.
    """
    paths = [*sorted(results.glob("episodes.parquet")), *sorted(results.glob("*/episodes.parquet"))]
    if not paths:
        raise StoreError(f"{results} holds no episodes: name a results folder, or one of `ppo train`")
    names = ["" if path.parent == results else path.parent.name for path in paths]
    frames = [read_episodes(path) for path in paths]
    for name, frame in zip(names, frames, strict=True):
        frame.insert(0, "protocol", name)
    return pd.concat(frames, ignore_index=True)


def read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Read ``columns`` (name -> type) of a Parquet file. Raises ``StoreError`` if it is damaged or lacks them."""
    try:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                raise StoreError(f"{path} lacks the columns {', '.join(missing)}")
            # Only the columns: pandas' metadata in an untrusted file may name arbitrary types and indices.
            frame: pd.DataFrame = file.read(list(columns)).to_pandas(ignore_metadata=True)
    except (FileNotFoundError, StoreError):
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error
    for name, kind in columns.items():
        if kind != "str" and not pd.api.types.is_numeric_dtype(frame[name]):
            raise StoreError(f"{path}: column {name} does not hold numbers")
    try:
        return frame[list(columns)].astype(columns)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path} holds values of the wrong type: {one_line(error)}") from error


def empty_episodes() -> pd.DataFrame:
    """Return an empty table of episodes."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EPISODE_COLUMNS.items()})
