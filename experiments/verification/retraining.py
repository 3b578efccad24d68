"""Train the first steps of recorded runs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.planning.costs import CONSTANTS, GAME
from experiments.run import trainable
from experiments.store import provenance
from experiments.store.records import records_from_json
from experiments.store.results import Recorded
from experiments.store.tables import episode_frame, read_episodes
from experiments.training.build import build
from experiments.verification.comparison import Retrained, beside, differences, first_engine, recorded_in
from ppo.process import prepare_process
from ppo.stacked.engine import Engine, available
from ppo.training import Training

STEPS = 10_000
"""Of each run that are trained again, to the end of the iteration that reaches them."""
CHEAP = 15.0
"""Seconds that these steps may take by `costs`; a run that takes longer is not picked."""


def candidates(folder: Path) -> list[Recorded]:
    """List the runs of all protocols in ``folder`` that are cheap to begin again, in the order of their keys.

    Left out: what cannot be compared (`Recorded.comparable`) or is kept without its first episodes, what a GPU or
    another than this version's code trained, and environments and algorithms that need a module, which nothing recorded
    may have imported.
    """
    recorded = [own for _, own in sorted(recorded_in(folder).items()) if own.comparable and own.whole]
    return [own for own in recorded if _is_cheap(own.entry)]


def _is_cheap(entry: Mapping[str, Any]) -> bool:
    environment, algorithm, settings = entry["environment"], entry["algorithm"], entry["settings"]
    if entry.get("device", "cpu") != "cpu" or ":" in algorithm:
        return False
    if environment.endswith(GAME) or environment not in CONSTANTS.environment:
        return False
    envs = int(settings.get("num_envs", 1))
    return STEPS / envs * CONSTANTS.per_vector_step(environment, algorithm, envs) <= CHEAP


def pick(found: Sequence[Recorded], count: int, seed: int) -> list[Recorded]:
    """Draw ``count`` of them without replacement, the same for the same ``seed``."""
    drawn = np.random.default_rng(seed).permutation(len(found))[:count]
    return [found[place] for place in drawn]


def retrain(own: Recorded, steps: int = STEPS) -> Retrained:
    """Train the first ``steps`` of a recorded run again, alone, in this process."""
    prepare_process()
    (run,) = trainable(own.episodes.with_name("manifest.json"), records_from_json(own.episodes, [own.entry]))
    engine: Engine = "numba" if first_engine(own.entry) == "numba" and available() else "torch"
    training = Training(build([run], engine=engine), min(1.0, steps / run.total_timesteps))
    try:
        while not training.done:
            training.iterate()
    finally:
        training.algorithm.env.close()
    here = episode_frame([run.record], training.episodes())
    differs = differences(own.entry, {**provenance.versions(), "processor": provenance.processor()}, training.engine)
    return beside(own, read_episodes(own.episodes), here, training.algorithm.steps_done, differs)
