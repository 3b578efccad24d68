from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import TRIED, write_tuning

from analysis.data.load import gather
from analysis.data.scores import scored
from analysis.sections import tuning


def test_a_settings_name_holds_its_values() -> None:
    assert tuning.values("learning_rate=0.0007,ema_decay=0.9") == {"learning_rate": "0.0007", "ema_decay": "0.9"}
    assert tuning.values("default") == {}


def test_every_setting_with_its_scores_and_where_it_is_best(tmp_path: Path) -> None:
    table = tuning.tuning(gather(write_tuning(tmp_path), "tuning"))
    columns = ["Algorithm", "Setting", "Steps", "HalfCheetah", "Reacher", "Best on"]
    assert list(table.shown.columns) == [*columns, "Relative", "Smoothed"]
    assert table.shown[columns].to_numpy().tolist()[:2] == [
        ["A2C", "learning_rate = 0.001", "20,000", "11.5 (11.0 · 12.0)", "115 (110 · 120)", "–"],
        ["A2C", "learning_rate = 0.0001", "20,000", "31.5 (31.0 · 32.0)", "315 (310 · 320)", "HalfCheetah, Reacher"],
    ]
    names = ["A2C"] * 3 + ["A2C + Trust Region"] * 3 + ["CEM"] * 2
    assert table.shown["Algorithm"].tolist() == names
    assert table.shown["Setting"].tolist()[3] == "learning_rate = 0.001, trust_region_delta = 1"
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
    from_name = "learning_rate", 0.001, "trust_region_delta = 1"
    assert placed["a2c-trust-region", "learning_rate=0.001,trust_region_delta=1"] == from_name
    from_manifest = "learning_rate", 0.0007, "trust_region_delta = 0.1"
    assert placed["a2c-trust-region", "trust_region_delta=0.1"] == from_manifest
    assert placed["cem", "population=50"] == ("population", 50.0, "")
    assert len(placed) == 8


def test_the_picture_has_the_means_and_says_what_falls_below(tmp_path: Path) -> None:
    drawing = tuning.figure(gather(write_tuning(tmp_path), "tuning"))
    a2c, trust, cem, _, below, _ = drawing.figure.axes  # HalfCheetah comes first
    lines = [line.get_xydata().tolist() for line in a2c.lines if line.get_linestyle() == "-"]
    assert lines == [[[0.0001, 31.5], [0.001, 11.5], [0.01, -4998.5]]]
    assert a2c.get_ylim()[0] > -100
    assert [text.get_text() for text in a2c.texts] == ["0.01: falls to −4999"]
    assert not [*trust.texts, *cem.texts]
    lines = [text.get_text() for text in below.get_legend().get_texts()]
    assert lines == ["trust_region_delta = 1", "trust_region_delta = 0.1"]
    assert {axes.get_xscale() for axes in (a2c, trust, cem)} == {"log"}


def test_a_setting_is_chosen_by_its_own_and_its_neighbours_scores_relative_to_the_best(tmp_path: Path) -> None:
    """By hand, of A2C's three rates 1e-4, 1e-3, 1e-2 with 31.5, 11.5 and -4998.5 (ten times that on Reacher)."""
    data = gather(write_tuning(tmp_path), "tuning")
    judged = tuning.judged(data, tuning.measured(data, scored(data))).set_index(["algorithm", "setting"])
    a2c = judged.loc["a2c"]
    relative = [31.5 / 31.5, 11.5 / 31.5, -4998.5 / 31.5]
    settings = ["learning_rate=0.0001", "learning_rate=0.001", "learning_rate=0.01"]
    assert a2c.loc[settings, "relative"].tolist() == pytest.approx(relative)
    smoothed = [sum(relative[:2]) / 2, sum(relative) / 3, sum(relative[1:]) / 2]
    assert a2c.loc[settings, "smoothed"].tolist() == pytest.approx(smoothed)
    assert a2c.loc[settings, "chosen"].tolist() == [True, False, False]
    assert judged.loc["cem", "chosen"].to_dict() == {"population=50": False, "population=20": True}
    assert judged["chosen"].sum() == 3


def test_settings_are_compared_with_those_trained_as_long_and_chosen_from_the_longest(tmp_path: Path) -> None:
    """A2C's rate 1e-3 trained twice as long as 1e-4, which has the higher score, and 1e-2."""
    data = gather(write_tuning(tmp_path), "tuning")
    longer = (data.runs["algorithm"] == "a2c") & (data.runs["setting"] == "learning_rate=0.001")
    data.runs.loc[longer, "total_timesteps"] *= 2
    a2c = tuning.judged(data, tuning.measured(data, scored(data))).set_index(["algorithm", "setting"]).loc["a2c"]
    settings = ["learning_rate=0.0001", "learning_rate=0.001", "learning_rate=0.01"]
    assert a2c.loc[settings, "relative"].tolist() == pytest.approx([1.0, 1.0, -4998.5 / 31.5])
    assert a2c.loc[settings, "chosen"].tolist() == [False, True, False]
    lines = tuning.points(data).query("algorithm == 'a2c'").groupby("setting")["line"].unique()
    assert [list(lines[setting]) for setting in settings] == [["20,000 steps"], ["40,000 steps"], ["20,000 steps"]]


def test_neighbours_are_a_step_away_in_fractions_and_the_same_in_all_else() -> None:
    tried = [f"network={n},std={s}" for n in ("10-5", "64-64") for s in ("0.1", "0.3", "1.0")] + ["std=0.1"]
    assert tuning.neighbours("network=10-5,std=0.1", tried) == ["network=10-5,std=0.1", "network=10-5,std=0.3"]
    assert tuning.neighbours("network=64-64,std=0.3", tried) == tried[3:6]
    assert tuning.neighbours("std=0.1", tried) == ["std=0.1"]
    counts = ["population=20", "population=50"]
    assert tuning.neighbours("population=20", counts) == ["population=20"]
