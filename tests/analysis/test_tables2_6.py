from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from analysis.data.completeness import mark, missing
from analysis.data.load import gather
from analysis.data.published import paper_table6, published
from analysis.sections.atari import prefix, tables2_6
from analysis.sections.atari.figure6 import smoothed
from tests.helpers.synthetic import episodes_of, planned, write, write_atari

# Returns of the first and of the last hundred episodes, the mean over the seeds.
RETURNS = {
    ("Alien", "a2c"): (1.0, 1.0),
    ("Alien", "acer"): (0.0, 20.0),  # best in the end
    ("Alien", "ppo"): (100.0, 10.0),  # best over all of training
    ("Breakout", "a2c"): (0.0, 5.0),
    ("Breakout", "acer"): (0.0, 4.0),
    ("Breakout", "ppo"): (0.0, 4.8),
    ("Pong", "a2c"): (-20.0, 20.0),
    ("Pong", "acer"): (10.0, 20.72),  # in the end a tie at one decimal
    ("Pong", "ppo"): (0.0, 20.68),
    ("Qbert", "a2c"): (0.0, 0.0),
    ("Qbert", "acer"): (0.0, 0.0),
    ("Qbert", "ppo"): (0.0, 0.0),
}
GAMES = ("Qbert", "Pong", "Breakout", "Alien")


def returns(run: dict[str, Any]) -> npt.NDArray[np.float64]:
    early, late = RETURNS[run["environment"].removesuffix("NoFrameskip-v4"), run["algorithm"]]
    return np.repeat([early, late], 100) + run["seed"] - 2


def unfinished(run: dict[str, Any]) -> dict[str, Any]:
    """One seed of ACER still trains on Qbert."""
    if (run["environment"], run["algorithm"], run["seed"]) == ("QbertNoFrameskip-v4", "acer", 3):
        return {**run, "status": "running"}
    return run


def tables_of(results: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    data = gather(results, "atari")
    assert data.problem is None
    table = tables2_6.table2(data, tables2_6.measured(data), smoothed(data))
    return table.shown.set_index(["Metric", "Source"]), table.notes


def test_the_papers_table6_gives_the_papers_second_row() -> None:
    printed = tables2_6.winners(paper_table6())
    assert printed[printed == tables2_6.TIE].index.tolist() == ["Pong", "Venture"]
    assert tables2_6.count(printed) == {"a2c": 1, "acer": 27, "ppo": 19, "tie": 2}
    row = published("atari_table2").set_index("metric").loc["score"]
    assert tables2_6.count(tables2_6.paper_winners()) == row.to_dict() == {"a2c": 1, "acer": 28, "ppo": 19, "tie": 1}
    assert tables2_6.paper_winners()[["Krull", "Pong", "Venture"]].tolist() == ["a2c", "acer", "tie"]


def test_wins_by_hand_in_both_metrics(tmp_path: Path) -> None:
    shown, notes = tables_of(write_atari(tmp_path, GAMES, returns, change=unfinished))
    columns = ["Games", "A2C", "ACER", "PPO", "Tie"]
    assert shown.loc[("all episodes of training", "Ours"), columns].tolist() == ["3", "1", "1", "1", "0"]
    assert shown.loc[("last 100 episodes", "Ours"), columns].tolist() == ["3", "1", "1", "0", "1"]
    same = shown.loc[("last 100 episodes", "Paper, counted in Table 6, the same games"), columns]
    assert same.tolist() == ["3", "0", "2", "1", "0"]  # Breakout and Pong to ACER, Alien to PPO
    assert shown.loc[("all episodes of training", "Paper, Table 2"), columns].tolist() == ["49", "1", "18", "30", "0"]
    assert shown.loc[("last 100 episodes", "Paper, Table 2"), columns].tolist() == ["49", "1", "28", "19", "1"]
    assert "Ours, tied in last 100 episodes: Pong (ACER = PPO = 20.7)." in notes
    assert "Games not counted, as not every run of A2C, ACER and PPO is finished: 46 of 49." in notes
    assert "35 of 36 runs are finished." in notes


def test_a_game_without_one_of_the_algorithms_is_not_counted(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if (run["environment"], run["algorithm"]) == ("PongNoFrameskip-v4", "acer") else run

    data = gather(write_atari(tmp_path, ("Pong", "Alien"), returns, change=change), "atari")
    assert tables2_6.counted(data, tables2_6.measured(data)) == ["Alien"]


def test_an_episode_counts_the_same_whether_short_or_long(tmp_path: Path) -> None:
    run = planned("AlienNoFrameskip", "default", 1, total_timesteps=1000, steps_done=1000)
    rows = episodes_of(run, [0.0, 0.0, 0.0, 0.0, 60.0], length=200)
    rows["step"] = [10, 20, 30, 40, 1000]  # the mean over frames would be near 60
    write(tmp_path, "atari", [run], [rows], "paper")
    assert tables2_6.measured(gather(tmp_path, "atari"))["training"].tolist() == [12.0]


def test_table6_has_all_games_ours_beside_the_papers(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, GAMES, returns, change=unfinished), "atari")
    table = tables2_6.table6(data, tables2_6.measured(data))
    shown = table.shown.set_index("Game")
    assert shown.index.tolist() == sorted(shown.index)
    assert len(shown) == 49
    columns = ["A2C, ours", "A2C, paper", "ACER, ours", "ACER, paper", "PPO, ours", "PPO, paper"]
    assert shown.columns.tolist() == columns
    pong = [
        "20.0 (19.0 · 20.0 · 21.0)",
        "19.7",
        "20.7 (19.7 · 20.7 · 21.7)",
        "20.7",
        "20.7 (19.7 · 20.7 · 21.7)",
        "20.7",
    ]
    assert shown.loc["Pong"].tolist() == pong
    assert shown.loc["Qbert", ["ACER, ours", "ACER, paper"]].tolist() == ["−0.5 (−1.0 · 0.0)", "15,316.6"]
    assert shown.loc["Zaxxon"].tolist() == ["–", "16.3", "–", "29.0", "–", "5008.7"]
    numbers = table.data.set_index(["game", "algorithm"])
    assert numbers.loc[("Alien", "ppo"), ["last_100_episodes", "all_episodes", "runs"]].tolist() == [10.0, 55.0, 3]


def test_table6_says_after_how_many_frames_ours_were_stopped(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong", "Alien", "Breakout"), returns, fraction=0.1), "atari")
    runs = tables2_6.measured(data)
    assert tables2_6.counted(data, runs) == ["Alien", "Breakout", "Pong"]  # stopped, and finished all the same
    said = "ours after 4M of 40M frames: not comparable with the paper's final numbers"
    assert (mark(data), missing(data)) == (said, [])
    table6 = tables2_6.table6(data, runs)
    assert said in table6.title
    shown = table6.shown.set_index("Game")
    assert shown.columns[:2].tolist() == ["A2C, ours after 4M of 40M frames", "A2C, paper"]
    assert shown.loc["Alien", "PPO, ours after 4M of 40M frames"] == "10.0 (9.0 · 10.0 · 11.0)"
    assert shown.loc["Zaxxon", "PPO, ours after 4M of 40M frames"] == "–"


def test_of_a_run_trained_longer_only_the_frames_of_the_others_count(tmp_path: Path) -> None:
    """As BankHeist's of 6.4M frames beside the others' 4M."""
    run = planned("AlienNoFrameskip", "default", 1, total_timesteps=1000, steps_done=160)
    rows = episodes_of(run, np.arange(1.0, 17.0), length=10)  # returns 1 ... 10 up to step 100
    write(tmp_path, "atari", [run], [rows], "paper", fraction=0.1)
    measured = tables2_6.measured(gather(tmp_path, "atari"))
    assert measured[["training", "score"]].to_numpy().tolist() == [[5.5, 5.5]]


def test_runs_stopped_on_purpose_meet_smoothed_curves(tmp_path: Path) -> None:
    """Runs stopped on purpose stand beside the paper's curves, smoothed alike."""
    data = gather(write_atari(tmp_path, ("Pong", "Alien", "Breakout"), returns, fraction=0.1), "atari")
    table = prefix.prefix(data, smoothed(data))
    assert "after 4M of 40M frames" in table.title
    assert "a mean over the frames up to 2.05M (A2C, ACER) or 2.3M (PPO)" in table.caption
    shown = table.shown.set_index(["Game", "Algorithm", "Frames"])
    assert len(shown) == 3 * 3 * 4
    # Ten bins of 20 episodes, five of them early: at 0.4M frames PPO's mean is over seven bins, A2C's and ACER's over
    # six; at 1.6M over all ten and over nine.
    ppo, acer = shown.loc[("Alien", "PPO")], shown.loc[("Alien", "ACER")]
    early = (5 * 100 + 2 * 10) / 7
    assert ppo.loc["0.4M", "Ours"] == f"{early:.1f} ({early - 1:.1f} · {early:.1f} · {early + 1:.1f})"
    assert ppo.loc["1.6M", "Ours"] == "55.0 (54.0 · 55.0 · 56.0)"
    late = 4 * 20 / 9
    assert acer.loc["1.6M", "Ours"] == f"{late:.1f} ({late - 1:.1f} · {late:.1f} · {late + 1:.1f})"
    curves = published("fig6_curves").query("frames_M == 1.6").groupby(["game", "algorithm"])["return"]
    numbers = table.data.set_index(["game", "algorithm", "frames"])
    for game, name in (("Alien", "PPO"), ("Breakout", "ACER"), ("Pong", "A2C")):
        row, paper = numbers.loc[(game, name.lower(), 1_600_000)], curves.get_group((game, name))
        assert row["paper"] == pytest.approx(paper.mean())
        assert (row["paper_lowest"], row["paper_highest"]) == (paper.min(), paper.max())
        assert row["difference"] == pytest.approx(row["ours"] - paper.mean())
    # The paper's at 1.6M frames: PPO on Alien 291 to 325, ACER on Breakout 4.3 to 5.1, A2C on Breakout 1.6 to 1.8.
    places = shown["Ours lies"].xs("1.6M", level="Frames")
    assert places["Alien", "PPO"] == "behind"
    assert places["Breakout", "ACER"] == "behind"  # 4 of 9 bins at 4: 1.8
    assert places["Breakout", "A2C"] == "ahead"  # 4 of 9 bins at 5: 2.2
    assert shown.loc[("Breakout", "A2C", "1.6M"), "Ours − paper"] == "+0.5"
    assert set(shown.loc["Alien", "openai/baselines"]) == {"–"}


def test_at_most_four_points_are_listed_and_the_csv_has_all(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong",), returns, fraction=0.25), "atari")  # 10M frames: up to 7.6M
    table = prefix.prefix(data, smoothed(data))
    assert table.shown["Frames"].unique().tolist() == ["2M", "4M", "6M", "7.6M"]
    assert table.data["frames"].unique().tolist() == [400_000 * number for number in range(1, 20)]


def test_a_game_without_an_algorithm_has_no_row_of_it(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if (run["environment"], run["algorithm"]) == ("PongNoFrameskip-v4", "acer") else run

    data = gather(write_atari(tmp_path, ("Pong", "Alien"), returns, fraction=0.1, change=change), "atari")
    shown = prefix.prefix(data, smoothed(data)).shown
    assert shown.groupby("Game")["Algorithm"].nunique().to_dict() == {"Alien": 3, "Pong": 2}


def test_games_won_by_stopped_runs_use_smoothed_curves(tmp_path: Path) -> None:
    """Games won by runs stopped on purpose are those of the smoothed curves."""
    data = gather(write_atari(tmp_path, ("Pong", "Alien", "Breakout"), returns, fraction=0.1), "atari")
    table = tables2_6.table2(data, tables2_6.measured(data), smoothed(data))
    assert "ours after 4M of 40M frames: not comparable with the paper's final numbers" in table.title
    counts = table.data.set_index(["metric", "source"])
    won = counts.loc[("curves at 1.6M frames", "Ours"), ["games", "a2c", "acer", "ppo", "tie"]]
    # Means over nine bins (PPO: ten): Alien 1, 8.9, 55; Breakout 2.2, 1.8, 2.4; Pong -2.2, 14.8, 10.3.
    assert won.tolist() == [3, 0, 1, 2, 0]
    there = published("fig6_curves").query("frames_M == 1.6").groupby(["game", "algorithm"])["return"].mean()
    best = [there[game].idxmax().lower() for game in ("Alien", "Breakout", "Pong")]
    paper: Any = counts.loc[("curves at 1.6M frames", "Paper, Figure 6, the same games")]
    assert paper[["a2c", "acer", "ppo"]].tolist() == [best.count(name) for name in ("a2c", "acer", "ppo")]
    assert counts.loc[("score", "Ours, after 4M of 40M frames"), "games"] == 3


def test_planned_and_not_begun_counts_nothing(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "status": "missing", "steps_done": 0}

    data = gather(write_atari(tmp_path, GAMES, lambda run: 0.0, change=change), "atari")
    assert tables2_6.counted(data, tables2_6.measured(data)) == []
    assert "0 of 36 runs are finished." in tables2_6.table2(data, tables2_6.measured(data), smoothed(data)).notes


def test_without_data_the_papers_numbers_stand_alone(tmp_path: Path) -> None:
    shown, notes = _nothing(tmp_path)
    columns = ["Games", "A2C", "ACER", "PPO", "Tie"]
    assert shown.loc[("last 100 episodes", "Ours"), columns].tolist() == ["0", "–", "–", "–", "–"]
    assert shown.loc[("last 100 episodes", "Paper, counted in Table 6"), columns].tolist() == [
        "49",
        "1",
        "28",
        "19",
        "1",
    ]
    assert any(note.startswith("atari: no data") for note in notes)
    # The other metric, a mean over frames, from the digitised curves: as counted when they were digitised.
    over_frames = published("fig6_summary")["timeavg_winner"].value_counts()
    assert over_frames.to_dict() == {"ppo": 25, "acer": 22, "a2c": 2}
    assert any("A2C 2, ACER 22, PPO 25" in note for note in notes)


def _nothing(results: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    data = gather(results, "atari")
    table = tables2_6.table2(data, tables2_6.measured(data), smoothed(data))
    assert len(tables2_6.table6(data, tables2_6.measured(data)).shown) == 49
    return table.shown.set_index(["Metric", "Source"]), table.notes
