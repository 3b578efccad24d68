from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.data import load
from analysis.data.completeness import mark
from experiments.store.tables import EPISODE_COLUMNS
from tests.helpers.synthetic import (
    BUDGET,
    episodes_of,
    planned,
    write,
    write_atari,
    write_figure2,
    write_figure3,
    write_table1,
)


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_table1(tmp_path)
    frame = load.episodes(tmp_path / "table1")
    assert list(frame.columns) == list(EPISODE_COLUMNS)
    assert len(frame) == 7 * 12 * 2 * BUDGET // 500
    data = load.gather(tmp_path, "table1")
    assert data.problem is None
    assert (len(data.runs), len(data.trained), bool(data.runs["complete"].all())) == (7 * 12 * 2, 7 * 11 * 2, True)


def test_truncated_parquet_is_named(tmp_path: Path) -> None:
    path = write_table1(tmp_path) / "table1" / "episodes.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"table1/episodes\.parquet is unreadable") as error:
        load.episodes(tmp_path / "table1")
    one_line(error)
    data = load.gather(tmp_path, "table1")
    assert data.problem is not None
    assert data.problem.startswith("table1: the data are unreadable: table1/episodes.parquet")
    assert data.episodes.empty
    assert data.runs.empty


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = write_figure2(tmp_path) / "figure2" / "interpolation.parquet"
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 23):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="unreadable"):
            load.interpolation(tmp_path)


def test_foreign_parquet_is_named(tmp_path: Path) -> None:
    path = write_table1(tmp_path) / "table1" / "episodes.parquet"
    pd.DataFrame({"step": [1]}).to_parquet(path)
    with pytest.raises(ValueError, match="lacks the columns environment"):
        load.episodes(tmp_path / "table1")
    words = pd.DataFrame({name: ["x"] for name in list(EPISODE_COLUMNS)})
    words.to_parquet(path)
    with pytest.raises(ValueError, match="column seed does not hold numbers"):
        load.episodes(tmp_path / "table1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is unreadable"),
        ("[]", "holds a JSON list"),
        ('{"protocol": "figure3", "profile": "paper", "runs": []}', "belongs to protocol 'figure3'"),
        ('{"protocol": "table1", "profile": "slow", "runs": []}', "names no known profile"),
        ('{"protocol": "table1", "profile": "paper", "runs": [{"seed": 1}]}', "has a run without environment"),
    ],
)
def test_damaged_manifest_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "table1").mkdir()
    (tmp_path / "table1" / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load.manifest(tmp_path / "table1", "table1")
    assert "table1/manifest.json " in one_line(error)


def gathered(tmp_path: Path, runs: list[dict[str, Any]], rows: list[pd.DataFrame]) -> load.Data:
    write(tmp_path, "table1", runs, rows, "paper")
    return load.gather(tmp_path, "table1")


def test_runs_that_do_not_fit_the_manifest_are_refused(tmp_path: Path) -> None:
    run = planned("Hopper", "none", 1)
    for rows, message in (
        (episodes_of(planned("Hopper", "none", 2), 1.0), "a run that the manifest does not list: Hopper-v4 ppo none 2"),
        (episodes_of(run, 1.0).assign(step=BUDGET + 1), "more steps of Hopper-v4 ppo none 1 than its budget has"),
        (pd.concat([episodes_of(run, 1.0)] * 2), "more steps of Hopper-v4 ppo none 1 than its budget has"),
        (episodes_of(run, np.nan), "a return that is no number"),
    ):
        data = gathered(tmp_path, [run], [rows])
        assert message in str(data.problem)
        assert data.episodes.empty


def test_mixed_versions_and_double_runs_are_refused(tmp_path: Path) -> None:
    run = planned("Hopper", "none", 1)
    rows = [episodes_of(run, 1.0)]
    other = {**planned("Hopper", "none", 2), "environment": "Hopper-v5"}
    assert "mixes versions of one environment: Hopper-v4, Hopper-v5" in str(
        gathered(tmp_path, [run, other], rows).problem
    )
    assert "lists a run twice" in str(gathered(tmp_path, [run, run], rows).problem)


def test_a_diverged_run_keeps_its_episodes_before_that(tmp_path: Path) -> None:
    run = planned("Hopper", "none", 1, diverged_at=1_200, status="running")
    rows = episodes_of(run, 1.0)
    rows.loc[rows["step"] > 1_000, "episodic_return"] = np.nan
    data = gathered(tmp_path, [run], [rows])
    assert data.problem is None
    assert data.episodes["step"].tolist() == [500, 1000]
    assert data.runs["complete"].tolist() == [True]


def test_planned_and_not_begun_is_no_damage(tmp_path: Path) -> None:
    run = planned("Hopper", "none", 1, steps_done=0, status="missing")
    (tmp_path / "table1").mkdir()
    content = {"protocol": "table1", "profile": "quick", "runs": [run]}
    (tmp_path / "table1" / "manifest.json").write_text(json.dumps(content))
    data = load.gather(tmp_path, "table1")
    assert data.problem is None
    assert (len(data.runs), len(data.episodes)) == (1, 0)


def test_a_manifest_of_no_runs_or_of_words_for_numbers(tmp_path: Path) -> None:
    data = gathered(tmp_path, [], [episodes_of(planned("Hopper", "none", 1), 1.0)])
    assert "its runs can have 0 episodes" in str(data.problem)
    for field in ("seed", "steps_done", "diverged_at"):
        run = planned("Hopper", "none", 1)
        data = gathered(tmp_path, [{**run, field: "many"}], [episodes_of(run, 1.0)])
        assert f"has a run with {field} = 'many'" in str(data.problem)


def test_no_data_names_the_command(tmp_path: Path) -> None:
    data = load.gather(tmp_path, "table1")
    assert data.problem == "table1: no data (table1/manifest.json does not exist); `ppo run table1` makes them."


def test_figure2_uses_a_manifest_and_does_not_demand_one(tmp_path: Path) -> None:
    write_figure2(tmp_path)
    data, rows = load.gather_interpolation(tmp_path)
    assert (data.problem, mark(data)) == (None, "")
    assert rows is not None
    runs = [planned("Hopper", "clip-0.2", seed, total_timesteps=2048, steps_done=2048) for seed in (1, 2)]
    path = tmp_path / "figure2" / "manifest.json"
    path.write_text(json.dumps({"protocol": "figure2", "profile": "quick", "runs": runs}))
    assert mark(load.gather_interpolation(tmp_path)[0]).startswith("quick profile: 2 seeds, 2,048 steps")
    path.write_text("{")
    data, rows = load.gather_interpolation(tmp_path)
    assert "figure2/manifest.json is unreadable" in str(data.problem)
    assert rows is None


@pytest.mark.parametrize("fraction", [0, 1.5, "a tenth"])
def test_a_fraction_that_is_none(tmp_path: Path, fraction: Any) -> None:
    data = load.gather(write_atari(tmp_path, ["Pong"], lambda run: 0.0, fraction=None), "atari")
    assert (data.fraction, mark(data)) == (1.0, "")
    path = tmp_path / "atari" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fraction": fraction}))
    assert f"atari/manifest.json has fraction = {str(fraction)!r}" in str(load.gather(tmp_path, "atari").problem)


def test_runs_stopped_on_purpose_are_marked_in_steps_or_in_frames(tmp_path: Path) -> None:
    data = load.gather(write_figure3(tmp_path), "figure3")
    stopped = dataclasses.replace(data, manifest={**data.manifest, "fraction": 0.25})
    assert mark(stopped) == "ours after 5k of 20k steps: not comparable with the paper's final numbers"
