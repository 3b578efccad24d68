"""What moves the beginning of Flagrun harder, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.humanoid.settings import papers, table
from experiments.paper.humanoid import CHANGES
from tests.helpers.synthetic import write_humanoid_settings

HARDER = "RoboschoolHumanoidFlagrunHarder-v0"


def test_each_change_stands_beside_the_papers_two_runs(tmp_path: Path) -> None:
    """A million steps counts as much as another, however many episodes ended in it, and is part of its own window."""
    data = gather(
        write_humanoid_settings(tmp_path, lambda run: float(list(CHANGES).index(run.setting))), "figure4-settings"
    )
    made = table(data)
    windows = ["up to 5M", "up to 10M", "up to 15M", "up to 20M"]
    assert list(made.shown) == ["Changed", *windows, "whole", "never up"]
    assert made.shown["Changed"].tolist()[:3] == ["the paper's two", "nothing", "bootstrap_truncation: False"]
    scores = made.data.set_index(["setting", "window"])["score"]
    for place, setting in enumerate(CHANGES):
        first, *others = scores[setting]
        assert first == pytest.approx((4 * (place + 5.0) + 4 * place) / 5)  # four ordinary millions, and the fifth
        assert others == pytest.approx([place + 5.0] * 3)
    assert "20M of 100M steps" in made.title


def test_how_episodes_ended_is_told_of_the_same_window(tmp_path: Path) -> None:
    data = gather(write_humanoid_settings(tmp_path, lambda run: 1.0), "figure4-settings")
    ended = table(data).data.set_index(["setting", "window"]).loc["default"]
    assert ended["whole"].tolist() == pytest.approx([1 / 12, 0, 0, 0])
    assert ended["never_up"].tolist() == pytest.approx([2 / 12, 0, 0, 0])
    assert ended["whole_return"].iloc[0] == 4.0
    assert table(data).shown.iloc[1, -2:].tolist() == ["0%", "0%"]
    assert table(data).shown.iloc[0, -2:].tolist() == ["–", "–"], "of the paper's nothing is known"


def test_the_papers_means_are_those_of_its_points() -> None:
    points = published("fig4_curves").query("env == @HARDER and run == 1 and 5 < timesteps_M <= 10")["return"]
    means = papers(HARDER, 20_000_000).set_index(["seed", "window"])["score"]
    assert means[1, 10_000_000] == pytest.approx(points.mean())
    assert len(means) == 8
