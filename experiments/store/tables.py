"""The tables of results, as Parquet files: episodes, and the curves of first updates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from experiments.store.files import StoreError, one_line
from experiments.store.records import MOST_NAME, RunRecord
from ppo.files import open_regular, write_atomically

pa.set_memory_pool(pa.system_memory_pool())  # with the usual one a table of 147 MiB takes 97 more to read, so 53

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
    "setting": "str",
    "seed": "int64",
    "interpolation": "float64",
    "kl": "float64",
    "surrogate_cpi": "float64",
    "surrogate_clipped": "float64",
    "surrogate_clip": "float64",
}
MOST_ROWS = 50_000_000
"""Rows of a table at most, whatever a manifest says."""
ROW_BYTES = 16
"""Bytes of a number in a table at most, with what says that it is there."""
PIECE = 65_536
"""Rows that are read at a time."""
LIMITS = {"thrift_string_size_limit": 2**20, "thrift_container_size_limit": 2**16, "buffer_size": 2**20}
"""For what describes a file in itself, of which ours have some kilobytes, and bytes that are read at a time."""
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
    """Write one Parquet file, atomically; the same rows give the same bytes.

    Names are kept in dictionaries, whole numbers as differences and others byte by byte: three quarters of the size
    that pyarrow's own choice has.
    """
    kinds = {str(name): kind.kind for name, kind in frame.dtypes.items()}
    encodings = {
        name: "DELTA_BINARY_PACKED" if kind == "i" else "BYTE_STREAM_SPLIT"
        for name, kind in kinds.items()
        if kind in "if"
    }
    names = [name for name in kinds if name not in encodings]
    write_atomically(
        path,
        lambda file: frame.to_parquet(
            file, index=False, compression="zstd", use_dictionary=names, column_encoding=encodings
        ),
    )


def read_episodes(path: Path, most_rows: int = MOST_ROWS) -> pd.DataFrame:
    """Read a table of episodes, ``most_rows`` at most: those that its manifest's runs can have. Raises ``StoreError``
    if the file is damaged or holds something else."""
    return read_table(path, EPISODE_COLUMNS, most_rows)


def check_episodes(path: Path, episodes: pd.DataFrame, runs: Sequence[Mapping[str, Any]], whole: bool) -> None:
    """Raise ``StoreError`` if one of ``runs``, as a manifest has them, has episodes that it cannot have: of more steps
    than its budget, as rows that are there twice are, or a return that is no number, though it did not diverge. With
    ``whole`` also for episodes of a run that is not listed."""
    if episodes.empty:
        return
    listed = {tuple(run[name] for name in IDENTITY): run for run in runs}
    coded = [pd.factorize(episodes[name]) for name in IDENTITY]  # numbers for names: they are compared row by row
    changes = np.logical_or.reduce([codes[1:] != codes[:-1] for codes, _ in coded])
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    last = np.maximum.reduceat(episodes["step"].to_numpy(), starts)
    lengths = np.add.reduceat(episodes["episodic_length"].to_numpy(np.int64), starts)
    finite = np.logical_and.reduceat(np.isfinite(episodes["episodic_return"].to_numpy()), starts)
    steps: dict[tuple[Any, ...], int] = {}
    for place, start in enumerate(starts):
        name = tuple(values[codes[start]] for codes, values in coded)
        words = " ".join(map(str, name))
        if (run := listed.get(name)) is None:
            if whole:
                raise StoreError(f"{path} holds a run that the manifest does not list: {words}")
            continue
        steps[name] = steps.get(name, 0) + int(lengths[place])
        if max(int(last[place]), steps[name]) > run["total_timesteps"]:
            raise StoreError(f"{path} holds more steps of {words} than its budget has")
        if not finite[place] and run.get("diverged_at") is None:
            raise StoreError(f"{path} holds a return that is no number, of {words}")


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


def read_table(path: Path, columns: dict[str, str], most_rows: int = MOST_ROWS) -> pd.DataFrame:
    """Read ``columns`` (name -> type) of a Parquet file. Raises ``StoreError`` if it is damaged, lacks them, or says of
    itself that it is larger than ``most_rows`` rows can be: then none of them is read."""
    try:
        texts = [name for name, kind in columns.items() if kind == "str"]
        with open_regular(path, StoreError) as source:
            _check_size(path, pq.ParquetFile(source, **LIMITS), columns, min(most_rows, MOST_ROWS))
            return _filled(path, pq.ParquetFile(source, read_dictionary=texts, **LIMITS), columns)
    except (FileNotFoundError, StoreError):
        raise
    except (pa.ArrowException, OSError, TypeError, ValueError, MemoryError) as error:
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error


def _check_size(path: Path, file: pq.ParquetFile, columns: Mapping[str, str], most_rows: int) -> None:
    """Raise ``StoreError`` for a file whose own description is not that of such a table, before any of it is read."""
    about, schema = file.metadata, file.schema_arrow
    if missing := [name for name in columns if name not in schema.names]:
        raise StoreError(f"{path} lacks the columns {', '.join(missing)}")
    if about.num_rows > most_rows:
        raise StoreError(f"{path} has {about.num_rows:,} rows, and its runs can have {most_rows:,} episodes")
    groups = [about.row_group(index) for index in range(about.num_row_groups)]
    if sum(group.num_rows for group in groups) != about.num_rows:
        raise StoreError(f"{path} says two things of how many rows it has")
    for name, kind in columns.items():
        field = schema.field(name).type
        number = pa.types.is_integer(field) or pa.types.is_floating(field)
        if pa.types.is_nested(field) or (kind != "str" and not number):
            raise StoreError(f"{path}: column {name} does not hold {'names' if kind == 'str' else 'numbers'}")
    kinds = [about.schema.column(index).physical_type for index in range(about.num_columns)]
    row = sum(MOST_NAME if kind == "BYTE_ARRAY" else ROW_BYTES for kind in kinds)
    for group in groups:  # not its columns: what pyarrow makes of a damaged one's description ends the process
        if group.total_byte_size > group.num_rows * row + len(kinds) * 2**16:
            raise StoreError(f"{path}: {group.num_rows:,} rows have {group.total_byte_size:,} bytes")


def _filled(path: Path, file: pq.ParquetFile, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read the columns piece by piece, so that no second copy of them is in memory. What pandas notes in a file, which
    may name types and indices of a stranger's, is not read."""
    numbers = {name: np.empty(file.metadata.num_rows, kind) for name, kind in columns.items() if kind != "str"}
    texts: dict[str, list[pa.Array]] = {name: [] for name in columns if name not in numbers}
    at = 0
    for piece in file.iter_batches(PIECE, columns=list(columns)):
        for name in numbers:
            column = piece.column(name)
            if column.null_count and numbers[name].dtype.kind != "f":
                raise StoreError(f"{path}: column {name} has empty cells")
            if numbers[name].dtype.kind != "f":  # what is no whole number, or too large, is refused and not cut
                column = column.cast(pa.from_numpy_dtype(numbers[name].dtype))
            numbers[name][at : at + len(piece)] = column.to_numpy(zero_copy_only=False)
        for name, pieces in texts.items():
            pieces.append(_names(path, piece.column(name)))
        at += len(piece)
    if at != file.metadata.num_rows:
        raise StoreError(f"{path} has {at:,} rows, and says that it has {file.metadata.num_rows:,}")
    names = {
        name: pd.Series(pa.chunked_array(texts[name], pa.large_string()), dtype="str", copy=False) for name in texts
    }
    return pd.DataFrame({name: numbers.get(name, names.get(name)) for name in columns}, copy=False)


def _names(path: Path, column: pa.Array) -> pa.Array:
    """Return names as text. Raises ``StoreError`` for one that would take more memory in every row than any of ours."""
    if pa.types.is_dictionary(column.type):
        longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        if longest > MOST_NAME:
            raise StoreError(f"{path} has a name of {longest:,} bytes")
    return column.cast(pa.large_string())


def empty_episodes() -> pd.DataFrame:
    """Return an empty table of episodes."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EPISODE_COLUMNS.items()})
