"""A sentence with its numbers, and where the numbers are from: the tables, the manifests and the episodes."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data.published import PUBLISHED
from analysis.data.scores import papers_seeds

RESULTS = PUBLISHED.resolve().parent


@dataclass(frozen=True)
class Pin:
    documents: str
    """Where the sentence stands: "both", or one of DOCUMENTS."""
    template: str
    values: tuple[str, ...]

    def sentence(self) -> str:
        return self.template.format(*self.values)


@functools.cache
def table(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / "tables" / f"{name}.csv")


def shown(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def rows(name: str, **where: Any) -> pd.DataFrame:
    frame = table(name)
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame), (name, where)
    return frame


def cells(name: str, columns: str, digits: int, **where: Any) -> list[str]:
    """The named columns of the one row of a table for which `where` holds."""
    frame = rows(name, **where)
    assert len(frame) == 1, (name, where)
    return [shown(float(frame[column].iloc[0]), digits) for column in columns.split()]


def mean(digits: int, **where: Any) -> str:
    return shown(float(rows("scores", **where)["score"].mean()), digits)


@functools.cache
def random_level(environment: str, digits: int = 0) -> str:
    episodes = pd.read_parquet(RESULTS / "table1" / "episodes.parquet")
    untrained = papers_seeds(episodes[(episodes["setting"] == "untrained") & (episodes["environment"] == environment)])
    return shown(float(untrained["episodic_return"].mean()), digits)


def manifest(protocol: str) -> list[dict[str, Any]]:
    """Return the records of a protocol's runs."""
    runs: list[dict[str, Any]] = json.loads((RESULTS / protocol / "manifest.json").read_text())["runs"]
    return runs


def floor(value: float) -> str:
    """The hundred below."""
    return str(int(value // 100 * 100))
