"""Read logs of other programs: monitor.csv of Stable-Baselines3, TensorBoard, plain CSV or Parquet.

Each reader returns rows with the columns of COLUMNS and refuses, in one line that names the file, what it cannot use.
Whoever wrote a file, it is read in bounded memory, and nothing in it is run.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.store.files import StoreError, check_inside, one_line, read_bytes
from experiments.store.imported import Values
from experiments.store.records import MOST_NAME
from experiments.store.tables import read_table

COLUMNS = ("environment", "algorithm", "seed", "step", "return")
"""Of a plain table; `step` counts the environment steps of the run, all its environments together."""
WHOLE = ("seed", "step")
MOST_BYTES = 64 * 2**20
"""Of one source, but for Parquet, whose rows are counted: a million episodes and more as text, in 600 MiB of memory."""
MOST_HEADER = 2**16
"""Bytes of a text's first line, which names its columns."""

CLEANRL, CLEANRL_LENGTH = "charts/episodic_return", "charts/episodic_length"
AVERAGED_SCALARS = ("rollout/ep_rew_mean",)
"""Of Stable-Baselines3: the mean over the last 100 episodes."""


@dataclass(frozen=True)
class Log:
    """What was read of one source."""

    rows: pd.DataFrame
    """COLUMNS, by run and step."""
    kind: str
    """In words."""
    files: tuple[Path, ...]
    values: Values | None
    """None: the source does not say."""
    scalar: str = ""
    """The name of the curve in a TensorBoard log."""


def read_source(
    path: Path,
    algorithm: str,
    *,
    environment: str | None = None,
    seed: int | None = None,
    otherwise: int = 1,
    scalar: str | None = None,
) -> Log:
    """Read one source: a log holds one run, a table any number.

    `environment` and `seed` come before what a log says itself; `otherwise` is the seed where neither tells. `scalar`:
    the curve of a TensorBoard log. Raises `StoreError`.
    """
    if not path.exists():
        raise StoreError(f"there is no file or folder {path}")
    files = _files(path)
    if monitors := [file for file in files if file.name.endswith("monitor.csv")]:
        if scalar is not None:
            raise StoreError(f"{path} is no TensorBoard log, of which --scalar names a curve: leave it out")
        return _monitors(monitors, environment, algorithm, otherwise if seed is None else seed)
    if events := [file for file in files if "tfevents" in file.name]:
        folder = path if path.is_dir() else path.parent
        environment, seed = _named_by_cleanrl(folder, environment, seed)
        run = {"environment": environment, "algorithm": algorithm, "seed": otherwise if seed is None else seed}
        return _tensorboard(path, events, run, scalar)
    if path.suffix in (".csv", ".parquet") and path.is_file():
        for flag, asked in (("--environment", environment), ("--seeds", seed), ("--scalar", scalar)):
            if asked is not None:
                raise StoreError(f"{path} is a table, which names its own runs: leave out {flag}")
        return Log(_table(path), {".csv": "CSV table", ".parquet": "Parquet table"}[path.suffix], (path,), None)
    raise StoreError(
        f"{path} is no monitor.csv or folder of them, no folder with event files of TensorBoard, no .csv or .parquet"
    )


def _files(path: Path) -> list[Path]:
    """List a source's files: `path`, or those in it, of which none may lead elsewhere."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in check_inside(path, path).iterdir() if not file.is_dir())


def _monitors(paths: Sequence[Path], environment: str | None, algorithm: str, seed: int) -> Log:
    """Read one run of Stable-Baselines3: a file for each of its environments, which step together.

    So the run has taken n steps for each step of one of its n environments. (Steps of an episode that was reset before
    its end are in no monitor file.)
    """
    pieces: list[pd.DataFrame] = []
    names: set[str] = set()
    left = MOST_BYTES
    for path in paths:
        text = read_bytes(path, left)
        left -= len(text)
        first, _, rest = text.partition(b"\n")
        try:
            named = json.loads(first[1:MOST_HEADER]).get("env_id")
        except (ValueError, AttributeError, RecursionError) as error:
            raise StoreError(f"{path} is no monitor.csv of Stable-Baselines3: {one_line(error)}") from error
        if not isinstance(named, str | None):
            raise StoreError(f"{path} has an env_id that is no name")
        names |= {named} if named not in (None, "None") else set()
        episodes = _comma_separated(path, rest, ("r", "l"))
        if episodes.empty:  # no episode of this environment has ended
            continue
        lengths = _numbers(path, episodes["l"], "l", whole=True)
        pieces.append(
            pd.DataFrame({"step": len(paths) * lengths.cumsum(), "return": _numbers(path, episodes["r"], "r")})
        )
    if len(names) > 1 and environment is None:
        raise StoreError(f"{paths[0].parent} mixes environments: {', '.join(sorted(names))}")
    name = environment or next(iter(names), None)
    if name is None:
        raise StoreError(f"{paths[0]} does not name its environment: say --environment")
    if not pieces:
        raise StoreError(f"{paths[0]} has no rows: no episode has ended")
    rows = pd.concat(pieces).assign(environment=name, algorithm=algorithm, seed=seed)
    return Log(_sorted(paths[0], rows), "monitor.csv of Stable-Baselines3", tuple(paths), "episodes")


def _named_by_cleanrl(folder: Path, environment: str | None, seed: int | None) -> tuple[str, int | None]:
    """Take what is not said from the folder's name, if it is one of CleanRL's: ENVIRONMENT__PROGRAM__SEED__TIME."""
    parts = folder.resolve().name.split("__")
    if len(parts) == 4 and parts[2].isdecimal():
        environment, seed = environment or parts[0], int(parts[2]) if seed is None else seed
    if environment is None:
        raise StoreError(f"{folder} does not name its environment: say --environment")
    return environment, seed


def _tensorboard(path: Path, events: Sequence[Path], run: dict[str, Any], scalar: str | None) -> Log:
    """Read one curve of a TensorBoard log, every point of it."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
    except ImportError as error:
        raise StoreError(f"{path} is a TensorBoard log: pip install tensorboard reads it") from error
    left = MOST_BYTES
    for file in events:  # TensorBoard opens them by itself, whatever they are
        left -= len(read_bytes(file, left))
    log = EventAccumulator(str(path), size_guidance={SCALARS: 0})  # 0: all of them, not a sample of 10,000
    try:
        log.Reload()
        known = list(log.Tags()["scalars"])
    except Exception as error:  # whatever the reader meets in a damaged file
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error
    usual = [name for name in (CLEANRL, *AVERAGED_SCALARS) if name in known]
    name = scalar or next(iter(usual), None)
    if name is None or name not in known:
        some = ", ".join(known[:12]) or "none"
        raise StoreError(f"{path} has no curve {scalar or ' or '.join((CLEANRL, *AVERAGED_SCALARS))}; --scalar: {some}")
    points = log.Scalars(name)
    rows = pd.DataFrame({"step": [point.step for point in points], "return": [point.value for point in points]})
    rows = _sorted(path, rows.assign(**run))
    return Log(rows, "TensorBoard log", tuple(events), _values_of_scalar(name, log, known), name)


def _values_of_scalar(name: str, log: Any, known: Sequence[str]) -> Values | None:
    """Tell what the points of a curve are: CleanRL logs each episode, its length at the same steps; others average."""
    if name in AVERAGED_SCALARS:
        return "averages"
    if name == CLEANRL and CLEANRL_LENGTH in known:
        steps = [[point.step for point in log.Scalars(each)] for each in (CLEANRL, CLEANRL_LENGTH)]
        return "episodes" if steps[0] == steps[1] else None
    return None


def _table(path: Path) -> pd.DataFrame:
    """Read a table with the columns of COLUMNS."""
    if path.suffix == ".csv":
        rows = _comma_separated(path, read_bytes(path, MOST_BYTES), COLUMNS)
    else:
        names = dict.fromkeys(("environment", "algorithm"), "str")
        rows = read_table(path, {**names, **dict.fromkeys(("seed", "step", "return"), "float64")})
    ordered = _sorted(path, rows)
    _check_order(path, rows)
    return ordered


def _check_order(path: Path, rows: pd.DataFrame) -> None:
    """Refuse a run whose steps fall: two runs that have one seed, or steps that are lengths of episodes."""
    run = list(COLUMNS[:3])
    before = rows.groupby(run, sort=False)["step"].shift()
    if (falls := np.flatnonzero((rows["step"] < before).to_numpy())).size:
        row = rows.iloc[falls[0]]
        name = f"{row['algorithm']} on {row['environment']}, seed {row['seed']:g}"
        fall = f"fall from {before.iloc[falls[0]]:g} to {row['step']:g} in row {falls[0] + 1}"
        raise StoreError(
            f"{path}: the steps of {name} {fall}: step counts a run's environment steps so far, and two runs need two "
            "seeds"
        )


def _comma_separated(path: Path, text: bytes, columns: Sequence[str]) -> pd.DataFrame:
    """Read `columns` of a text of comma-separated values, and none of its others."""
    if len(text) > MOST_HEADER and b"\n" not in text[:MOST_HEADER]:
        raise StoreError(f"{path} has a first line of more than {MOST_HEADER:,} bytes")
    try:
        frame = pd.read_csv(
            io.BytesIO(text),
            usecols=lambda name: name in columns,
            dtype={"environment": "str", "algorithm": "str"},
            index_col=False,
        )
    except (OverflowError, ValueError) as error:
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error
    if missing := [name for name in columns if name not in frame]:
        raise StoreError(f"{path} lacks the columns {', '.join(missing)}: it needs {', '.join(columns)}")
    return frame


def _sorted(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Check the names and numbers of COLUMNS, and put the rows in order."""
    if frame.empty:
        raise StoreError(f"{path} has no rows: no episode has ended")
    for column in ("environment", "algorithm"):
        if not all(_is_name(cell) for cell in frame[column].unique()):
            raise StoreError(f"{path}: column {column} has a cell that is no name")
    numbers = {name: _numbers(path, frame[name], name, whole=name in WHOLE) for name in ("seed", "step", "return")}
    rows = frame.assign(**numbers)[list(COLUMNS)]
    return rows.sort_values([*COLUMNS[:3], "step"], kind="stable", ignore_index=True)


def _is_name(cell: object) -> bool:
    return isinstance(cell, str) and 0 < len(cell.encode(errors="replace")) <= MOST_NAME and cell.isprintable()


def _numbers(path: Path, column: pd.Series[Any], name: str, whole: bool = False) -> pd.Series[Any]:
    """Return the column as float64, or int64 if `whole`, where it must be whole and at least 0."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise StoreError(f"{path}: column {name} does not hold numbers")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
        raise StoreError(f"{path}: column {name} has no number in row {row}: {values[row - 1]}")
    if whole and ((values < 0) | (values != np.floor(values)) | (values > 2**53)).any():
        raise StoreError(f"{path}: column {name} needs whole numbers of at least 0")
    return pd.Series(values.astype("int64" if whole else "float64"), index=column.index)
