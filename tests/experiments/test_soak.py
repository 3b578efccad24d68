"""Kills at random moments, by the dozen: ``pytest -m soak -s tests/experiments/test_soak.py``.

SOAK_KILLS says how many (default 50), SOAK_SEED repeats a run of it that failed (as far as the moments of a machine can
be repeated); both are printed.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

import pytest

from experiments.store.results import recorded_runs
from experiments.store.stack_folder import StackFolder
from tests.helpers.commands import PATIENCE, begin, children, same_data, stacks_of, train, train_flags, wait_for

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc names the processes to kill on Linux alone"),
]

LONG = ("--total-timesteps", "30720", "--checkpoint-interval", "0")
NUM_STEPS = 256
KINDS = ("worker", "parent", "everything", "SIGTERM")
"""A worker; the command, whose workers then save and end; all of them at once; the command, asked to stop."""


def steps_posted(out):
    """What each stack had done when it last said so."""
    found = {}
    for stack in stacks_of(out):
        try:
            found[stack.name] = json.loads((stack / "progress.json").read_text())["steps_done"]
        except FileNotFoundError:
            found[stack.name] = 0
    return found


def strike(kind, process, rng):
    """Kill, or ask to stop; whether there was anything to kill."""
    workers = children(process.pid)
    victims = {"worker": workers and [rng.choice(workers)], "everything": [process.pid, *workers]}
    for victim in victims.get(kind, [process.pid]):
        try:
            os.kill(victim, signal.SIGTERM if kind == "SIGTERM" else signal.SIGKILL)
        except ProcessLookupError:
            return False
    return bool(victims.get(kind, True))


def pause(process, out, rng):
    """Until a random moment: half of the time soon after the start, otherwise while it trains."""
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0, 5))
        return
    before = steps_posted(out)
    wait_for(lambda: process.poll() is not None or steps_posted(out) != before)
    time.sleep(rng.uniform(0, 1.5))


def disturbed(out, rng, kills, wanted):
    """Begin the command again and again, until it ends by itself; what it did is counted in ``kills``."""
    finished: set[Any] = set()
    while True:
        process = begin(train_flags(out, *LONG, workers=2), out.with_suffix(".log"))
        kind = None
        while kind in (None, "worker") and process.poll() is None:
            if sum(kills.values()) - kills["SIGTERM"] >= wanted:
                break
            pause(process, out, rng)
            kind = rng.choice(KINDS)
            if process.poll() is None and strike(kind, process, rng):
                kills[kind] += 1
                print(f"{sum(kills.values()):3} {kind:10} at {list(steps_posted(out).values())}", flush=True)
        process.wait(timeout=20 * PATIENCE)
        now = set(recorded_runs(out, None)[0])
        assert finished <= now, "what was finished is lost"
        finished = now
        if process.returncode == 0 and len(finished) == 4:
            return
        if rng.random() < 0.5:  # or at once, while orphans still save
            time.sleep(rng.uniform(0, 3))


def test_data_survive_any_number_of_kills(tmp_path):
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 10**6))
    wanted = int(os.environ.get("SOAK_KILLS", 50))
    print(f"\nSOAK_SEED={seed} SOAK_KILLS={wanted}")
    rng, kills, rounds = random.Random(seed), Counter[str](), 0
    assert train(tmp_path / "undisturbed", *LONG, workers=2) == 0
    while sum(kills.values()) - kills["SIGTERM"] < wanted:
        rounds += 1
        out = tmp_path / f"round-{rounds}"
        disturbed(out, rng, kills, wanted)
        assert same_data(out, tmp_path / "undisturbed")
        for stack in stacks_of(out):
            log = (stack / "log.txt").read_text()
            assert "set aside" not in log, "a kill damages no checkpoint"
            assert "Traceback" not in log
            assert StackFolder(stack).finished
            assert not list(stack.glob("*.writing")), "nothing half-written stays"
    print(f"{dict(kills)} in {rounds} rounds: the same bytes as undisturbed")
