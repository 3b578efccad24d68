"""Parts of a protocol, trained apart and joined, against the same trained in one go."""

import json
import math
import shutil

import pandas as pd
import pytest

from experiments.cli import commands as cli
from experiments.store import merging, results
from experiments.store.files import locked
from experiments.store.tables import read_episodes
from tests.helpers.commands import SECONDS, files_in, stacks_of
from tests.helpers.processes import forked_workers

PARTS = 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Figures 2 and 3 with a profile of seconds, one task and two algorithms: in one go, and in parts."""
    folder = tmp_path_factory.mktemp("trained")
    profiles = {"quick": SECONDS}
    run = ["run", "figure3", "figure2", "--profile", "quick", "--workers", "1", "--results"]
    with forked_workers():
        assert cli.main([*run, str(folder / "whole")], profiles) == 0
        for index in range(1, PARTS + 1):
            assert cli.main([*run, str(folder / f"part{index}"), "--shard", f"{index}/{PARTS}"], profiles) == 0
    return folder


@pytest.fixture
def parts(trained, tmp_path):
    """Copies of the parts."""
    return [shutil.copytree(trained / f"part{index}", tmp_path / f"part{index}") for index in range(1, PARTS + 1)]


def merge(destination, *sources, mixed=False):
    """The exit code."""
    return cli.main(["merge", str(destination), *map(str, sources), *(["--mixed"] if mixed else [])])


def contents(folder):
    """Every file with its bytes, but for locks."""
    return {path.relative_to(folder): content for path, (content, _) in files_in(folder).items()}


def change_manifest(folder, change, finished=True):
    """Let ``change(run)`` edit the runs of Figure 3's manifest, and of the stacks'."""
    for path in [folder / "figure3" / "manifest.json", *folder.glob("stacks/*/manifest.json")]:
        manifest = json.loads(path.read_text())
        for run in manifest["runs"]:
            if run["status"] == "finished" or not finished:
                change(run)
        path.write_text(json.dumps(manifest))


def test_the_parts_joined_are_what_one_run_gives(trained, parts, tmp_path):
    out = tmp_path / "out"
    assert merge(out, *parts) == 0
    whole = trained / "whole"
    for name in ("figure3/episodes.parquet", "figure2/interpolation.parquet"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    for name in ("figure2", "figure3"):
        joined, expected = (json.loads((folder / name / "manifest.json").read_text()) for folder in (out, whole))
        assert (joined["protocol"], joined["profile"]) == (expected["protocol"], "quick")
        for run in (*joined["runs"], *expected["runs"]):
            del run["wall_time"]
        assert [run["status"] for run in joined["runs"]] == ["finished"] * len(expected["runs"])
        assert [{**run, "stack": 0} for run in joined["runs"]] == [{**run, "stack": 0} for run in expected["runs"]]
    assert {stack.name for stack in stacks_of(out)} == {stack.name for part in parts for stack in stacks_of(part)}
    assert all((stack / "checkpoint.pt").exists() for stack in stacks_of(out)), "the policies come along"


def test_each_part_trained_something_of_its_own(parts):
    tables = [read_episodes(part / "figure3" / "episodes.parquet") for part in parts]
    assert all(len(table) for table in tables)
    runs = [set(table[["algorithm", "setting"]].itertuples(index=False, name=None)) for table in tables]
    assert not runs[0] & runs[1]


def test_joining_again_in_any_order_changes_nothing(parts, tmp_path):
    out = tmp_path / "out"
    assert merge(out, *parts) == 0
    before, sources = contents(out), [files_in(part) for part in parts]
    assert merge(out, *parts) == 0
    assert merge(out, *parts[::-1]) == 0
    assert contents(out) == before
    assert [files_in(part) for part in parts] == sources


def test_one_after_the_other_is_the_same_as_together(parts, tmp_path):
    assert merge(tmp_path / "together", *parts) == 0
    assert merge(tmp_path / "out", parts[0]) == 0
    statuses = [run["status"] for run in json.loads((tmp_path / "out/figure3/manifest.json").read_text())["runs"]]
    assert set(statuses) == {"finished", "missing"}
    assert merge(tmp_path / "out", parts[1]) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "together")


def test_what_was_merged_needs_no_stacks(parts, tmp_path):
    assert merge(tmp_path / "together", *parts) == 0
    for part in parts:
        shutil.rmtree(part / "stacks")
    assert merge(tmp_path / "out", *parts) == 0
    tables = [(tmp_path / name / "figure3" / "episodes.parquet").read_bytes() for name in ("out", "together")]
    assert tables[0] == tables[1]


def test_stacks_that_no_manifest_lists_yet_come_along(parts, tmp_path):
    """A part that was killed before it gathered its episodes: the next run in the merged folder does."""
    for part in parts:
        shutil.rmtree(part / "figure3")
        shutil.rmtree(part / "figure2", ignore_errors=True)
    assert merge(tmp_path / "out", *parts) == 0
    names = [{stack.name for stack in stacks_of(folder)} for folder in (tmp_path / "out", *parts)]
    assert names[0] == names[1] | names[2]


def test_parts_in_which_nothing_is_finished_are_joined(parts, tmp_path):
    for part in parts:
        for path in [*part.glob("*/manifest.json"), *part.glob("*/*.parquet"), *part.glob("stacks/*/manifest.json")]:
            path.unlink()
    assert merge(tmp_path / "out", *parts) == 0
    assert len(stacks_of(tmp_path / "out")) == sum(len(stacks_of(part)) for part in parts)


def test_broken_off_merge_is_completed(parts, tmp_path, monkeypatch):
    """A merge that was broken off is completed by the same command."""
    assert merge(tmp_path / "together", *parts) == 0

    def broken(*arguments, **more):
        raise OSError("no space left")

    for module, name in ((shutil, "copytree"), (merging, "write_recorded"), (results, "write_recorded")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, broken)
            assert merge(tmp_path / "out", *parts) == 1
    half = tmp_path / "out" / "stacks" / ".merging" / "new"  # what a kill leaves
    shutil.copytree(stacks_of(parts[0])[0], half)
    (half / "episodes.parquet").write_bytes(b"half")
    assert merge(tmp_path / "out", *parts) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "together")


def other_torch(run):
    run["versions"]["torch"] = "1.0"


def no_versions(run):
    del run["versions"]


def other_clip(run):
    if "clip_coef" in run["settings"]:
        run["settings"]["clip_coef"] = 0.5


def without_opencv(run):
    del run["versions"]["opencv-python-headless"]


def test_a_version_that_was_not_recorded_yet_stands_in_nobodys_way(parts, tmp_path, capsys):
    change_manifest(parts[0], without_opencv)
    assert merge(tmp_path / "out", *parts) == 0
    change_manifest(parts[1], other_torch)
    assert merge(tmp_path / "other", *parts) == 2
    assert "versions (torch) differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda part: change_manifest(part, other_torch), "versions (torch) differ"),
        (lambda part: change_manifest(part, no_versions), "records of versions differ, some and none"),
        (lambda part: change_manifest(part, other_clip, finished=False), "has other settings"),
        (
            lambda part: [
                path.write_text(path.read_text().replace('"profile": "quick"', '"profile": "paper"'))
                for path in part.glob("*/manifest.json")
            ],
            "profile differ, quick and paper",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused_unless_told(parts, tmp_path, capsys, change, named):
    out = tmp_path / "out"
    change(parts[1])
    assert merge(out, *parts) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert named in said
    assert str(parts[0]) in said
    assert str(parts[1]) in said
    assert not out.exists()
    assert merge(out, *parts, mixed=True) == 0
    assert named in capsys.readouterr().out


def test_two_results_of_one_run_are_refused(trained, parts, tmp_path, capsys):
    """Two results of one run are refused, and the first is kept if told."""
    out = shutil.copytree(trained / "whole", tmp_path / "out")
    before = contents(out)
    for path in [*parts[1].glob("stacks/*/episodes.parquet"), parts[1] / "figure3" / "episodes.parquet"]:
        table = pd.read_parquet(path)
        table["episodic_return"] += 1
        table.to_parquet(path, index=False)
    assert merge(out, *parts) == 2
    assert "has other episodes" in capsys.readouterr().err
    assert contents(out) == before
    assert merge(out, *parts, mixed=True) == 0
    assert (out / "figure3/episodes.parquet").read_bytes() == (trained / "whole/figure3/episodes.parquet").read_bytes()


def test_a_damaged_source_is_named_and_nothing_written(parts, tmp_path, capsys):
    damaged = parts[1] / "figure3" / "episodes.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert merge(tmp_path / "out", *parts) == 2
    assert str(damaged) in capsys.readouterr().err
    assert merge(tmp_path / "out", tmp_path / "nowhere") == 2
    assert "holds no results" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stack_goes_on_where_it_was_trained_furthest(parts, tmp_path, capsys):
    out = tmp_path / "out"
    stack = stacks_of(parts[0])[0]
    whole = contents(stack)
    manifest = parts[0] / "figure3" / "manifest.json"
    for path in (stack / "manifest.json", stack / "episodes.parquet"):  # as if it were half done
        path.rename(tmp_path / path.name)
    manifest.write_text(manifest.read_text().replace('"finished"', '"missing"'))
    with locked(stack):
        assert merge(out, parts[0]) == 0
    assert "still being trained" in capsys.readouterr().out
    assert not (out / "stacks" / stack.name).exists()
    assert merge(out, parts[0]) == 0
    assert (out / "stacks" / stack.name / "checkpoint.pt").exists()
    for name in ("manifest.json", "episodes.parquet"):
        (tmp_path / name).rename(stack / name)
    assert merge(out, parts[0]) == 0
    assert contents(out / "stacks" / stack.name) == whole


def test_older_records_have_the_new_settings_default(trained, parts, tmp_path):
    """Records that are older than a setting are of the runs with its default.

    As in a results folder that was trained before the setting was there, and now gets the runs of another.
    """

    def forget(run):
        run["settings"].pop("clip_actions", None)

    change_manifest(parts[0], forget, finished=False)
    for path in parts[0].glob("stacks/*/stack.json"):
        stack = json.loads(path.read_text())
        for run in stack["runs"]:
            forget(run)
        path.write_text(json.dumps(stack))
    assert not merging.same_settings(parts)
    assert merging.same_settings(parts[1:])
    assert merge(tmp_path / "out", *parts) == 0
    for name in ("figure3/episodes.parquet", "figure2/interpolation.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (trained / "whole" / name).read_bytes()
    joined = json.loads((tmp_path / "out" / "figure3" / "manifest.json").read_text())
    assert {run["status"] for run in joined["runs"]} == {"finished"}


def part_of(whole, folder, fraction):
    """Results of the same runs, trained so far alone."""
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "stacks")
    path = folder / "figure3" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["fraction"] = fraction
    for run in manifest["runs"]:
        run["steps_done"] = math.ceil(fraction * run["total_timesteps"])
    path.write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("order", [1, -1])
def test_the_joined_fraction_is_the_one_that_all_runs_reach(trained, tmp_path, order):
    half, quarter = (part_of(trained / "whole", tmp_path / str(part), part) for part in (0.5, 0.25))
    for sources, fraction in (([half, quarter], 0.5), ([half, trained / "whole"], None), ([quarter, half, half], 0.5)):
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        assert merge(out, *sources[::order]) == 0
        manifest = json.loads((out / "figure3" / "manifest.json").read_text())
        assert manifest.get("fraction") == fraction
        assert {run["status"] for run in manifest["runs"]} == {"finished"}


def test_a_finished_stack_without_its_checkpoint_is_finished(trained, tmp_path):
    """Deleted to save space: nothing is to be trained, and the policies that are kept stay."""
    out = shutil.copytree(trained / "whole", tmp_path / "out")
    for path in out.glob("stacks/*/checkpoint.pt*"):
        path.unlink()
    before = contents(out)
    run = ["run", "figure3", "figure2", "--profile", "quick", "--workers", "1", "--results", str(out)]
    for _ in range(2):
        assert cli.main(run, {"quick": SECONDS}) == 0
    assert contents(out) == before


def test_curves_without_a_manifest_are_kept_where_others_take_their_place(trained, tmp_path):
    """A kill may come between the two files of a destination."""
    out = tmp_path / "out"
    (out / "figure2").mkdir(parents=True)
    table = pd.read_parquet(trained / "whole" / "figure2" / "interpolation.parquet")
    table["kl"] += 1
    table.to_parquet(out / "figure2" / "interpolation.parquet", index=False)
    mine = (out / "figure2" / "interpolation.parquet").read_bytes()
    assert merge(out, trained / "whole") == 0
    assert (out / "figure2" / "interpolation.parquet.replaced-1").read_bytes() == mine
