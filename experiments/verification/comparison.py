"""A run that was trained again, beside the recorded one, episode by episode.

On the same kind of processor, with the same versions and engine, each episode must be equal to the bit. Elsewhere
floating point rounds otherwise, and a training of the same seed parts from the recorded one after a while: then the
mean return over these steps is set beside the range of the recorded seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.run import known_settings
from experiments.store import results
from experiments.store.files import StoreError
from experiments.store.results import Recorded
from experiments.store.tables import IDENTITY, read_episodes

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


def recorded_in(folder: Path) -> dict[str, Recorded]:
    """Return the recorded runs of all protocols in ``folder``, by key. Raises ``StoreError`` if any is damaged."""
    recorded, problems = results.recorded_runs(folder, known_settings())
    if problems:
        raise StoreError(problems[0])
    return recorded


def beside(own: Recorded, table: pd.DataFrame, here: pd.DataFrame, steps: int, differs: tuple[str, ...]) -> Retrained:
    """Set the episodes ``here`` of a run that was trained again for so many ``steps`` beside ``table``, which holds the
    recorded one's and those of its other seeds; of a run that is not recorded whole, the episodes that are."""
    entry = own.entry
    kind = [name for name in IDENTITY if name != "seed"]
    every = table[(table[kind] == [entry[name] for name in kind]).all(axis=1) & (table["step"] <= steps)]
    recorded = every.loc[every["seed"] == entry["seed"], EPISODE].reset_index(drop=True)
    here = here.loc[here["step"] <= steps, EPISODE]
    here = (here if own.whole else _as_recorded(here, recorded["step"])).reset_index(drop=True)
    means = every.groupby(IDENTITY)["episodic_return"].mean()
    return Retrained(
        f"{entry['environment']} {entry['algorithm']} {entry['setting']} seed {entry['seed']}",
        steps,
        len(recorded),
        equal_from_the_first(recorded, here),
        equal_from_the_first(recorded, here, NEAR),
        recorded.equals(here),
        differs,
        float(here["episodic_return"].mean()),
        float(means.min()),
        float(means.max()),
        len(means),
    )


def compare(folder: Path, reference: Path) -> list[Retrained]:
    """Compare the runs in ``folder`` with the same runs recorded in ``reference``, up to the step that both reached.

    Left out: untrained policies, runs that are superseded, and those that are not whole in ``folder``.
    """
    mine, theirs = recorded_in(folder), recorded_in(reference)
    common = sorted(mine.keys() & theirs.keys())
    both = [key for key in common if mine[key].comparable and mine[key].whole and theirs[key].comparable]
    steps = {key: min(each[key].entry["steps_done"] for each in (mine, theirs)) for key in both}
    tables = {}
    for path in {each[key].episodes for key in both for each in (mine, theirs)}:
        table = read_episodes(path)
        tables[path] = table[table["step"] <= max(steps.values())]
    compared = []
    for key in both:
        here, own = mine[key], theirs[key]
        table = tables[here.episodes]
        identity = [here.entry[name] for name in IDENTITY]
        episodes = table[(table[IDENTITY] == identity).all(axis=1)]
        engine, began = first_engine(here.entry), began_with(here.entry)
        compared.append(beside(own, tables[own.episodes], episodes, steps[key], differences(own.entry, began, engine)))
    return compared


def _as_recorded(episodes: pd.DataFrame, steps: pd.Series[int]) -> pd.DataFrame:
    """Select the episodes that ended at one of the recorded ``steps``; the last ones of those that ended together."""
    behind = episodes.groupby("step").cumcount(ascending=False)
    return episodes[behind < episodes["step"].map(steps.value_counts()).fillna(0)]


def equal_from_the_first(recorded: pd.DataFrame, here: pd.DataFrame, near: float = 0.0) -> int:
    """Count the episodes that are equal, from the first on; ``near``: by how much of it a return may differ."""
    both = min(len(recorded), len(here))
    one, other = (frame.to_numpy(dtype=float)[:both] for frame in (recorded, here))
    same = (np.abs(one - other) <= near * np.abs(one)).all(axis=1)
    return both if same.all() else int(same.argmin())


def began_with(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the versions and the ``processor`` that a manifest's entry says its run was begun with."""
    begun = dict(entry.get("began_with") or {**(entry.get("versions") or {}), "processor": entry.get("processor")})
    begun.pop("commit", None)  # other code is to give the same bits
    return begun


def differences(entry: Mapping[str, Any], began: Mapping[str, Any], engine: str) -> tuple[str, ...]:
    """Say what of versions, processor and engine is not as a manifest's entry has it, each as "here, not there"; here
    is what ``began`` and ``engine`` say."""
    versions = began_with(entry)
    processor, here = versions.pop("processor", None), began.get("processor")
    told = [
        f"{name} {began.get(name, 'absent')}, not {value}"
        for name, value in versions.items()
        if began.get(name) != value
    ]
    if not processor or not here:
        told.append("a processor that was not recorded")
    else:
        told += [
            f"processor {name} {_words(here.get(name))}, not {_words(processor.get(name))}"
            for name in ("family", "microarchitecture", "vector_extensions")
            if here.get(name) != processor.get(name)
        ]
    then = first_engine(entry)
    return (*told, *([f"engine {engine}, not {then}"] if engine != then else []))


def first_engine(entry: Mapping[str, Any]) -> str:
    """Return what computed the first steps: of "torch to step 4096, then numba" torch, as of runs before there were
    two."""
    return next(iter(str(entry.get("engine") or "").split()), "torch")


def _words(value: Any) -> str:
    return ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, dict) else str(value)
