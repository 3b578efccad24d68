"""Cells that several tables share, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.style.cells import seeds_cell, seeds_counted, spread_cell, value_with_interval


def runs(*scores: float, diverged: int | None = None, line: str = "a") -> pd.DataFrame:
    frame = pd.DataFrame({"seed": range(1, len(scores) + 1), "score": scores, "line": line, "superseded": ""})
    return frame.assign(diverged_at=np.where(frame["seed"] == diverged, 5.0, np.nan))


def test_each_seed_and_the_spread_of_all() -> None:
    three = runs(100.0, 110.0, 120.0)
    assert (seeds_cell(three), spread_cell(three)) == ("110 (100 · 110 · 120)", "110 ± 10.0 (3)")
    assert spread_cell(runs(1.0, 3.0, diverged=2), digits=2) == "2.00 ± 1.41 (2×)"
    assert spread_cell(runs(7.0)) == "7.0 (1)"
    assert spread_cell(runs().astype({"score": float})) == "–"
    assert spread_cell(three.assign(superseded="why")).endswith("†")


def test_without_an_interval_the_value_stands_alone() -> None:
    nan = float("nan")
    assert (value_with_interval(0.8, 0.7, 0.9), value_with_interval(0.8, nan, nan)) == ("0.80 [0.70, 0.90]", "0.80")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, ""),
        ({"a": 3, "b": 3}, " (3 each)"),
        ({"a": 5, "b": 10, "c": 10, "d": 5}, " (10 of B, C, 5 of the others)"),
        ({"a": 1, "b": 5, "c": 5, "d": 10}, " (10 of D, 1 of A, 5 of the others)"),
    ],
)
def test_how_many_seeds_stand_behind_each_line(counts: dict[str, int], said: str) -> None:
    frames = [runs(*[0.0] * count, line=line) for line, count in counts.items()]
    frame = pd.concat([runs(), *frames])
    assert seeds_counted(frame, "line", str.upper) == said
