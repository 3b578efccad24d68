from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import write_atari

from analysis import atari, human
from analysis.load import gather, published
from analysis.names import algorithm_colour

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
    rows = {(row.algorithm, row.source): row for row in human.rows(data, atari.measured(data))}
    for algorithm, values in NORMALISED.items():
        row = rows[algorithm, "Ours"]
        assert (row.games, row.runs) == (2, 6)
        assert row.median == pytest.approx(np.mean(values))
        assert row.iqm == pytest.approx(np.mean(values))  # of three and three the middle half is one and one
        assert np.isnan([row.iqm_low, row.iqm_high]).all()  # three seeds are too few for a bootstrap
        same = rows[algorithm, "Paper's curves at 40M frames, the same games"]
        assert (same.games, same.runs) == (2, 6)
    ends = published("fig6_curves").query("frames_M == 40.0 and algorithm == 'PPO' and game in ['Breakout', 'Pong']")
    by_game = ends.groupby("game")["return"].apply(list)
    expected = [*((np.array(by_game["Breakout"]) - 1.7) / 28.8), *((np.array(by_game["Pong"]) + 20.7) / 35.3)]
    paper = rows["ppo", "Paper's curves at 40M frames, the same games"]
    assert paper.iqm == pytest.approx(scipy.stats.trim_mean(expected, 0.25))


def test_the_papers_table6_by_hand() -> None:
    rows = {row.algorithm: row for row in _rows_without_data() if row.source == "Paper, Table 6 (40M frames)"}
    scores, levels = (published(name).set_index("game") for name in ("atari_table6", "atari_human"))
    for algorithm in atari.ALGORITHMS:
        values = (scores[algorithm] - levels["random"]) / (levels["human"] - levels["random"])
        assert rows[algorithm].iqm == pytest.approx(scipy.stats.trim_mean(values, 0.25))
        assert rows[algorithm].median == pytest.approx(sorted(values)[24])
        assert np.isnan(rows[algorithm].iqm_low)  # it has no seeds


def _rows_without_data() -> list[human.Row]:
    data = gather(Path("nowhere"), "atari")
    return human.rows(data, atari.measured(data))


def test_without_data_and_with_runs_stopped_early(tmp_path: Path) -> None:
    sources = [row.source for row in _rows_without_data() if row.algorithm == "acer"]
    assert sources == ["Ours", "Paper's curves at 40M frames", "Paper, Table 6 (40M frames)"]
    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level, fraction=0.1), "atari")
    table = human.table(data, atari.measured(data))
    assert "after 4M of 40M frames" in table.title
    assert table.shown["Source"].tolist()[:3] == [
        "Ours, after 4M of 40M frames",
        "Paper's curves at 4M frames, the same games",
        "Paper, Table 6 (40M frames)",
    ]


def test_an_algorithm_on_other_games_is_told(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if (run["environment"], run["algorithm"]) == ("PongNoFrameskip-v4", "a2c") else run

    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level, change=change), "atari")
    table = human.table(data, atari.measured(data))
    assert table.notes[0].startswith("Ours: not the same games for every algorithm")


def test_the_profile_is_the_share_of_runs_above(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Breakout", "Pong"), level), "atari")
    axes = human.profile(data, atari.measured(data)).figure.axes[0]
    assert not axes.collections  # three seeds are too few for a band
    solid = {line.get_color(): line for line in axes.lines if line.get_linestyle() == "-"}
    shares = pd.Series(solid[algorithm_colour("acer")].get_ydata(), index=solid[algorithm_colour("acer")].get_xdata())
    assert shares[shares.index < 0.5].eq(1.0).all()  # Breakout's 0.5 and Pong's 1.0
    assert shares[(shares.index >= 0.501) & (shares.index < 0.999)].eq(0.5).all()
    assert shares[shares.index > 1.001].eq(0.0).all()
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 3
