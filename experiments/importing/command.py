"""`ppo import`: read every source, check the whole, and only then write."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from baselines import ALGORITHMS, REFERENCE
from experiments.importing.sources import Log, read_source
from experiments.store.files import StoreError, check_tree
from experiments.store.imported import (
    Values,
    algorithms,
    check_name,
    imported_folders,
    read_imported,
    write_imported,
)

MOST_RUNS = 5000
"""As many as a manifest can hold."""
ENOUGH = 0.95
"""A run whose last row lies beyond this part of the budget is whole: the episode at the end has not ended."""


def import_runs(
    results: Path,
    name: str,
    sources: Sequence[Path],
    *,
    environment: str | None = None,
    algorithm: str | None = None,
    seeds: Sequence[int] | None = None,
    scalar: str | None = None,
    values: Values | None = None,
    total_timesteps: int | None = None,
) -> list[str]:
    """Write RESULTS/imported/NAME from `sources`; returns what there is to say, a line each.

    `seeds`: one for each source that is a log of one run (default: 1, 2, ... where a log does not say).
    `total_timesteps`: the budget of every run; what comes after it is left out (default: per environment the last step
    of the longest run). Raises `StoreError`, and then nothing is written.
    """
    check_tree(results)
    check_name(results, name)
    if name in ALGORITHMS:
        raise StoreError(f"{name!r} is the name of an algorithm of ours: choose another, such as sb3-{name}")
    if seeds is not None and len(seeds) != len(sources):
        raise StoreError(f"{len(seeds)} seeds for {len(sources)} sources: name one seed for each")
    asked: Sequence[int | None] = seeds or [None] * len(sources)
    logs = [
        read_source(path, algorithm or name, environment=environment, seed=seed, otherwise=place, scalar=scalar)
        for place, (path, seed) in enumerate(zip(sources, asked, strict=True), start=1)
    ]
    _check_files(logs)
    rows = _joined(name, logs, results)
    kept = _values(logs, values)
    budgets = rows.groupby("environment")["step"].max()
    if total_timesteps is not None:
        budgets[:] = total_timesteps
        rows = rows[rows["step"] <= total_timesteps]
        if rows.empty:
            raise StoreError(f"no row of {sources[0]} lies within the first {total_timesteps:,} steps")
    ends = rows.groupby(["environment", "algorithm", "seed"])[["step"]].max().reset_index()
    if len(ends) > MOST_RUNS:
        raise StoreError(f"{sources[0]} holds {len(ends):,} runs, and an import at most {MOST_RUNS:,}")
    runs = [
        _entry(str(run["environment"]), str(run["algorithm"]), int(run["seed"]), int(run["step"]), budgets)
        for run in ends.to_dict("records")
    ]
    write_imported(results, name, {**_about(name, logs, kept), "runs": runs}, rows)
    return _told(results, name, logs, kept, runs)


def _check_files(logs: Sequence[Log]) -> None:
    """Refuse a file that is there twice: one run would count as two seeds."""
    seen: dict[str, Path] = {}
    for path in (path for log in logs for path in log.files):
        first = seen.setdefault(_digest(path), path)
        if first is not path:
            raise StoreError(f"{first} and {path} hold the same: name each log once")


def _joined(name: str, logs: Sequence[Log], results: Path) -> pd.DataFrame:
    """Join the rows of all logs under the algorithms' names here; no run may be in two logs, no name be taken."""
    seen: dict[tuple[Any, ...], Log] = {}
    for log in logs:
        for run in log.rows[["environment", "algorithm", "seed"]].drop_duplicates().itertuples(index=False, name=None):
            if run in seen:
                one, other = seen[run].files[0], log.files[0]
                raise StoreError(f"{one} and {other} are both {run[1]} on {run[0]}, seed {run[2]}: say --seeds")
            seen[run] = log
    rows = pd.concat([log.rows for log in logs], ignore_index=True).rename(columns={"return": "episodic_return"})
    ours = rows["algorithm"].isin(list(ALGORITHMS))
    rows["algorithm"] = rows["algorithm"].mask(ours, f"{name}-" + rows["algorithm"])
    for folder in imported_folders(results):
        for taken in set(algorithms(read_imported(folder)[0])) & set(rows["algorithm"]):
            raise StoreError(f"{folder} has an algorithm {taken!r} already: choose another name with --algorithm")
    return rows.assign(setting="default")


def _values(logs: Sequence[Log], asked: Values | None) -> Values:
    """Return what the rows of all logs are: as they say, or else as was ``asked``."""
    for log in logs:
        if asked is not None and log.values not in (None, asked):
            raise StoreError(f"{log.files[0]} holds {log.values}, and not {asked}: leave out --values")
    said = {log.values or asked for log in logs}
    if len(said) > 1:
        raise StoreError("some sources hold episodes and some averages: import them under two names")
    (values,) = said
    if values is None:
        what = f"the curve {logs[0].scalar}" if logs[0].scalar else "the table"
        raise StoreError(
            f"{logs[0].files[0]} does not say what a row of {what} is: --values episodes, or --values averages"
        )
    return values


def _about(name: str, logs: Sequence[Log], values: Values) -> dict[str, Any]:
    """Return what imported.json says of the sources; of a path no more than the file and its folder."""
    files = [path for log in logs for path in log.files]
    return {
        "name": name,
        "kinds": sorted({log.kind for log in logs}),
        "values": values,
        "scalars": sorted({log.scalar for log in logs if log.scalar}),
        "files": [
            {
                "file": f"{path.resolve().parent.name}/{path.name}",
                "sha256": _digest(path),
            }
            for path in files
        ],
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(environment: str, algorithm: str, seed: int, steps: int, budgets: pd.Series[int]) -> dict[str, Any]:
    """Return a run as a manifest has it."""
    budget = int(budgets[environment])
    return {
        "environment": environment,
        "algorithm": algorithm,
        "setting": "default",
        "seed": seed,
        "settings": {},
        "total_timesteps": budget,
        "steps_done": steps,
        "status": "finished" if steps >= ENOUGH * budget else "running",
        "diverged_at": None,
    }


def _told(results: Path, name: str, logs: Sequence[Log], values: Values, runs: Sequence[dict[str, Any]]) -> list[str]:
    kinds = " and ".join(sorted({log.kind for log in logs}))
    lines = [f"{results / 'imported' / name}: {len(runs)} run{'s' * (len(runs) != 1)} from {kinds}"]
    short = [run for run in runs if run["status"] != "finished"]
    for run in short:
        ends = f"{run['steps_done']:,} of {run['total_timesteps']:,} steps"
        lines.append(f"{run['environment']} {run['algorithm']} seed {run['seed']} ends at {ends}: drawn, not scored")
    if values == "averages":
        lines.append("its rows are averages over episodes: they are drawn, and never scored")
        return [*lines, f"`ppo report --results {results}` shows them"]
    return [
        *lines,
        f"`ppo report --results {results}` shows them; `ppo compare {REFERENCE} {runs[0]['algorithm']}` compares them",
    ]
