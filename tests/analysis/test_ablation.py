from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import READINGS, write_ablation

from analysis import ablation
from analysis.load import gather


def test_readings_in_the_manifests_order_beside_the_paper(tmp_path: Path) -> None:
    table = ablation.ablation(gather(write_ablation(tmp_path), "ablation"))
    assert table.shown["Reading"].tolist() == [
        "Base reading",
        "Value loss clipped",
        "Learning rate annealed to 0",
        "Paper, last 100k",
    ]
    clip, none, pendulum = (
        "HalfCheetah: Clipping, ε = 0.2",
        "HalfCheetah: No clipping or penalty",
        "InvertedDoublePendulum: Clipping, ε = 0.2",
    )
    assert list(table.shown.columns[1:-1:2]) == [clip, none, pendulum]
    assert table.shown[clip].tolist() == ["102 (101 · 102)", "51.5 (51.0 · 52.0)", "122 (121 · 122)", "1810 ± 308"]
    assert table.shown[none].tolist()[::3] == ["−898 (−899 · −898)", "–"]  # the paper has no such number
    assert table.shown[pendulum].tolist()[3] == "7308 ± 472"
    assert table.shown[f"Change, {none}"].tolist() == ["–", "−50.0", "+20.0", "–"]


def test_the_nearest_reading_that_sinks_is_chosen() -> None:
    """The paper: HalfCheetah 1810 +- 308, InvertedDoublePendulum 7308 +- 472; its random policy has about -600."""
    scores = {"far": (1244, 7358, -5000), "near": (1860, 7830, -5000), "nearest": (1860, 7358, -560), "half": (1860,)}
    numbers = pd.DataFrame(
        [
            {
                "reading": reading,
                "environment": name,
                "row": row,
                "score": score - 50,
                "highest": score,
                "paper": paper,
                "band": band,
            }
            for reading, found in scores.items()
            for (name, row, paper, band), score in zip(
                [
                    ("HalfCheetah", "clip-0.2", 1810, 308),
                    ("InvertedDoublePendulum", "clip-0.2", 7308, 472),
                    ("HalfCheetah", "none", np.nan, np.nan),
                ],
                (*found, np.nan, np.nan)[:3],
                strict=True,
            )
        ]
    )
    frame = ablation.judged(numbers).set_index("reading")
    assert frame["distance"].round(3).tolist()[:3] == [1.0, 0.5, 0.0]
    assert np.isnan(frame.at["half", "distance"])
    assert frame["sinks"].tolist() == [True, True, False, False]
    assert frame["chosen"].tolist() == [False, True, False, False]


def test_numbers_by_hand(tmp_path: Path) -> None:
    frame = ablation.measured(gather(write_ablation(tmp_path), "ablation"))
    assert len(frame) == 3 * len(READINGS)
    for row in frame.to_dict("records"):
        base = 101.5 - 1000 * (row["row"] == "none")
        assert row["score"] == pytest.approx(base + READINGS[row["reading"]])
        assert row["last_tenth"] == pytest.approx(row["score"])
        assert row["difference"] == pytest.approx(READINGS[row["reading"]])
        assert (row["runs"], row["planned"], row["diverged"]) == (2, 2, 0)
        assert np.isnan(row["paper"]) == (row["row"] == "none")


def test_a_change_is_taken_seed_by_seed(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        if run["setting"].endswith("value-clipping") and run["seed"] == 101:
            return {**run, "status": "running", "steps_done": 9_000}
        if run["setting"] == "none+annealed-lr" and run["seed"] == 101:
            return {**run, "diverged_at": 9_000}
        return run

    data = gather(write_ablation(tmp_path, change), "ablation")
    frame = ablation.measured(data).set_index(["environment", "row", "reading"])
    row = frame.loc[("HalfCheetah", "clip-0.2", "value-clipping")]
    assert (row["runs"], row["planned"], row["score"]) == (1, 2, 52.0)
    assert row["difference"] == -50.0  # of seed 102; the difference of the means would be -49.5
    assert frame.at[("HalfCheetah", "none", "annealed-lr"), "diverged"] == 1
    table = ablation.ablation(data)
    assert "15 of 18 runs are finished." in table.notes
    assert table.shown["HalfCheetah: No clipping or penalty"][2] == "−878 (−879× · −878)"
