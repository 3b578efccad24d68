"""Keep only the episodes that tables and figures are made of, in the results of a protocol:

    python -m analysis.thinning results/tuning results/figure4-settings

Where nothing draws episodes, there stay of a trained run its last 100 (its score) and those that ended in the last
tenth of its budget; of the untrained policy all. The folder is a tenth as large. Where runs are compared over a part
of their budget (--fraction), those that another protocol's folder beside it holds whole keep the steps that all have.
Tables and figures stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.data.labels import UNTRAINED
from analysis.data.load import RUN, before_divergence, runs_frame
from analysis.data.scores import LAST
from experiments.store.files import StoreError, locked, write_json
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.recording import recorded_entries
from experiments.store.results import THINNED, recorded_runs
from experiments.store.tables import check_episodes, read_episodes, write_table

UNDRAWN = ("readings", "readings-best", "tuning", "figure4-tuning", "none-on-reacher")
"""The protocols of which only scores are shown."""


def thin(folder: Path) -> tuple[int, int]:
    """Leave out the episodes in ``folder``, of `ppo run`, that nothing shown needs; return how many there were and are.

    Each run's manifest entry says so. A stop at any moment leaves a folder that is whole, and the command can be
    repeated. Raises ``StoreError`` for a protocol whose episodes are drawn, and while a run is not finished.
    """
    path, episodes = folder / "manifest.json", folder / "episodes.parquet"
    with locked(folder):
        manifest = read_manifest(path)
        table = read_episodes(episodes, most_rows(manifest))
        check_episodes(episodes, table, manifest["runs"], whole=True)
        kept = _compared(folder, manifest, table) if "fraction" in manifest else _scored(folder, manifest, table)
        write_json(path, manifest)
        write_table(episodes, kept)
    return len(table), len(kept)


def _scored(folder: Path, manifest: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes of scores, and say so in ``manifest``."""
    if manifest.get("protocol") not in UNDRAWN:
        raise StoreError(f"{folder} holds {manifest.get('protocol')}: only {', '.join(UNDRAWN)} show scores alone")
    trained = [run for run in manifest["runs"] if run["status"] != "missing" and run["setting"] != UNTRAINED]
    if any(run["status"] != "finished" for run in trained):
        raise StoreError(f"{folder} holds runs that can still be continued: let them finish first")
    for run in trained:
        run[THINNED] = f"last {LAST} episodes and last tenth of the steps"
    runs = runs_frame(manifest["runs"])
    counted = before_divergence(table, runs)
    return counted[_needed(counted, runs)]


def _compared(folder: Path, manifest: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes but for those behind the steps that all runs have, of the runs that another folder holds
    whole, and say so in ``manifest``."""
    entries = recorded_entries(folder / "manifest.json", manifest, known=None)
    common = min((int(run["steps_done"]) for _, run in entries), default=0)
    spare = pd.Series(False, table.index)
    for path in sorted(folder.resolve().parent.glob("*/manifest.json")):
        others = {} if path.parent == folder.resolve() else recorded_runs(path.parent, known=None)[0]
        for key, run in entries:
            if key in others and THINNED not in others[key].entry and _training(others[key].entry) == _training(run):
                run[THINNED] = f"first {common:,} steps; all are in {path.parent.name}"
                spare |= (table[RUN] == [run[name] for name in RUN]).all(axis=1) & (table["step"] > common)
    return table[~spare]


def _training(run: Mapping[str, Any]) -> tuple[Any, ...]:
    """Tell a training of a run from others of it, and how far it went."""
    return tuple(run.get(name) for name in ("commit", "wall_time", "steps_done"))


def _needed(episodes: pd.DataFrame, runs: pd.DataFrame) -> pd.Series[bool]:
    """Return a mask of the episodes that a score needs."""
    behind = episodes.groupby(RUN).cumcount(ascending=False)
    budgets = episodes.merge(runs[[*RUN, "total_timesteps"]], on=RUN, how="left")["total_timesteps"]
    return (behind < LAST) | (episodes["step"] > budgets * 9 // 10) | (episodes["setting"] == UNTRAINED)


def main(folders: Sequence[str]) -> int:
    """Thin each of ``folders``; return the exit code."""
    for folder in map(Path, folders):
        try:
            before, after = thin(folder)
        except (StoreError, FileNotFoundError) as error:
            print(f"thinning: {error}", file=sys.stderr)
            return 2
        print(f"{folder}: {after:,} of {before:,} episodes kept")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
