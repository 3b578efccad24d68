from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import scipy.stats

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.atari import human_normalised, tables2_6
from analysis.sections.atari.figure6 import ALGORITHMS, smoothed
from analysis.style.colours import algorithm_lines
from tests.helpers.synthetic import write_atari

# Breakout: random 1.7, human 30.5. Pong: random -20.7, human 14.6.
RETURNS = {"Breakout": {"a2c": 1.7, "acer": 16.1, "ppo": 30.5}, "Pong": {"a2c": -20.7, "acer": 14.6, "ppo": -3.05}}
NORMALISED = {"a2c": (0.0, 0.0), "acer": (0.5, 1.0), "ppo": (1.0, 0.5)}


def level(run: dict[str, Any]) -> float:
    return RETURNS[run["environment"].removesuffix("NoFrameskip-v4")][run["algorithm"]]


def test_the_levels_are_those_of_the_sources() -> None:
    levels = published("atari_human").set_index("game")
    assert levels.index.tolist() == published("atari_table6")["game"].tolist()
    assert (levels["human"] > levels["random"]).all()
    # As listed by seungjaeryanlee/rldb, another transcription than the one that the file was made from.
    for game, random, tester in (
        ("Alien", 227.8, 7127.7),
        ("DoubleDunk", -18.6, -16.4),
        ("MontezumaRevenge", 0.0, 4753.3),
        ("Pitfall", -229.4, 6463.7),
        ("UpNDown", 533.4, 11693.2),
        ("VideoPinball", 16256.9, 17667.9),
        ("Zaxxon", 32.5, 9173.3),
    ):
        assert levels.loc[game].tolist() == [random, tester]


def test_ours_by_hand_beside_the_papers(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level), "atari")
    rows = {
        (row.algorithm, row.source): row
        for row in human_normalised.rows(data, tables2_6.measured(data), smoothed(data))
    }
    for algorithm, values in NORMALISED.items():
        for source in ("Ours, last 100 episodes", "Ours, smoothed, at 40M frames"):  # of a constant both are the same
            row = rows[algorithm, source]
            assert (row.games, row.runs) == (2, 6)
            assert row.median == pytest.approx(np.mean(values))
            assert row.iqm == pytest.approx(np.mean(values))  # of three and three the middle half is one and one
            assert np.isnan([row.iqm_low, row.iqm_high]).all()  # three seeds are too few for a bootstrap
        same = rows[algorithm, "Paper's curves at 40M frames, the same games"]
        assert (same.games, same.runs) == (2, 6)
    assert _paper_iqm(40.0) == pytest.approx(rows["ppo", "Paper's curves at 40M frames, the same games"].iqm)


def _paper_iqm(frames: float) -> float:
    """Of PPO's curves on Breakout and Pong at so many million frames."""
    there = published("fig6_curves").query(
        "frames_M == @frames and algorithm == 'PPO' and game in ['Breakout', 'Pong']"
    )
    by_game = there.groupby("game")["return"].apply(list)
    values = [*((np.array(by_game["Breakout"]) - 1.7) / 28.8), *((np.array(by_game["Pong"]) + 20.7) / 35.3)]
    return float(scipy.stats.trim_mean(values, 0.25))


def test_runs_stopped_early_are_compared_over_the_same_frames(
    tmp_path: Path,
) -> None:
    """Runs stopped early are compared with the curves where both are means over the same frames.

    Breakout rises by 0.1 an episode of 20,000 frames, Pong is flat: at 1.6M frames all of 4M are in PPO's window.
    """

    def rising(run: dict[str, Any]) -> npt.ArrayLike:
        return np.arange(200) / 10 if run["environment"].startswith("Breakout") else -20.7

    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), rising, fraction=0.1), "atari")
    rows = {
        (row.algorithm, row.source): row
        for row in human_normalised.rows(data, tables2_6.measured(data), smoothed(data))
    }
    assert rows["ppo", "Ours, smoothed, at 1.6M frames"].median == pytest.approx((9.95 - 1.7) / 28.8 / 2)
    last = rows["ppo", "Ours, last 100 episodes after 4M of 40M frames"]
    assert last.median == pytest.approx((14.95 - 1.7) / 28.8 / 2)
    assert rows["ppo", "Paper's curves at 1.6M frames, the same games"].iqm == pytest.approx(_paper_iqm(1.6))


def test_games_weigh_the_same_however_many_seeds_they_have(tmp_path: Path) -> None:
    """Of Breakout three seeds, of Pong one: the first of each counts."""

    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if run["environment"].startswith("Pong") and run["seed"] > 1 else run

    def value(run: dict[str, Any]) -> float:
        return 1.7 + 28.8 * run["seed"] if run["environment"].startswith("Breakout") else -20.7  # human: seed, 0

    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), value, change=change), "atari")
    rows = {
        (row.algorithm, row.source): row
        for row in human_normalised.rows(data, tables2_6.measured(data), smoothed(data))
    }
    for source in ("Ours, smoothed, at 40M frames", "Ours, last 100 episodes"):
        row = rows["ppo", source]
        assert (row.games, row.runs) == (2, 2)
        assert row.iqm == row.median == pytest.approx(0.5)


def test_the_papers_table6_by_hand() -> None:
    rows = {row.algorithm: row for row in _rows_without_data() if row.source == "Paper, Table 6 (40M frames)"}
    scores, levels = (published(name).set_index("game") for name in ("atari_table6", "atari_human"))
    for algorithm in ALGORITHMS:
        values = (scores[algorithm] - levels["random"]) / (levels["human"] - levels["random"])
        assert rows[algorithm].iqm == pytest.approx(scipy.stats.trim_mean(values, 0.25))
        assert rows[algorithm].median == pytest.approx(sorted(values)[24])
        assert np.isnan(rows[algorithm].iqm_low)  # it has no seeds


def _rows_without_data() -> list[human_normalised.Row]:
    data = gather(Path("nowhere"), "atari")
    return human_normalised.rows(data, tables2_6.measured(data), smoothed(data))


def test_without_data_and_with_runs_stopped_early(tmp_path: Path) -> None:
    sources = [row.source for row in _rows_without_data() if row.algorithm == "acer"]
    assert sources == [
        "Ours, smoothed, at 40M frames",
        "Paper's curves at 40M frames",
        "Ours, last 100 episodes",
        "Paper, Table 6 (40M frames)",
    ]
    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level, fraction=0.1), "atari")
    table = human_normalised.table(data, tables2_6.measured(data), smoothed(data))
    assert "after 4M of 40M frames" in table.title
    assert table.shown["Source"].tolist()[:4] == [
        "Ours, smoothed, at 1.6M frames",
        "Paper's curves at 1.6M frames, the same games",
        "Ours, last 100 episodes after 4M of 40M frames",
        "Paper, Table 6 (40M frames)",
    ]
    short = gather(write_atari(tmp_path / "short", ("Breakout", "Pong"), level, fraction=0.05), "atari")
    sources = human_normalised.table(short, tables2_6.measured(short), smoothed(short)).shown["Source"].tolist()[:2]
    assert sources == ["Ours, last 100 episodes after 2M of 40M frames", "Paper, Table 6 (40M frames)"]
    assert "No runs of ours to compare yet." in human_normalised.profile(short, smoothed(short)).caption


def test_an_algorithm_on_other_games_is_told(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if (run["environment"], run["algorithm"]) == ("PongNoFrameskip-v4", "a2c") else run

    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level, change=change), "atari")
    table = human_normalised.table(data, tables2_6.measured(data), smoothed(data))
    assert table.notes[0].startswith("Ours: not the same games for every algorithm")


def test_the_profile_is_the_share_of_runs_above(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level), "atari")
    axes = human_normalised.profile(data, smoothed(data)).figure.axes[0]
    assert not axes.collections  # three seeds are too few for a band
    solid = {line.get_color(): line for line in axes.lines if line.get_linestyle() == "-"}
    acer = solid[algorithm_lines(["acer"])["acer"].colour]
    shares = pd.Series(np.asarray(acer.get_ydata()), index=np.asarray(acer.get_xdata()))
    assert shares[shares.index < 0.5].eq(1.0).all()  # Breakout's 0.5 and Pong's 1.0
    assert shares[(shares.index >= 0.501) & (shares.index < 0.999)].eq(0.5).all()
    assert shares[shares.index > 1.001].eq(0.0).all()
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 3
