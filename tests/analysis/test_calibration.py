"""What chose a reading or a setting is marked wherever it stands, and the list is that of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data import calibration
from analysis.data.labels import task
from analysis.data.load import gather, gather_interpolation
from analysis.report import build
from analysis.sections import figure1_2, figure3, other_implementations
from analysis.sections.readings import model
from analysis.sections.table1 import curves as table1_curves
from analysis.sections.table1 import runs as table1_runs
from analysis.sections.table1 import table as table1
from experiments.paper.humanoid import TUNED_ENVIRONMENT, TUNING_SEEDS
from experiments.paper.readings import STUDY_SEEDS
from experiments.paper.settings import HUMANOID
from experiments.paper.sweeps import SWEEPS, SWEPT_ENVIRONMENTS
from tests.helpers.synthetic import write_figure2, write_figure3, write_table1


def test_what_is_marked_as_calibration_is_what_the_rule_looks_at() -> None:
    """By the responses that the rule is given: scores of two rows on two tasks, and Figure 2's curves."""
    looked_at = {("ppo", own.row, own.task) for own in model.RESPONSES.values() if not own.curve}
    marked = {
        (*run, name)
        for choice in calibration.CHOICES
        if choice.mark == "‡"
        for run in choice.runs
        for name in choice.tasks
    }
    humanoids = {("ppo", "default", task(environment)) for environment in HUMANOID}
    assert marked == looked_at | humanoids
    seeds = f"seeds {min(STUDY_SEEDS)} to {max(STUDY_SEEDS)}"
    by_study = [
        choice for choice in calibration.CHOICES if choice.mark == "‡" and ("ppo", "default") not in choice.runs
    ]
    assert len(by_study) == 2
    assert all(seeds in choice.why for choice in by_study)
    assert seeds in calibration.FIGURE2


def test_figure_2_is_marked_where_the_rule_looks_and_nowhere_else(tmp_path: Path) -> None:
    data, rows = gather_interpolation(write_figure2(tmp_path))
    table = figure1_2.figure2_table(data, rows)
    marked = [column for column in table.shown if table.shown[column].str.contains("‡").any()]
    assert marked == ["x = 1, ours"]
    assert any("‡ Calibration" in note for note in table.notes)
    assert "‡ Calibration" in figure1_2.figure2(data, rows).caption


def test_what_is_marked_as_tuned_is_what_the_sweeps_tuned() -> None:
    tuned = {run: choice for choice in calibration.CHOICES if choice.mark == "§" for run in choice.runs}
    humanoid = tuned.pop(("ppo", "default"))
    assert humanoid.tasks == (task(TUNED_ENVIRONMENT),)
    assert all(str(seed) in humanoid.why for seed in TUNING_SEEDS)
    assert set(tuned) == {(sweep.algorithm, "default") for sweep in SWEEPS}
    for sweep in SWEEPS:
        choice = tuned[sweep.algorithm, "default"]
        assert set(choice.tasks) == {task(environment) for environment in SWEPT_ENVIRONMENTS}
        first, last = min(sweep.seeds), max(sweep.seeds)
        assert (f"seed {first})" if first == last else f"seeds {first} to {last})") in choice.why


def test_table_1_and_what_is_behind_it(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    parts = table1.evaluate(data)
    main = table1.table1(data, parts).shown.set_index("Setting")["All seeds [95 % interval]"]
    assert main.index[main.str.endswith("‡")].tolist() == ["No clipping or penalty", "Clipping, ε = 0.2"]
    for table in (table1_runs.raw_scores(data, parts), table1_runs.normalised_by_environment(data, parts)):
        shown = table.shown.set_index("Setting").stack()
        assert [*shown[shown.str.endswith("‡")].index] == [
            ("No clipping or penalty", "HalfCheetah"),
            ("Clipping, ε = 0.2", "HalfCheetah"),
            ("Clipping, ε = 0.2", "InvertedPendulum"),
        ]
        assert sum(note.startswith("‡") for note in table.notes) == 2
    caption = table1.table1_scores(table1.table1_rows(data, parts), data, parts.runs).caption
    assert caption.count("‡") == 2
    assert "agreement there is no evidence" in table1_curves.figure(data).caption


def test_figure_3_and_the_scores_elsewhere(tmp_path: Path) -> None:
    data = gather(write_figure3(tmp_path, ("ppo", "a2c", "trpo")), "figure3")
    shown = figure3.figure3_table(data).shown.set_index(["Environment", "Algorithm"])[
        "Last 100 episodes, seeds 1, 2, 3"
    ]
    marks = {key: cell[-1] for key, cell in shown.items() if cell[-1] in "‡§"}
    assert marks == {
        ("HalfCheetah", "A2C"): "§",
        ("Hopper", "A2C"): "§",
        ("HalfCheetah", "TRPO"): "§",
        ("Hopper", "TRPO"): "§",
        ("HalfCheetah", "PPO (Clip)"): "‡",
        ("InvertedPendulum", "PPO (Clip)"): "‡",
    }
    ours = other_implementations.elsewhere(data).shown.query("Source == 'This project' and Algorithm == 'A2C'")
    assert ours["HalfCheetah"].str.endswith("§").all()
    assert not ours["Walker2d"].str.contains("§").any()
    assert "tuned on this task" in figure3.figure3(data).caption


@pytest.mark.usefixtures("_without_pictures")
def test_the_report_lists_what_was_chosen_by_what(tmp_path: Path) -> None:
    build(tmp_path / "nothing", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    listed = page.partition("What was chosen by what</h2>")[2].partition("<h2")[0]
    assert listed.count("<li>") == len(calibration.CHOICES)


@pytest.mark.parametrize("name", ["HalfCheetah", "Walker2d"])
def test_a_mark_needs_the_task_and_the_setting(name: str, tmp_path: Path) -> None:
    runs = table1.evaluate(gather(write_table1(tmp_path), "table1")).runs
    here = runs[runs["task"] == name]
    assert calibration.marks(here[here["setting"] == "clip-0.1"]) == ""
    assert calibration.marks(here[here["setting"] == "clip-0.2"]) == ("‡" if name == "HalfCheetah" else "")
    assert calibration.marks(here) == ("‡" if name == "HalfCheetah" else "")  # of two choices one mark
