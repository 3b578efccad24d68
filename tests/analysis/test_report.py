from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.data.completeness import missing
from analysis.data.load import gather
from analysis.report import WAITING, build, report
from analysis.sections import figure3, tuning
from analysis.sections.table1 import curves as table1_curves
from analysis.sections.table1 import table as table1
from tests.helpers.synthetic import (
    planned,
    write_acer_changes,
    write_atari,
    write_atari_readings,
    write_figure2,
    write_figure3,
    write_humanoid_readings,
    write_humanoid_settings,
    write_humanoid_tuning,
    write_humanoids,
    write_klip_ppo,
    write_none_on_reacher,
    write_precision,
    write_readings,
    write_readings_best,
    write_table1,
    write_tuning,
)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_whole_results_twice_give_the_same_bytes(tmp_path: Path) -> None:
    results = write_figure2(write_figure3(write_table1(tmp_path / "results"), ("ppo", "trpo")))
    write_tuning(write_atari(results, ("Pong", "Alien"), lambda run: run["seed"], fraction=0.1))
    write_readings(results, lambda run, levels: run.seed, lambda run, levels: 0.01 * run.seed)
    write_humanoid_tuning(write_humanoids(write_klip_ppo(write_precision(results))))
    write_humanoid_settings(write_humanoid_readings(results), lambda run: 1.0)
    write_atari_readings(results, lambda run: run["seed"])
    write_figure2(results, "figure2-settings", ["clip-0.2+update_epochs=15"])
    write_none_on_reacher(write_readings_best(results), {"paper": -500.0})
    write_acer_changes(results, {"default": 1.6, "ent_coef=0.001": 4.0})
    assert build(results, tmp_path / "first") == []
    build(results, tmp_path / "second")
    first, second = content(tmp_path / "first"), content(tmp_path / "second")
    assert first == second
    assert len(first) == 37 * 3 + 1 + 15 * 2 + 1  # scores.csv is neither Markdown nor LaTeX
    page = first["report.html"].decode()
    assert "Nothing: every planned run is finished." in page
    assert len(re.findall(r"data:image/(?:svg\+xml,|png;base64,)", page)) == 15
    for outside in ('src="http', 'href="http', "<script src", "@import", "url(http"):
        assert outside not in page
    assert "0123abc" in page  # the commit, in the provenance
    assert "arm64, apple-m2: numpy NEON ASIMD, torch DEFAULT" in page
    assert str(tmp_path) not in page


@pytest.mark.usefixtures("_without_pictures")
def test_no_results_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = [
        tmp_path / "out" / folder / f"{name}.{kind}"
        for folder, (names, kinds) in WAITING.items()
        for name, kind in itertools.product(names, kinds)
    ]
    others = [
        tmp_path / "out" / name for name in ("tables/tuning.txt", "tables/readings_mine.csv", "figures/tuning.pdf")
    ]
    for path in [*stale, *others]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert report(tmp_path / "nothing", tmp_path / "out") == 0
    assert "`ppo run table1` makes them" in capsys.readouterr().out
    files = content(tmp_path / "out")
    assert {"figures/figure1.svg", "figures/figure3.png", "figures/figure6.png", "report.html"} <= set(files)
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in others), "which are somebody's own"
    made = [name for name in files if tmp_path / "out" / name not in others]
    assert not any(
        Path(name).stem in names for folder, (names, _) in WAITING.items() for name in made if folder in name
    )
    assert "−0.39" in files["tables/table1.md"].decode()
    assert "1655.4" in files["tables/table6.md"].decode()
    assert "LinearAnneal" in files["tables/table4.md"].decode()
    assert "figure4: no data" in files["tables/figure4.md"].decode()
    page = files["report.html"].decode()
    for protocol in ("table1", "readings", "figure3", "figure4", "atari", "tuning", "figure4-tuning", "klip-ppo"):
        assert f"<code>ppo run {protocol}</code>" in page
    assert page.count("No data yet") == 3  # of the readings, the tuning and KLip-PPO the paper has nothing to show


@pytest.mark.usefixtures("_without_pictures")
def test_partial_quick_and_damaged_results(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any] | None:
        environment, setting, seed = run["environment"], run["setting"], run["seed"]
        if environment == "Reacher-v4" or (environment, setting, seed) == ("Hopper-v4", "clip-0.2", 2):
            return None
        if environment == "Swimmer-v4":
            return {**run, "status": "missing", "steps_done": 0}
        if environment == "Walker2d-v4":
            return {**run, "status": "running", "steps_done": 2_000}
        if (environment, setting, seed) == ("HalfCheetah-v4", "none", 1):
            return {**run, "diverged_at": 400}  # before its first episode ended
        return run

    results = write_figure3(write_table1(tmp_path / "results", change, profile="quick"))
    parquet = results / "figure3" / "episodes.parquet"
    parquet.write_bytes(parquet.read_bytes()[:500])
    gaps = build(results, tmp_path / "out")
    assert "table1: Swimmer: missing: all 24 runs" in gaps
    assert "table1: Walker2d: running, 2,000 of 20,000 steps done: all 24 runs" in gaps
    assert "table1: HalfCheetah: diverged at step 400: PPO (Clip), No clipping or penalty, seed 1" in gaps
    assert any(gap.startswith("figure2: no data") for gap in gaps)
    assert any(gap.startswith("figure3: the data are unreadable: figure3/episodes.parquet") for gap in gaps)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("quick profile: 2 seeds, 20,000 steps: not comparable") >= 3


def test_planned_and_not_begun(tmp_path: Path) -> None:
    (tmp_path / "table1").mkdir()
    runs = [planned("Hopper", "none", seed, steps_done=0, status="missing") for seed in (1, 2)]
    content = {"protocol": "table1", "profile": "paper", "runs": runs}
    (tmp_path / "table1" / "manifest.json").write_text(json.dumps(content))
    data = gather(tmp_path, "table1")
    parts = table1.evaluate(data)
    assert [(row.setting, row.runs, row.planned) for row in table1.table1_rows(data, parts)] == [("none", 0, 2)]
    assert "0 of 2 runs are finished." in table1.table1(data, parts).notes
    assert "0 of 2 runs are finished" in table1_curves.figure(data).caption


def test_tasks_alike_in_what_is_missing_share_a_line(tmp_path: Path) -> None:
    def change(run: dict[str, Any]) -> dict[str, Any]:
        begun = run["environment"] == "PongNoFrameskip-v4"
        return run if begun else {**run, "status": "missing", "steps_done": 0}

    data = gather(write_atari(tmp_path, ("Alien", "Pong", "Zaxxon"), lambda run: 0.0, change=change), "atari")
    assert missing(data) == ["atari: Alien, Zaxxon: missing: all 9 runs of each"]


def test_quick_figures_say_so(tmp_path: Path) -> None:
    drawing = figure3.figure3(gather(write_figure3(tmp_path, profile="quick"), "figure3"))
    assert "quick profile: 2 seeds, 20,000 steps" in drawing.figure.get_suptitle()
    assert "Quick profile: 2 seeds, 20,000 steps" in drawing.caption


def test_a_tuning_that_is_planned_and_not_begun_can_be_drawn(tmp_path: Path) -> None:
    (tmp_path / "tuning").mkdir()
    runs = [
        planned("Hopper", f"learning_rate={rate}", 201, algorithm="a2c", steps_done=0, status="missing")
        for rate in (1, 2)
    ]
    content = {"protocol": "tuning", "profile": "paper", "runs": runs}
    (tmp_path / "tuning" / "manifest.json").write_text(json.dumps(content))
    data = gather(tmp_path, "tuning")
    assert tuning.tuning(data).shown["Hopper"].tolist() == ["–", "–"]
    assert "0 of 2 runs are finished" in tuning.figure(data).caption
