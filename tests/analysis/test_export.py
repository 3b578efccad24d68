"""scores.csv, and docs/rliable.md's way of reading it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import experiments
from analysis import export
from analysis.data.labels import ENVIRONMENTS
from analysis.data.load import gather
from analysis.report import build
from tests.helpers.synthetic import (
    ATARI_BUDGET,
    BUDGET,
    episodes_of,
    planned,
    write,
    write_atari,
    write_figure3,
    write_table1,
)

PAGE = (Path(experiments.__file__).parents[1] / "docs" / "rliable.md").read_text(encoding="utf-8")


def value(run: dict[str, Any]) -> float:
    return {"ppo": 200.0, "trpo": 100.0, "a2c": 0.0}[run["algorithm"]] + 10 * run["seed"] + len(run["environment"])


def test_a_row_per_run_by_hand(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        if run["environment"] != "Hopper-v4":
            return None
        if (run["algorithm"], run["seed"]) == ("trpo", 2):
            return {**run, "superseded": "why", "diverged_at": BUDGET}
        return {**run, "status": "running"} if (run["algorithm"], run["seed"]) == ("trpo", 1) else run

    results = write_figure3(tmp_path, ("ppo", "trpo"), value=value, change=change)
    frame = export.every_score([gather(results, "figure3"), gather(results, "table1")])
    best, remark = 200 + 20 + len("Hopper-v4"), "superseded tuned diverged"
    expected = pd.DataFrame(
        [
            ("figure3", "ppo", "clip-0.2", "Hopper-v4", 1, BUDGET, best - 10, best - 10, (best - 10) / best, ""),
            ("figure3", "ppo", "clip-0.2", "Hopper-v4", 2, BUDGET, best, best, 1.0, ""),
            ("figure3", "trpo", "default", "Hopper-v4", 2, BUDGET, best - 100, best - 100, (best - 100) / best, remark),
        ],
        columns=list(export.COLUMNS),
    )  # fmt: skip
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)


def test_what_a_setting_was_chosen_by_is_remarked(tmp_path: Path) -> None:
    frame = export.every_score([gather(write_table1(tmp_path), "table1")])
    remarked = frame[frame["remark"] != ""]
    assert set(remarked["remark"]) == {"calibration"}
    assert set(zip(remarked["setting"], remarked["environment"], strict=True)) == {
        ("clip-0.2", "HalfCheetah-v4"),
        ("clip-0.2", "InvertedPendulum-v4"),
        ("none", "HalfCheetah-v4"),
    }


def test_without_an_untrained_level_there_is_no_normalised_score(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ["Pong"], lambda run: 1.0, fraction=0.1), "atari")
    frame = export.every_score([data])
    assert frame["normalised"].isna().all()
    assert set(frame["steps"]) == {1_000_000}  # a tenth of the budget was trained
    assert list(export.every_score([]).columns) == list(export.COLUMNS)


def test_a_run_that_went_farther_is_scored_over_the_steps_of_the_others(tmp_path: Path) -> None:
    """Its returns rise by 1 an episode of 5,000 steps, of which it has 320 and the others 200."""
    runs = [
        planned("PongNoFrameskip", "default", seed, total_timesteps=ATARI_BUDGET, steps_done=steps)
        for seed, steps in ((1, 1_600_000), (2, 1_000_000))
    ]
    rows = [episodes_of(run, np.arange(1.0, run["steps_done"] // 5000 + 1), length=5000) for run in runs]
    write(tmp_path, "atari", runs, rows, "paper", fraction=0.1)
    frame = export.every_score([gather(tmp_path, "atari")])
    assert frame["score"].tolist() == [150.5, 150.5]  # the mean of 101 to 200
    assert frame["last_tenth"].nunique() == 1
    assert set(frame["steps"]) == {1_000_000}


@pytest.mark.usefixtures("_without_pictures")
def test_the_page_reads_it_into_arrays_of_runs_and_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        if run["algorithm"] == "a2c":
            return {**run, "superseded": "why"}
        return None if (run["algorithm"], run["environment"], run["seed"]) == ("trpo", "Reacher-v4", 2) else run

    results = write_figure3(tmp_path / "results", ("ppo", "trpo", "a2c"), value=value, change=change)
    build(results, results)
    monkeypatch.chdir(tmp_path)
    reading, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(reading, "rliable.md", "exec"), names)
    arrays = names["arrays"]
    assert {name: array.shape for name, array in arrays.items()} == {"ppo": (2, 7), "trpo": (1, 7)}
    letters = np.array([len(f"{name}-v4") for name in ENVIRONMENTS])  # pivot sorts as ENVIRONMENTS is sorted
    np.testing.assert_allclose(arrays["trpo"], [(110 + letters) / (220 + letters)])
    np.testing.assert_allclose(arrays["ppo"], [(210 + letters) / (220 + letters), np.ones(7)])


def test_the_page_names_every_column() -> None:
    table = PAGE.partition("| column |")[2].partition("\n\n")[0]
    assert re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])) == list(
        export.COLUMNS
    )


def test_more_seeds_do_not_move_the_scale(tmp_path: Path) -> None:
    frame = export.every_score([gather(write_figure3(tmp_path, seeds=range(1, 6)), "figure3")])  # 100 x seed
    hopper = frame[frame["environment"] == "Hopper-v4"].set_index("seed")["normalised"]
    assert hopper.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])
