"""The status of a results folder, from outside: what runs, what is dead, what failed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.cli import commands as cli
from experiments.planning.planner import Stack
from experiments.run import Run
from experiments.store.files import locked
from experiments.store.stack_folder import StackFolder
from ppo.ppo import PPO

RUN = Run("Hopper-v4", "ppo", "default", 1, 1000, PPO.Settings())
ELSEWHERE = "another-machine"


@pytest.fixture
def stack(tmp_path):
    stack = StackFolder(tmp_path / "stacks" / Stack((RUN,)).name)
    stack.create([RUN.record])
    return stack


def post(stack, **changes):
    """What a worker posts in training: this very process, a moment ago."""
    posted = {"state": "training", "pid": os.getpid(), "host": socket.gethostname(), "updated": time.time(), "runs": 1}
    posted |= {
        "steps_done": 400,
        "total_timesteps": 1000,
        "steps_per_second": 10.0,
        "score": None,
        "seconds_left": 60.0,
    }
    stack.progress.write_text(json.dumps(posted | changes))


def status(stack, capsys):
    """The line about ``stack``."""
    before = {path.name for path in stack.path.iterdir()}
    assert cli.main(["status", "--results", str(stack.path.parents[1])]) == 0
    assert {path.name for path in stack.path.iterdir()} == before, "it writes nothing"
    return capsys.readouterr().out.strip().split(": ", 1)[1]


STOPPED = "stopped at 400 of 1,000 steps; the same command continues it"
TRAINING = "training, 400 of 1,000 steps, 10 steps/s, 1:00 left"


@pytest.mark.parametrize(
    ("typed", "continues"),
    [
        ("ppo run figure4 --workers 2", "ppo run figure4 --workers 2 --results {}"),
        ("ppo run figure4 --results 'their own'", "ppo run figure4 --results {}"),
        ("ppo train Hopper-v4 --out runs/a --seeds 1", "ppo train Hopper-v4 --out {} --seeds 1"),
        ("make gpu HOURS=1", "make gpu HOURS=1"),
        ("ppo run 'figure4", "ppo run 'figure4"),
    ],
)
def test_the_command_that_continues_a_copied_folder_names_it(stack, capsys, typed, continues):
    post(stack, state="stopped", command=typed)
    assert status(stack, capsys).endswith(f"; {continues.format(stack.path.parents[1])} continues it")


def test_in_the_folder_it_was_typed_for_a_command_stays_as_it_is(stack, capsys, monkeypatch):
    monkeypatch.chdir(stack.path.parents[1].parent)
    stack.path.parents[1].rename("results")
    post(StackFolder(Path("results/stacks") / stack.path.name), state="stopped", command="ppo run figure4 --workers 2")
    assert cli.main(["status"]) == 0
    assert "; ppo run figure4 --workers 2 continues it" in capsys.readouterr().out


def test_what_nobody_has_begun(stack, capsys):
    assert status(stack, capsys) == "not begun"


def test_what_is_in_training(stack, capsys):
    post(stack)
    with locked(stack.path):
        assert status(stack, capsys) == TRAINING


def test_reused_process_number_is_seen_as_killed(stack, capsys):
    """What was killed is seen, though its process number is another process now.

    As that of this test is alive.
    """
    with locked(stack.path):
        post(stack)
    assert status(stack, capsys) == STOPPED


def test_what_was_killed_and_nobody_has_noticed_yet(stack, capsys):
    """Its process is a zombie, which a signal still finds."""
    hold = "import sys, time, pathlib; from experiments.store.files import locked\n"
    hold += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(stack.path)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "held\n"
        post(stack, pid=worker.pid)
        assert status(stack, capsys) == TRAINING
        worker.kill()
        assert worker.stdout.read() == ""
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        os.kill(worker.pid, 0)
        assert status(stack, capsys) == STOPPED


@pytest.mark.parametrize(("ago", "said"), [(30, TRAINING), (-30, TRAINING), (3600, STOPPED), (-3600, STOPPED)])
def test_what_is_on_another_machine_is_known_by_when_it_last_posted(stack, capsys, ago, said):
    """Whose clock may be another; and a clock that was put back makes nothing alive for ever."""
    post(stack, host=ELSEWHERE, updated=time.time() - ago)
    assert status(stack, capsys) == said


def test_what_was_stopped_and_what_failed(stack, capsys):
    post(stack, state="stopped")
    assert status(stack, capsys) == STOPPED
    stack.error.write_text("x: No space left on device\n")
    assert status(stack, capsys) == "failed at 400 of 1,000 steps: x: No space left on device"
