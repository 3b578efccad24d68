"""Keep only the episodes that scores are made of, in the results of a protocol whose episodes nothing draws:

    python -m analysis.thinning results/tuning

Of a trained run stay its last 100 episodes (its score) and those that ended in the last tenth of its budget; of the
untrained policy all. Tables and figures stay as they are, and the folder is a tenth as large.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.store.files import StoreError, locked, write_json
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.results import THINNED
from experiments.store.tables import IDENTITY, check_episodes, read_episodes, write_table

UNDRAWN = ("readings", "readings-best", "tuning", "figure4-tuning")
"""The protocols of which only scores are shown."""
LAST = 100
TENTH = 0.1


def thin(folder: Path) -> tuple[int, int]:
    """Leave out the episodes in ``folder``, of `ppo run`, that no score needs; return how many there were and are.

    Each run's manifest entry says so. A stop at any moment leaves a folder that is whole, and the command can be
    repeated. Raises ``StoreError`` for a protocol whose episodes are drawn, and while a run is not finished.
    """
    path, episodes = folder / "manifest.json", folder / "episodes.parquet"
    with locked(folder):
        manifest = read_manifest(path)
        if manifest.get("protocol") not in UNDRAWN:
            raise StoreError(f"{folder} holds {manifest.get('protocol')}: only {', '.join(UNDRAWN)} show scores alone")
        trained = [run for run in manifest["runs"] if run["status"] != "missing" and run["setting"] != "untrained"]
        if "fraction" in manifest or any(run["status"] != "finished" for run in trained):
            raise StoreError(f"{folder} holds runs that can still be continued: let them finish first")
        table = read_episodes(episodes, most_rows(manifest))
        check_episodes(episodes, table, manifest["runs"], whole=True)
        for run in trained:
            run[THINNED] = f"last {LAST} episodes and last tenth of the steps"
        write_json(path, manifest)
        kept = table[_needed(table, manifest["runs"])]
        write_table(episodes, kept)
    return len(table), len(kept)


def _needed(table: pd.DataFrame, runs: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return a mask of the episodes that a score needs, [rows]; those after a run diverged count nowhere."""
    fields = [{name: run.get(name) for name in (*IDENTITY, "total_timesteps", "diverged_at")} for run in runs]
    joined = table.merge(pd.DataFrame(fields).astype({"diverged_at": float}), on=IDENTITY, how="left")
    counted = ~(joined["step"] > joined["diverged_at"]) & np.isfinite(joined["episodic_return"])
    behind = joined[counted].groupby(IDENTITY).cumcount(ascending=False).reindex(joined.index)
    late = counted & (joined["step"] > (1 - TENTH) * joined["total_timesteps"])
    needed = (behind < LAST) | late | (joined["setting"] == "untrained")
    return np.asarray(needed, dtype=bool)


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
