"""Ahead of the paper's curves, among them or behind, on made-up returns; by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.atari import places
from analysis.sections.atari.figure6 import smoothed
from analysis.style import formats
from tests.helpers.synthetic import ATARI_BUDGET, episodes_of, planned, write, write_atari, write_atari_readings

POINTS = (0.4, 0.8, 1.2, 1.6)


def paper_levels(game: str, algorithm: str, points: tuple[float, ...] = POINTS) -> list[float]:
    """The mean of each of the paper's three curves over `points`, in ascending order."""
    curves = published("fig6_curves").query("game == @game and algorithm == @algorithm.upper()")
    shown = curves[curves["frames_M"].isin(points)]
    return sorted(shown.groupby("seed")["return"].mean())


def beside(game: str, algorithm: str, seed: int) -> float:
    """A constant return: of PPO 5 above the paper's highest on Pong, and 3 below its lowest on Alien; else the middle
    one's level. Seeds 1 and 3 are one off, on either side."""
    lowest, middle, highest = paper_levels(game, algorithm)
    known = {("Pong", "ppo"): highest + 5, ("Alien", "ppo"): lowest - 3}
    return known.get((game, algorithm), middle) + seed - 2


def constant(run: dict[str, Any]) -> npt.ArrayLike:
    return beside(run["environment"].removesuffix("NoFrameskip-v4"), run["algorithm"], run["seed"])


@pytest.mark.parametrize(
    ("ours", "distance", "where"),
    [
        (10.26, 0.16, "ahead"),
        (10.16, 0.06, "ahead"),  # at one decimal 10.2 and 10.1
        (10.149, 0.0, "among them"),  # 0.049 is shown as 0.0
        (8.96, 0.0, "among them"),
        (8.94, -0.06, "behind"),
        (9.5, 0.0, "among them"),
    ],
)
def test_a_distance_that_is_not_shown_counts_as_none(ours: float, distance: float, where: str) -> None:
    found = places.outside(ours, 9.0, 10.1)
    assert found == pytest.approx(distance)
    assert places.place(found) == where


def test_a_game_lies_where_its_mean_over_the_points_does(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong", "Alien"), constant, fraction=0.1), "atari")
    found = {(row.game, row.algorithm): row for row in places.rows(smoothed(data))}
    assert {key: row.place for key, row in found.items()} == {
        ("Pong", "ppo"): "ahead",
        ("Alien", "ppo"): "behind",
        **{(game, name): "among them" for game in ("Pong", "Alien") for name in ("a2c", "acer")},
    }
    pong, alien = found["Pong", "ppo"], found["Alien", "ppo"]
    assert (pong.runs, pong.first, pong.last) == (3, 400_000, 1_600_000)
    assert [pong.paper_lowest, pong.paper_middle, pong.paper_highest] == pytest.approx(paper_levels("Pong", "ppo"))
    assert pong.ours == pytest.approx(paper_levels("Pong", "ppo")[-1] + 5)
    assert pong.outside == pytest.approx(5)
    assert alien.outside == pytest.approx(-3)
    # Table 6 has PPO at 1850.3 on Alien and 20.7 on Pong, where a random player has 227.8 and -20.7.
    assert alien.share == pytest.approx(-3 / (1850.3 - 227.8))
    assert pong.share == pytest.approx(5 / (20.7 + 20.7))


def test_every_point_is_counted(tmp_path: Path) -> None:
    """A constant curve above the paper's at the first points is below them at the last, where they have risen."""
    level = 8.8
    data = gather(write_atari(tmp_path, ("Breakout",), lambda run: level, fraction=0.1), "atari")
    (row,) = [row for row in places.rows(smoothed(data)) if row.algorithm == "ppo"]
    curves = published("fig6_curves").query("game == 'Breakout' and algorithm == 'PPO'").groupby("frames_M")["return"]
    lows, highs = curves.min().round(1), curves.max().round(1)
    above = sum(level > highs[point] for point in POINTS)
    below = sum(level < lows[point] for point in POINTS)
    assert (above, below) == (1, 2)
    assert (row.points_ahead, row.points_among, row.points_behind) == (above, 4 - above - below, below)


def test_a_longer_training_is_compared_at_more_points(tmp_path: Path) -> None:
    """As BankHeist's of 6.4M frames: at ten points, up to 4M; where seeds differ, at those of the shortest."""

    def run(game: str, seed: int, frames: float) -> dict[str, Any]:
        done = {"total_timesteps": ATARI_BUDGET, "steps_done": round(frames * 1e6 / 4)}
        return planned(f"{game}NoFrameskip", "default", seed, **done)

    runs = [*(run("BankHeist", seed, 6.4) for seed in (1, 2)), run("Breakout", 1, 6.4), run("Breakout", 2, 4.0)]
    write(tmp_path, "atari", runs, [episodes_of(one, 20.0, length=5000) for one in runs], "paper", fraction=0.1)
    found = {row.game: row for row in places.rows(smoothed(gather(tmp_path, "atari")))}
    assert (found["BankHeist"].last, found["Breakout"].last) == (4_000_000, 1_600_000)
    bank = found["BankHeist"]
    assert bank.points_ahead + bank.points_among + bank.points_behind == 10
    ten = tuple(round(0.4 * number, 1) for number in range(1, 11))
    assert bank.paper_highest == pytest.approx(paper_levels("BankHeist", "ppo", ten)[-1])


def test_runs_that_are_not_finished_do_not_count(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "status": "running"} if run["seed"] == 3 or run["algorithm"] != "ppo" else run

    data = gather(write_atari(tmp_path, ("Pong",), constant, fraction=0.1, change=change), "atari")
    (row,) = places.rows(smoothed(data))
    assert (row.algorithm, row.runs) == ("ppo", 2)


def test_a_run_that_diverged_keeps_its_last_value(tmp_path: Path) -> None:
    """After 3.6M frames: its curve ends at 1.2M, the others' at 1.6M."""

    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        if run["algorithm"] != "ppo":
            return None
        return {**run, "status": "running", "diverged_at": 900_000} if run["seed"] == 1 else run

    data = gather(write_atari(tmp_path, ("Pong",), lambda run: 3.0 * run["seed"], fraction=0.1, change=change), "atari")
    (row,) = places.rows(smoothed(data))
    assert (row.runs, row.last) == (3, 1_600_000)
    assert row.ours == pytest.approx(6)


def test_a_run_that_diverged_before_every_point_is_named(tmp_path: Path) -> None:
    """After 1.2M frames: no point has all of its window in them."""

    def change(run: dict[str, Any]) -> dict[str, Any]:
        early = run["algorithm"] == "ppo" and run["seed"] == 2
        return {**run, "status": "running", "diverged_at": 300_000} if early else run

    data = gather(write_atari(tmp_path, ("Pong",), constant, fraction=0.1, change=change), "atari")
    table = places.places(data, smoothed(data))
    assert table.shown.set_index("Algorithm").loc["PPO", "Seeds"] == "2"
    (note,) = [note for note in table.notes if note.startswith("Not compared")]
    assert "PPO on Pong, seed 2, which diverged after 1.2M frames" in note


def test_the_table_counts_the_games(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong", "Alien"), constant, fraction=0.1), "atari")
    table = places.places(data, smoothed(data))
    assert "PPO, 2 games: ahead on 1 (Pong), behind on 1 (Alien)." in table.notes
    assert "A2C, 2 games: among them on 2 (Alien, Pong)." in table.notes
    shown = table.shown.set_index(["Game", "Algorithm"])
    assert shown.loc[("Pong", "PPO"), ["Ours lies", "Seeds", "Frames", "Points"]].tolist() == [
        "ahead",
        "3",
        "0.4M to 1.6M",
        "4 / 0 / 0",
    ]
    assert shown.loc[("Pong", "A2C"), ["Outside", "Of the gain"]].tolist() == ["0", formats.NOTHING]
    for dress in (formats.markdown, formats.csv, formats.latex):
        assert "ahead" in dress(table)


def test_readings_of_ppo_stand_beside_each_other(tmp_path: Path) -> None:
    """Each setting of `atari-readings` has its own place on each game."""
    levels = {"default": 5.0, "ppo2": 2.0, "ppo1": -1.0, "a3c": 0.0}
    highest = {game: paper_levels(game, "ppo")[-1] for game in ("Breakout", "BankHeist")}

    def value(run: dict[str, Any]) -> float:
        return highest[run["environment"].removesuffix("NoFrameskip-v4")] + levels[run["setting"]]

    data = gather(write_atari_readings(tmp_path, value), "atari-readings")
    table = places.readings(data, smoothed(data))
    assert table.shown["Game"].tolist() == ["BankHeist"] * 4 + ["Breakout"] * 4
    assert set(table.shown["Frames"]) == {"0.4M to 1.6M"}, "one reading of BankHeist went on to 6.4M frames"
    found = table.data.set_index(["game", "setting"])
    assert found["place"].xs("default", level="setting").tolist() == ["ahead", "ahead"]
    assert found.loc[("Breakout", "a3c"), "place"] == "among them"
    assert np.allclose(found["ours"].xs("ppo1", level="setting"), [highest["BankHeist"] - 1, highest["Breakout"] - 1])
    assert set(table.shown["PPO with"]) == set(places.READINGS.values())
