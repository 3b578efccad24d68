"""A run: algorithm, settings, environment, seed, budget and key, and their conversion to and from records."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines import ALGORITHMS, record_of
from experiments.modules import check_imported
from experiments.store.files import OtherVersionError, one_line
from experiments.store.records import Known, KnownSettings, RunRecord, Setting
from ppo.settings import Settings, declared


@dataclass(frozen=True)
class Run:
    """One training: an algorithm with its settings, an environment, a seed and a budget."""

    environment: str
    algorithm: str
    setting: str
    """A short name of the settings, for people and plots."""
    seed: int
    total_timesteps: int
    settings: Settings

    @property
    def record(self) -> RunRecord:
        """The run as plain data, for manifests."""
        return RunRecord(**{**vars(self), "settings": settings_to_json(self.settings)})

    @property
    def key(self) -> str:
        """Equal for two runs if and only if they have the same name and train the same."""
        return self.record.key

    def part(self, fraction: float) -> "Run":
        """Return a run as long as this ``fraction`` of it, for estimates only: its schedules would end sooner."""
        return replace(self, total_timesteps=math.ceil(fraction * self.total_timesteps))


def settings_to_json(settings: Settings) -> dict[str, Setting]:
    """Return settings as strict JSON, which has no infinity: inf becomes "inf".

    Settings that were added after runs were recorded are left out at their defaults, so that these runs keep their
    keys.
    """
    added = _added(settings)
    values = {name: getattr(settings, name) for name in declared(type(settings))}
    return {name: _to_json(value) for name, value in values.items() if name not in added or value != added[name]}


def _added(settings: Settings) -> dict[str, Any]:
    """Return the defaults of the settings that were added after runs were recorded."""
    return {name: setting.default for name, setting in declared(type(settings)).items() if setting.added}


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
    """Turn records into runs, with their settings classes.

    An algorithm or a setting that this version does not have is an ``OtherVersionError`` that names ``path``; what
    would have to be imported for one of them, a ``StoreError``.
    """
    return [_trainable(path, record) for record in records]


def _trainable(path: Path, record: RunRecord) -> Run:
    check_imported(path, record.environment)
    check_imported(path, record.algorithm)
    try:
        settings = settings_from_json(record_of(record.algorithm).load().Settings, record.settings)
        settings.check()
    except KeyError as error:
        message = f"{path} is of another version of this project: there is no algorithm {record.algorithm!r}"
        raise OtherVersionError(message) from error
    except (TypeError, ValueError) as error:
        raise OtherVersionError(f"{path} is of another version of this project: {one_line(error)}") from error
    return Run(**{**vars(record), "settings": settings})


def known_settings(own: Iterable[str] = ()) -> Known:
    """Return what settings every algorithm has, and ``own`` ones, ``MODULE:CLASS``, with their defaults, as data:
    records are compared by them."""
    usual = {name: record_of(name).load().Settings() for name in (*ALGORITHMS, *own)}
    return {
        name: KnownSettings(
            settings_to_json(settings), {added: _to_json(value) for added, value in _added(settings).items()}
        )
        for name, settings in usual.items()
    }
