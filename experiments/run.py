"""A run: what is trained, with which settings, and its key; to and from the data that are recorded of it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines import ALGORITHMS
from experiments.store.files import OtherVersionError, one_line
from experiments.store.records import Known, KnownSettings, RunRecord, Setting
from ppo.settings import Settings, declared


@dataclass(frozen=True)
class Run:
    """One training: one algorithm with its settings, one environment, one seed, one budget."""

    environment: str
    algorithm: str
    setting: str
    """A short name of the settings, for people and plots."""
    seed: int
    total_timesteps: int
    settings: Settings

    @property
    def record(self) -> RunRecord:
        """The same as data, as it is recorded."""
        return RunRecord(**{**vars(self), "settings": settings_to_json(self.settings)})

    @property
    def key(self) -> str:
        """The same for two runs exactly if they train the same thing under the same name."""
        return self.record.key

    def part(self, fraction: float) -> "Run":
        """Return a run as long as the first part of this one: to estimate with, not to train, for its schedules end
        sooner."""
        return replace(self, total_timesteps=math.ceil(fraction * self.total_timesteps))


def settings_to_json(settings: Settings) -> dict[str, Setting]:
    """Return settings as strict JSON, which has no infinity: inf becomes "inf".

    Those that were added after runs were recorded are left out at their defaults, so that these runs keep their keys.
    """
    added = _added(settings)
    values = {name: getattr(settings, name) for name in declared(type(settings))}
    return {name: _to_json(value) for name, value in values.items() if name not in added or value != added[name]}


def _added(settings: Settings) -> dict[str, Any]:
    """Return the defaults of the settings that runs were recorded without."""
    return {name: own.default for name, own in declared(type(settings)).items() if own.added}


def _to_json(value: Any) -> Setting:
    infinite = isinstance(value, float) and value in (math.inf, -math.inf)
    json_value: Setting = repr(value) if infinite else value
    return json_value


def settings_from_json(kind: type[Settings], data: Mapping[str, Setting]) -> Settings:
    """Invert ``settings_to_json``. Raises ``ValueError`` for names that ``kind`` does not have."""
    if unknown := sorted(set(data) - set(declared(kind))):
        raise ValueError(f"{kind.__name__} has no setting {unknown[0]!r}")
    values: dict[str, Any] = {name: float(value) if value in ("inf", "-inf") else value for name, value in data.items()}
    return kind(**values)


def trainable(path: Path, records: Iterable[RunRecord]) -> list[Run]:
    """Load the settings' classes of recorded runs.

    An algorithm or a setting that this version does not have is an ``OtherVersionError`` that names ``path``.
    """
    return [_trainable(path, record) for record in records]


def _trainable(path: Path, record: RunRecord) -> Run:
    try:
        if record.algorithm not in ALGORITHMS:
            raise ValueError(f"there is no algorithm {record.algorithm!r}")
        settings = settings_from_json(ALGORITHMS[record.algorithm].load().Settings, record.settings)
        settings.check()
    except (TypeError, ValueError) as error:
        raise OtherVersionError(f"{path} is of another version of this project: {one_line(error)}") from error
    return Run(**{**vars(record), "settings": settings})


def known_settings() -> Known:
    """Return what settings every algorithm has, with their defaults, as data: records are compared by them."""
    usual = {name: record.load().Settings() for name, record in ALGORITHMS.items()}
    return {
        name: KnownSettings(
            settings_to_json(settings), {added: _to_json(value) for added, value in _added(settings).items()}
        )
        for name, settings in usual.items()
    }
