from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from analysis.data.labels import SETTINGS
from analysis.data.load import gather
from analysis.sections import table1
from tests.helpers.synthetic import write_table1


def rows_of(results: Path) -> list[table1.Row]:
    data = gather(results, "table1")
    return table1.table1_rows(data, table1.evaluate(data))


def test_table1_from_known_scores(tmp_path: Path) -> None:
    # Setting i of 11 has 10 (i + 1) -+ 1 in seeds 1 and 2, times the environment's scale; the random level is 0. So the
    # best run is 111, the best setting 110, in units of the scale.
    rows = rows_of(write_table1(tmp_path))
    assert [row.setting for row in rows] == list(SETTINGS)
    for i, row in enumerate(rows):
        assert row.ours == pytest.approx(10 * (i + 1) / 111)
        assert row.ours_by_setting == pytest.approx(10 * (i + 1) / 110)
        assert row.iqm == pytest.approx(row.ours)
        assert (row.runs, row.planned, row.diverged) == (14, 14, 0)
        half = scipy.stats.t.ppf(0.975, 7) / 111 / np.sqrt(7)  # on each of seven tasks s / sqrt(n) is 1, of 1 degree
        assert (row.low, row.high) == pytest.approx((row.ours - half, row.ours + half))


def test_table1_shows_the_papers_column_and_the_rank_correlation(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    table = table1.table1(data, table1.evaluate(data))
    assert table.shown["Paper"].tolist()[:3] == ["−0.39", "0.76", "0.82"]
    # Ranks of the paper's column (ties share): -.39 .76 .82 .70 .68 .74 .71 .62 .71 .72 .69
    paper = np.array([1, 10, 11, 5, 3, 9, 6.5, 2, 6.5, 8, 4])
    expected = np.corrcoef(np.arange(11), paper)[0, 1]
    assert f"{expected:.2f}".replace("-", "−") in table.notes[0]
    assert table.notes[1] == "Runs scored: 154 of 154; diverged: 0."
    assert [note[0] for note in table.notes[2:]] == ["‡", "‡"]


def test_unfinished_runs_are_not_scored_and_counted(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        if run["environment"] == "Walker2d-v4":
            return None
        if run["environment"] == "Swimmer-v4":
            return {**run, "status": "running", "steps_done": 10_000}
        return run

    data = gather(write_table1(tmp_path, change), "table1")
    parts = table1.evaluate(data)
    rows = table1.table1_rows(data, parts)
    assert [(row.runs, row.planned) for row in rows] == [(10, 12)] * 11
    assert rows[0].ours == pytest.approx(10 / 111)
    assert "110 of 132 runs are finished." in table1.table1(data, parts).notes
    raw = table1.raw_scores(data, parts).shown.set_index("Setting")
    assert raw.loc["No clipping or penalty", ["Swimmer", "Walker2d"]].tolist() == ["–", "–"]
    assert raw.at["No clipping or penalty", "Hopper"] == "20.0 (18.0 · 22.0)"
    assert raw.at["Best single run (1)", "Hopper"] == "222"


def test_a_diverged_run_is_scored_marked_and_counted(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        diverges = (run["environment"], run["setting"], run["seed"]) == ("HalfCheetah-v4", "none", 2)
        return {**run, "diverged_at": 5_000} if diverges else run

    data = gather(write_table1(tmp_path, change), "table1")
    parts = table1.evaluate(data)
    row = table1.table1_rows(data, parts)[0]
    assert (row.runs, row.diverged) == (14, 1)
    raw = table1.raw_scores(data, parts).shown.set_index("Setting")
    assert raw.at["No clipping or penalty", "HalfCheetah"] == "10.0 (9.0 · 11.0×)‡"


def test_without_all_seven_tasks_there_is_no_difference_to_the_paper(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return run if run["environment"] == "InvertedPendulum-v4" and run["seed"] == 1 else None

    data = gather(write_table1(tmp_path, change, profile="quick"), "table1")
    table = table1.table1(data, table1.evaluate(data))
    best = table.shown.set_index("Setting").loc["Fixed KL, β = 10"]
    assert best["Ours [95 % interval]"] == "1.00 [–]"  # one run
    assert (best["Paper"], best["Ours − paper"]) == ("0.69", "–")
    assert not any("Rank correlation" in note for note in table.notes)


def test_the_order_is_as_sure_as_the_seeds_make_it(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    table = table1.ranks(data, table1.evaluate(data))
    chances = table.data.set_index("setting")
    # Neighbours lie 10 apart, with 1 / sqrt(7) of 7 degrees each: setting i of 11 has rank 11 - i, surely.
    for i, setting in enumerate(SETTINGS):
        assert chances.at[setting, f"P(rank {11 - i})"] > 0.99
    assert chances.at["clip-0.2", "paper_rank"] == 1
    assert chances.loc[["adaptive-kl-0.03", "fixed-kl-1"], "paper_rank"].tolist() == [5.5, 5.5]
    assert table.shown["Setting"].tolist()[:3] == ["No clipping or penalty‡", "Clipping, ε = 0.1", "Clipping, ε = 0.2‡"]


def test_no_random_level_no_scale(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if (run["environment"], run["setting"]) == ("Hopper-v4", "untrained") else run

    data = gather(write_table1(tmp_path, change), "table1")
    parts = table1.evaluate(data)
    assert [row.runs for row in table1.table1_rows(data, parts)] == [12] * 11
    assert any(note.startswith("Left out: Hopper:") for note in table1.table1(data, parts).notes)


def test_quick_data_are_marked(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path, profile="quick"), "table1")
    parts = table1.evaluate(data)
    for make in (table1.table1, table1.raw_scores, table1.normalised_by_environment):
        table = make(data, parts)
        assert "quick profile: 2 seeds, 20,000 steps: not comparable with the paper's numbers" in table.title
        assert "Quick profile" in table.notes[-1]
