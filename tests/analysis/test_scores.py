from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.data import scores
from analysis.data.load import RUN


def frame(returns: dict[tuple[str, str, int], list[float]], spacing: int = 10) -> pd.DataFrame:
    """Episodes of runs named (environment, setting, seed), one episode every `spacing` steps."""
    rows = [
        (environment, "ppo", setting, seed, spacing * (i + 1), value, spacing)
        for (environment, setting, seed), values in returns.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=[*RUN, "step", "episodic_return", "episodic_length"])


def test_final_score_is_the_mean_of_the_last_episodes_by_step() -> None:
    episodes = frame({("A-v4", "x", 1): [100.0, 1.0, 2.0, 3.0], ("A-v4", "x", 2): [5.0]})
    shuffled = episodes.sample(frac=1, random_state=0)
    runs = pd.DataFrame([("A-v4", "ppo", "x", seed) for seed in (1, 2, 3)], columns=RUN)
    result = scores.final_scores(shuffled, runs, last=3)
    assert result["score"].tolist()[:2] == [2.0, 5.0]
    assert np.isnan(result["score"][2])
    assert result["episodes"].tolist() == [3, 1, 0]


def test_the_default_is_one_hundred_episodes() -> None:
    episodes = frame({("A-v4", "x", 1): [1000.0] * 50 + [1.0] * 100})
    assert scores.final_scores(episodes, episodes[RUN].drop_duplicates())["score"].tolist() == [1.0]


def test_normalisation_by_hand_in_both_readings() -> None:
    episodes = frame(
        {
            ("A-v4", "untrained", 1): [-10.0, -30.0],  # random level -20
            ("A-v4", "x", 1): [80.0],  # the best run
            ("A-v4", "x", 2): [20.0],  # mean of x: 50
            ("A-v4", "y", 1): [60.0],
            ("A-v4", "y", 2): [60.0],  # mean of y: 60, the best setting
        }
    )
    runs = episodes.loc[episodes["setting"] != "untrained", RUN].drop_duplicates()
    final = scores.final_scores(episodes, runs)
    random = scores.random_levels(episodes)
    assert random.to_dict() == {"A-v4": -20.0}
    best_run, best_setting = scores.best_runs(final), scores.best_settings(final)
    assert (best_run["A-v4"], best_setting["A-v4"]) == (80.0, 60.0)
    assert scores.normalised_scores(final, random, best_run).tolist() == pytest.approx([1.0, 0.4, 0.8, 0.8])
    assert scores.normalised_scores(final, random, best_setting).tolist() == pytest.approx([1.25, 0.5, 1.0, 1.0])


def test_no_scale_where_the_best_run_equals_the_random_level() -> None:
    final = pd.DataFrame({"environment": "A-v4", "setting": ["x", "y"], "score": [5.0, 3.0]})
    assert scores.normalised_scores(final, pd.Series({"A-v4": 5.0}), scores.best_runs(final)).isna().all()


def test_no_scale_where_no_run_beats_random_or_random_is_unknown() -> None:
    final = pd.DataFrame({"environment": ["A-v4", "B-v4"], "setting": ["x", "x"], "score": [1.0, 2.0]})
    random = pd.Series({"A-v4": 5.0})
    assert scores.normalised_scores(final, random, scores.best_runs(final)).isna().all()


def test_learning_curve_against_a_direct_mean() -> None:
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(3, 40, 400))
    episodes = frame({("A-v4", "x", 1): rng.normal(size=400).tolist()}).assign(step=steps)
    grid = np.arange(500, int(steps[-1]) + 2000, 500, dtype=np.int64)
    curve = scores.learning_curves(episodes, grid, window=700)
    for step, value in zip(curve["step"], curve["mean_return"], strict=True):
        inside = episodes["episodic_return"][(steps > step - 700) & (steps <= step)]
        if step < steps[-1] + 500:
            assert value == pytest.approx(inside.mean())
        else:
            assert np.isnan(value)  # the run had ended: no tail


def test_curve_grid_at_the_papers_budget_and_at_a_short_one() -> None:
    grid, window = scores.curve_grid(1_000_000)
    assert (grid[0], grid[-1], len(grid), window) == (10_000, 1_000_000, 100, 50_000)
    grid, window = scores.curve_grid(20_000)
    assert (grid[0], grid[-1], len(grid), window) == (1_000, 20_000, 20, 5_000)


def test_last_tenth_weighs_steps_and_not_episodes() -> None:
    # Budget 100,000: the last tenth is ten bins of 1,000 steps. Bin 91 holds one long episode of return 10, the other
    # nine bins ten short episodes of return 0 each: mean over bins 1, while the mean over episodes would be 10 / 91.
    late = [(91_000, 10.0)] + [(91_000 + 100 * (i + 1), 0.0) for i in range(90)]
    episodes = pd.DataFrame(
        [("A-v4", "ppo", "x", 1, step, value, 100) for step, value in [(50_000, 77.0), *late]],
        columns=[*RUN, "step", "episodic_return", "episodic_length"],
    )
    runs = episodes[RUN].drop_duplicates().assign(total_timesteps=100_000)
    assert scores.last_tenth(episodes, runs)["score"].tolist() == pytest.approx([1.0])
    unseen = runs.assign(seed=9)
    assert scores.last_tenth(episodes, unseen)["score"].isna().all()


def test_last_tenth_of_a_part_is_that_of_its_own_steps() -> None:
    # A fifth of a budget of 500,000 was trained: what counts are steps 90,000 to 100,000, in which returns are 5.
    late = [(step, 5.0 if step > 90_000 else 1.0) for step in range(500, 100_000, 1000)]
    episodes = frame({("A-v4", "x", 1): [value for _, value in late]}).assign(step=[step for step, _ in late])
    runs = episodes[RUN].drop_duplicates().assign(total_timesteps=500_000)
    assert scores.last_tenth(episodes, runs, fraction=0.2)["score"].tolist() == pytest.approx([5.0])


def test_last_tenth_takes_in_all_episodes_of_a_bin() -> None:
    # Budget 100,000: bins of 1,000 steps, an episode in the middle of each; bin b from 91 to 100 has the return b.
    steps = np.arange(500, 100_000, 1000)
    episodes = frame({("A-v4", "x", 1): (np.arange(100) + 1.0).tolist()}).assign(step=steps)
    runs = episodes[RUN].drop_duplicates().assign(total_timesteps=100_000)
    assert scores.last_tenth(episodes, runs)["score"].tolist() == pytest.approx([95.5])


def test_a_budget_below_the_finest_bin_has_no_last_tenth() -> None:
    episodes = frame({("A-v4", "x", 1): [1.0, 2.0]})
    runs = episodes[RUN].drop_duplicates().assign(total_timesteps=500)
    assert scores.last_tenth(episodes, runs)["score"].isna().all()


def test_best_settings_keeps_algorithms_apart() -> None:
    final = pd.DataFrame({"environment": "A-v4", "algorithm": ["a", "b"], "setting": "default", "score": [10.0, 20.0]})
    assert scores.best_settings(final).to_dict() == {"A-v4": 20.0}


def test_a_mean_curve_ends_with_its_first_seed() -> None:
    curves = pd.DataFrame({"step": [1, 2, 1, 2], "seed": [1, 1, 2, 2], "mean_return": [1.0, 3.0, 5.0, np.nan]})
    mean = scores.mean_curve(scores.by_seed(curves))
    assert mean[1] == 3.0
    assert np.isnan(mean[2])


def test_scale_is_of_the_papers_seeds() -> None:
    """The scale is that of the paper's seeds if any of them is planned."""
    planned = pd.DataFrame({"seed": range(1, 11)})
    runs = pd.DataFrame({"seed": [2, 3, 4, 9], "score": [1.0, 2.0, 3.0, 4.0]})
    assert scores.papers_seeds(runs)["score"].tolist() == [1.0, 2.0]
    assert scores.of_scale(runs, planned)["score"].tolist() == [1.0, 2.0]
    assert scores.of_scale(runs.tail(2), planned).empty  # planned and not there: it waits for them
    assert scores.of_scale(runs.tail(2), planned[planned["seed"] > 3])["score"].tolist() == [3.0, 4.0]  # a sweep


def test_conventions_of_seeds() -> None:
    """Runs are split into seeds 1, 2, 3 and all, or only the first where there are no more seeds."""
    runs = pd.DataFrame({"seed": [1, 2, 3, 4, 1, 2, 3, 4], "task": ["A"] * 4 + ["B"] * 4})
    both = scores.conventions(runs)
    assert list(both) == ["1, 2, 3", "all 4"]
    assert [len(of) for of in both.values()] == [6, 8]
    assert list(scores.conventions(runs[runs["seed"] < 3])) == ["1, 2, 3"]
