"""Time limits as cuts and as ends, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.load import gather
from analysis.sections.humanoid.time_limits import figure, table
from tests.helpers.synthetic import write_humanoid_time_limits, write_humanoids

LOCOMOTION, HARDER = "RoboschoolHumanoid-v0", "RoboschoolHumanoidFlagrunHarder-v0"


def test_both_readings_stand_beside_the_papers_runs(tmp_path: Path) -> None:
    """Figure 4's runs return 100 x the seed, those with limits as ends 10 x the seed."""
    write_humanoid_time_limits(write_humanoids(tmp_path))
    made = table(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-time-limits"))
    assert made.shown["Task"].tolist() == [LOCOMOTION, HARDER]
    assert made.shown["Paper, its two runs"].tolist() == ["4151, 3979", "2664, 2515"]
    assert [cell.rstrip("‡§") for cell in made.shown["Ours, limits cut"]] == ["100, 200"] * 2
    assert made.shown["Ours, limits end"].tolist() == ["10.0, 20.0"] * 2
    scores = made.data.set_index(["limits", "environment", "seed"])["last_tenth"]
    assert len(scores) == 8, "Flagrun has one reading, so nothing to compare"
    assert scores["limits end", HARDER, 2] == 20


def test_what_is_not_trained_yet_is_left_open(tmp_path: Path) -> None:
    write_humanoid_time_limits(tmp_path)
    made = table(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-time-limits"))
    assert made.shown["Ours, limits cut"].tolist() == ["–", "–"]
    assert made.shown["Ours, limits end"].tolist() == ["10.0, 20.0"] * 2


@pytest.mark.parametrize("trained", [True, False])
def test_a_panel_has_every_run_and_the_papers_two(tmp_path: Path, trained: bool) -> None:
    write_humanoid_time_limits(write_humanoids(tmp_path) if trained else tmp_path)
    drawn = figure(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-time-limits"))
    assert [len(axes.lines) for axes in drawn.figure.axes] == [6 if trained else 4] * 2
    assert "Nothing else differs" in drawn.caption
