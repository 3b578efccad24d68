"""What moves the beginning of Flagrun harder, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.humanoid_settings import papers, table
from experiments.paper.humanoid import CHANGES
from tests.helpers.synthetic import write_humanoid_settings

HARDER = "RoboschoolHumanoidFlagrunHarder-v0"


def test_each_change_stands_beside_the_papers_two_runs(tmp_path: Path) -> None:
    """The two episodes of each million steps return 0 and 10 above the place of the change in the list."""
    data = gather(
        write_humanoid_settings(tmp_path, lambda run: float(list(CHANGES).index(run.setting))), "figure4-settings"
    )
    made = table(data)
    assert list(made.shown) == ["Changed", "up to 5M", "up to 10M", "up to 15M", "up to 20M"]
    assert made.shown["Changed"].tolist()[:3] == ["the paper's two", "nothing", "lr_kl_target: 0.03"]
    means = made.data.groupby("setting")["score"].agg(["min", "max"])
    for place, setting in enumerate(CHANGES):
        assert means.loc[setting].tolist() == pytest.approx([place + 5.0] * 2)
    assert "20M of 100M steps" in made.title


def test_the_papers_means_are_those_of_its_points() -> None:
    points = published("fig4_curves").query("env == @HARDER and run == 1 and 5 < timesteps_M <= 10")["return"]
    means = papers(HARDER, 20_000_000).set_index(["seed", "window"])["score"]
    assert means[1, 10_000_000] == pytest.approx(points.mean())
    assert len(means) == 8
