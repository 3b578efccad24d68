"""Figure 3, drawn and in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.data.labels import ALGORITHMS
from analysis.data.load import gather
from analysis.data.published import drawn_in_paper, published
from analysis.sections import figure3, figure3_multiples
from analysis.style.colours import algorithm_lines
from tests.helpers.synthetic import write_figure3


def test_figure3_draws_ours_thick_and_the_paper_dashed(tmp_path: Path) -> None:
    """Figure 3 has the algorithms of the paper's, our curves thick and the paper's dashed."""

    def value(run: dict[str, Any]) -> float:
        return 100.0 * ALGORITHMS.index(run["algorithm"]) + 10 * run["seed"]

    figure = figure3.figure3(gather(write_figure3(tmp_path, ALGORITHMS, value=value), "figure3")).figure
    hopper = figure.axes[1]
    lines = algorithm_lines(drawn_in_paper())
    thick = {line.get_color(): line for line in hopper.lines if line.get_linewidth() == 2.0}
    dashed = {line.get_color(): line.get_ydata() for line in hopper.lines if line.get_linewidth() == 1.2}
    assert set(thick) == {line.colour for line in lines.values()}
    assert len(dashed) == 6  # the paper has six
    places = {algorithm: ALGORITHMS.index(algorithm) for algorithm in lines}
    for algorithm, place in places.items():
        assert set(thick[lines[algorithm].colour].get_ydata()) == {100.0 * place + 15}  # the mean of seeds 1 and 2
    assert {line.get_linestyle() for line in thick.values()} == {"-"}
    bands = [band.get_paths()[0].get_extents() for band in hopper.collections]
    assert sorted((band.y0, band.y1) for band in bands) == [
        (100.0 * i + 10, 100.0 * i + 20) for i in sorted(places.values())
    ]
    theirs = published("fig3_curves").query("env == 'Hopper-v1' and algorithm == 'TRPO' and timestep <= 20_000")["mean"]
    assert len(theirs) == 3, "the paper's curve as far as ours go"
    np.testing.assert_array_equal(dashed[lines["trpo"].colour], theirs)
    names = [text.get_text() for text in figure.axes[7].get_legend().get_texts()]
    assert names[4:6] == ["Vanilla PG, Adaptive", "TRPO"]
    assert names[6:] == ["ours, mean", "ours, lowest to highest seed", "paper (digitised)"]


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


def test_what_falls_is_named_in_its_own_row_of_the_multiples(tmp_path: Path) -> None:
    def value(run: dict[str, Any]) -> float:
        return -50_000.0 if (run["environment"], run["algorithm"]) == ("HalfCheetah-v4", "ppo") else 500.0

    data = gather(write_figure3(tmp_path, ("ppo", "a2c"), value=value), "figure3")
    panels = figure3_multiples.figure(data).figure.axes
    said = {place: text.get_text() for place, axes in enumerate(panels) for text in axes.texts}
    assert said == {3 * 7: "PPO (Clip): falls to −50,000"}
    assert len({axes.get_ylim() for axes in panels[0::7]}) == 1


def test_figure3_table(tmp_path: Path) -> None:
    data = gather(write_figure3(tmp_path, ("ppo", "trpo-2017")), "figure3")
    table = figure3.figure3_table(data)
    shown = table.shown.set_index(["Environment", "Algorithm"])
    assert len(shown) == 7 * 7  # the paper's six algorithms and the variant of ours
    cell = shown.loc[("HalfCheetah", "PPO (Clip)")]
    ours = ["150 (100 · 200)‡", "150 ± 70.7 (2)‡"]
    assert cell.tolist() == [*ours, *ours, "1810 ± 308", "−1660"]
    assert shown.loc[("Hopper", "CEM")].tolist() == [*["–"] * 4, "486 ± 77.2", "–"]
    assert shown.loc[("Hopper", "TRPO as released in 2017")].tolist()[4:] == ["1981 ± 104", "−1831"]
    assert shown.loc[("Hopper", "TRPO")].tolist() == [*["–"] * 4, "1981 ± 104", "–"]  # the paper has one curve for both


def test_table_has_seeds_1_to_3_and_all(tmp_path: Path) -> None:
    """Beside the paper stand seeds 1, 2, 3, which are compared with it, and all."""

    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if run["algorithm"] == "a2c" and run["seed"] > 5 else run

    results = write_figure3(tmp_path, ("ppo", "a2c"), seeds=range(1, 11), change=change)  # 100 x seed
    data = gather(results, "figure3")
    table = figure3.figure3_table(data)
    facts = table.data.set_index(["environment", "algorithm"]).loc["Hopper"]
    assert facts.loc["ppo", ["three_runs", "three_last_tenth", "runs", "last_tenth"]].tolist() == [3, 200, 10, 550]
    assert facts.loc["a2c", ["three_runs", "three_last_tenth", "runs", "last_tenth"]].tolist() == [3, 200, 5, 300]
    assert facts.at["ppo", "difference"] == pytest.approx(200 - facts.at["ppo", "paper_last_100k"])
    shown = table.shown.set_index(["Environment", "Algorithm"]).loc[("Hopper", "PPO (Clip)")]
    assert shown.loc["Last tenth, seeds 1, 2, 3"] == "200 (100 · 200 · 300)"
    assert shown.loc["Last tenth, all seeds"] == "550 ± 303 (10)"
    assert "over all seeds (10 of PPO (Clip), 5 of the others)" in figure3.figure3(data).caption


def test_band_counts_calibration_tasks_apart(tmp_path: Path) -> None:
    """Tasks within or above the paper's band are counted apart for validation and calibration.

    Seeds 1 to 3 end by these many half widths of the paper's band above its mean, seeds 4 and 5 on the mean.
    """
    away = {
        "HalfCheetah": -0.9,  # calibration, within
        "Hopper": 0.9,
        "InvertedDoublePendulum": -1.1,
        "InvertedPendulum": -3.0,  # calibration, below
        "Reacher": 2.0,
        "Swimmer": 0.0,
        "Walker2d": -2.0,
    }
    paper = published("fig3_summary").query("algorithm == 'PPO (Clip)'")
    mean, half = (
        dict(zip(paper["env"].str.removesuffix("-v1"), paper[column], strict=True))
        for column in ("mean_last_100k", "band_halfwidth_last_100k")
    )

    def value(run: dict[str, Any]) -> float:
        name = run["environment"].removesuffix("-v4")
        return float(mean[name] + half[name] * (away[name] if run["seed"] <= 3 else 0))

    table = figure3.ppo_beside_the_band(gather(write_figure3(tmp_path, value=value, seeds=range(1, 6)), "figure3"))
    rows = table.data.set_index("environment")
    assert rows["three_seeds"].tolist() == ["within", "within", "below", "below", "above", "within", "below"]
    assert rows["all_seeds"].tolist() == ["within", "within", "within", "below", "above", "within", "below"]
    assert rows["seeds_reaching"].tolist() == [5, 5, 2, 2, 5, 5, 2]
    assert rows.index[rows["calibration"]].tolist() == ["HalfCheetah", "InvertedPendulum"]
    assert table.notes[:2] == (
        "Within or above the paper's band on seeds 1, 2, 3: 4 of 7 tasks; of the 5 validation tasks 3, of the 2 "
        "calibration tasks 1.",
        "Within or above the paper's band on all seeds: 5 of 7 tasks; of the 5 validation tasks 4, of the 2 "
        "calibration tasks 1.",
    )


def test_band_without_runs_of_ours(tmp_path: Path) -> None:
    """Without runs of ours the paper's band stands alone."""
    table = figure3.ppo_beside_the_band(gather(tmp_path, "figure3"))
    assert table.shown["Paper, last 100k"][0] == "1810 ± 308"
    assert set(table.shown["To the band"]) == {"–"}
    assert not any(note.startswith("Within") for note in table.notes)
