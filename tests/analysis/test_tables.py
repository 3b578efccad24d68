from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from synthetic import write_figure2, write_figure3, write_table1

from analysis.data.labels import SETTINGS, algorithm_name, ordered, task
from analysis.data.load import gather, gather_interpolation, published
from analysis.sections import comparisons, table1
from analysis.style import formats


def rows_of(results: Path) -> list[table1.Row]:
    data = gather(results, "table1")
    return table1.table1_rows(data, table1.evaluate(data))


def test_table1_from_known_scores(tmp_path: Path) -> None:
    # Setting i of 11 has 10 (i + 1) -+ 1 in seeds 1 and 2, times the environment's scale; the random level is 0. So the
    # best run is 111, the best setting 110, in units of the scale.
    rows = rows_of(write_table1(tmp_path))
    assert [row.setting for row in rows] == list(SETTINGS)
    for i, row in enumerate(rows):
        assert row.ours == pytest.approx(10 * (i + 1) / 111)
        assert row.ours_by_setting == pytest.approx(10 * (i + 1) / 110)
        assert row.iqm == pytest.approx(row.ours)
        assert (row.runs, row.planned, row.diverged) == (14, 14, 0)
        half = scipy.stats.t.ppf(0.975, 7) / 111 / np.sqrt(7)  # on each of seven tasks s / sqrt(n) is 1, of 1 degree
        assert (row.low, row.high) == pytest.approx((row.ours - half, row.ours + half))


def test_table1_shows_the_papers_column_and_the_rank_correlation(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    table = table1.table1(data, table1.evaluate(data))
    assert table.shown["Paper"].tolist()[:3] == ["−0.39", "0.76", "0.82"]
    # Ranks of the paper's column (ties share): -.39 .76 .82 .70 .68 .74 .71 .62 .71 .72 .69
    paper = np.array([1, 10, 11, 5, 3, 9, 6.5, 2, 6.5, 8, 4])
    expected = np.corrcoef(np.arange(11), paper)[0, 1]
    assert f"{expected:.2f}".replace("-", "−") in table.notes[0]
    assert table.notes[1] == "Runs scored: 154 of 154; diverged: 0."
    assert [note[0] for note in table.notes[2:]] == ["‡", "‡"]


def test_unfinished_runs_are_not_scored_and_counted(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        if run["environment"] == "Walker2d-v4":
            return None
        if run["environment"] == "Swimmer-v4":
            return {**run, "status": "running", "steps_done": 10_000}
        return run

    data = gather(write_table1(tmp_path, change), "table1")
    parts = table1.evaluate(data)
    rows = table1.table1_rows(data, parts)
    assert [(row.runs, row.planned) for row in rows] == [(10, 12)] * 11
    assert rows[0].ours == pytest.approx(10 / 111)
    assert "110 of 132 runs are finished." in table1.table1(data, parts).notes
    raw = table1.raw_scores(data, parts).shown.set_index("Setting")
    assert raw.loc["No clipping or penalty", ["Swimmer", "Walker2d"]].tolist() == ["–", "–"]
    assert raw.at["No clipping or penalty", "Hopper"] == "20.0 (18.0 · 22.0)"
    assert raw.at["Best single run (1)", "Hopper"] == "222"


def test_a_diverged_run_is_scored_marked_and_counted(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        diverges = (run["environment"], run["setting"], run["seed"]) == ("HalfCheetah-v4", "none", 2)
        return {**run, "diverged_at": 5_000} if diverges else run

    data = gather(write_table1(tmp_path, change), "table1")
    parts = table1.evaluate(data)
    row = table1.table1_rows(data, parts)[0]
    assert (row.runs, row.diverged) == (14, 1)
    raw = table1.raw_scores(data, parts).shown.set_index("Setting")
    assert raw.at["No clipping or penalty", "HalfCheetah"] == "10.0 (9.0 · 11.0×)‡"


def test_without_all_seven_tasks_there_is_no_difference_to_the_paper(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return run if run["environment"] == "InvertedPendulum-v4" and run["seed"] == 1 else None

    data = gather(write_table1(tmp_path, change, profile="quick"), "table1")
    table = table1.table1(data, table1.evaluate(data))
    best = table.shown.set_index("Setting").loc["Fixed KL, β = 10"]
    assert best["Ours [95 % interval]"] == "1.00 [–]"  # one run
    assert (best["Paper"], best["Ours − paper"]) == ("0.69", "–")
    assert not any("Rank correlation" in note for note in table.notes)


def test_the_order_is_as_sure_as_the_seeds_make_it(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    table = table1.ranks(data, table1.evaluate(data))
    chances = table.data.set_index("setting")
    # Neighbours lie 10 apart, with 1 / sqrt(7) of 7 degrees each: setting i of 11 has rank 11 - i, surely.
    for i, setting in enumerate(SETTINGS):
        assert chances.at[setting, f"P(rank {11 - i})"] > 0.99
    assert chances.at["clip-0.2", "paper_rank"] == 1
    assert chances.loc[["adaptive-kl-0.03", "fixed-kl-1"], "paper_rank"].tolist() == [5.5, 5.5]
    assert table.shown["Setting"].tolist()[:3] == ["No clipping or penalty‡", "Clipping, ε = 0.1", "Clipping, ε = 0.2‡"]


def test_no_random_level_no_scale(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if (run["environment"], run["setting"]) == ("Hopper-v4", "untrained") else run

    data = gather(write_table1(tmp_path, change), "table1")
    parts = table1.evaluate(data)
    assert [row.runs for row in table1.table1_rows(data, parts)] == [12] * 11
    assert any(note.startswith("Left out: Hopper:") for note in table1.table1(data, parts).notes)


def test_quick_data_are_marked(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path, profile="quick"), "table1")
    parts = table1.evaluate(data)
    for make in (table1.table1, table1.raw_scores, table1.normalised_by_environment):
        table = make(data, parts)
        assert "quick profile: 2 seeds, 20,000 steps: not comparable with the paper's numbers" in table.title
        assert "Quick profile" in table.notes[-1]


def test_figure3_table(tmp_path: Path) -> None:
    data = gather(write_figure3(tmp_path, ("ppo", "trpo-2017")), "figure3")
    table = comparisons.figure3(data)
    shown = table.shown.set_index(["Environment", "Algorithm"])
    assert len(shown) == 7 * 7  # the paper's six algorithms and the variant of ours
    cell = shown.loc[("HalfCheetah", "PPO (Clip)")]
    assert cell.tolist() == ["150 (100 · 200)‡", "150 (100 · 200)‡", "1810 ± 308", "−1660"]
    assert shown.loc[("Hopper", "CEM")].tolist() == ["–", "–", "486 ± 77.2", "–"]
    assert shown.loc[("Hopper", "TRPO as released in 2017")].tolist()[2:] == ["1981 ± 104", "−1831"]
    assert shown.loc[("Hopper", "TRPO")].tolist() == ["–", "–", "1981 ± 104", "–"]  # the paper has one curve for both


def test_figure2_table(tmp_path: Path) -> None:
    table = comparisons.figure2(*gather_interpolation(write_figure2(tmp_path)))
    numbers = table.data.set_index("curve")
    assert numbers.at["kl", "at_1"] == pytest.approx(0.02)
    assert numbers.at["surrogate_cpi", "at_2"] == pytest.approx(0.15)  # mean of 2/20 and 4/20
    assert numbers.at["surrogate_clip", "maximum_at"] == pytest.approx(1.0)
    assert numbers.at["surrogate_clip", "paper_maximum"] == pytest.approx(0.0343, abs=1e-4)
    assert numbers.at["surrogate_clip", "paper_maximum_at"] == pytest.approx(1.07, abs=0.01)


def test_published_numbers_are_those_of_the_sources() -> None:
    table1 = published("table1").set_index("setting")["score"]
    assert table1.to_dict() == {
        "none": -0.39,
        "clip-0.1": 0.76,
        "clip-0.2": 0.82,
        "clip-0.3": 0.70,
        "adaptive-kl-0.003": 0.68,
        "adaptive-kl-0.01": 0.74,
        "adaptive-kl-0.03": 0.71,
        "fixed-kl-0.3": 0.62,
        "fixed-kl-1": 0.71,
        "fixed-kl-3": 0.72,
        "fixed-kl-10": 0.69,
    }
    curves = published("fig3_curves")
    final = curves[curves["timestep"] == 1_000_000].set_index(["env", "algorithm"])["mean"]
    # Values at exactly 1M, as read when the figure was digitised.
    for key, value in {
        ("HalfCheetah-v1", "PPO (Clip)"): 1830,
        ("Hopper-v1", "Vanilla PG, Adaptive"): 2324,
        ("InvertedDoublePendulum-v1", "TRPO"): 184,
        ("InvertedPendulum-v1", "A2C"): 1000,
        ("Swimmer-v1", "CEM"): 1.9,
        ("Walker2d-v1", "A2C + Trust Region"): 668,
        ("Reacher-v1", "PPO (Clip)"): -7.0,
    }.items():
        assert final[key] == pytest.approx(value, abs=0.6 if abs(value) > 100 else 0.06)


def test_names() -> None:
    assert (task("HalfCheetah-v4"), task("cart-vertical"), task("A-v1-v2")) == ("HalfCheetah", "cart-vertical", "A-v1")
    assert ordered(["zeta", "clip-0.1", "none", "alpha"], SETTINGS) == ["none", "clip-0.1", "alpha", "zeta"]
    assert (algorithm_name("ppo"), algorithm_name("unheard-of")) == ("PPO (Clip)", "unheard-of")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1809.93, "1810"), (-7.08, "−7.1"), (-12345.6, "−12,346"), (-0.01, "0.0"), (np.nan, "–"), (99.96, "100.0")],
)
def test_numbers(value: float, text: str) -> None:
    assert formats.number(value) == text


def test_latex_and_markdown_escape(tmp_path: Path) -> None:
    data = gather(write_table1(tmp_path), "table1")
    table = table1.table1(data, table1.evaluate(data))
    tex = formats.latex(table)
    assert r"Adaptive KL $d_{\mathrm{targ}}$ = 0.003 &" in tex
    assert r"95 \% interval" in tex
    assert r"\toprule" in tex
    assert tex.isascii() or set(tex) - set(map(chr, range(128))) <= set("“”")
    lines = [line for line in formats.markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 13
    assert len({len(line) for line in lines}) == 1
