"""What moves ACER's beginning on Breakout, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.atari.acer import changes
from analysis.sections.atari.figure6 import smoothed
from tests.helpers.synthetic import write_acer_changes


def test_each_change_stands_beside_the_papers_curves(tmp_path: Path) -> None:
    values = {"anneal_lr=True": 4.25, "default": 1.6, "ent_coef=0.001": -0.5}
    data = gather(write_acer_changes(tmp_path, values), "acer-on-breakout")
    table = changes(data, smoothed(data))
    assert list(table.shown) == ["Changed", *(f"{point}M frames" for point in (0.4, 0.8, 1.2, 1.6))]
    assert table.shown["Changed"].tolist() == ["the paper's three", "nothing", "anneal_lr: True", "ent_coef: 0.001"]
    assert table.shown["1.2M frames"].tolist()[1:] == ["1.6 (1.6)", "4.2 (4.2)", "−0.5 (−0.5)"]
    curves = published("fig6_curves").query("game == 'Breakout' and algorithm == 'ACER' and frames_M == 0.8")["return"]
    paper = table.data[table.data["frames"] == 800_000]
    assert set(paper["paper_min"]) == {curves.min()}
    assert set(paper["paper_max"]) == {curves.max()}
    assert paper.set_index("setting")["mean"].to_dict() == pytest.approx(values)
