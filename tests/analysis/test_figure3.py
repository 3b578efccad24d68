"""Figure 3, drawn and in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.data.labels import ALGORITHMS
from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections import figure3
from analysis.style.colours import algorithm_lines
from tests.helpers.synthetic import write_figure3


def test_figure3_draws_ours_thick_and_the_paper_dashed(tmp_path: Path) -> None:
    """Figure 3 with all algorithms has our curves thick and the paper's dashed."""

    def value(run: dict[str, Any]) -> float:
        return 100.0 * ALGORITHMS.index(run["algorithm"]) + 10 * run["seed"]

    figure = figure3.figure3(gather(write_figure3(tmp_path, ALGORITHMS, value=value), "figure3")).figure
    hopper = figure.axes[1]
    lines = algorithm_lines(ALGORITHMS)
    thick = {line.get_color(): line for line in hopper.lines if line.get_linewidth() == 2.0}
    dashed = {line.get_color(): line.get_ydata() for line in hopper.lines if line.get_linewidth() == 1.2}
    assert set(thick) == {line.colour for line in lines.values()}
    assert len(dashed) == 6  # the paper has six
    for place, algorithm in enumerate(ALGORITHMS):
        assert set(thick[lines[algorithm].colour].get_ydata()) == {100.0 * place + 15}  # the mean of seeds 1 and 2
    solid = {colour for colour, line in thick.items() if line.get_linestyle() == "-"}
    assert {lines[algorithm].colour for algorithm in ("trpo-2017", "npg", "per-sample-kl")}.isdisjoint(solid)
    assert set(dashed) <= solid  # what the paper has is solid
    bands = [band.get_paths()[0].get_extents() for band in hopper.collections]
    assert sorted((band.y0, band.y1) for band in bands) == [
        (100.0 * i + 10, 100.0 * i + 20) for i in range(len(ALGORITHMS))
    ]
    theirs = published("fig3_curves").query("env == 'Hopper-v1' and algorithm == 'TRPO' and timestep <= 20_000")["mean"]
    assert len(theirs) == 3, "the paper's curve as far as ours go"
    np.testing.assert_array_equal(dashed[lines["trpo"].colour], theirs)
    names = [text.get_text() for text in figure.axes[7].get_legend().get_texts()]
    assert names[5:9] == ["Vanilla PG, Adaptive", "TRPO", "TRPO as released in 2017", "Natural PG"]
    assert names[10:] == ["ours, mean", "ours, lowest to highest seed", "paper (digitised)"]


def test_one_bad_run_does_not_flatten_figure3(tmp_path: Path) -> None:
    def value(run: dict[str, Any]) -> float:
        bad = (run["environment"], run["algorithm"], run["seed"]) == ("HalfCheetah-v4", "a2c", 2)
        return -50_000.0 if bad else 500.0

    data = gather(write_figure3(tmp_path, ("ppo", "a2c"), value=value), "figure3")
    cheetah, hopper, *_ = figure3.figure3(data).figure.axes
    low, high = cheetah.get_ylim()
    paper = published("fig3_curves").query("env == 'HalfCheetah-v1' and timestep <= 20_000")["mean"]
    assert low == pytest.approx(paper.min() - 0.5 * (500 - paper.min()))
    assert high > 500
    assert [text.get_text() for text in cheetah.texts] == ["A2C: falls to −50,000"]
    assert [text.get_text() for text in hopper.texts] == []


def test_figure3_table(tmp_path: Path) -> None:
    data = gather(write_figure3(tmp_path, ("ppo", "trpo-2017")), "figure3")
    table = figure3.figure3_table(data)
    shown = table.shown.set_index(["Environment", "Algorithm"])
    assert len(shown) == 7 * 7  # the paper's six algorithms and the variant of ours
    cell = shown.loc[("HalfCheetah", "PPO (Clip)")]
    assert cell.tolist() == ["150 (100 · 200)‡", "150 (100 · 200)‡", "1810 ± 308", "−1660"]
    assert shown.loc[("Hopper", "CEM")].tolist() == ["–", "–", "486 ± 77.2", "–"]
    assert shown.loc[("Hopper", "TRPO as released in 2017")].tolist()[2:] == ["1981 ± 104", "−1831"]
    assert shown.loc[("Hopper", "TRPO")].tolist() == ["–", "–", "1981 ± 104", "–"]  # the paper has one curve for both
