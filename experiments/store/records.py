"""Runs as recorded in manifests and stacks: plain data, without the classes that train them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.store.files import OtherVersionError, StoreError, one_line

Setting = bool | int | float | str

LARGEST_SEED = 2**63 - 1
"""What a column of whole numbers holds."""
LARGEST_BUDGET = 10**15
"""Steps of a run: more than a century of training."""
MOST_NAME = 1000
"""Bytes of a name at most."""


@dataclass(frozen=True)
class KnownSettings:
    """The settings that an algorithm has in this version, with their defaults."""

    recorded: Mapping[str, Setting]
    """settings that every record has"""
    added: Mapping[str, Setting]
    """settings that a record has only if they differ from the default"""


Known = Mapping[str, KnownSettings]
"""By algorithm."""


@dataclass(frozen=True)
class RunRecord:
    """One training: an algorithm with its settings, an environment, a seed and a budget."""

    environment: str
    algorithm: str
    setting: str
    """A short name of the settings, for people and plots."""
    seed: int
    total_timesteps: int
    settings: Mapping[str, Setting]
    """As in strict JSON: infinity is "inf"."""

    @property
    def name(self) -> tuple[str, str, str, int]:
        """What rows of a table tell runs apart by."""
        return self.environment, self.algorithm, self.setting, self.seed

    def check(self) -> None:
        """Raise ``StoreError`` for a run that could not be read again."""
        if not 0 <= self.seed <= LARGEST_SEED:
            raise StoreError(f"seed = {self.seed} cannot be used: it must lie between 0 and {LARGEST_SEED}")
        if not 1 <= self.total_timesteps <= LARGEST_BUDGET:
            right = f"it must lie between 1 and {LARGEST_BUDGET:.0e}"
            raise StoreError(f"total_timesteps = {self.total_timesteps} cannot be trained: {right}")
        for what in ("environment", "algorithm", "setting"):
            if len(name := getattr(self, what).encode(errors="replace")) > MOST_NAME:
                raise StoreError(f"the name of the {what} has {len(name):,} bytes, and a table takes {MOST_NAME:,}")

    @property
    def key(self) -> str:
        """Equal for two runs if and only if they have the same name and train the same."""
        about = [self.environment, self.algorithm, self.seed, self.total_timesteps, dict(self.settings)]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.environment}_{self.algorithm}_{self.setting}_{self.seed}_{digest}"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return {**vars(self), "settings": dict(self.settings)}


def records_from_json(path: Path, data: Any) -> list[RunRecord]:
    """Read the runs of a manifest or a stack; ``path``: for the message of a ``StoreError``."""
    try:
        return [_record_from_json(item) for item in data]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} does not describe runs: {one_line(error)}") from error


def _record_from_json(item: Any) -> RunRecord:
    settings = dict(item["settings"])
    for name, value in settings.items():
        if not isinstance(value, Setting):
            raise TypeError(f"setting {name!r} is a JSON {type(value).__name__}")
    texts = [item[name] for name in ("environment", "algorithm", "setting")]
    numbers = [item[name] for name in ("seed", "total_timesteps")]
    if not all(type(text) is str for text in texts) or not all(type(number) is int for number in numbers):
        raise TypeError(f"a run is called {str([*texts, *numbers])[:200]}")
    if not 0 <= numbers[0] < 2**63 or not 0 < numbers[1] < 2**63:
        raise ValueError(f"a run has seed {numbers[0]} and {numbers[1]} steps")
    environment, algorithm, setting = texts
    seed, total_timesteps = numbers
    return RunRecord(environment, algorithm, setting, seed, total_timesteps, settings)


def completed(path: Path, records: list[RunRecord], known: Known | None) -> list[RunRecord]:
    """Complete every record with the settings of this version: a setting that is later than the record had its default.

    Without ``known`` they stay as they are. So do those of an algorithm of somebody's own, ``MODULE:CLASS``, that is
    not ``known``: only its class could tell. Raises ``OtherVersionError`` for an algorithm, a setting or a kind of
    value that is not ``known``: the file at ``path`` may be whole, and another version of this project wrote it.
    """
    if known is None:
        return records
    return [_completed(path, record, known) for record in records]


def _completed(path: Path, record: RunRecord, known: Known) -> RunRecord:
    if ":" in record.algorithm and record.algorithm not in known:
        return record
    other = f"{path} is of another version of this project"
    if record.algorithm not in known:
        raise OtherVersionError(f"{other}: there is no algorithm {record.algorithm!r}")
    recorded, added = known[record.algorithm].recorded, known[record.algorithm].added
    defaults = {**recorded, **added}
    for name, value in record.settings.items():
        if name not in defaults:
            raise OtherVersionError(f"{other}: {record.algorithm} has no setting {name!r}")
        if not _alike(value, defaults[name]):
            raise OtherVersionError(f"{other}: {record.algorithm} cannot have {name} = {value!r}")
    named = {name: value for name, value in record.settings.items() if name not in added or value != added[name]}
    return replace(record, settings={**recorded, **named})


def _alike(value: Setting, default: Setting) -> bool:
    """Return whether both are numbers, infinity included, or both of one other type."""
    number = [type(one) in (int, float) or one in ("inf", "-inf") for one in (value, default)]
    return all(number) or (not any(number) and type(value) is type(default))
