"""What is recorded stays: whatever has become of a manifest, no episode is lost, and what is superseded is trained
again beside what it replaces."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from experiments.cli import commands as cli
from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import select
from experiments.planning.planner import Stack
from experiments.run import known_settings
from experiments.store import provenance
from experiments.store.files import read_json, write_json
from experiments.store.records import completed, records_from_json
from experiments.store.results import recorded_runs
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import INTERPOLATION_COLUMNS, read_episodes, write_table
from experiments.training import first_update, scheduler

QUICK = ["--profile", "quick", "--environments", "InvertedPendulum-v4", "--algorithms", "ppo", "cem", "--seeds", "1"]
WHY = "pi_old's deviation moved along"


def planned():
    """The runs that the command line above asks for."""
    runs = select(["figure3"], PROFILES["quick"])[0].runs
    wanted = [run for run in runs if run.environment == "InvertedPendulum-v4" and run.seed == 1]
    return [run for run in wanted if run.algorithm in ("ppo", "cem")]


def episodes_of(run, count=7):
    steps = np.arange(1, count + 1) * (run.total_timesteps // count)
    identity = {"environment": run.environment, "algorithm": run.algorithm, "setting": run.setting, "seed": run.seed}
    returns = np.random.default_rng(run.seed + len(run.algorithm)).normal(size=count)
    return pd.DataFrame({**identity, "step": steps, "episodic_return": returns, "episodic_length": 5})


def entry_of(run, **changes):
    done = {"status": "finished", "steps_done": run.total_timesteps, "diverged_at": None}
    return {**run.record.to_json(), **done, "commit": "abc", "wall_time": 1.5, "versions": {}, **changes}


@pytest.fixture
def results(tmp_path):
    """Recorded runs without stacks, as they lie in a clone."""
    folder = tmp_path / "results" / "figure3"
    folder.mkdir(parents=True)
    write_table(folder / "episodes.parquet", pd.concat([episodes_of(run) for run in planned()], ignore_index=True))
    about = {"protocol": "figure3", "profile": "quick"}
    write_json(folder / "manifest.json", {**about, "runs": [entry_of(run) for run in planned()]})
    return folder.parent


def run_stopped_at_once(results, monkeypatch):
    """`ppo run figure3`, and Ctrl-C before anything is trained; returns its exit code and the stacks it had planned."""
    stacks = []
    monkeypatch.setattr(
        scheduler, "train", lambda _, planned, *__: stacks.extend(planned) or scheduler.Outcome(stopped=True)
    )
    return cli.main(["run", "figure3", *QUICK, "--workers", "1", "--results", str(results)]), stacks


def entries_of(results):
    path = results / "figure3" / "manifest.json"
    entries = read_json(path)["runs"]
    runs = completed(path, records_from_json(path, entries), known_settings())
    return {run.key: entry for run, entry in zip(runs, entries, strict=True)}


def rows_of(path):
    return sorted(map(tuple, read_episodes(path).itertuples(index=False)))


def all_rows(folder):
    """Of every file of episodes there, whatever it is called."""
    return {row for path in folder.glob("episodes.parquet*") for row in rows_of(path)}


def edited(change):
    def edit(path):
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


def flipped(path):
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


DAMAGE = {
    "cut short": lambda path: path.write_text(path.read_text()[:-20]),
    "a bit flipped": flipped,
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "no list of runs": edited(lambda manifest: manifest.update(runs=3)),
    "a seed that is none": edited(lambda manifest: manifest["runs"][0].update(seed="first")),
    "another JSON": lambda path: path.write_text("[]"),
    "no runs": edited(lambda manifest: manifest["runs"].clear()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_manifest_that_is_damaged_costs_no_episode(results, damage, monkeypatch):
    folder = results / "figure3"
    before = rows_of(folder / "episodes.parquet")
    DAMAGE[damage](folder / "manifest.json")
    for _ in range(2):  # nor does the same again
        code, _ = run_stopped_at_once(results, monkeypatch)
        assert code == 130
        assert set(before) <= all_rows(folder)
    kept = [path.name.partition("parquet")[2] for path in folder.glob("episodes.parquet.*")]
    assert len(kept) == 1, "one copy of them, and the second time there is nothing left to keep"
    if damage != "gone":
        assert (folder / f"manifest.json{kept[0]}").exists(), "beside it, under the same number, what lay with them"


NEWER = {
    "one more setting": lambda manifest: [run["settings"].update(new_setting=1) for run in manifest["runs"]],
    "a setting of another kind": lambda manifest: manifest["runs"][0]["settings"].update(network=64),
    "an unknown algorithm": lambda manifest: manifest["runs"].append({**manifest["runs"][0], "algorithm": "sac"}),
}


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("newer", NEWER)
def test_a_manifest_of_another_version_is_called_that_and_refused(results, newer, command, monkeypatch, capsys):
    folder = results / "figure3"
    edited(NEWER[newer])(folder / "manifest.json")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix}
    monkeypatch.setattr(scheduler, "train", lambda *_: pytest.fail("nothing is to be trained"))
    assert cli.main([command, "figure3", *QUICK, "--results", str(results)]) == 2
    said = capsys.readouterr().err
    assert "manifest.json is of another version of this project" in said
    assert said.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix} == before


def test_damaged_episodes_are_kept_with_their_manifest(results, monkeypatch):
    folder = results / "figure3"
    content = (folder / "episodes.parquet").read_bytes()[:-40]
    (folder / "episodes.parquet").write_bytes(content)
    manifest = (folder / "manifest.json").read_bytes()
    run_stopped_at_once(results, monkeypatch)
    assert (folder / "episodes.parquet.damaged-1").read_bytes() == content
    assert (folder / "manifest.json.damaged-1").read_bytes() == manifest


def test_the_same_episodes_are_written_again_without_a_copy(results, monkeypatch):
    run_stopped_at_once(results, monkeypatch)
    before = rows_of(results / "figure3" / "episodes.parquet")
    run_stopped_at_once(results, monkeypatch)
    assert rows_of(results / "figure3" / "episodes.parquet") == before
    assert not list((results / "figure3").glob("*-[0-9]"))


# --- superseded


def supersede(manifest, algorithm="ppo"):
    for run in manifest["runs"]:
        if run["algorithm"] == algorithm:
            run["superseded"] = WHY


def finished_stack(results, runs, **changes):
    """A stack's folder with the same trainings, as on the machine that trained them."""
    folder = StackFolder(results / "stacks" / Stack(tuple(runs)).name)
    folder.create([run.record for run in runs])
    write_table(folder.episodes, pd.concat([episodes_of(run) for run in runs], ignore_index=True))
    write_json(folder.manifest, {"runs": [entry_of(run, **changes) for run in runs]})
    return folder


def test_what_is_superseded_is_trained_again_and_counted_as_missing(results, monkeypatch, capsys):
    edited(supersede)(results / "figure3" / "manifest.json")
    before = rows_of(results / "figure3" / "episodes.parquet")
    _, stacks = run_stopped_at_once(results, monkeypatch)
    wanted = {run.key for run in planned() if run.algorithm == "ppo"}
    assert {run.key for stack in stacks for run in stack.runs} >= wanted
    assert not {run.key for stack in stacks for run in stack.runs if run.algorithm == "cem"}
    capsys.readouterr()
    assert cli.main(["status", "--results", str(results)]) == 0
    assert f"{len(wanted)} superseded: to be trained again" in capsys.readouterr().out
    entries = entries_of(results)
    assert {entries[key]["superseded"] for key in wanted} == {WHY}
    assert rows_of(results / "figure3" / "episodes.parquet") == before, "until then it is all there is"


def test_superseded_run_gives_way_and_is_kept(results, monkeypatch):
    """A superseded run that was trained again gives way, and is kept."""
    edited(supersede)(results / "figure3" / "manifest.json")
    before = set(rows_of(results / "figure3" / "episodes.parquet"))
    (run,) = (run for run in planned() if run.algorithm == "ppo" and run.setting != "untrained")
    new = finished_stack(results, [run], commit="def")
    write_table(new.episodes, episodes_of(run, count=9))
    run_stopped_at_once(results, monkeypatch)
    entry = entries_of(results)[run.key]
    assert "superseded" not in entry
    assert entry["commit"] == "def"
    assert set(rows_of(new.episodes)) <= set(rows_of(results / "figure3" / "episodes.parquet"))
    assert before <= all_rows(results / "figure3")


def test_superseded_stack_is_not_reused(results, monkeypatch):
    """The stack of what is superseded is not taken for a new training.

    Its checkpoint is at the end: continued, it would give the same again in no time.
    """
    runs = [run for run in planned() if run.algorithm == "ppo" and run.setting != "untrained"]
    old = finished_stack(results, runs)
    edited(supersede)(results / "figure3" / "manifest.json")
    recorded, _ = recorded_runs(results, known_settings())
    assert all(recorded[run.key].entry["superseded"] == WHY for run in runs)
    run_stopped_at_once(results, monkeypatch)
    assert not old.path.exists()
    (retired,) = (results / "stacks" / ".superseded").iterdir()
    assert rows_of(retired / "episodes.parquet") == rows_of(results / "figure3" / "episodes.parquet")[:0] + sorted(
        map(tuple, pd.concat([episodes_of(run) for run in runs]).itertuples(index=False))
    )


@pytest.mark.parametrize("order", [0, 1])
def test_merging_takes_the_new_training_of_a_superseded_run(results, tmp_path, order, capsys):
    other = tmp_path / "other"
    shutil.copytree(results, other)
    edited(supersede)(results / "figure3" / "manifest.json")
    edited(lambda manifest: [run.update(commit="def") for run in manifest["runs"]])(other / "figure3/manifest.json")
    table = read_episodes(other / "figure3/episodes.parquet")
    new = table.assign(episodic_return=table["episodic_return"].where(table["algorithm"] != "ppo", 1.0))
    write_table(other / "figure3/episodes.parquet", new)
    sources = [str(results), str(other)][:: -1 if order else 1]
    assert cli.main(["merge", str(tmp_path / "merged"), *sources]) == 0, capsys.readouterr().err
    manifest = read_json(tmp_path / "merged/figure3/manifest.json")
    assert not any(run.get("superseded") for run in manifest["runs"])
    assert rows_of(tmp_path / "merged/figure3/episodes.parquet") == rows_of(other / "figure3/episodes.parquet")


def test_superseded_curves_of_figure_2_are_measured_again_and_kept(tmp_path):
    folder = tmp_path / "figure2"
    folder.mkdir()
    old = pd.DataFrame({name: ["1"] for name in INTERPOLATION_COLUMNS}).astype(INTERPOLATION_COLUMNS)
    old.to_parquet(folder / "interpolation.parquet")
    content = (folder / "interpolation.parquet").read_bytes()
    protocol = select(["figure2"], PROFILES["quick"])[0]
    runs = protocol.first_updates
    write_json(folder / "manifest.json", {"runs": [entry_of(run, superseded=WHY) for run in runs]})
    assert not first_update.is_measured(folder, runs)
    first_update.measure(folder, {}, runs)
    assert first_update.is_measured(folder, runs)
    assert not first_update.is_measured(folder, runs[1:]), "what is there is of other runs"
    assert read_json(folder / "manifest.json")["runs"][0]["processor"] == provenance.processor()
    assert (folder / "interpolation.parquet.replaced-1").read_bytes() == content
    assert read_json(folder / "manifest.json.replaced-1")["runs"][0]["superseded"] == WHY
