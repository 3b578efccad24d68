"""Episodes that no score needs are left out, and no table or figure changes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.load import gather
from analysis.sections import tuning
from analysis.thinning import main, thin
from experiments.store.results import recorded_runs
from tests.helpers.synthetic import episodes_of, planned, write

DIVERGED = 12_345
LENGTHS = {"learning_rate=0.001": 10, "learning_rate=0.01": 50}
"""Of 20,000 steps, so that the last tenth has 200 episodes and 40."""


def write_noisy(results: Path) -> None:
    """RESULTS/tuning: two settings with two seeds, of which one diverges, and an untrained policy; no two returns
    equal."""
    generator = np.random.default_rng(0)
    runs, rows = [], []
    for setting in LENGTHS:
        for seed in (201, 202):
            diverged = DIVERGED if setting.endswith("=0.01") and seed == 202 else None
            run = planned("Reacher", setting, seed, algorithm="a2c", diverged_at=diverged)
            runs.append({**run, "settings": {"norm_reward": "none"}})
            rows.append(episodes_of(runs[-1], 0.0, LENGTHS[setting]))
            rows[-1]["episodic_return"] = generator.normal(size=len(rows[-1]))
            if diverged:
                rows[-1].loc[rows[-1]["step"] > DIVERGED + 500, "episodic_return"] = np.nan
    runs.append(planned("Reacher", "untrained", 201))
    rows.append(episodes_of(runs[-1], 0.0))
    rows[-1]["episodic_return"] = generator.normal(size=len(rows[-1]))
    write(results, "tuning", runs, rows, "paper")


def shown(results: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    data = gather(results, "tuning")
    assert data.problem is None
    table = tuning.tuning(data)
    return table.shown, table.data, tuning.points(data)


def test_tables_and_figures_stay_as_they_are(tmp_path):
    write_noisy(tmp_path)
    before = shown(tmp_path)
    rows, kept = thin(tmp_path / "tuning")
    assert kept < rows
    for was, now in zip(before, shown(tmp_path), strict=True):
        pd.testing.assert_frame_equal(now, was, rtol=1e-12)


def test_just_the_episodes_that_scores_need_stay(tmp_path):
    write_noisy(tmp_path)
    thin(tmp_path / "tuning")
    table = pd.read_parquet(tmp_path / "tuning" / "episodes.parquet")
    spans = table.groupby(["setting", "seed"])["step"].agg(["size", "min", "max"]).to_numpy().tolist()
    assert spans == [
        [200, 18_010, 20_000],
        [200, 18_010, 20_000],
        [100, 15_050, 20_000],
        [100, DIVERGED - 45 - 99 * 50, DIVERGED - 45],
        [40, 500, 20_000],
    ]
    assert thin(tmp_path / "tuning") == (len(table), len(table))


def test_a_run_without_its_first_episodes_is_recorded_and_never_verified(tmp_path):
    write_noisy(tmp_path)
    path = tmp_path / "tuning" / "manifest.json"
    thin(tmp_path / "tuning")
    recorded, problems = recorded_runs(tmp_path, known=None, whole=True)
    assert not problems
    assert len(recorded) == 5
    assert not any(run.comparable for run in recorded.values())
    told = [run.get("thinned") for run in json.loads(path.read_text())["runs"]]
    assert told == ["last 100 episodes and last tenth of the steps"] * 4 + [None]


def test_a_whole_record_of_a_run_is_worth_more(tmp_path):
    write_noisy(tmp_path / "one")
    write_noisy(tmp_path / "two")
    thin(tmp_path / "two" / "tuning")
    (whole, _), (thinned, _) = (recorded_runs(tmp_path / name, known=None) for name in ("one", "two"))
    key = next(key for key, run in thinned.items() if run.entry["setting"] != "untrained")
    assert whole[key].worth > thinned[key].worth


@pytest.mark.parametrize(
    ("protocol", "change", "said"),
    [
        (
            "figure3",
            {},
            "holds figure3: only readings, readings-best, tuning, figure4-tuning, none-on-reacher show scores alone",
        ),
    ],
)
def test_what_is_drawn_stays_whole(tmp_path, capsys, protocol, change, said):
    write_noisy(tmp_path)
    path = tmp_path / "tuning" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": protocol, **change}))
    before = (path.read_bytes(), path.with_name("episodes.parquet").read_bytes())
    assert main([str(path.parent)]) == 2
    assert capsys.readouterr().err == f"thinning: {path.parent} {said}\n"
    assert (path.read_bytes(), path.with_name("episodes.parquet").read_bytes()) == before


def test_unfinished_runs_stay_whole(tmp_path, capsys):
    write_noisy(tmp_path)
    path = tmp_path / "tuning" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["runs"][0]["status"] = "running"
    path.write_text(json.dumps(manifest))
    before = (path.read_bytes(), path.with_name("episodes.parquet").read_bytes())
    assert main([str(path.parent)]) == 2
    told = "holds runs that can still be continued: let them finish first"
    assert capsys.readouterr().err == f"thinning: {path.parent} {told}\n"
    assert (path.read_bytes(), path.with_name("episodes.parquet").read_bytes()) == before


def write_shared(results: Path, commit: str = "0123abc") -> None:
    """RESULTS/zzz: a run to its end. RESULTS/compared: the same run, and two that stopped after half of their steps or
    a little later."""
    whole = planned("Reacher", "default", 1, settings={"norm_reward": "none"})
    write(results, "zzz", [{**whole, "commit": commit}], [episodes_of(whole, 1.0)], "paper")
    runs = [whole] + [
        planned("Reacher", setting, 1, steps_done=steps, status="running", settings={"clip_coef": steps})
        for setting, steps in (("first", 10_500), ("second", 11_000))
    ]
    write(results, "compared", runs, [episodes_of(run, 1.0) for run in runs], "paper", fraction=0.5)


def kept_of(results: Path) -> dict[str, int]:
    thin(results / "compared")
    table = pd.read_parquet(results / "compared" / "episodes.parquet")
    return {str(setting): int(step) for setting, step in table.groupby("setting")["step"].max().items()}


def test_a_run_that_is_whole_elsewhere_keeps_the_steps_that_all_have(tmp_path):
    write_shared(tmp_path)
    assert kept_of(tmp_path) == {"default": 10_500, "first": 10_500, "second": 11_000}
    told = [run.get("thinned") for run in json.loads((tmp_path / "compared" / "manifest.json").read_text())["runs"]]
    assert told == ["first 10,500 steps; all are in zzz", None, None]
    assert kept_of(tmp_path)["default"] == 10_500
    recorded, problems = recorded_runs(tmp_path, known=None, whole=True)
    assert not problems
    assert sorted(run.episodes.parent.name for run in recorded.values()) == ["compared", "compared", "zzz"]


@pytest.mark.parametrize("lost", ["other training", "thinned there", "gone there"])
def test_a_run_that_is_not_whole_elsewhere_loses_nothing(tmp_path, lost):
    write_shared(tmp_path, commit="fedcba9" if lost == "other training" else "0123abc")
    path = tmp_path / "zzz" / "manifest.json"
    if lost == "thinned there":
        manifest = json.loads(path.read_text())
        manifest["runs"][0]["thinned"] = "last 100 episodes"
        path.write_text(json.dumps(manifest))
    elif lost == "gone there":
        path.unlink()
    assert kept_of(tmp_path) == {"default": 20_000, "first": 10_500, "second": 11_000}
