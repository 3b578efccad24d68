"""Keep only the episodes that scores are made of, in the results of a protocol whose episodes nothing draws:

    python -m analysis.thinning results/tuning

Of a trained run stay its last 100 episodes (its score) and those that ended in the last tenth of its budget, or of the
part of it that runs are compared over (--fraction); of the untrained policy all. Tables and figures stay as they are,
and the folder is a tenth as large; a quarter where sparse curves are drawn too, as of the humanoid tasks. What is left
can still be compared with another training (`ppo verify --against`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.data.labels import UNTRAINED
from analysis.data.load import RUN, before_divergence, runs_frame
from analysis.data.scores import LAST, SPARSE, curve_grid
from experiments.store.files import StoreError, locked, write_json
from experiments.store.manifest import most_rows, read_manifest
from experiments.store.results import THINNED
from experiments.store.tables import check_episodes, read_episodes, write_table

UNDRAWN = ("readings", "readings-best", "tuning", "figure4-tuning", "figure4-settings", "none-on-reacher")
"""The protocols of which only scores are shown."""
SPARSELY = ("figure4", "figure4-readings")
"""Those of which curves are drawn too, but sparse ones."""


def thin(folder: Path) -> tuple[int, int]:
    """Leave out the episodes in ``folder``, of `ppo run`, that no score needs; return how many there were and are.

    Each run's manifest entry says so. A stop at any moment leaves a folder that is whole, and the command can be
    repeated. Raises ``StoreError`` for a protocol whose episodes are drawn, and while a run is not finished.
    """
    path, episodes = folder / "manifest.json", folder / "episodes.parquet"
    with locked(folder):
        manifest = read_manifest(path)
        if (protocol := manifest.get("protocol")) not in (*UNDRAWN, *SPARSELY):
            alone = ", ".join((*UNDRAWN, *SPARSELY))
            raise StoreError(f"{folder} holds {protocol}, of which every episode is drawn: {alone} can be thinned")
        trained = [run for run in manifest["runs"] if run["status"] != "missing" and run["setting"] != UNTRAINED]
        if any(run["status"] != "finished" for run in trained):
            raise StoreError(f"{folder} holds runs that can still be continued: let them finish first")
        table = read_episodes(episodes, most_rows(manifest))
        check_episodes(episodes, table, manifest["runs"], whole=True)
        fraction = manifest.get("fraction", 1.0)
        sparse = SPARSE if protocol in SPARSELY else 0.0
        for run in trained:
            run[THINNED] = _what(fraction, sparse)
        write_json(path, manifest)
        runs = runs_frame(manifest["runs"])
        counted = before_divergence(table, runs)
        kept = counted[_needed(counted, runs, fraction, sparse)]
        write_table(episodes, kept)
    return len(table), len(kept)


def _what(fraction: float, sparse: float) -> str:
    """Say what is kept of a run."""
    kept = f"last {LAST} episodes and last tenth of the steps"
    kept += "" if fraction == 1 else f" of its first {fraction:.0%}"
    return f"{kept}, before it the last {sparse:.0%} of each hundredth" if sparse else kept


def _needed(episodes: pd.DataFrame, runs: pd.DataFrame, fraction: float, sparse: float) -> pd.Series[bool]:
    """Return a mask of the episodes that a score needs, of runs that are compared over a ``fraction`` of the budget,
    and of those that ended in the last ``sparse`` part before a point of the learning curve."""
    whole = episodes.merge(runs[[*RUN, "total_timesteps"]], on=RUN, how="left")["total_timesteps"]
    budgets, spacing = fraction * whole, whole.map({steps: curve_grid(int(steps))[0][0] for steps in whole.unique()})
    counted = episodes["step"] <= budgets
    behind = episodes[counted].groupby(RUN).cumcount(ascending=False).reindex(episodes.index, fill_value=LAST)
    drawn = (episodes["step"] - 1) % spacing >= (1 - sparse) * spacing
    scored = counted & ((behind < LAST) | (episodes["step"] > budgets * 9 // 10) | drawn)
    return scored | (episodes["setting"] == UNTRAINED)


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
