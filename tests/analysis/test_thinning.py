"""Episodes that no score needs are left out, and no table or figure changes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.load import gather
from analysis.sections import tuning
from analysis.thinning import main, thin
from experiments.store.records import records_from_json
from experiments.store.results import collect, recorded_runs
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


def test_a_run_without_its_first_episodes_is_recorded_and_said_not_to_be_whole(tmp_path):
    write_noisy(tmp_path)
    path = tmp_path / "tuning" / "manifest.json"
    thin(tmp_path / "tuning")
    recorded, problems = recorded_runs(tmp_path, known=None, whole=True)
    assert not problems
    assert len(recorded) == 5
    assert [run.whole for run in recorded.values()].count(False) == 4
    told = [run.get("thinned") for run in json.loads(path.read_text())["runs"]]
    assert told == ["last 100 episodes and last tenth of the steps"] * 4 + [None]


def test_a_whole_record_of_a_run_is_worth_more(tmp_path):
    write_noisy(tmp_path / "one")
    write_noisy(tmp_path / "two")
    thin(tmp_path / "two" / "tuning")
    (whole, _), (thinned, _) = (recorded_runs(tmp_path / name, known=None) for name in ("one", "two"))
    key = next(key for key, run in thinned.items() if run.entry["setting"] != "untrained")
    assert whole[key].worth > thinned[key].worth


@pytest.mark.parametrize("names", [("readings", "tuning"), ("tuning", "readings")])
def test_what_is_left_stays_where_another_protocol_has_left_other_episodes(tmp_path, names):
    """Of the same run, one compared over half of its steps: each folder keeps its own when it is written again."""
    run = planned("Reacher", "default", 1, algorithm="a2c", settings={"clip_coef": 0.1})
    for name, fraction in zip(names, (1.0, 0.5), strict=True):
        more = {"fraction": fraction} if fraction < 1 else {}
        write(tmp_path, name, [run], [episodes_of(run, np.arange(400.0), 50)], "paper", **more)
        thin(tmp_path / name)
    for name in names:
        folder = tmp_path / name
        manifest = json.loads((folder / "manifest.json").read_text())
        before = pd.read_parquet(folder / "episodes.parquet")
        about = {key: value for key, value in manifest.items() if key != "runs"}
        runs = records_from_json(folder, manifest["runs"])
        assert collect(tmp_path, folder, about, runs, None) == []
        pd.testing.assert_frame_equal(pd.read_parquet(folder / "episodes.parquet"), before)


@pytest.mark.parametrize(
    ("protocol", "change", "said"),
    [
        (
            "figure3",
            {},
            "holds figure3, of which every episode is drawn: readings, readings-best, tuning, figure4-tuning, "
            "figure4-settings, none-on-reacher, figure4, figure4-readings can be thinned",
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


def test_of_runs_that_are_compared_over_a_part_the_scores_of_that_part_stay(tmp_path):
    """Half of the steps: one run went on to its end, for another protocol."""
    runs = [
        planned("Reacher", "default", 1, settings={"norm_reward": "none"}),
        planned("Reacher", "short", 1, steps_done=10_500, settings={"clip_coef": 0.1}),
    ]
    write(tmp_path, "figure4-settings", runs, [episodes_of(run, 1.0, 50) for run in runs], "paper", fraction=0.5)
    thin(tmp_path / "figure4-settings")
    table = pd.read_parquet(tmp_path / "figure4-settings" / "episodes.parquet")
    spans = table.groupby("setting")["step"].agg(["size", "min", "max"])
    assert spans.to_numpy().tolist() == [[100, 10_000 - 99 * 50, 10_000]] * 2
    told = {run["thinned"] for run in json.loads((tmp_path / "figure4-settings/manifest.json").read_text())["runs"]}
    assert told == {"last 100 episodes and last tenth of the steps of its first 50%"}
