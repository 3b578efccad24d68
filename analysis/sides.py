"""The two sides of `ppo compare`: finding the runs that a name means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.data import scores
from analysis.data.imported import gather_imported
from analysis.data.labels import UNTRAINED
from analysis.data.load import RUN, Data, gather, gather_training, manifest
from experiments.store.files import check_tree

PROTOCOLS = (
    *("figure3", "table1", "figure4", "atari", "atari-readings", "readings", "readings-best", "tuning"),
    *("figure4-tuning", "figure4-readings", "figure4-settings", "klip-ppo", "none-on-reacher"),
    *("acer-on-breakout", "precision"),
)
"""The protocols whose runs can be compared; a name that is in several means the first of these."""


TRAINING = "ppo train"
"""Stands for the folder itself, with runs that belong to no protocol."""


@dataclass(frozen=True)
class Source:
    """The origin of a side's runs."""

    data: Data
    runs: pd.DataFrame
    """All complete runs: `scores.scored` and `steps`, the length of the training."""


@dataclass(frozen=True)
class Side:
    """One of the two sides that are compared."""

    name: str
    """The name in the command."""
    algorithm: str
    setting: str
    source: Source

    @property
    def runs(self) -> pd.DataFrame:
        """The source's runs of this algorithm and setting that have a score."""
        every = self.source.runs
        named = (every["algorithm"] == self.algorithm) & (every["setting"] == self.setting)
        return every[named & every["score"].notna()]


def chosen(first: str, second: str, results: Path, protocol: str | None) -> tuple[Side, Side]:
    """Find the runs of two names: each NAME or NAME@DIR, NAME an algorithm, a setting or ALGORITHM/SETTING.

    Both come from the first protocol that has both, if there is one. Raises a one-line ValueError if a name is unknown
    or ambiguous, if it has no finished runs, or if both are the same runs.
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise ValueError(_unknown("protocol", protocol, PROTOCOLS))
    (name_a, folder_a), (name_b, folder_b) = _split(first, results), _split(second, results)
    meant_a, meant_b = _meanings(name_a, folder_a, protocol), _meanings(name_b, folder_b, protocol)
    shared = [place for place in meant_a if place in meant_b]
    place_a, place_b = (shared[0], shared[0]) if shared else (next(iter(meant_a)), next(iter(meant_b)))
    source = _source(folder_a, place_a)
    same = (folder_a.resolve(), place_a) == (folder_b.resolve(), place_b)
    left = Side(first, *meant_a[place_a], source)
    right = Side(second, *meant_b[place_b], source if same else _source(folder_b, place_b))
    for side in (left, right):
        if side.runs.empty:
            raise ValueError(f"{side.name!r} has no finished runs in {side.source.data.protocol}")
    if (left.algorithm, left.setting) == (right.algorithm, right.setting) and _alike(left.runs, right.runs):
        raise ValueError(f"{first!r} and {second!r} are the same runs: {left.algorithm}/{left.setting}")
    return left, right


def _split(asked: str, results: Path) -> tuple[str, Path]:
    name, at, folder = asked.partition("@")
    path = Path(folder) if at else results
    if not path.is_dir():
        raise ValueError(f"there is no results folder {path}")
    check_tree(path)
    return name, path


def _meanings(name: str, folder: Path, protocol: str | None) -> dict[str, tuple[str, str]]:
    """Find the algorithm and setting that `name` means, by protocol (or TRAINING)."""
    places = {place: folder / place for place in (PROTOCOLS if protocol is None else (protocol,))}
    places |= {TRAINING: folder} if protocol is None else {}
    names = {
        place: _named(manifest(path, None if place == TRAINING else place)["runs"])
        for place, path in places.items()
        if (path / "manifest.json").exists()
    }
    imports = gather_imported(folder) if protocol is None else []
    names |= {one.data.protocol: _named(one.data.manifest["runs"]) for one in imports if not one.data.problem}
    if not names:
        raise ValueError(f"{folder} has no runs" + (f" of {protocol}" if protocol else ""))
    meant = {place: known[name] for place, known in names.items() if name in known}
    if not meant:
        raise ValueError(_unknown(f"algorithm or setting in {folder}", name, sorted(set().union(*names.values()))))
    usual = next((pairs[0] for pairs in meant.values() if len(pairs) == 1), None)
    if usual is None:
        place, pairs = next(iter(meant.items()))
        some = ", ".join("/".join(pair) for pair in pairs[:3])
        where = places.get(place, place)
        raise ValueError(f"{name!r} has {len(pairs)} settings in {where}: name one of them, such as {some}")
    # PPO is one setting in Figure 3, and one of eleven in Table 1: there it means the same one.
    result = {place: pairs[0] if len(pairs) == 1 else usual for place, pairs in meant.items()}
    return {place: pair for place, pair in result.items() if pair in meant[place]}


def _named(runs: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """List the possible names of a manifest's runs, and the algorithms and settings that each means."""
    names: dict[str, list[tuple[str, str]]] = {}
    for algorithm, setting in dict.fromkeys((str(run["algorithm"]), str(run["setting"])) for run in runs):
        for name in dict.fromkeys((algorithm, setting, f"{algorithm}/{setting}")):
            if name != "default" and setting != UNTRAINED:
                names.setdefault(name, []).append((algorithm, setting))
    return names


def _source(folder: Path, place: str) -> Source:
    imports = {one.data.protocol: one for one in gather_imported(folder)}
    if place in imports:
        data = imports[place].data
    else:
        data = gather_training(folder) if place == TRAINING else gather(folder, place)
    if place in imports and len(imports[place].averages):
        raise ValueError(
            f"{folder / place} holds averages over episodes: they are drawn, and have no scores to compare"
        )
    if data.problem:
        raise ValueError(data.problem.rstrip("."))
    runs = scores.scored(data)
    return Source(data, runs.assign(steps=(data.fraction * runs["total_timesteps"]).round().astype("int64")))


def _alike(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Return whether all runs of both have equal scores: they are then copies."""
    shared = left.merge(right, on=RUN, suffixes=("", "_right"))
    return len(shared) > 0 and bool((shared["score"] == shared["score_right"]).all())


def _unknown(kind: str, name: str, valid: Sequence[str]) -> str:
    near = [known for known in valid if name in known][:3] or difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    return f"unknown {kind}: {name!r}; " + (
        f"did you mean {', '.join(near)}?" if near else f"valid: {', '.join(valid)}"
    )
