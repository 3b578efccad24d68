from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections import trpo_variants
from tests.helpers.synthetic import write_figure3


def paper_mean(environment: str, level: float, last: int = 20_000) -> float:
    """Mean distance of a constant `level` below it to the paper's TRPO curve at 1,000, 2,000, ... `last`."""
    curves = published("fig3_curves")
    curve = curves[(curves["env"] == f"{environment}-v1") & (curves["algorithm"] == "TRPO")].set_index("timestep")[
        "mean"
    ]
    first = curve[0] + 0.55 * (curve[10_000] - curve[0])  # the mean of tenths 1 to 10 of a straight line
    second = curve[10_000] + 0.55 * (curve[20_000] - curve[10_000])
    return (first if last == 10_000 else (first + second) / 2) - level


def value(run: dict[str, Any]) -> float:
    """Both below every curve of the paper: by far (trpo), nearer (trpo-2017); the other way on Walker2d."""
    return -10_000.0 if (run["algorithm"] == "trpo") != (run["environment"] == "Walker2d-v4") else -1_000.0


def test_distances_by_hand(tmp_path: Path) -> None:
    data = gather(write_figure3(tmp_path, ("ppo", "trpo", "trpo-2017"), value=value), "figure3")
    frame = trpo_variants.distances(data).set_index("environment")
    for environment in ("Reacher", "Hopper", "Walker2d"):
        far, near = ("trpo", "trpo-2017") if environment != "Walker2d" else ("trpo-2017", "trpo")
        row = frame.loc[environment]
        assert row[f"distance_{far}"] == pytest.approx(paper_mean(environment, -10_000))
        assert row[f"distance_{near}"] == pytest.approx(paper_mean(environment, -1_000))
        assert row["nearer"] == near
        assert (row["points"], row["last_step"]) == (20, 20_000)
        drawn = published("fig3_curves").query("env == @environment + '-v1'")["mean"]
        assert row["paper_range"] == pytest.approx(drawn.max() - drawn.min())
        assert row[f"relative_{far}"] == pytest.approx(row[f"distance_{far}"] / (drawn.max() - drawn.min()))
    caption = trpo_variants.trpo(data).caption
    assert "nearer to TRPO as released in 2017 on 6 and to TRPO on 1 of the 7 tasks" in caption


def test_both_are_measured_over_the_steps_that_both_have(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "diverged_at": 10_000} if (run["algorithm"], run["seed"]) == ("trpo", 2) else run

    frame = trpo_variants.distances(
        gather(write_figure3(tmp_path, trpo_variants.VARIANTS, value=value, change=change), "figure3")
    )
    row = frame.set_index("environment").loc["Reacher"]
    assert (row["points"], row["last_step"]) == (10, 10_000)
    assert row["distance_trpo"] == pytest.approx(paper_mean("Reacher", -10_000, last=10_000))
    assert row["distance_trpo-2017"] == pytest.approx(paper_mean("Reacher", -1_000, last=10_000))


def test_no_verdict_where_one_is_missing(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        unfinished = run["algorithm"] == "trpo" and run["environment"] != "Reacher-v4"
        return {**run, "status": "running", "steps_done": 10_000} if unfinished else run

    data = gather(write_figure3(tmp_path, trpo_variants.VARIANTS, value=value, change=change), "figure3")
    frame = trpo_variants.distances(data).set_index("environment")
    assert frame["nearer"].tolist() == ["", "", "", "", "trpo-2017", "", ""]
    assert np.isnan(frame.at["Hopper", "distance_trpo"])
    assert frame.at["Hopper", "distance_trpo-2017"] == pytest.approx(paper_mean("Hopper", -1_000))
    table = trpo_variants.trpo(data)
    assert "on 1 and to TRPO on 0 of the 1 tasks" in table.caption
    shown = table.shown.set_index("Environment")
    assert shown.loc["Hopper", ["TRPO: distance", "Nearer to the paper"]].tolist() == ["–", "–"]
    nothing = trpo_variants.trpo(gather(tmp_path / "nothing", "figure3"))
    assert nothing.caption.endswith("There is no task yet where both have runs.")
    assert len(nothing.shown) == 7


def test_more_seeds_of_one_variant_smooth_nothing(tmp_path: Path) -> None:
    """The distance is of seeds 1 to 3, which both variants have."""

    def late_seeds_hit(run: dict[str, Any]) -> float:
        return value(run) if run["seed"] <= 3 else 1_000.0

    few, many = (
        trpo_variants.distances(
            gather(
                write_figure3(tmp_path / str(last), ("trpo", "trpo-2017"), value=late_seeds_hit, seeds=range(1, last)),
                "figure3",
            )
        )
        for last in (4, 11)
    )
    pd.testing.assert_frame_equal(few, many)
