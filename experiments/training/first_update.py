"""Figure 2: the surrogates on the line from the first policy to the one after its first update."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.paper.protocol import Protocol
from experiments.planning import planner
from experiments.run import Run, trainable
from experiments.store.files import StoreError, locked, read_json
from experiments.store.recording import write_recorded
from experiments.store.records import records_from_json
from experiments.store.results import FIRST_UPDATES
from experiments.store.tables import INTERPOLATION_COLUMNS, read_table
from experiments.training.build import build
from experiments.training.records.entries import begins_with, entries
from ppo.advantages import standardised
from ppo.files import make_folder, remove_unfinished
from ppo.ppo import PPO, surrogate
from ppo.process import prepare_process
from ppo.rollout import Batch

FACTORS: NDArray[np.float64] = np.round(np.linspace(-0.5, 2.0, 101), 4)
"""x of Figure 2: 0 is theta_old, 1 the updated theta."""


class FirstUpdate(PPO):
    """PPO that stores the batch of its update."""

    batch: Batch | None = None

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self.batch = batch
        return super().update(batch)


def folder_of(results: Path, protocol: Protocol) -> Path:
    """Return the folder of the curves of a protocol's first updates: a sub-folder if it also has episodes."""
    return results / protocol.name / FIRST_UPDATES if protocol.runs else results / protocol.name


def is_measured(folder: Path, runs: Sequence[Run]) -> bool:
    """Return whether ``folder`` already holds the curves of ``runs``, complete and not superseded; the manifest is
    written last."""
    path = folder / "manifest.json"
    try:
        read_table(folder / "interpolation.parquet", INTERPOLATION_COLUMNS)
        recorded = read_json(path).get("runs")
        known = {run.key for run in trainable(path, records_from_json(path, recorded))}
    except (FileNotFoundError, StoreError):
        return False
    assert isinstance(recorded, list)
    return {run.key for run in runs} == known and not any(entry.get("superseded") for entry in recorded)


def measure(folder: Path, about: dict[str, Any], runs: Sequence[Run]) -> None:
    """Train the first update of every run; write ``folder``/interpolation.parquet, and manifest.json with ``about``."""
    prepare_process()
    measured = [_measured_stack(stack.runs) for stack in planner.stacks(runs)]
    table = pd.concat([table for table, _ in measured])
    table = table.sort_values(["setting", "seed", "interpolation"], kind="stable", ignore_index=True)
    recorded = {run: entry for _, stack in measured for run, entry in stack.items()}
    make_folder(folder)
    with locked(folder, patience=math.inf):
        remove_unfinished(folder)
        manifest = {**about, "runs": [recorded[run] for run in runs]}
        write_recorded(folder / "interpolation.parquet", table, INTERPOLATION_COLUMNS, manifest)


def _measured_stack(runs: Sequence[Run]) -> tuple[pd.DataFrame, dict[Run, dict[str, Any]]]:
    """Train a stack's first updates; return their curves and their entries in a manifest."""
    start = time.perf_counter()
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
    seconds = time.perf_counter() - start
    trained = entries(
        runs, algorithm, {}, engine=algorithm.engine, device="cpu", began_with=begins_with(), wall_time=seconds
    )
    return pd.concat(tables), dict(zip(runs, trained, strict=True))


@torch.no_grad()
def interpolate(algorithm: PPO, batch: Batch, before: Tensor, after: Tensor) -> dict[str, NDArray[np.float64]]:
    """Compute Figure 2's four curves, ``[factors, runs]`` each.

    The advantages are standardised over the batch, so that every surrogate is 0 at theta_old.
    """
    advantages = standardised(batch.advantages)
    clip_coef = algorithm.clip_coef
    curves: dict[str, list[Tensor]] = {"kl": [], "surrogate_cpi": [], "surrogate_clipped": [], "surrogate_clip": []}
    for factor in FACTORS.tolist():
        algorithm.policy.parameters.copy_(torch.lerp(before, after, factor))
        distribution = algorithm.policy.distribution(batch.observations)
        ratio = batch.ratio(distribution)
        curves["kl"].append(batch.kl(distribution).mean(dim=1))
        curves["surrogate_cpi"].append((ratio * advantages).mean(dim=1))
        curves["surrogate_clipped"].append((ratio.clamp(1 - clip_coef, 1 + clip_coef) * advantages).mean(dim=1))
        curves["surrogate_clip"].append(surrogate(ratio, advantages, clip_coef).mean(dim=1))
    return {name: torch.stack(values).double().numpy() for name, values in curves.items()}
