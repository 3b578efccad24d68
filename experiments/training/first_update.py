"""Figure 2: the surrogates on the line from the first policy to the one after its first update."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.paper.protocols import Protocol, Run
from experiments.planning import planner
from experiments.planning.planner import Stack
from experiments.store import provenance
from experiments.store.files import (
    INTERPOLATION_COLUMNS,
    StoreError,
    keep_aside,
    read_json,
    read_table,
    runs_from_json,
    write_atomically,
    write_json,
)
from experiments.training.worker import build
from ppo.advantages import standardised
from ppo.ppo import PPO, surrogate
from ppo.rollout import Batch
from ppo.training import prepare_process

FACTORS: NDArray[np.float64] = np.round(np.linspace(-0.5, 2.0, 101), 4)
"""x of Figure 2: 0 is theta_old, 1 the updated theta."""


class FirstUpdate(PPO):
    """PPO that keeps the batch of its update."""

    batch: Batch | None = None

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self.batch = batch
        return super().update(batch)


def folder_of(results: Path, protocol: Protocol) -> Path:
    """Where the curves of a protocol's first updates are kept: beside its episodes, if it has any."""
    return results / protocol.name / "figure2" if protocol.runs else results / protocol.name


def measured(folder: Path, runs: Sequence[Run]) -> bool:
    """Whether ``folder`` holds the curves of ``runs`` already, whole and not superseded; the manifest is written
    last."""
    path = folder / "manifest.json"
    try:
        read_table(folder / "interpolation.parquet", INTERPOLATION_COLUMNS)
        entries = read_json(path).get("runs")
        known = {run.key for run in runs_from_json(path, entries)}
    except (FileNotFoundError, StoreError):
        return False
    assert isinstance(entries, list)
    return {run.key for run in runs} == known and not any(entry.get("superseded") for entry in entries)


def measure(folder: Path, about: dict[str, Any], runs: Sequence[Run]) -> None:
    """Train the first update of every run and write ``folder``/interpolation.parquet and manifest.json, which begins
    with ``about``."""
    prepare_process()
    stacks = planner.stacks(runs)
    made = [_measured_stack(stack) for stack in stacks]
    folder.mkdir(parents=True, exist_ok=True)
    keep_aside(folder / "manifest.json", folder / "interpolation.parquet", why="replaced")
    table = pd.concat([table for table, _ in made])
    table = table.sort_values(["setting", "seed", "interpolation"], kind="stable", ignore_index=True)
    write_atomically(
        folder / "interpolation.parquet", lambda path: table.to_parquet(path, index=False, compression="zstd")
    )
    entries = {run: entry for _, own in made for run, entry in own.items()}
    write_json(folder / "manifest.json", {**about, "runs": [entries[run] for run in runs]})


def _measured_stack(stack: Stack) -> tuple[pd.DataFrame, dict[Run, dict[str, Any]]]:
    """The curves of a stack's runs, and their entries in a manifest."""
    runs, start = stack.runs, time.perf_counter()
    algorithm = build(runs, kind=FirstUpdate)
    assert isinstance(algorithm, FirstUpdate)
    before = algorithm.policy.parameters.detach().clone()
    algorithm.iterate()
    assert algorithm.batch is not None
    curves = interpolate(algorithm, algorithm.batch, before, algorithm.policy.parameters.detach().clone())
    tables = [
        pd.DataFrame(
            {
                "environment": run.environment,
                "setting": run.setting,
                "seed": run.seed,
                "interpolation": FACTORS,
                **{name: values[:, row] for name, values in curves.items()},
            }
        )
        for row, run in enumerate(runs)
    ]
    common = {
        "status": "finished",
        "steps_done": algorithm.steps_done,
        "diverged_at": None,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "processor": provenance.processor(),
        "device": "cpu",
        "threads": 1,
        "wall_time": round(time.perf_counter() - start, 3),
    }
    return pd.concat(tables), {run: {**run.to_json(), **common} for run in runs}


@torch.no_grad()
def interpolate(algorithm: PPO, batch: Batch, before: Tensor, after: Tensor) -> dict[str, NDArray[np.float64]]:
    """Figure 2's four curves, each ``[factors, runs]``; the advantages are standardised over the batch, so that every
    surrogate is 0 at theta_old."""
    advantages = standardised(batch.advantages)
    clip_coef = algorithm.clip_coef
    curves: dict[str, list[Tensor]] = {"kl": [], "surrogate_cpi": [], "surrogate_clipped": [], "surrogate_clip": []}
    for factor in FACTORS.tolist():
        algorithm.policy.parameters.copy_(torch.lerp(before, after, factor))
        distribution = algorithm.policy.distribution(batch.observations)
        ratio = (distribution.log_prob(batch.actions) - batch.log_probs).exp()
        curves["kl"].append(batch.distribution.kl(distribution).mean(dim=1))
        curves["surrogate_cpi"].append((ratio * advantages).mean(dim=1))
        curves["surrogate_clipped"].append((ratio.clamp(1 - clip_coef, 1 + clip_coef) * advantages).mean(dim=1))
        curves["surrogate_clip"].append(surrogate(ratio, advantages, clip_coef).mean(dim=1))
    return {name: torch.stack(values).double().numpy() for name, values in curves.items()}
