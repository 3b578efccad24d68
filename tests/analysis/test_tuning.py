from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import TRIED, write_tuning

from analysis import tuning
from analysis.load import gather


def test_a_settings_name_holds_its_values() -> None:
    assert tuning.values("learning_rate=0.0007,delta=0.1") == {"learning_rate": "0.0007", "delta": "0.1"}
    assert tuning.values("default") == {}


def test_every_setting_with_its_scores_and_where_it_is_best(tmp_path: Path) -> None:
    table = tuning.tuning(gather(write_tuning(tmp_path), "tuning"))
    assert list(table.shown.columns) == ["Algorithm", "Setting", "Steps", "HalfCheetah", "Reacher", "Best on"]
    assert table.shown.to_numpy().tolist()[:2] == [
        ["A2C", "learning_rate = 0.001", "20,000", "11.5 (11.0 · 12.0)", "115 (110 · 120)", "–"],
        ["A2C", "learning_rate = 0.0001", "20,000", "31.5 (31.0 · 32.0)", "315 (310 · 320)", "HalfCheetah, Reacher"],
    ]
    names = ["A2C"] * 3 + ["A2C + Trust Region"] * 3 + ["CEM"] * 2
    assert table.shown["Algorithm"].tolist() == names
    assert table.shown["Setting"].tolist()[3] == "learning_rate = 0.001, delta = 1"
    assert table.shown["Best on"].tolist().count("HalfCheetah, Reacher") == 3
    numbers = table.data.set_index(["algorithm", "setting", "task"])
    for algorithm, tried in TRIED.items():
        for setting, value in tried.items():
            assert numbers.at[(algorithm, setting, "HalfCheetah"), "score"] == pytest.approx(value + 1.5)
            assert numbers.at[(algorithm, setting, "Reacher"), "score"] == pytest.approx(10 * (value + 1.5))
    assert numbers["best"].sum() == 6


def test_what_scores_are_drawn_against(tmp_path: Path) -> None:
    frame = tuning.points(gather(write_tuning(tmp_path), "tuning")).query("task == 'Reacher' and seed == 201")
    placed = {(row.algorithm, row.setting): (row.axis, row.x, row.line) for row in frame.itertuples()}
    assert placed["a2c", "learning_rate=0.0001"] == ("learning_rate", 0.0001, "")
    assert placed["a2c-trust-region", "learning_rate=0.001,delta=1"] == ("learning_rate", 0.001, "delta = 1")
    assert placed["a2c-trust-region", "delta=0.1"] == ("learning_rate", 0.0007, "delta = 0.1")  # from the manifest
    assert placed["cem", "population=50"] == ("population", 50.0, "")
    assert len(placed) == 8


def test_the_picture_has_the_means_and_says_what_falls_below(tmp_path: Path) -> None:
    drawing = tuning.figure(gather(write_tuning(tmp_path), "tuning"))
    a2c, trust, cem, *_ = drawing.figure.axes  # HalfCheetah comes first
    lines = [line.get_xydata().tolist() for line in a2c.lines if line.get_linestyle() == "-"]
    assert lines == [[[0.0001, 31.5], [0.001, 11.5], [0.01, -4998.5]]]
    assert a2c.get_ylim()[0] > -100
    assert [text.get_text() for text in a2c.texts] == ["0.01: falls to −4999"]
    assert not [*trust.texts, *cem.texts]
    assert [text.get_text() for text in trust.get_legend().get_texts()] == ["delta = 1", "delta = 0.1"]
    assert {axes.get_xscale() for axes in (a2c, trust, cem)} == {"log"}
