from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.atari import figure6
from analysis.sections.atari.figure6 import smoothed
from analysis.style.colours import algorithm_lines
from tests.helpers.synthetic import write_atari

LEVELS = {"a2c": 1.0, "acer": 2.0, "ppo": 3.0}


def level(run: dict[str, Any]) -> float:
    return LEVELS[run["algorithm"]] + run["seed"] / 10


def test_figure6_without_data_is_the_papers(tmp_path: Path) -> None:
    data = gather(tmp_path, "atari")
    drawing = figure6.figure6(data, smoothed(data))
    panels = drawing.figure.axes
    assert [axes.get_title() for axes in panels] == published("atari_table6")["game"].tolist()
    assert all(line.get_linestyle() == "--" for axes in panels for line in axes.lines)
    drawn = sum(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).sum() for axes in panels for line in axes.lines)
    assert drawn == len(published("fig6_curves"))
    assert "No runs of ours yet." in drawing.caption


def test_ours_are_drawn_over_frames_in_the_colours_of_the_algorithms(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong", "Alien"), level), "atari")
    panels = {axes.get_title(): axes for axes in figure6.figure6(data, smoothed(data)).figure.axes}
    solid = [line for line in panels["Pong"].lines if line.get_linestyle() == "-"]
    for algorithm, value in LEVELS.items():
        mine = [line for line in solid if line.get_color() == algorithm_lines([algorithm])[algorithm].colour]
        ends = sorted(float(line.get_ydata()[-1]) for line in mine)
        assert ends == pytest.approx([value + s for s in (0.1, 0.2, 0.2, 0.3)])
        assert all(line.get_xdata()[-1] == 40_000_000 for line in mine)
    assert not [line for line in panels["Breakout"].lines if line.get_linestyle() == "-"]


def test_the_first_tenth_is_drawn_in_large_over_what_can_be_compared(tmp_path: Path) -> None:
    """4M frames are trained; a point up to 1.6M frames is a mean over frames that are all among them."""
    data = gather(write_atari(tmp_path, ("Pong", "Alien"), level, fraction=0.1), "atari")
    games = figure6.few(smoothed(data))
    assert games == ["Alien", "Pong"]
    drawing = figure6.figure6_games(data, smoothed(data), games)
    assert "up to 1.6M frames" in drawing.title
    for text in (drawing.caption, drawing.figure.get_suptitle()):
        assert "after 4M of 40M frames" in text
    alien, pong = drawing.figure.axes
    assert (alien.get_title(), alien.get_xlim()) == ("Alien", (0, 1_600_000))
    dashed = [line for line in pong.lines if line.get_linestyle() == "--"]
    paper = published("fig6_curves").query("game == 'Pong' and frames_M <= 1.6")
    assert sorted(float(v) for line in dashed for v in line.get_ydata()) == pytest.approx(sorted(paper["return"]))
    solid = [line for line in pong.lines if line.get_linestyle() == "-"]
    assert {tuple(line.get_xdata()) for line in solid} == {(400_000, 800_000, 1_200_000, 1_600_000)}
    dotted = {line.get_color(): line for line in pong.lines if line.get_linestyle() == ":"}
    assert set(dotted) == {algorithm_lines([algorithm])[algorithm].colour for algorithm in LEVELS}
    release = published("atari_baselines").query("game == 'Pong' and algorithm == 'ppo'")
    middles = np.arange(10) * 0.4 + 0.2  # those up to 2.3M frames behind 1.6M
    averaged = np.interp(middles, release["frames_M"], release["return"]).mean()
    assert dotted[algorithm_lines(["ppo"])["ppo"].colour].get_ydata()[-1] == pytest.approx(averaged)
    assert not [line for line in alien.lines if line.get_linestyle() == ":"]
    whole = figure6.figure6(data, smoothed(data))
    assert whole.figure.axes[0].get_xlim() == (0, 1_600_000)
    assert "after 4M of 40M frames" in whole.caption


def test_a_game_of_ours_is_drawn_over_our_frames_and_the_others_in_grey(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong",), level, fraction=0.1), "atari")
    drawing = figure6.figure6(data, smoothed(data))
    panels = {axes.get_title(): axes for axes in drawing.figure.axes}
    assert panels["Pong"].get_xlim() == (0, 1_600_000)
    assert panels["Alien"].get_xlim() == (0, 40_000_000)
    for game, axes in panels.items():
        grey = {line.get_color() for line in axes.lines} == {"#b5b5b5"}
        assert grey == (game != "Pong"), game
    assert "the others are grey" in drawing.caption


def test_each_large_panel_ends_where_its_game_was_trained_to(tmp_path: Path) -> None:
    """6.4M frames of Pong, 4M of Alien."""

    def change(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "steps_done": 1_600_000} if run["environment"].startswith("Pong") else run

    data = gather(write_atari(tmp_path, ("Pong", "Alien"), level, fraction=0.1, change=change), "atari")
    drawing = figure6.figure6_games(data, smoothed(data), figure6.few(smoothed(data)))
    ends = {axes.get_title(): axes.get_xlim()[1] for axes in drawing.figure.axes}
    assert ends == {"Alien": 1_600_000, "Pong": 4_000_000}
    assert "up to 1.6M or 4M frames" in drawing.title


def test_captions_tell_the_window(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong",), level, fraction=0.1), "atari")
    for drawing in (figure6.figure6(data, smoothed(data)), figure6.figure6_games(data, smoothed(data), ["Pong"])):
        assert "a mean over the frames up to 2.05M (A2C, ACER) or 2.3M (PPO) before and behind it" in drawing.caption


def test_runs_too_short_to_compare_are_not_drawn(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong",), level, fraction=0.05), "atari")  # 2M frames
    assert figure6.few(smoothed(data)) == []
    drawing = figure6.figure6(data, smoothed(data))
    assert "Our runs reach no point that can be compared." in drawing.caption
    assert all(line.get_linestyle() == "--" for axes in drawing.figure.axes for line in axes.lines)


def test_many_games_are_not_drawn_in_large(tmp_path: Path) -> None:
    games = published("atari_table6")["game"][: figure6.FEW + 1]
    data = gather(write_atari(tmp_path, list(games), level, fraction=0.1), "atari")
    assert figure6.few(smoothed(data)) == []
