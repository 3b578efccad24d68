"""Stacks that are not finished, joined: nothing gives way to what was not read, and what gives way is kept."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import experiments
from experiments.cli import commands as cli
from experiments.run import Run
from experiments.store import merging
from experiments.store.stack_folder import StackFolder
from experiments.training import worker
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo import checkpoint
from ppo.ppo import PPO
from tests.helpers.commands import AtIteration, Killed, files_in, killed, same_data, stack_in, work

SETTINGS = PPO.Settings(num_steps=64, update_epochs=1)
REPOSITORY = Path(experiments.__file__).parents[1]
NOBODY = 65534
RUNS = [Run("InvertedPendulum-v4", "ppo", "default", seed, 64 * 12, SETTINGS) for seed in (1, 2)]


def trained(folder, iterations):
    """Results with a stack that was killed after so many iterations."""
    stack = stack_in(folder, RUNS)
    with pytest.raises(Killed):
        worker.train(stack, Options(checkpoint_interval=0.0), AtIteration(iterations, killed))
    return stack


def merge(destination, *sources):
    return cli.main(["merge", str(destination), *map(str, sources)])


def steps_in(stack):
    return checkpoint.load(stack.checkpoint)["algorithm"]["steps_done"]


def boast(stack):
    """Let a stack say that it is further than it is."""
    progress = json.loads(stack.progress.read_text())
    stack.progress.write_text(json.dumps({**progress, "steps_done": 64 * 11}))


def cut(stack):
    for path in (stack.checkpoint, stack.checkpoint_before):
        path.write_bytes(path.read_bytes()[:1000])


def of_other_runs(stack):
    for _ in range(2):
        checkpoint.save(stack.checkpoint, {**checkpoint.load(stack.checkpoint), "about": {"runs": []}})


WORSE = {
    "damaged": cut,
    "missing": lambda stack: [path.unlink() for path in (stack.checkpoint, stack.checkpoint_before)],
    "of other runs": of_other_runs,
    "less far": lambda stack: None,
    "no state at all": lambda stack: [checkpoint.save(stack.checkpoint, {"a": 1}) for _ in range(2)],
}


@pytest.mark.parametrize("kind", WORSE)
def test_a_stack_does_not_give_way_to_what_only_says_that_it_is_further(tmp_path, kind, capsys):
    mine, source = trained(tmp_path / "mine", 8), trained(tmp_path / "source", 3)
    boast(source)
    WORSE[kind](source)
    before = files_in(mine.path)
    assert merge(tmp_path / "mine", tmp_path / "source") == 0
    assert files_in(mine.path) == before
    said = capsys.readouterr().out
    assert (f"{source.path} has no checkpoint that is whole" in said) == (kind != "less far")


def test_a_stack_that_gives_way_is_kept_and_that_is_said(tmp_path, capsys):
    mine, _ = trained(tmp_path / "mine", 3), trained(tmp_path / "source", 8)
    before = {path.name: content for path, (content, _) in files_in(mine.path).items()}
    assert merge(tmp_path / "mine", tmp_path / "source") == 0
    assert steps_in(mine) == 64 * 8
    (kept,) = (tmp_path / "mine" / "stacks" / ".replaced").iterdir()
    assert {path.name: content for path, (content, _) in files_in(kept).items()} == before
    assert str(kept) in capsys.readouterr().out
    assert work(mine) == FINISHED
    whole = stack_in(tmp_path / "whole", RUNS)
    assert work(whole) == FINISHED
    assert same_data(mine.path, whole.path)


def test_the_checkpoint_before_counts_where_the_last_is_damaged(tmp_path):
    mine, source = trained(tmp_path / "mine", 3), trained(tmp_path / "source", 8)
    source.checkpoint.write_bytes(source.checkpoint.read_bytes()[:1000])
    assert merge(tmp_path / "mine", tmp_path / "source") == 0
    assert checkpoint.load(mine.checkpoint_before)["algorithm"]["steps_done"] == 64 * 7


def test_the_furthest_of_several_sources_is_taken_whatever_their_order(tmp_path):
    for number, order in enumerate([(3, 8, 5), (8, 5, 3), (5, 3, 8)]):
        folders = [tmp_path / f"{number}-{iterations}" for iterations in order]
        for folder, iterations in zip(folders, order, strict=True):
            trained(folder, iterations)
        assert merge(tmp_path / str(number), *folders) == 0
        (stack,) = (tmp_path / str(number) / "stacks").glob("Inverted*")
        assert steps_in(StackFolder(stack)) == 64 * 8


@pytest.mark.parametrize("rename", [1, 2])
def test_a_kill_between_the_renames_loses_neither_stack(tmp_path, monkeypatch, rename):
    """Not even if the source is gone afterwards, and something else is merged."""
    mine, source = trained(tmp_path / "mine", 3), trained(tmp_path / "source", 8)
    before = {path.name: content for path, (content, _) in files_in(mine.path).items()}
    left, real = [rename], os.rename

    def die(*arguments):
        left[0] -= 1
        if not left[0]:
            raise Killed
        real(*arguments)

    monkeypatch.setattr(os, "rename", die)
    with pytest.raises(Killed):
        merge(tmp_path / "mine", tmp_path / "source")
    monkeypatch.undo()
    shutil.copytree(source.path.parents[1], tmp_path / "again")
    kept = [path for path in (tmp_path / "mine" / "stacks" / ".replaced").glob("*")] or [mine.path]
    assert {path.name: content for path, (content, _) in files_in(kept[0]).items()} == before
    assert merge(tmp_path / "mine", tmp_path / "again") == 0
    assert steps_in(mine) == 64 * 8
    (kept,) = (tmp_path / "mine" / "stacks" / ".replaced").iterdir()
    assert {path.name: content for path, (content, _) in files_in(kept).items()} == before


def test_sources_are_only_read(tmp_path):
    """They may lie where nothing can be written."""
    source = trained(tmp_path / "source", 3)
    for lock in source.path.glob(".lock"):
        lock.unlink()
    before = {path: path.stat() for path in (tmp_path / "source").rglob("*")}
    assert merge(tmp_path / "mine", tmp_path / "source") == 0
    after = {path: path.stat() for path in (tmp_path / "source").rglob("*")}
    assert {path: (about.st_mtime_ns, about.st_size) for path, about in after.items()} == {
        path: (about.st_mtime_ns, about.st_size) for path, about in before.items()
    }


def test_sources_that_may_only_be_read_are_merged_into_what_may_be_written(tmp_path):
    root = os.geteuid() == 0
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if root else []
    if root and not (shutil.which("setpriv") and subprocess.run([*powerless, "true"]).returncode == 0):
        pytest.skip("root may write everywhere, and setpriv cannot take that from it here")
    source = trained(tmp_path / "source", 3)
    for path in (*(tmp_path / "source").rglob("*"), tmp_path / "source"):
        if root:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-m", "experiments", "merge", str(tmp_path / "merged"), str(tmp_path / "source")]
    ended = subprocess.run([*powerless, *command], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    merged = StackFolder(tmp_path / "merged" / "stacks" / source.path.name)
    assert steps_in(merged) == 64 * 3
    for path in (merged.path, *merged.path.rglob("*")):
        assert path.stat().st_mode & stat.S_IWUSR, f"training goes on in {path}"
    for path in (tmp_path / "source").rglob("*"):
        assert not path.stat().st_mode & stat.S_IWUSR
        path.chmod(0o755)


def test_a_finished_stack_that_is_read_from_stays(tmp_path):
    """Its episodes are those that are chosen."""
    mine, _ = stack_in(tmp_path / "mine", RUNS), trained(tmp_path / "source", 8)
    assert work(mine, fraction=0.5) == FINISHED
    before = files_in(mine.path)
    assert merge(tmp_path / "mine", tmp_path / "source") == 0
    assert files_in(mine.path) == before
    assert merging.merge(tmp_path / "mine", [tmp_path / "source"]) == []
