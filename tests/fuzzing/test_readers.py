"""Damaged files, read in process: each is taken or refused in one line, in bounded time and memory, and does nothing.

A few hundred run with the other tests. By hand, FUZZ_FILES=5000 for each reader (a quarter of an hour):

    pytest -m soak tests/fuzzing -s
"""

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from analysis.data.load import gather
from experiments.cli import status
from experiments.importing.sources import read_source
from experiments.planning.planner import Stack
from experiments.policies.evaluation import policies_in
from experiments.run import Run, known_settings, trainable
from experiments.store import results
from experiments.store.files import StoreError
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import episode_frame, read_episodes, write_table
from experiments.training import worker
from experiments.training.build import build
from experiments.training.options import Options
from ppo.checkpoint import CheckpointError
from ppo.ppo import PPO
from ppo.replay import ReplayMemory
from ppo.rollout import Experience
from ppo.training import Training
from tests.fuzzing.mutations import of_bytes, of_checkpoint, of_events, of_json
from tests.fuzzing.watching import Watch, cpu_seconds
from tests.helpers.environments import DISCRETE_4, ScriptedEnv

SEED = int(os.environ.get("FUZZ_SEED", "0"))
FEW = 60
MANY = int(os.environ.get("FUZZ_FILES", "5000"))
SETTINGS = PPO.Settings(num_steps=64, update_epochs=1)
RUNS = tuple(Run("InvertedPendulum-v4", "ppo", "default", seed, 64 * 4, SETTINGS) for seed in (1, 2))
REFUSALS = (StoreError, CheckpointError)
MISFITS = (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError)

Reader = tuple[Path, Callable[[], object], Callable[[np.random.Generator, Any], bytes]]
"""A whole file, what reads it, and what damages its bytes (or its JSON)."""
Memory = tuple[Callable[[], ReplayMemory], dict[str, Any], Path]
"""What makes replay memories, the state of one, and the folder of its files."""


class AfterTwo:
    """Stops a training after two iterations, in the place of a signal."""

    left = 2

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack that was stopped, and its episodes in a protocol's folder."""
    out = tmp_path_factory.mktemp("fuzzing")
    stack = StackFolder(out / "stacks" / Stack(RUNS).name)
    stack.create([run.record for run in RUNS])
    stop: Any = AfterTwo()
    with contextlib.redirect_stdout(io.StringIO()):
        worker.train(stack, Options(checkpoint_interval=0), stop)
    entries = [{**run.record.to_json(), "status": "finished", "steps_done": 128, "diverged_at": None} for run in RUNS]
    (out / "figure3").mkdir()
    manifest = {"protocol": "figure3", "profile": "quick", "runs": entries}
    (out / "figure3" / "manifest.json").write_text(json.dumps(manifest))
    rows = np.arange(200)
    columns = {"run": rows % 2, "step": rows // 2 + 1, "episodic_return": rows / 7.0, "episodic_length": rows * 0 + 1}
    write_table(out / "figure3" / "episodes.parquet", episode_frame([run.record for run in RUNS], columns))
    return out


def read_manifest_of(out: Path) -> Reader:
    known = known_settings()

    def read() -> None:
        _, problems = results.recorded_runs(out, known)
        data = gather(out, "figure3")
        status.show(Console(file=io.StringIO()), out, [])
        if problems or data.problem:
            raise StoreError(problems[0] if problems else data.problem)

    return out / "figure3" / "manifest.json", read, of_json


def read_table_of(out: Path) -> Reader:
    path = out / "figure3" / "episodes.parquet"
    return path, lambda: read_episodes(path), of_bytes


def read_stack_of(out: Path) -> Reader:
    stack = next(iter((out / "stacks").glob("*/stack.json")))
    return stack, lambda: trainable(stack, StackFolder(stack.parent).runs()), of_json


def read_checkpoint_of(out: Path) -> Reader:
    stack = StackFolder(next(iter((out / "stacks").glob("*"))))
    training = Training(build(RUNS))
    about = {"runs": [run.record.to_json() for run in RUNS]}
    return stack.checkpoint, lambda: training.load(stack.checkpoint, about), of_checkpoint


def read_policy_of(out: Path) -> Reader:
    path = next(iter((out / "stacks").glob("*"))) / "checkpoint.pt"

    def read() -> None:
        for policy in policies_in(path):
            policy.act(np.zeros((1, 4)), None)

    return path, read, of_checkpoint


def read_imported_of(
    name: str, write: Callable[[Path], object], mutate: Callable[[np.random.Generator, bytes], bytes] = of_bytes
) -> Callable[[Path], Reader]:
    """A file of another program, which ``write(path)`` writes; and `ppo import` of it, but for what that writes."""

    def made(out: Path) -> Reader:
        path = out / "other" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            write(path)
        return path, lambda: read_source(path, "sac", environment=None if path.stem == "runs" else "Hopper-v4"), mutate

    return made


ROWS = pd.DataFrame({"environment": "Hopper-v4", "algorithm": "sac", "seed": np.arange(200) % 2 + 1})
ROWS = ROWS.assign(**{"step": np.arange(200) // 2 + 1, "return": np.arange(200) / 7.0})


def write_monitor(path: Path) -> None:
    lines = [
        json.dumps({"t_start": 0.0, "env_id": "Hopper-v4"}),
        "r,l,t",
        *(f"{n / 7},{n + 1},{n}" for n in range(200)),
    ]
    path.write_text("#" + "\n".join(lines) + "\n")


def write_events(path: Path) -> None:
    with contextlib.closing(EventFileWriter(str(path.parent / "log"))) as writer:
        for step in range(50):
            value = Summary.Value(tag="charts/episodic_return", simple_value=step / 7)
            writer.add_event(Event(step=step, wall_time=0.0, summary=Summary(value=[value])))
    (written,) = (path.parent / "log").iterdir()
    written.rename(path)


READERS: dict[str, Callable[[Path], Reader]] = {
    "JSON": read_manifest_of,
    "Parquet": read_table_of,
    "stack": read_stack_of,
    "checkpoint": read_checkpoint_of,
    "policy": read_policy_of,
    "imported CSV": read_imported_of("runs.csv", partial(ROWS.to_csv, index=False)),
    "imported Parquet": read_imported_of("runs.parquet", partial(ROWS.to_parquet, index=False)),
    "monitor": read_imported_of("monitor.csv", write_monitor),
    "TensorBoard": read_imported_of("events.out.tfevents.1", write_events, of_events),
}


def fuzz(reader: str, out: Path, files: int) -> Watch:
    """Read ``files`` mutations of a file; returns what was counted."""
    path, read, mutate = READERS[reader](out)
    whole, watch = path.read_bytes(), Watch(out)
    read()  # imports, and what is compiled or allocated once
    original = json.loads(whole) if mutate is of_json else whole
    try:
        for number in range(files):
            rng = np.random.default_rng([SEED, number, *reader.encode()])
            path.write_bytes(mutate(rng, original))
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                watch.read(f"{reader} {SEED}/{number}", read, REFUSALS)
    finally:
        path.write_bytes(whole)
    return watch


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_taken_or_refused_in_one_line_and_does_nothing(trained: Path, reader: str) -> None:
    watch = fuzz(reader, trained, FEW)
    assert not watch.failures, watch.failures[:5]
    assert watch.outcomes["refused"] > FEW / 4, "the damage reaches the reader"


@pytest.mark.soak
@pytest.mark.parametrize("reader", READERS)
def test_thousands_of_damaged_files_are(trained: Path, reader: str) -> None:
    watch = fuzz(reader, trained, MANY)
    print(f"\n{reader}: {MANY} files, {dict(watch.outcomes)}, {cpu_seconds():.0f} CPU seconds so far")
    assert not watch.failures, watch.failures[:20]


def test_a_description_that_ends_pyarrows_process_is_refused(trained: Path) -> None:
    """It has a histogram of a wrong size: pyarrow ends the process when that column's description is asked for."""
    path, read, mutate = READERS["imported Parquet"](trained)
    whole = path.read_bytes()
    path.write_bytes(mutate(np.random.default_rng([0, 851, *b"imported Parquet"]), whole))
    with pytest.raises(StoreError):
        read()
    path.write_bytes(whole)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """A replay memory with one file, and what makes another one like it."""
    env = ScriptedEnv([1, 1], DISCRETE_4, np.float32)

    def make() -> ReplayMemory:
        return ReplayMemory(env, runs=2, num_steps=10, capacity=600)

    rng, filled = np.random.default_rng(0), make()
    for _ in range(30):
        observations, last = (torch.from_numpy(rng.random((*n, 2, 1, 3), np.float32)) for n in ((10,), ()))
        actions, rewards = torch.from_numpy(rng.integers(4, size=(10, 2, 1))), rng.random((10, 2, 1))
        ended = rng.random((10, 2, 1)) < 0.1
        experience = Experience(observations, None, actions, rewards, ended, ended, None, last, [])
        filled.add(experience, torch.full((10, 2, 1, 4), 0.25))
    state = filled.state(tmp_path)
    assert len(state["files"]) == 1
    return make, state, tmp_path


def fuzz_replay(memory: Memory, files: int) -> Watch:
    make, state, folder = memory
    (name,) = state["files"]
    whole, watch, target = (folder / name).read_bytes(), Watch(folder), make()
    odd = [None, -1, 0, 2**62, 0.5, "x", [], ["../x"], [name, name], np.zeros((2, 1, 7), np.uint8), np.zeros(3)]
    for number in range(files):
        rng = np.random.default_rng([SEED, number])
        changed = dict(state)
        if rng.random() < 0.3:
            changed[("steps", "files", "rest")[rng.integers(3)]] = odd[rng.integers(len(odd))]
        data = of_bytes(rng, whole)
        renamed = f"{name.rpartition('-')[0]}-{hashlib.sha256(data).hexdigest()}.zst"
        if rng.random() < 0.8 and changed["files"] is state["files"]:  # with a right checksum
            changed["files"] = [renamed]
        listed = changed["files"] if isinstance(changed["files"], list) else []
        path = folder / (listed[0] if listed in ([name], [renamed]) else name)
        path.write_bytes(data)
        # those that a training takes for a checkpoint that does not fit
        watch.read(f"replay {SEED}/{number}", partial(target.load_state, changed, folder), MISFITS)
        path.unlink()
    return watch


def test_a_damaged_replay_memory_is_refused_and_does_nothing(memory: Memory) -> None:
    watch = fuzz_replay(memory, FEW)
    assert not watch.failures, watch.failures[:5]
    assert watch.outcomes["refused"] > FEW / 4


@pytest.mark.soak
def test_thousands_of_damaged_replay_memories_are(memory: Memory) -> None:
    watch = fuzz_replay(memory, MANY)
    print(f"\nreplay: {MANY} files, {dict(watch.outcomes)}, {cpu_seconds():.0f} CPU seconds so far")
    assert not watch.failures, watch.failures[:20]
