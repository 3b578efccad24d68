from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analysis.data.load import Data, gather
from analysis.sections import figure3_aggregate
from analysis.style.formats import Table
from tests.helpers.synthetic import BUDGET, write_figure3

RETURNS = {
    ("a2c", 1): 50.0,
    ("a2c", 2): 150.0,
    ("ppo", 1): 100.0,
    ("ppo", 2): 200.0,
    ("npg", 1): 0.0,
    ("npg", 2): 400.0,
}


def value(run: dict[str, Any]) -> float:
    return RETURNS[run["algorithm"], run["seed"]]


def rows_of(results: Path) -> dict[str, figure3_aggregate.Row]:
    return {row.algorithm: row for row in rows(gather(results, "figure3"))}


def rows(data: Data) -> list[figure3_aggregate.Row]:
    return figure3_aggregate.rows(data, figure3_aggregate.normalised(data))


def table_of(data: Data) -> Table:
    return figure3_aggregate.aggregate(data, figure3_aggregate.normalised(data), rows(data))


def test_aggregates_by_hand(tmp_path: Path) -> None:
    rows = rows_of(write_figure3(tmp_path, ("a2c", "ppo", "npg"), value=value))
    # The best run is NPG's 400, the best algorithm's mean NPG's 200; the untrained policy has 0.
    means = {"a2c": 100 / 400, "ppo": 150 / 400, "npg": 200 / 400}
    late = {"a2c": 100 / 200, "ppo": 150 / 200, "npg": 1.0}
    better = {"a2c": 0.75, "ppo": np.nan, "npg": 0.5}  # 100 > 50, 200 > 50, 200 > 150 of four; 100 > 0, 200 > 0
    for algorithm in ("a2c", "ppo", "npg"):
        row = rows[algorithm]
        assert row.mean == pytest.approx(means[algorithm])
        assert row.mean_low < row.mean < row.mean_high
        assert row.as_the_paper == pytest.approx(late[algorithm])
        assert row.ppo_better == pytest.approx(better[algorithm], nan_ok=True)
        assert (row.tasks, row.runs, row.planned, row.diverged) == (7, 14, 14, 0)
    assert (rows["trpo"].runs, rows["trpo"].planned) == (0, 0)  # only the paper has it
    assert np.isnan(rows["trpo"].mean)


def test_ppo_is_compared_with_each_by_hand(tmp_path: Path) -> None:
    rows = rows_of(write_figure3(tmp_path, ("a2c", "ppo", "npg"), value=value))
    # On each of seven tasks: PPO 100 and 200, A2C 50 and 150, NPG 0 and 400, of 400. Variances 5000, 5000, 80000.
    p_values = {}
    for algorithm, difference, other in (("a2c", 50 / 400, 5_000), ("npg", -50 / 400, 80_000)):
        row = rows[algorithm]
        error = np.sqrt((5_000 / 2 + other / 2) / 7) / 400
        freedom = 7 * (5_000 + other) ** 2 / (5_000**2 + other**2)  # each variance has one degree
        half = scipy.stats.t.ppf(0.975, freedom) * error
        assert row.difference == pytest.approx(difference)
        assert (row.difference_low, row.difference_high) == pytest.approx((difference - half, difference + half))
        fewer = scipy.stats.t.ppf(0.975, freedom * 5 / 7) * error * np.sqrt(7 / 5)  # two of the seven chose the reading
        assert row.blind == pytest.approx(difference)
        assert (row.blind_low, row.blind_high) == pytest.approx((difference - fewer, difference + fewer))
        p_values[algorithm] = 2 * scipy.stats.t.sf(abs(difference) / error, freedom)
        assert row.p == pytest.approx(p_values[algorithm])
        assert row.p_equal == pytest.approx(scipy.stats.t.sf((0.1 - abs(difference)) / error, freedom))
    assert rows["a2c"].p_holm == pytest.approx(2 * p_values["a2c"])  # two comparisons, the smaller p first
    assert rows["npg"].p_holm == pytest.approx(max(2 * p_values["a2c"], p_values["npg"]))
    assert np.isnan([rows["ppo"].p, rows["trpo"].p, rows["ppo"].difference_low]).all()


@pytest.mark.parametrize(
    ("shift", "spread", "shown"),
    [
        (0.0, 5.0, "equal within 0.1"),
        (0.0, 100.0, "neither"),
        (60.0, 5.0, "PPO worse"),
        (-60.0, 5.0, "PPO better"),
    ],
)
def test_what_a_comparison_shows(tmp_path: Path, shift: float, spread: float, shown: str) -> None:
    def near(run: dict[str, Any]) -> float:
        return 200.0 + spread * (run["seed"] - 2) + shift * (run["algorithm"] == "trpo")

    table = table_of(gather(write_figure3(tmp_path, ("ppo", "trpo"), value=near, seeds=(1, 2, 3)), "figure3"))
    assert table.shown.set_index("Algorithm").at["TRPO", "Shown"] == shown


def test_iqm_and_probability_have_an_interval_from_ten_seeds_on(tmp_path: Path) -> None:
    for count in (9, 10):
        results = write_figure3(tmp_path / str(count), ("ppo", "a2c"), seeds=range(1, count + 1))
        row = rows_of(results)["a2c"]
        assert np.isfinite(row.mean_low)
        assert np.isfinite([row.iqm_low, row.ppo_better_low]).tolist() == [count == 10] * 2
        shown = table_of(gather(results, "figure3")).shown.set_index("Algorithm")
        assert ("[" in shown.at["A2C", "IQM"]) == (count == 10)


def test_one_run_of_one_task_has_no_interval_and_no_comparison(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return run if run["environment"] == "InvertedPendulum-v4" and run["seed"] == 1 else None

    data = gather(write_figure3(tmp_path, ("ppo", "cem"), change=change, profile="quick"), "figure3")
    shown = table_of(data).shown.set_index("Algorithm")
    assert shown.at["CEM", "All seeds: mean [95 % interval]"] == "1.00 [–]"
    assert shown.at["CEM", "PPO − this [95 % interval]"] == "0.00 [–]"
    assert shown.loc["CEM", ["p (Holm)", "p, equal (Holm)", "Shown"]].tolist() == ["–"] * 3


def test_iqm_is_scipys_and_ignores_one_bad_task(tmp_path: Path) -> None:
    def bad(run: dict[str, Any]) -> float:
        return -50_000.0 if (run["environment"], run["algorithm"]) == ("Hopper-v4", "a2c") else value(run)

    row = rows_of(write_figure3(tmp_path, ("a2c", "ppo"), value=bad))["a2c"]
    normalised = [-250.0] * 2 + [0.25, 0.75] * 6  # the best run is PPO's 200
    assert row.mean == pytest.approx(np.mean(normalised))
    assert row.iqm == pytest.approx(scipy.stats.trim_mean(normalised, 0.25))
    assert row.mean_high < row.iqm


def test_the_papers_own_aggregate_by_hand() -> None:
    paper = figure3_aggregate.paper_aggregate()
    # PPO's final is the paper's best on five tasks. InvertedPendulum: A2C has 999.98, Swimmer: TRPO has 120.71.
    pendulum, swimmer = (
        np.mean([17.69, 14.91, 9.03, 18.84, 9.09, 12.42]),
        np.mean([24.57, 22.83, -4.89, 18.81, 3.91, 18.18]),
    )
    others = (954.57 - pendulum) / (999.98 - pendulum) + (106.42 - swimmer) / (120.71 - swimmer)
    assert paper["PPO (Clip)"] == pytest.approx((5 + others) / 7)
    assert paper.idxmax() == "PPO (Clip)"
    assert len(paper) == 6


def test_the_papers_trpo_stands_beside_both_of_ours(tmp_path: Path) -> None:
    table = table_of(gather(write_figure3(tmp_path, ("trpo", "trpo-2017", "npg")), "figure3"))
    shown = table.shown.set_index("Algorithm")["Paper"]
    assert shown["TRPO"] == shown["TRPO as released in 2017"] != "–"
    assert shown["Natural PG"] == "–"


def test_algorithms_without_all_tasks_are_named(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        unfinished = run["algorithm"] == "npg" and run["environment"] == "Reacher-v4"
        return {**run, "status": "running", "steps_done": 5_000} if unfinished else run

    data = gather(write_figure3(tmp_path, ("ppo", "npg"), change=change), "figure3")
    table = table_of(data)
    assert table.notes[0] == "Not all tasks, so not comparable: Natural PG."
    assert table.notes[-1] == "26 of 28 runs are finished."
    shown = table.shown.set_index("Algorithm")
    assert shown.loc["Natural PG", ["Tasks", "Runs"]].tolist() == ["6/7", "12/14"]
    ours = shown["Last tenth, best algorithm = 1: ours"]
    assert (ours["PPO (Clip)"], ours["Natural PG"]) == ("1.00", "–")  # the paper's stands beside it, over seven tasks


def test_without_the_untrained_policy_only_what_needs_no_scale(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        return None if run["setting"] == "untrained" else run

    data = gather(write_figure3(tmp_path, ("ppo", "a2c"), value=value, change=change), "figure3")
    row = {row.algorithm: row for row in rows(data)}["a2c"]
    assert (row.runs, row.planned, row.ppo_better) == (0, 14, 0.75)
    assert np.isnan(row.mean)
    assert any(note.startswith("Left out: HalfCheetah, Hopper,") for note in table_of(data).notes)


def test_beside_the_paper_stands_the_last_tenth(tmp_path: Path) -> None:
    path = write_figure3(tmp_path, ("a2c", "ppo"), value=value) / "figure3" / "episodes.parquet"
    episodes = pd.read_parquet(path)
    early = (episodes["algorithm"] == "a2c") & (episodes["step"] <= BUDGET * 9 // 10)
    episodes.assign(episodic_return=episodes["episodic_return"].where(~early, 0.0)).to_parquet(path)
    row = rows_of(tmp_path)["a2c"]
    assert row.mean == pytest.approx(0.1 * 100 / 200)  # 4 of the 40 episodes are in the last tenth
    assert row.as_the_paper == pytest.approx(100 / 150)


def test_no_algorithm_gains_by_diverging(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "diverged_at": BUDGET // 2} if (run["algorithm"], run["seed"]) == ("a2c", 1) else run

    row = rows_of(write_figure3(tmp_path, ("ppo", "a2c"), value=value, change=change))["a2c"]
    assert (row.runs, row.diverged) == (14, 7)
    assert row.as_the_paper == pytest.approx(100 / 150)  # not 150 / 150, the mean of the seeds that reached the end


def test_the_picture_shows_the_rows(tmp_path: Path) -> None:
    data = gather(write_figure3(tmp_path, ("ppo", "a2c"), value=value), "figure3")
    made = rows(data)
    left, right = figure3_aggregate.figure(made, data, figure3_aggregate.normalised(data)).figure.axes
    row = {row.algorithm: row for row in made}["a2c"]
    points = {tuple(line.get_xdata()) for line in left.lines}
    assert {(row.mean,), (row.iqm,), (row.mean_low, row.mean_high)} <= points
    assert (row.difference_low, row.difference_high) in {tuple(line.get_xdata()) for line in right.lines}
    assert [label.get_text() for label in left.get_yticklabels()][::-1][:2] == ["A2C§", "A2C + Trust Region"]
    drawn = [line.get_xdata() for axes in (left, right) for line in axes.lines]
    assert not any(np.isnan(np.asarray(x, dtype=float)).any() for x in drawn)


def test_unequal_numbers_of_seeds_by_scipy(tmp_path: Path) -> None:
    """Ten seeds of PPO, five of A2C, on one task: the comparison is Welch's of all, the scale that of seeds 1 to 3."""
    generator = np.random.default_rng(2)
    drawn = {"ppo": generator.normal(300, 60, 10), "a2c": generator.normal(260, 30, 5)}

    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        seeds = 5 if run["algorithm"] == "a2c" else 10
        return run if run["environment"] == "InvertedPendulum-v4" and run["seed"] <= seeds else None

    def drawn_value(run: dict[str, Any]) -> float:
        return float(drawn[run["algorithm"]][run["seed"] - 1])

    results = write_figure3(tmp_path, ("ppo", "a2c"), value=drawn_value, change=change, seeds=range(1, 11))
    rows = rows_of(results)
    best = max(drawn["ppo"][:3].max(), drawn["a2c"][:3].max())
    assert best < drawn["ppo"].max()
    of_ppo, of_a2c = drawn["ppo"] / best, drawn["a2c"] / best
    welch = scipy.stats.ttest_ind(of_ppo, of_a2c, equal_var=False)
    interval = welch.confidence_interval(0.95)
    row = rows["a2c"]
    assert row.difference == pytest.approx(of_ppo.mean() - of_a2c.mean())
    assert (row.difference_low, row.difference_high) == pytest.approx((interval.low, interval.high))
    assert row.p == row.p_holm == pytest.approx(welch.pvalue)
    one_sided = [
        scipy.stats.ttest_ind(of_ppo + shift, of_a2c, equal_var=False, alternative=side).pvalue
        for shift, side in ((0.1, "greater"), (-0.1, "less"))
    ]
    assert row.p_equal == pytest.approx(max(one_sided))
    assert row.ppo_better == pytest.approx(scipy.stats.mannwhitneyu(drawn["ppo"], drawn["a2c"]).statistic / 50)
    for algorithm, values in (("ppo", of_ppo), ("a2c", of_a2c)):
        for column, some in (("three", values[:3]), ("mean", values)):
            low, high = scipy.stats.t.interval(0.95, len(some) - 1, some.mean(), scipy.stats.sem(some))
            row = rows[algorithm]
            assert getattr(row, column) == pytest.approx(some.mean())
            assert (getattr(row, f"{column}_low"), getattr(row, f"{column}_high")) == pytest.approx((low, high))
    # A bootstrap of ten seeds has an interval, one of five has none, and so neither has who beats whom.
    assert np.isfinite(rows["ppo"].iqm_low)
    assert np.isnan([rows["a2c"].iqm_low, rows["a2c"].ppo_better_low]).all()
