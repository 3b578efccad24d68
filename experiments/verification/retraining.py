"""Train the first steps of recorded runs again, and compare episode by episode.

On the same kind of processor, with the same versions and engine, each episode must be equal to the bit. Elsewhere
floating point rounds otherwise, and a training of the same seed parts from the recorded one after a while: then the
mean return over these steps is set beside the range of the recorded seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.planning.costs import CONSTANTS, GAME
from experiments.run import known_settings, trainable
from experiments.store import provenance, results
from experiments.store.files import StoreError
from experiments.store.records import records_from_json
from experiments.store.results import Recorded
from experiments.store.tables import IDENTITY, episode_frame, read_episodes
from experiments.training.build import build
from ppo.process import prepare_process
from ppo.stacked.engine import Engine, available
from ppo.training import Training

STEPS = 10_000
"""Of each run that are trained again, to the end of the iteration that reaches them."""
CHEAP = 15.0
"""Seconds that these steps may take by `costs`; a run that takes longer is not picked."""
NEAR = 1e-5
"""Part of a return: what rounding makes of a simulation that is not chaotic, before an update amplifies it."""
EPISODE = ["step", "episodic_return", "episodic_length"]


@dataclass(frozen=True)
class Retrained:
    """One recorded run beside the training of its first steps here."""

    name: str
    steps: int
    episodes: int
    """Recorded within these steps."""
    equal: int
    """How many of them, from the first on, are equal to the bit here."""
    near: int
    """How many, from the first on, end at the same step with a return that is equal to NEAR."""
    same: bool
    """Whether all are, and there are no others."""
    differs: tuple[str, ...]
    """What is not as it was when the run was recorded; nothing: then `same` is to be expected."""
    mean: float
    """Mean return here; NaN where no episode ended."""
    low: float
    """The lowest and the highest mean return of the recorded seeds within these steps."""
    high: float
    seeds: int

    @property
    def inside(self) -> bool:
        """Whether the mean return lies in the range of the recorded seeds."""
        return self.low <= self.mean <= self.high


def candidates(folder: Path) -> list[Recorded]:
    """List the runs of all protocols in ``folder`` that are cheap to begin again, in the order of their keys.

    Left out: runs that are superseded, untrained policies, what a GPU or another than this version's code trained, and
    environments that need a module, which nothing recorded may have imported.
    """
    recorded, problems = results.recorded_runs(folder, known_settings())
    if problems:
        raise StoreError(problems[0])
    return [own for _, own in sorted(recorded.items()) if _is_cheap(own.entry)]


def _is_cheap(entry: Mapping[str, Any]) -> bool:
    environment, algorithm, settings = entry["environment"], entry["algorithm"], entry["settings"]
    if entry.get("superseded") or entry["setting"] == "untrained" or entry.get("device", "cpu") != "cpu":
        return False
    if environment.endswith(GAME) or ":" in environment or environment not in CONSTANTS.environment:
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
    engine: Engine = "numba" if _first_engine(own.entry) == "numba" and available() else "torch"
    training = Training(build([run], engine=engine), min(1.0, steps / run.total_timesteps))
    try:
        while not training.done:
            training.iterate()
    finally:
        training.algorithm.env.close()
    done = training.algorithm.steps_done
    here = episode_frame([run.record], training.episodes())[EPISODE]
    every = read_episodes(own.episodes)
    every = every[(every["environment"] == run.environment) & (every["algorithm"] == run.algorithm)]
    every = every[(every["setting"] == own.entry["setting"]) & (every["step"] <= done)]
    recorded = every.loc[every["seed"] == run.seed, EPISODE].reset_index(drop=True)
    means = every.groupby(IDENTITY)["episodic_return"].mean()
    return Retrained(
        f"{run.environment} {run.algorithm} {own.entry['setting']} seed {run.seed}",
        done,
        len(recorded),
        equal_from_the_first(recorded, here),
        equal_from_the_first(recorded, here, NEAR),
        recorded.equals(here),
        differences(own.entry, training.engine),
        float(here["episodic_return"].mean()),
        float(means.min()),
        float(means.max()),
        len(means),
    )


def equal_from_the_first(recorded: pd.DataFrame, here: pd.DataFrame, near: float = 0.0) -> int:
    """Count the episodes that are equal, from the first on; ``near``: by how much of it a return may differ."""
    both = min(len(recorded), len(here))
    one, other = (frame.to_numpy(dtype=float)[:both] for frame in (recorded, here))
    same = (np.abs(one - other) <= near * np.abs(one)).all(axis=1)
    return both if same.all() else int(same.argmin())


def differences(entry: Mapping[str, Any], engine: str) -> tuple[str, ...]:
    """Say what of versions, processor and engine is not as a manifest's entry has it, each as "here, not there"."""
    begun = dict(entry.get("began_with") or {**(entry.get("versions") or {}), "processor": entry.get("processor")})
    processor, here = begun.pop("processor", None), provenance.processor()
    begun.pop("commit", None)  # other code is to give the same bits
    versions = provenance.versions()
    told = [
        f"{name} {versions.get(name, 'absent')}, not {value}"
        for name, value in begun.items()
        if versions.get(name) != value
    ]
    if not processor:
        told.append("a processor that was not recorded")
    else:
        told += [
            f"processor {name} {_words(here[name])}, not {_words(processor.get(name))}"
            for name in ("family", "microarchitecture", "vector_extensions")
            if here[name] != processor.get(name)
        ]
    then = _first_engine(entry)
    return (*told, *([f"engine {engine}, not {then}"] if engine != then else []))


def _first_engine(entry: Mapping[str, Any]) -> str:
    """Return what computed the first steps: of "torch to step 4096, then numba" torch, as of runs before there were
    two."""
    return str(entry.get("engine") or "torch").split()[0]


def _words(value: Any) -> str:
    return ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, dict) else str(value)
