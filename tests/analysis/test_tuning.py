from __future__ import annotations

from pathlib import Path

import pytest

from analysis.data.labels import values
from analysis.data.load import gather
from analysis.data.scores import scored
from analysis.sections import tuning
from tests.helpers.synthetic import TRIED, episodes_of, planned, write, write_tuning


def test_a_settings_name_holds_its_values() -> None:
    assert values("learning_rate=0.0007,ema_decay=0.9") == {"learning_rate": "0.0007", "ema_decay": "0.9"}
    assert values("default") == {}


def test_every_setting_with_its_scores_and_where_it_is_best(tmp_path: Path) -> None:
    table = tuning.tuning(gather(write_tuning(tmp_path), "tuning"))
    columns = ["Algorithm", "Setting", "Steps", "HalfCheetah", "Reacher", "Best on"]
    assert list(table.shown.columns) == [*columns[:2], "norm_reward", *columns[2:], "Relative", "Smoothed"]
    assert table.shown[columns].to_numpy().tolist()[:2] == [
        ["A2C", "learning_rate = 0.001", "20,000", "11.5 (11.0 · 12.0)", "115 (110 · 120)", "–"],
        ["A2C", "learning_rate = 0.0001", "20,000", "31.5 (31.0 · 32.0)", "315 (310 · 320)", "HalfCheetah, Reacher"],
    ]
    names = ["A2C"] * 3 + ["A2C + Trust Region"] * 3 + ["CEM"] * 2
    assert table.shown["Algorithm"].tolist() == names
    assert table.shown["Setting"].tolist()[3] == "learning_rate = 0.001, trust_region_delta = 1"
    assert table.shown["Best on"].tolist().count("HalfCheetah, Reacher") == 3
    numbers = table.data.set_index(["algorithm", "setting", "task"])
    for algorithm, tried in TRIED.items():
        for setting, value in tried.items():
            assert numbers.at[(algorithm, setting, "HalfCheetah"), "score"] == pytest.approx(value + 1.5)
            assert numbers.at[(algorithm, setting, "Reacher"), "score"] == pytest.approx(10 * (value + 1.5))
    assert numbers["best"].sum() == 6


def test_what_scores_are_drawn_against(tmp_path: Path) -> None:
    frame = tuning.points(gather(write_tuning(tmp_path), "tuning")).query("task == 'Reacher' and seed == 201")
    placed = {(row.algorithm, row.setting): (row.axis, row.x, row.line) for row in frame.itertuples()}
    assert placed["a2c", "learning_rate=0.0001"] == ("learning_rate", 0.0001, "")
    from_name = "learning_rate", 0.001, "trust_region_delta = 1"
    assert placed["a2c-trust-region", "learning_rate=0.001,trust_region_delta=1"] == from_name
    from_manifest = "learning_rate", 0.0007, "trust_region_delta = 0.1"
    assert placed["a2c-trust-region", "trust_region_delta=0.1"] == from_manifest
    assert placed["cem", "population=50"] == ("population", 50.0, "")
    assert len(placed) == 8


def test_the_picture_has_the_means_and_says_what_falls_below(tmp_path: Path) -> None:
    drawing = tuning.figure(gather(write_tuning(tmp_path), "tuning"))
    a2c, _, trust, beside, cem, _ = drawing.figure.axes  # HalfCheetah comes first
    lines = [line.get_xydata().tolist() for line in a2c.lines if line.get_linestyle() == "-"]
    assert lines == [[[0.0001, 31.5], [0.001, 11.5], [0.01, -4998.5]]]
    assert a2c.get_ylim()[0] > -100
    assert [text.get_text() for text in a2c.texts] == ["0.01: falls to −4999"]
    assert not [*trust.texts, *cem.texts]
    lines = [text.get_text() for text in beside.get_legend().get_texts()]
    assert lines == ["trust_region_delta = 1", "trust_region_delta = 0.1"]
    assert {axes.get_xscale() for axes in (a2c, trust, cem)} == {"log"}


def test_choice_weighs_a_setting_and_its_neighbours(tmp_path: Path) -> None:
    """A setting is chosen by its own and its neighbours' scores, relative to the best.

    By hand, of A2C's three rates 1e-4, 1e-3, 1e-2 with 31.5, 11.5 and -4998.5 (ten times that on Reacher).
    """
    data = gather(write_tuning(tmp_path), "tuning")
    judged = tuning.judged(data, tuning.measured(data, scored(data))).set_index(["algorithm", "setting"])
    a2c = judged.loc["a2c"]
    relative = [31.5 / 31.5, 11.5 / 31.5, -4998.5 / 31.5]
    settings = ["learning_rate=0.0001", "learning_rate=0.001", "learning_rate=0.01"]
    assert a2c.loc[settings, "relative"].tolist() == pytest.approx(relative)
    smoothed = [sum(relative[:2]) / 2, sum(relative) / 3, sum(relative[1:]) / 2]
    assert a2c.loc[settings, "smoothed"].tolist() == pytest.approx(smoothed)
    assert a2c.loc[settings, "chosen"].tolist() == [True, False, False]
    assert judged.loc["cem", "chosen"].to_dict() == {"population=50": False, "population=20": True}
    assert judged["chosen"].sum() == 3


def test_choice_compares_equal_budgets(tmp_path: Path) -> None:
    """Settings are compared with those trained as long, and chosen from those trained longest.

    A2C's rate 1e-3 trained twice as long as 1e-4, which has the higher score, and 1e-2.
    """
    data = gather(write_tuning(tmp_path), "tuning")
    longer = (data.runs["algorithm"] == "a2c") & (data.runs["setting"] == "learning_rate=0.001")
    data.runs.loc[longer, "total_timesteps"] *= 2
    a2c = tuning.judged(data, tuning.measured(data, scored(data))).set_index(["algorithm", "setting"]).loc["a2c"]
    settings = ["learning_rate=0.0001", "learning_rate=0.001", "learning_rate=0.01"]
    assert a2c.loc[settings, "relative"].tolist() == pytest.approx([1.0, 1.0, -4998.5 / 31.5])
    assert a2c.loc[settings, "chosen"].tolist() == [False, True, False]
    lines = tuning.points(data).query("algorithm == 'a2c'").groupby("setting")["line"].unique()
    assert [list(lines[setting]) for setting in settings] == [["20,000 steps"], ["40,000 steps"], ["20,000 steps"]]


CROSSED = {
    ("vpg", "none", "desired_kl=0.01"): 10.0,
    ("vpg", "none", "desired_kl=0.02"): 20.0,
    ("vpg", "none", "desired_kl=0.04"): 10.0,
    ("vpg", "reset", "norm_reward=reset,desired_kl=0.01"): 17.0,
    ("vpg", "reset", "norm_reward=reset,desired_kl=0.02"): 18.0,
    ("vpg", "reset", "norm_reward=reset,desired_kl=0.04"): 18.0,
    ("trpo", "none", "norm_reward=none"): 5.0,
    ("trpo", "reset", "norm_reward=reset"): 8.0,
    ("trpo", "never-reset", "norm_reward=never-reset"): 6.0,
}
"""The return of every algorithm, reward scaling and setting of `write_crossed`."""


def write_crossed(results: Path) -> Path:
    """RESULTS/tuning on Hopper: a sweep crossed with reward scaling, which the names of the first do not say, and an
    algorithm that tried nothing else; two seeds, one above and one below; untrained: 0."""
    runs, rows = [], []
    for (algorithm, scaling, setting), value in CROSSED.items():
        for seed in (201, 202):
            runs.append(planned("Hopper", setting, seed, algorithm=algorithm, settings={"norm_reward": scaling}))
            rows.append(episodes_of(runs[-1], value + (-1) ** seed))
    runs.append(planned("Hopper", "untrained", 201, settings={"norm_reward": "reset"}))
    rows.append(episodes_of(runs[-1], 0.0))
    write(results, "tuning", runs, rows, "paper")
    return results


def test_choice_covers_all_reward_scalings(tmp_path: Path) -> None:
    """A choice is over all reward scalings, and neighbours share theirs.

    By hand: of the best, 20, the first sweep has 0.5, 1, 0.5 and the scaled one 0.85, 0.9, 0.9. The highest stands
    in the first, the highest together with its neighbours in the other.
    """
    data = gather(write_crossed(tmp_path), "tuning")
    judged = tuning.judged(data, tuning.measured(data, scored(data))).set_index(["algorithm", "setting"])
    assert judged.loc["vpg", "relative"].tolist() == pytest.approx([0.5, 1.0, 0.5, 0.85, 0.9, 0.9])
    smoothed = [1.5 / 2, 2.0 / 3, 1.5 / 2, 1.75 / 2, 2.65 / 3, 1.8 / 2]
    assert judged.loc["vpg", "smoothed"].tolist() == pytest.approx(smoothed)
    assert judged.index[judged["chosen"]].tolist() == [
        ("vpg", "norm_reward=reset,desired_kl=0.04"),
        ("trpo", "norm_reward=reset"),
    ]
    assert judged.loc["trpo", "smoothed"].tolist() == pytest.approx([5 / 8, 1.0, 6 / 8]), "without neighbours"


def test_reward_scaling_has_its_own_column(tmp_path: Path) -> None:
    """Reward scaling has a column of its own, whatever a setting's name says."""
    table = tuning.tuning(gather(write_crossed(tmp_path), "tuning"))
    shown = [tuple(row) for row in table.shown[["Setting", "norm_reward"]].to_numpy()]
    kls = [f"desired_kl = {kl}" for kl in (0.01, 0.02, 0.04)]
    assert shown[:6] == [*((kl, "none") for kl in kls), *((kl, "reset") for kl in kls)]
    assert shown[6:] == [("–", "none"), ("–", "reset"), ("–", "never-reset")]
    assert table.data["norm_reward"].tolist() == [scaling for _, scaling, _ in CROSSED]
    plain = tuning.tuning(gather(write_tuning(tmp_path / "plain"), "tuning")).shown
    assert set(plain["norm_reward"]) == {"–"}, "of algorithms without such a setting"


def test_the_picture_has_a_panel_for_each_reward_scaling(tmp_path: Path) -> None:
    drawing = tuning.figure(gather(write_crossed(tmp_path), "tuning"))
    first, second = drawing.figure.axes  # of TRPO, which tried nothing but the scaling, there is nothing to draw
    titles = ["Hopper\nnorm_reward = none", "Hopper\nnorm_reward = reset"]
    assert [axes.get_title() for axes in (first, second)] == titles
    means = [axes.lines[1].get_xydata().tolist() for axes in (first, second)]
    assert means[0] == [[0.01, 10.0], [0.02, 20.0], [0.04, 10.0]]
    assert means[1] == [[0.01, 17.0], [0.02, 18.0], [0.04, 18.0]]
    assert first.get_ylim() == second.get_ylim()
    assert first.get_ylabel() == "Vanilla PG, Adaptive"
    assert not first.get_legend()


def test_line_colours_agree_and_the_legend_is_unique(tmp_path: Path) -> None:
    """A line has its colour in every panel and stands in the legend once.

    The first panel lacks the first line.
    """
    runs, rows = [], []
    for scaling, lambdas in (("reset", (0.9, 1.0)), ("none", (1.0,))):
        for lam in lambdas:
            for kl in (0.01, 0.02):
                name = f"norm_reward={scaling},desired_kl={kl},gae_lambda={lam}"
                runs.append(planned("Hopper", name, 201, algorithm="vpg", settings={"norm_reward": scaling}))
                rows.append(episodes_of(runs[-1], 10 * lam))
    write(tmp_path, "tuning", runs, rows, "paper")
    none, reset = tuning.figure(gather(tmp_path, "tuning")).figure.axes
    colours = [{line.get_label(): line.get_color() for line in axes.lines[1::2]} for axes in (none, reset)]
    assert colours[0].keys() == {"gae_lambda = 1.0"}
    assert colours[1].keys() == {"gae_lambda = 0.9", "gae_lambda = 1.0"}
    assert colours[0]["gae_lambda = 1.0"] == colours[1]["gae_lambda = 1.0"] != colours[1]["gae_lambda = 0.9"]
    assert sorted(text.get_text() for text in reset.get_legend().get_texts()) == [
        "gae_lambda = 0.9",
        "gae_lambda = 1.0",
    ]


def test_neighbours_differ_by_one_step() -> None:
    """Neighbours are a step away, in fractions too, and the same in all else."""
    tried = [f"network={n},std={s}" for n in ("10-5", "64-64") for s in ("0.1", "0.3", "1.0")] + ["std=0.1"]
    assert tuning.neighbours("network=10-5,std=0.1", tried) == ["network=10-5,std=0.1", "network=10-5,std=0.3"]
    assert tuning.neighbours("network=64-64,std=0.3", tried) == tried[3:6]
    assert tuning.neighbours("std=0.1", tried) == ["std=0.1"]
    counts = ["population=20", "population=50"]
    assert tuning.neighbours("population=20", counts) == ["population=20"]
