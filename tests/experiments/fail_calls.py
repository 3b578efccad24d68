"""Let each system call of a save fail: ``python -m tests.experiments.fail_calls SHIM.so SCENARIO FOLDER EVERY SEED``.

Run with the compiled failing_calls.c in LD_PRELOAD. Each case is a forked child that does the same thing in a copy of
FOLDER; after it, without faults, the folder is looked at by another child. Prints one JSON object: how many calls there
are, how many cases of each outcome, and what was lost (a list that must be empty).
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from experiments.run import Run
from experiments.store.files import write_json
from experiments.store.recording import write_recorded
from experiments.store.tables import EPISODE_COLUMNS, episode_frame, read_episodes
from experiments.training import worker
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo import checkpoint
from ppo.files import remove_unfinished
from ppo.ppo import PPO

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EMFILE": errno.EMFILE, "ENOMEM": errno.ENOMEM, "short write": 0}
RUNS = [
    Run("InvertedPendulum-v4", "ppo", "default", seed, 64 * 4, PPO.Settings(num_steps=64, update_epochs=1))
    for seed in (1, 2)
]
RECORDS = [run.record for run in RUNS]


def columns(count):
    import numpy as np

    rng = np.random.default_rng(count)
    return {
        "run": np.zeros(count, np.int32),
        "step": np.arange(1, count + 1),
        "episodic_return": rng.normal(size=count),
        "episodic_length": np.full(count, 5, np.int32),
    }


class Checkpoint:
    """A checkpoint saved over two others."""

    def prepare(self, folder):
        for number in (1, 2):
            checkpoint.save(folder / "c.pt", {"number": number, "data": torch.arange(5000.0)})

    def act(self, folder):
        checkpoint.save(folder / "c.pt", {"number": 3, "data": torch.arange(5000.0)})

    def check(self, folder, acted):
        now, before = (checkpoint.load(folder / name)["number"] for name in ("c.pt", "c.pt.previous"))
        assert now == 3 if acted else now in (2, 3), "the old one or the new one"
        assert before in (1, 2)
        remove_unfinished(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["c.pt", "c.pt.previous"]


class Table:
    """A table of episodes and its manifest, in place of others that have rows of their own."""

    def manifest(self, number):
        return {"number": number, "runs": [{**RECORDS[0].to_json(), "status": "finished"}]}

    def prepare(self, folder):
        write_recorded(
            folder / "episodes.parquet", episode_frame(RECORDS, columns(20)), EPISODE_COLUMNS, self.manifest(1)
        )

    def act(self, folder):
        write_recorded(
            folder / "episodes.parquet", episode_frame(RECORDS, columns(30)), EPISODE_COLUMNS, self.manifest(2)
        )

    def check(self, folder, acted):
        old = set(map(tuple, episode_frame(RECORDS, columns(20)).itertuples(index=False)))
        found = set()
        for path in folder.glob("episodes.parquet*"):
            found |= set(map(tuple, read_episodes(path).itertuples(index=False)))
        assert old <= found, "every row of the old is somewhere"
        self.act(folder)
        number = json.loads((folder / "manifest.json").read_text())["number"]
        assert number == 2
        assert len(read_episodes(folder / "episodes.parquet")) == 30
        remove_unfinished(folder)
        assert not list(folder.glob("*.writing"))


class Training:
    """A whole worker: its checkpoints, what it posts, its results."""

    expected: Path
    """A file: the checksum of the episodes that every training ends with."""

    def prepare(self, folder):
        write_json(folder / "stack.json", {"runs": [run.to_json() for run in RECORDS]})

    def act(self, folder):
        code = self.work(folder)
        if code != FINISHED:
            raise OSError(code, "the worker failed")

    def work(self, folder):
        return worker.main([str(folder), "--options", Options(checkpoint_interval=0.0).to_text()])

    def check(self, folder, acted):
        assert self.work(folder) == FINISHED, (folder / "error.txt").read_text()
        digest = hashlib.sha256((folder / "episodes.parquet").read_bytes()).hexdigest()
        expected = self.expected.read_text() if self.expected.exists() else digest
        self.expected.write_text(expected)
        assert digest == expected
        assert not list(folder.glob("*.writing"))


Scenario = Checkpoint | Table | Training
SCENARIOS: dict[str, type[Scenario]] = {"checkpoint": Checkpoint, "table": Table, "training": Training}


def in_child(action):
    """Do it in a fork; its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 9
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        code = action()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(code)


def main(shim, name, folder, every, seed):
    faults = ctypes.CDLL(shim)
    scenario, folder, rng = SCENARIOS[name](), Path(folder), random.Random(seed)
    Training.expected = folder / "expected"

    def attempt(target, nth, error, lasting):
        def action():
            faults.fault_arm(nth, error, lasting)
            try:
                scenario.act(target)
            except (OSError, MemoryError):
                return 1
            finally:
                faults.fault_disarm()
                if nth < 0:
                    (folder / "count").write_text(str(faults.fault_count()))
            return 0

        return in_child(action)

    def fresh():
        target = Path(tempfile.mkdtemp(dir=folder))
        assert in_child(lambda: scenario.prepare(target) or 0) == 0
        return target

    def look(target, acted):
        return in_child(lambda: scenario.check(target, acted) or 0)

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # once here: all is imported, compiled
        warm = Path(tempfile.mkdtemp(dir=folder))
        scenario.prepare(warm)
        scenario.act(warm)
    target = fresh()
    assert attempt(target, -1, 0, 0) == 0
    assert look(target, True) == 0
    calls, outcomes, lost = int((folder / "count").read_text()), Counter[str](), list[list[object]]()
    cases = [
        (nth, kind, last)
        for nth in range(1, calls + 1)
        for kind in ERRORS
        for last in (0, 1)
        if ERRORS[kind] or not last
    ]
    chosen = rng.sample(cases, max(1, len(cases) // every))
    for nth, kind, last in chosen:
        target = fresh()
        code = attempt(target, nth, ERRORS[kind], last)
        outcomes[f"{kind}: " + {0: "saved", 1: "refused in a line"}.get(code, f"code {code}")] += 1
        if code not in (0, 1) or look(target, code == 0):
            lost.append([nth, kind, last, code])
        shutil.rmtree(target)
    print(json.dumps({"calls": calls, "cases": len(chosen), "outcomes": dict(sorted(outcomes.items())), "lost": lost}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
