"""`ppo report` on a folder of `ppo train`: scores, intervals and a sweep's best against numbers worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from analysis.data.load import gather_training
from analysis.report import report
from analysis.sections.yours import training
from tests.helpers.synthetic import episodes_of, planned, write

RETURNS: Mapping[float, tuple[float, ...]] = {0.1: (10.0, 12.0, 17.0), 0.2: (50.0, 52.0, 51.0), 0.3: (20.0, 24.0, 22.0)}


def trained(folder: Path, returns: Mapping[float, tuple[float, ...]] = RETURNS) -> Path:
    """A folder as `ppo train Hopper-v4 --seeds 1 2 3 --clip-coef 0.1 0.2 0.3` makes it."""
    runs = [
        planned(
            "Hopper",
            f"clip_coef={clip}" if clip != 0.2 else "default",
            seed,
            settings={"clip_coef": clip, "gamma": 0.99},
        )
        for clip, values in returns.items()
        for seed in range(1, len(values) + 1)
    ]
    rows = [episodes_of(run, returns[run["settings"]["clip_coef"]][run["seed"] - 1]) for run in runs]
    write(folder.parent, folder.name, runs, rows, "train")
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": None}))
    return folder


def test_the_page_is_about_these_runs_and_not_the_papers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained(tmp_path / "run")
    assert report(folder, folder) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Best: default, 51.0" in page
    assert "Table 1" not in page
    assert 'id="chart-training"' in page
    assert (folder / "figures/training.png").exists()
    assert (folder / "tables/sweep_ppo_Hopper-v4.csv").exists()
    assert "report.html" in capsys.readouterr().out


def test_scores_have_students_interval(tmp_path: Path) -> None:
    table = training.scores_table(gather_training(trained(tmp_path / "run")))
    for row, values in zip(table.data.to_dict("records"), RETURNS.values(), strict=True):
        expected = scipy.stats.ttest_1samp(values, 0.0).confidence_interval()
        assert row["score"] == pytest.approx(np.mean(values))
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert table.shown["Each seed"][0] == "10.0 · 12.0 · 17.0"


def test_a_sweep_shows_what_differs_and_names_the_best(tmp_path: Path) -> None:
    (table,) = training.sweeps(gather_training(trained(tmp_path / "run")))
    assert list(table.shown.columns) == ["clip_coef", "Score [95 % interval]", "P(best)", "Seeds"]
    assert table.shown["clip_coef"].tolist() == ["0.2", "0.3", "0.1"]
    assert table.data["best"].iloc[0] > 0.99
    assert "clearly" in table.notes[0]
    assert "not clearly" not in table.notes[0]


def test_seeds_that_overlap_do_not_tell_clearly(tmp_path: Path) -> None:
    (table,) = training.sweeps(gather_training(trained(tmp_path / "run", {0.1: (1.0, 9.0), 0.2: (2.0, 9.0)})))
    assert "not clearly" in table.notes[0]


def test_one_seed_has_no_interval_and_no_certainty(tmp_path: Path) -> None:
    data = gather_training(trained(tmp_path / "run", {0.1: (1.0,), 0.2: (2.0,)}))
    (table,) = training.sweeps(data)
    assert table.shown["P(best)"].tolist() == ["–", "–"]
    assert "One seed" in table.notes[0]
    assert training.scores_table(data).shown["Score [95 % interval]"].tolist() == ["1.0 [–]", "2.0 [–]"]


def test_without_a_sweep_there_is_no_table_of_one(tmp_path: Path) -> None:
    assert training.sweeps(gather_training(trained(tmp_path / "run", {0.2: (1.0, 2.0)}))) == []


def test_what_is_not_finished_is_drawn_and_named(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["runs"][0].update(status="missing", steps_done=0)
    path.write_text(json.dumps(manifest))
    assert report(folder, tmp_path / "out") == 0
    assert "missing: " in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_damaged_data_are_one_line(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    (folder / "episodes.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="unreadable"):
        report(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
