"""What Table 4 leaves open over whole budgets, from runs of known returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.data.load import gather
from analysis.sections.humanoid.figure4 import figure4 as figure4_drawn
from analysis.sections.humanoid.figure4 import figure4_table
from analysis.sections.humanoid.readings import figure, table
from analysis.thinning import thin
from tests.helpers.synthetic import episodes_of, planned, write, write_humanoid_readings, write_humanoids

LOCOMOTION, HARDER = "RoboschoolHumanoid-v0", "RoboschoolHumanoidFlagrunHarder-v0"


def test_every_reading_stands_beside_the_papers_runs(tmp_path: Path) -> None:
    """Figure 4's runs return 100 x the seed, those with the first details 10 x, with limits as ends 1 x the seed."""
    write_humanoid_readings(write_humanoids(tmp_path))
    made = table(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-readings"))
    assert list(zip(made.shown["Runs"], made.shown["Return"].str.rstrip("‡§"), strict=True)) == [
        ("the paper's two", "4151, 3979"),
        ("as in Figure 4", "100, 200"),
        ("first details, limits cut", "10.0, 20.0"),
        ("first details, limits end", "1.0, 2.0"),
        ("the paper's two", "2664, 2515"),
        ("as in Figure 4", "100, 200"),
        ("first details, limits end", "1.0, 2.0"),
    ]
    scores = made.data.set_index(["setting", "environment", "seed"])["last_tenth"]
    assert len(scores) == 10, "Flagrun has one reading, so nothing to compare"
    assert scores["details=first,bootstrap_truncation=False", HARDER, 2] == 2


def test_what_is_not_trained_yet_is_left_open(tmp_path: Path) -> None:
    write_humanoid_readings(tmp_path)
    made = table(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-readings"))
    assert made.shown.loc[made.shown["Runs"] == "first details, limits end", "Return"].tolist() == ["1.0, 2.0"] * 2
    assert "as in Figure 4" not in set(made.shown["Runs"])


@pytest.mark.parametrize(("protocol", "setting"), [("figure4", "default"), ("figure4-readings", "details=first")])
def test_the_episodes_that_stay_are_all_that_is_shown(tmp_path: Path, protocol: str, setting: str) -> None:
    """Of 10,000 episodes of 5,000 steps whose returns are random."""
    generator = np.random.default_rng(0)
    done = {"total_timesteps": 50_000_000, "steps_done": 50_000_000}
    runs = [
        {**planned("", setting, seed, **done), "environment": LOCOMOTION, "settings": {"x": seed}} for seed in (1, 2)
    ]
    rows = [episodes_of(run, generator.normal(size=10_000), 5000) for run in runs]
    write(tmp_path, protocol, runs, rows, "paper")

    def shown() -> tuple[list[list[float]], list[float]]:
        figure4, data = gather(tmp_path, "figure4"), gather(tmp_path, "figure4-readings")
        drawn, made = (
            (figure4_drawn(figure4), figure4_table(figure4))
            if protocol == "figure4"
            else (figure(figure4, data), table(figure4, data))
        )
        lines = [np.asarray(line.get_ydata(), float).tolist() for line in drawn.figure.axes[0].lines]
        return lines, made.data["last_tenth"].tolist()

    before = shown()
    assert thin(tmp_path / protocol) == (20_000, 2 * (1000 + 90 * 20))
    after = shown()
    for was, now in zip(before[0], after[0], strict=True):
        assert len(now) > 50
        np.testing.assert_allclose(now, was)
    assert after[1] == pytest.approx(before[1])


@pytest.mark.parametrize(("budget", "fraction"), [(65_536, 1.0), (50_000_000, 0.5)])
def test_a_short_or_stopped_run_keeps_the_episodes_of_its_curve(tmp_path: Path, budget: int, fraction: float) -> None:
    """Points of a curve are at least 1,000 steps apart, and those of a whole training wherever it stopped."""
    steps = int(fraction * budget)
    run = planned("", "details=first", 1, total_timesteps=budget, steps_done=steps)
    run["environment"] = LOCOMOTION
    rows = episodes_of(run, np.arange(steps // (budget // 600)) % 17, budget // 600)
    write(tmp_path, "figure4-readings", [run], [rows], "paper", **({"fraction": fraction} if fraction < 1 else {}))

    def drawn() -> list[float]:
        (axes,) = figure(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-readings")).figure.axes
        return [float(value) for value in axes.lines[-1].get_ydata()]

    before = drawn()
    before_thinning, after_thinning = thin(tmp_path / "figure4-readings")
    assert after_thinning < before_thinning
    np.testing.assert_allclose(drawn(), before)


@pytest.mark.parametrize("trained", [True, False])
def test_a_panel_has_every_run_and_the_papers_two(tmp_path: Path, trained: bool) -> None:
    write_humanoid_readings(write_humanoids(tmp_path) if trained else tmp_path)
    drawn = figure(gather(tmp_path, "figure4"), gather(tmp_path, "figure4-readings"))
    assert [len(axes.lines) for axes in drawn.figure.axes] == ([8, 6] if trained else [6, 4])
