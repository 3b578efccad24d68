"""Runs that are to be trained again are drawn, marked with the reason, and counted as missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.data.completeness import mark, missing
from analysis.data.labels import SETTINGS
from analysis.data.load import gather, gather_interpolation
from analysis.report import evidence
from analysis.sections import figure1_2, figure3, figure3_aggregate, trpo_variants, tuning
from analysis.sections.atari import figure6, human_normalised, prefix, tables2_6
from analysis.sections.table1 import curves as table1_curves
from analysis.sections.table1 import runs as table1_runs
from analysis.sections.table1 import seeds as table1_seeds
from analysis.sections.table1 import table as table1
from analysis.style import formats
from analysis.style.formats import Table
from tests.helpers.synthetic import planned, write_atari, write_figure2, write_figure3, write_table1, write_tuning

WHY = "pi_old's deviation moved along"


def where(**wanted: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Marks the runs whose fields begin so."""

    def change(run: dict[str, Any]) -> dict[str, Any]:
        fits = all(str(run[field]).startswith(start) for field, start in wanted.items())
        return {**run, "superseded": WHY} if fits else run

    return change


def marked(table: Table, column: str) -> list[str]:
    """The first cells of the rows whose cell in that column is marked."""
    shown = table.shown.set_index(table.shown.columns[0])[column]
    return shown.index[shown.str.contains("†")].tolist()


def test_table_1_keeps_its_numbers_and_marks_them(tmp_path: Path) -> None:
    before = gather(write_table1(tmp_path / "before"), "table1")
    data = gather(write_table1(tmp_path / "after", where(setting="fixed-kl")), "table1")
    parts = table1.evaluate(data)
    table = table1.table1(data, parts)
    assert table1.table1(before, table1.evaluate(before)).data["ours"].equals(table.data["ours"])
    kl = [f"Fixed KL, β = {beta}" for beta in ("0.3", "1", "3", "10")]
    assert marked(table, "All seeds [95 % interval]") == kl
    assert marked(table1_runs.raw_scores(data, parts), "Walker2d") == kl
    assert marked(table1_runs.normalised_by_environment(data, parts), "Walker2d") == kl
    assert table1_seeds.ranks(data, parts).shown["Setting"].tolist()[-4:] == [f"{name}†" for name in kl]
    for notes in (table.notes, table1_seeds.ranks(data, parts).notes):
        assert "98 of 154 runs are finished, 56 superseded (†), to be trained again." in notes
        assert f"† 56 runs of PPO (Clip) are superseded: {WHY}." in notes
    assert r"$\dagger$" in formats.latex(table)
    drawing = table1_curves.figure(data)
    names = [text.get_text() for legend in drawing.figure.axes[-1:] for text in legend.get_legend().get_texts()]
    assert [name for name in names if name.endswith("†")] == [f"{name}†" for name in kl]
    assert WHY in drawing.caption
    assert WHY in table1.table1_scores(table1.table1_rows(data, parts), data, parts.runs).caption


def test_no_claim_is_judged_by_them(tmp_path: Path) -> None:
    results = write_table1(tmp_path, where(setting="fixed-kl"))
    write_figure2(write_figure3(results, ("ppo", "vpg"), change=where(algorithm="vpg")))
    table, comparison, games = (gather(results, name) for name in ("table1", "figure3", "atari"))
    judged = evidence(table, comparison, *gather_interpolation(results), games)
    assert set(judged.surrogates["setting"]) == {name for name in SETTINGS if not name.startswith("fixed-kl")}
    assert set(judged.algorithms["algorithm"]) == {"ppo"}
    assert judged.line is not None
    runs = [planned("Hopper", "clip-0.2", 1, superseded=WHY)]
    about = {"protocol": "figure2", "profile": "paper", "runs": runs}
    (results / "figure2" / "manifest.json").write_text(json.dumps(about))
    assert evidence(table, comparison, *gather_interpolation(results), games).line is None


def test_they_are_missing_task_by_task(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path, where(setting="clip-0.2", environment="H")), "table1")
    name = "PPO (Clip), Clipping, ε = 0.2 (seed 1, 2)"
    assert missing(data) == [f"table1: HalfCheetah, Hopper: superseded, to be trained again: {name} of each"]


def test_of_many_settings_the_missing_ones_are_counted(tmp_path: Path) -> None:
    """A sweep's every setting would fill a page."""
    seeds, settings = (201,), [f"desired_kl={value}" for value in range(9)]
    runs = [planned("Hopper", name, seed, algorithm="vpg", superseded=WHY) for name in settings for seed in seeds] + [
        planned("Hopper", "delta=1", 201, algorithm="cem", superseded=WHY),
        planned("Hopper", "a", 1),
    ]
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "manifest.json").write_text(
        json.dumps({"protocol": "tuning", "profile": "paper", "runs": [{**run, "steps_done": 0} for run in runs]})
    )
    assert missing(gather(tmp_path, "tuning")) == [
        "tuning: Hopper: superseded, to be trained again: CEM, delta=1 (seed 201); "
        "Vanilla PG, Adaptive (9 runs of 9 settings)"
    ]


def test_figure_3(tmp_path: Path) -> None:
    results = write_figure3(tmp_path, ("ppo", "trpo", "trpo-2017"), change=where(algorithm="trpo-2017"))
    data = gather(results, "figure3")
    runs = figure3_aggregate.normalised(data)
    rows = figure3_aggregate.rows(data, runs)
    old = "TRPO as released in 2017"
    assert marked(figure3_aggregate.aggregate(data, runs, rows), "All seeds: mean [95 % interval]") == [old]
    assert {old} == set(
        figure3.figure3_table(data).shown.query("`Last tenth, all seeds`.str.contains('†')")["Algorithm"]
    )
    assert trpo_variants.trpo(data).shown[f"{old}: distance"].str.endswith("†").all()
    assert not trpo_variants.trpo(data).shown["TRPO: distance"].str.contains("†").any()
    labels = [label.get_text() for label in figure3_aggregate.figure(rows, data, runs).figure.axes[0].get_yticklabels()]
    assert [label for label in labels if "†" in label] == [f"{old}†"]
    assert mark(data) == ""


def test_where_all_are_superseded_titles_say_so(tmp_path: Path) -> None:
    runs = [planned("Hopper", "clip-0.2", seed, superseded=WHY) for seed in (1, 2)]
    write_figure2(tmp_path)
    (tmp_path / "figure2" / "manifest.json").write_text(
        json.dumps({"protocol": "figure2", "profile": "paper", "runs": runs})
    )
    data, rows = gather_interpolation(tmp_path)
    table, drawing = figure1_2.figure2_table(data, rows), figure1_2.figure2(data, rows)
    assert table.title == "Figure 2 in numbers (ours all superseded, to be trained again)"
    assert not [note for note in table.notes if "runs are finished" in note]  # said once
    assert drawing.figure.get_suptitle() == "ours all superseded, to be trained again"
    assert marked(table, "x = 1, ours") == table.shown["Curve"].tolist()
    assert not marked(table, "x = 1, paper")
    assert f"† 2 runs of PPO (Clip) are superseded: {WHY}." in table.notes
    assert WHY in drawing.caption


def test_smoothed_curves_of_atari_are_drawn_and_marked(tmp_path: Path) -> None:
    for fraction in (1.0, 0.1):
        change = where(algorithm="a2c")
        results = write_atari(tmp_path / str(fraction), ["Pong"], lambda run: 1.0, fraction=fraction, change=change)
        data = gather(results, "atari")
        smoothed = figure6.smoothed(data)
        for drawing in (figure6.figure6(data, smoothed), figure6.figure6_games(data, smoothed, ["Pong"])):
            names = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
            assert names[:3] == ["A2C†", "ACER", "PPO"]
            assert WHY in drawing.caption
        profile = human_normalised.profile(data, smoothed)
        assert [text.get_text() for text in profile.figure.axes[0].get_legend().get_texts()][:3] == names[:3]
        assert WHY in profile.caption
        assert "†" in tables2_6.table2(data, tables2_6.measured(data), smoothed).shown["Source"][0]
    early = prefix.prefix(data, smoothed)
    assert set(early.shown.loc[early.shown["Ours"].str.contains("†"), "Algorithm"]) == {"A2C"}
    assert (early.shown["Ours"] != formats.NOTHING).all()
    assert f"† 3 runs of A2C are superseded: {WHY}." in early.notes


def test_atari_and_the_sweeps(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ["Pong"], lambda run: 1.0, change=where(algorithm="a2c")), "atari")
    runs = tables2_6.measured(data)
    assert marked(tables2_6.table6(data, runs), "A2C, ours") == ["Pong"]
    assert not marked(tables2_6.table6(data, runs), "ACER, ours")
    table = human_normalised.table(data, runs, figure6.smoothed(data))
    marked_rows = table.shown[table.shown["Source"].str.contains("†")]
    assert marked_rows["Algorithm"].tolist() == ["A2C", "A2C"]
    assert marked_rows["Source"].str.startswith("Ours").all()
    path = write_tuning(tmp_path) / "tuning" / "manifest.json"
    content = json.loads(path.read_text())
    content["runs"] = list(map(where(algorithm="cem"), content["runs"]))
    path.write_text(json.dumps(content))
    assert set(marked(tuning.tuning(gather(tmp_path, "tuning")), "Reacher")) == {"CEM"}


@pytest.mark.parametrize("value", [True, 7, ["why"]])
def test_a_reason_is_text(tmp_path: Path, value: Any) -> None:
    data = gather(write_table1(tmp_path, lambda run: {**run, "superseded": value}), "table1")
    assert f"table1/manifest.json has a run with superseded = {str(value)!r}" in str(data.problem)
