"""Our cells beside KLip-PPO's, with data whose differences and intervals are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections import klip_ppo
from analysis.style.colours import algorithm_lines
from tests.helpers.synthetic import write_klip_ppo

CLIP, FIXED, ADAPTIVE = "Clipping, ε = 0.2", "Fixed KL, β = 1", "Adaptive KL d_targ = 0.02"


def by_cell(run: dict[str, Any]) -> float:
    """1900, 1950, ..., 2100 with seeds 301 to 305; on Walker2d 1000 less, of the adaptive KL 10,000 more."""
    value = 2000.0 + 50 * (run["seed"] - 303)
    return value - 1000 * (run["environment"] == "Walker2d-v4") + 10_000 * run["setting"].startswith("adaptive")


def test_the_published_cells_are_those_in_print() -> None:
    printed = {  # HalfCheetah, Hopper, Walker2d
        ("ppo", "clip-0.2"): [(1955, 312), (2598, 278), (3717, 425)],
        ("per-sample-kl", "clip-0.2"): [(1955, 312), (2598, 278), (3717, 425)],
        ("ppo", "fixed-kl-1"): [(2111, 1066), (2616, 208), (3995, 402)],
        ("ppo", "adaptive-kl-0.02"): [(2207, 1117), (2236, 365), (3639, 374)],
    }
    rows = published("klip_ppo").sort_values("environment").groupby(["algorithm", "setting"])
    assert {key: list(zip(group["mean"], group["std"], strict=True)) for key, group in rows} == printed


def test_a_row_for_each_cell_that_was_planned_theirs_beside_ours(tmp_path: Path) -> None:
    table = klip_ppo.table(gather(write_klip_ppo(tmp_path, by_cell), "klip-ppo"))
    assert table.shown[["Task", "Objective"]].to_numpy().tolist() == [
        ["HalfCheetah", CLIP],
        ["HalfCheetah", "Per-sample KL, ε = 0.2"],
        ["HalfCheetah", FIXED],
        ["HalfCheetah", ADAPTIVE],
        *(["Hopper", objective] for objective in (CLIP, FIXED, ADAPTIVE)),
        *(["Walker2d", objective] for objective in (CLIP, FIXED, ADAPTIVE)),
    ]
    clip, per_sample = table.shown.iloc[0], table.shown.iloc[1]
    assert (clip["KLip-PPO"], clip["Ours"], clip["Seeds"]) == ("1955 ± 312", "2000 ± 70.7", "5, 5")
    assert (per_sample["Ours"], per_sample["Seeds"]) == ("1950 ± 40.8", "5, 3")  # 1900, 1950 and 2000
    assert clip["Difference"].startswith("+45.0 [")
    assert table.shown["Difference"].iloc[7].startswith("−2717 [")


def test_interval_is_scipys_welch_interval(tmp_path: Path) -> None:
    """The interval is scipy's Welch interval for five numbers with that mean and deviation."""
    numbers = klip_ppo.measured(gather(write_klip_ppo(tmp_path, by_cell), "klip-ppo"))
    theirs = 1955 + 312 * np.array([-1.0, -1.0, 0.0, 1.0, 1.0]) / np.sqrt(0.8)
    assert (theirs.mean(), theirs.std()) == pytest.approx((1955, 312))
    ours = np.array([1900.0, 1950.0, 2000.0, 2050.0, 2100.0])
    expected = scipy.stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    row = numbers.iloc[0]
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((45.0, expected.low, expected.high))


def test_a_score_is_the_mean_over_the_last_tenth_of_the_steps(tmp_path: Path) -> None:
    def value(run: dict[str, Any]) -> list[float]:
        return [0.0] * 36 + [by_cell(run)] * 4

    numbers = klip_ppo.measured(gather(write_klip_ppo(tmp_path, value), "klip-ppo"))
    assert numbers["mean"].iloc[0] == 2000.0


def test_the_note_counts_the_nine_cells_whose_interval_holds_0(tmp_path: Path) -> None:
    """2000 +- 71 against 1955 +- 312 and 2111 +- 1066: yes. 2598 +- 278, 2616 +- 208 and all the rest: no."""
    notes = klip_ppo.table(gather(write_klip_ppo(tmp_path, by_cell), "klip-ppo")).notes
    assert notes == ("0 lies within 2 of the 9 intervals of clipping and of the KL penalties.",)


def test_runs_that_still_train_are_not_in_it_and_are_counted(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        waiting = run["environment"] == "Hopper-v4" or (run["environment"] == "Walker2d-v4" and run["seed"] > 301)
        return {**run, "status": "running", "steps_done": 5_000} if waiting else run

    table = klip_ppo.table(gather(write_klip_ppo(tmp_path, by_cell, change), "klip-ppo"))
    cells = table.shown.set_index(["Task", "Objective"])
    assert cells.loc[("Hopper", CLIP), ["Ours", "Seeds", "Difference"]].tolist() == ["–", "5, 0", "–"]
    assert cells.at[("Walker2d", CLIP), "Difference"] == "−2817 [–]"  # of one seed: 900
    assert any("of 48 runs are finished" in note for note in table.notes)


def test_picture_has_the_common_seeds_and_its_source(tmp_path: Path) -> None:
    """The picture has the seeds that both objectives have, and says whose it is."""
    drawing = klip_ppo.figure(gather(write_klip_ppo(tmp_path, by_cell), "klip-ppo"))
    assert drawing.title.startswith("Not the paper's")
    (axes,) = drawing.figure.axes
    for algorithm in ("ppo", "per-sample-kl"):
        lines = [line for line in axes.lines if line.get_color() == algorithm_lines([algorithm])[algorithm].colour]
        assert sorted(set(np.concatenate([line.get_ydata() for line in lines]))) == [1900, 1950, 2000]
    (theirs,) = (line for line in axes.lines if line.get_linestyle() != "-")
    assert theirs.get_xydata().tolist() == [[18_000, 1955], [20_000, 1955]]
