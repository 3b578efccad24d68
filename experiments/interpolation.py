"""Figure 2: the surrogates on the line from the first policy to the one after its first update."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments import provenance
from experiments.protocols import Protocol
from experiments.store import (
    INTERPOLATION_COLUMNS,
    StoreError,
    keep_aside,
    read_json,
    read_table,
    write_atomically,
    write_json,
)
from experiments.worker import build
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


def measured(results: Path) -> bool:
    """Whether ``results`` holds the curves already, whole and not superseded; the manifest is written last."""
    try:
        read_table(results / "figure2" / "interpolation.parquet", INTERPOLATION_COLUMNS)
        runs = read_json(results / "figure2" / "manifest.json").get("runs")
    except (FileNotFoundError, StoreError):
        return False
    return isinstance(runs, list) and not any(isinstance(run, dict) and run.get("superseded") for run in runs)


def measure(results: Path, protocol: Protocol, profile: str) -> None:
    """Train the first update of every seed and write results/figure2/interpolation.parquet and manifest.json."""
    prepare_process()
    runs = protocol.runs
    start = time.perf_counter()
    algorithm = build(runs, kind=FirstUpdate)
    assert isinstance(algorithm, FirstUpdate)
    before = algorithm.policy.parameters.detach().clone()
    algorithm.iterate()
    assert algorithm.batch is not None
    curves = interpolate(algorithm, algorithm.batch, before, algorithm.policy.parameters.detach().clone())
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "environment": run.environment,
                    "seed": run.seed,
                    "interpolation": FACTORS,
                    **{name: values[:, row] for name, values in curves.items()},
                }
            )
            for row, run in enumerate(runs)
        ],
        ignore_index=True,
    )
    folder = results / "figure2"
    folder.mkdir(parents=True, exist_ok=True)
    keep_aside(folder / "manifest.json", folder / "interpolation.parquet", why="replaced")
    write_atomically(folder / "interpolation.parquet", lambda path: table.to_parquet(path, index=False))
    common = {
        "status": "finished",
        "steps_done": algorithm.steps_done,
        "diverged_at": None,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "device": "cpu",
        "threads": 1,
        "wall_time": round(time.perf_counter() - start, 3),
    }
    entries = [{**run.to_json(), **common} for run in runs]
    write_json(folder / "manifest.json", {"protocol": "figure2", "profile": profile, "runs": entries})


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
