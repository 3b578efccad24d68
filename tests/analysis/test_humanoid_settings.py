"""What moves the beginning of Flagrun harder, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.humanoid.settings import papers, table
from analysis.thinning import thin
from experiments.paper.humanoid import CHANGES, ENDS_NAME
from experiments.run import Run
from tests.helpers.synthetic import write_humanoid_settings

HARDER = "RoboschoolHumanoidFlagrunHarder-v0"


def place(run: Run) -> float:
    return float(list(CHANGES).index(run.setting))


def test_each_change_stands_beside_the_papers_two_runs(tmp_path: Path) -> None:
    """Half of a window's episodes return 10 more; all weigh the same, and those before 18M steps nothing."""
    made = table(gather(write_humanoid_settings(tmp_path, place), "figure4-settings"))
    assert list(made.shown) == ["Changed", "18M to 20M", "whole", "never up"]
    first = ["the paper's two", "details: first, bootstrap_truncation: False"]
    assert made.shown["Changed"].tolist()[:2] == first
    scores = made.data.set_index("setting")["score"]
    for number, setting in enumerate(CHANGES):
        assert scores[setting] == pytest.approx(number + 5.0)
    assert "20M of 100M steps" in made.title


def test_how_episodes_ended_is_told_of_the_same_steps(tmp_path: Path) -> None:
    """Four episodes of these steps: of 1,000, 170, 170 and 300 steps."""
    made = table(gather(write_humanoid_settings(tmp_path, place), "figure4-settings"))
    ended = made.data.set_index("setting").loc[ENDS_NAME]
    assert (ended["whole"], ended["never_up"]) == (1 / 4, 2 / 4)
    assert made.shown.iloc[1, -2:].tolist() == ["25%", "50%"]
    assert made.shown.iloc[0, -2:].tolist() == ["–", "–"], "of the paper's nothing is known"


def test_the_episodes_that_scores_need_are_all_that_it_needs(tmp_path: Path) -> None:
    write_humanoid_settings(tmp_path, place)
    before = table(gather(tmp_path, "figure4-settings"))
    rows, kept = thin(tmp_path / "figure4-settings")
    assert kept < rows
    after = table(gather(tmp_path, "figure4-settings"))
    assert after.shown.to_dict() == before.shown.to_dict()
    assert after.data["score"].tolist() == before.data["score"].tolist()


def test_the_papers_means_are_those_of_its_points(tmp_path: Path) -> None:
    data = gather(write_humanoid_settings(tmp_path, place), "figure4-settings")
    points = published("fig4_curves").query("env == @HARDER and run == 1 and 18 < timesteps_M <= 20")["return"]
    means = papers(data).set_index("seed")["score"]
    assert len(points) > 1
    assert means[1] == pytest.approx(points.mean())
    assert len(means) == 2
