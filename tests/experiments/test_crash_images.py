"""A power loss at any moment of a training, of gathering its episodes, or of a merge loses nothing that was saved.

A sample of the images each time; all of them, and a sample of a report's:
``pytest -m soak -s tests/experiments/test_crash_images.py``
"""

import os
import random
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from experiments.cli import commands as cli
from experiments.run import Run
from experiments.store import results
from experiments.store.files import StoreError, write_json
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import read_episodes, write_table
from experiments.training import worker
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo import checkpoint
from ppo.ppo import PPO
from ppo.training import Training
from tests.experiments.crash_images import Recorder, images, make, sample
from tests.helpers.commands import AtIteration, Killed, files_in, killed, same_data, stack_in, work
from tests.helpers.synthetic import write_table1

SETTINGS = PPO.Settings(num_steps=64, update_epochs=1)
RUNS = [Run("InvertedPendulum-v4", "ppo", "default", seed, 64 * 4, SETTINGS) for seed in (1, 2)]
RECORDS = [run.record for run in RUNS]
SEED = int(os.environ.get("CRASH_SEED", 0))
FEW = [pytest.param(24, id="some"), pytest.param(None, id="all", marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    stack = stack_in(tmp_path_factory.mktemp("undisturbed"), RUNS)
    assert work(stack) == FINISHED
    return stack.path


def each(recorder, count, folder):
    """Lay out each image of the sample in a folder of its own, which is gone afterwards."""
    chosen = sample(images(recorder, random.Random(SEED)), count, SEED)
    counts = f"\n{len(recorder.operations)} operations, {len(chosen)} images, CRASH_SEED={SEED}"
    print(counts, file=sys.__stdout__)  # past capsys, whose user reads what a worker says
    for number, image in enumerate(chosen):
        root = folder / f"image-{number}"
        root.mkdir()
        make(image, root)
        yield image[0], root
        shutil.rmtree(root)


# --- train


@pytest.mark.parametrize("count", FEW)
def test_a_training_goes_on_from_what_was_saved(tmp_path, monkeypatch, undisturbed, capsys, count):
    root = tmp_path / "results"
    root.mkdir()
    with monkeypatch.context() as patch:
        recorder = Recorder(root, patch)
        save = Training.save

        def save_and_mark(training, *arguments):
            save(training, *arguments)
            recorder.mark(training.algorithm.steps_done)

        patch.setattr(Training, "save", save_and_mark)
        stack = stack_in(root, RUNS)
        assert work(stack) == FINISHED
    assert sum(operation[0] == "mark" for operation in recorder.operations) == 5
    for marks, image in each(recorder, count, tmp_path):
        capsys.readouterr()
        again = StackFolder(image / "stacks" / stack.path.name)
        assert again.stack.exists() or not marks
        again = stack_in(image, RUNS)
        assert work(again) == FINISHED, again.error.read_text()
        said = capsys.readouterr().out
        assert "set aside" not in said
        from_step = int(said.partition("continuing at step ")[2].split()[0]) if "continuing" in said else 0
        assert from_step >= max(marks, default=0), "what save() returned from is there"
        assert same_data(again.path, undisturbed)
        assert not list(again.path.glob("*.writing"))


# --- run: episodes gathered, a manifest damaged, superseded or whole


def episodes_of(run, count, seed):
    rng = np.random.default_rng(seed)
    identity = {"environment": run.environment, "algorithm": run.algorithm, "setting": run.setting, "seed": run.seed}
    steps = np.sort(rng.choice(run.total_timesteps, count, replace=False))
    return pd.DataFrame({**identity, "step": steps, "episodic_return": rng.normal(size=count), "episodic_length": 5})


def entry_of(run, **changes):
    done = {"status": "finished", "steps_done": run.total_timesteps, "diverged_at": None}
    return {**run.record.to_json(), **done, "commit": "abc", "wall_time": 1.5, "versions": {}, **changes}


def recorded_in(folder, runs, seed, **changes):
    folder.mkdir(parents=True)
    tables = [episodes_of(run, 9, seed + run.seed) for run in runs]
    write_table(folder / "episodes.parquet", pd.concat(tables, ignore_index=True))
    write_json(folder / "manifest.json", {"protocol": "table1", "runs": [entry_of(run, **changes) for run in runs]})


def rows_in(folder):
    """Of every table of episodes there that can be read, whatever it is called."""
    rows = set()
    for path in folder.rglob("*episodes.parquet*"):
        try:
            rows |= set(map(tuple, read_episodes(path).itertuples(index=False)))
        except StoreError:
            continue
    return rows


def whole(folder):
    """Nothing is odd."""


def damaged(folder):
    (folder / "table1" / "manifest.json").write_text("{")


def gone(folder):
    (folder / "table1" / "manifest.json").unlink()


def of_others(folder):
    """The manifest there is of runs that are not asked for."""
    runs = [Run("Hopper-v4", "ppo", "default", seed, 256, SETTINGS) for seed in (1, 2)]
    shutil.rmtree(folder / "table1")
    recorded_in(folder / "table1", runs, 7)


@pytest.mark.parametrize("count", FEW)
@pytest.mark.parametrize("before", [whole, damaged, gone, of_others])
def test_gathered_episodes_are_never_fewer(tmp_path, monkeypatch, before, count):
    root = tmp_path / "results"
    recorded_in(root / "table1", RUNS[:1], 1)
    before(root)
    stack = stack_in(root, RUNS[1:])
    shutil.rmtree(stack.path)
    recorded_in(stack.path, RUNS[1:], 1)
    write_json(stack.stack, {"runs": [run.record.to_json() for run in RUNS[1:]]})
    kept = rows_in(root)

    def gather(folder):
        results.recorded_runs(folder, None, mend=True)
        return results.collect(folder, folder / "table1", {"protocol": "table1"}, RECORDS, None)

    with monkeypatch.context() as patch:
        recorder = Recorder(root, patch)
        assert gather(root) == []
    expected = (root / "table1" / "episodes.parquet").read_bytes()
    for _, image in each(recorder, count, tmp_path):
        assert kept <= rows_in(image)
        assert gather(image) == []
        assert kept <= rows_in(image)
        assert (image / "table1" / "episodes.parquet").read_bytes() == expected
        assert not list(image.rglob("*.writing"))


# --- merge


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    """A stack that was killed early, and one of the same runs that was killed later."""
    folder = tmp_path_factory.mktemp("stacks")
    for name, iterations in (("mine", 1), ("source", 3)):
        with pytest.raises(Killed):
            worker.train(
                stack_in(folder / name, RUNS), Options(checkpoint_interval=0.0), AtIteration(iterations, killed)
            )
    recorded_in(folder / "mine" / "table1", [Run("Hopper-v4", "ppo", "default", 1, 256, SETTINGS)], 3)
    recorded_in(folder / "source" / "table1", [Run("Hopper-v4", "ppo", "default", 2, 256, SETTINGS)], 4)
    return folder


@pytest.mark.parametrize("count", FEW)
def test_a_merge_loses_neither_what_was_there_nor_what_comes(tmp_path, monkeypatch, stacks, count):
    root, source = shutil.copytree(stacks / "mine", tmp_path / "results"), stacks / "source"
    (mine,) = (path.name for path in (root / "stacks").iterdir())
    old = {path.name: content for path, (content, _) in files_in(root / "stacks" / mine).items()}
    kept, sources = rows_in(root), files_in(source)

    def merge(folder):
        return cli.main(["merge", str(folder), str(source)])

    def contents(folder):
        return {path.name: content for path, (content, _) in files_in(folder).items()}

    with monkeypatch.context() as patch:
        recorder = Recorder(root, patch)
        assert merge(root) == 0
    expected = (root / "table1" / "episodes.parquet").read_bytes()
    for _, image in each(recorder, count, tmp_path):
        assert kept <= rows_in(image)
        places = [image / "stacks" / mine, *(image / "stacks" / ".replaced").glob("*")]
        assert old in [contents(place) for place in places], "the stack that gives way is whole, here or there"
        assert merge(image) == 0
        places = [image / "stacks" / mine, *(image / "stacks" / ".replaced").glob("*")]
        assert old in [contents(place) for place in places[1:]]
        assert checkpoint.load(places[0] / "checkpoint.pt")["algorithm"]["steps_done"] == 64 * 3
        assert (image / "table1" / "episodes.parquet").read_bytes() == expected
        assert files_in(source) == sources


# --- report


@pytest.mark.soak
def test_a_report_leaves_each_file_as_it_was_or_as_it_is_to_be(tmp_path, monkeypatch):
    """A report over an older one, of other scores; the measured data are not touched."""
    root = tmp_path / "results"

    def report():
        assert cli.main(["report", "--results", str(root)]) == 0
        return {path.relative_to(root): content for path, (content, _) in files_in(root).items()}

    write_table1(root)
    old = report()
    data = write_table1(root, value=lambda environment, setting, seed: float(seed)) / "table1"
    measured = [data / "episodes.parquet", data / "manifest.json"]
    old |= {path.relative_to(root): path.read_bytes() for path in measured}
    with monkeypatch.context() as patch:
        recorder = Recorder(root, patch)
        new = report()
    assert sum(old[name] != content for name, content in new.items() if name in old) > 10, "the other scores show"
    for _, image in each(recorder, 300, tmp_path):
        there = {path.relative_to(image): path.read_bytes() for path in image.rglob("*") if path.is_file()}
        assert set(old) <= set(there)
        for name, content in there.items():
            assert content in (old.get(name), new.get(name)) or name.name.endswith(".writing"), name
    assert report() == new
