"""The worker processes of the Atari games: how many there are changes nothing, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ppo.envs.base import EnvironmentDied
from ppo.process import cores
from tests.helpers.atari_oracle import BREAKOUT, SEEDS
from tests.helpers.gymnasium_oracle import assert_same_transition, random_actions


def processes_of(env):
    return [worker.process for worker in env._workers]


def python(code, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, **options)


def is_running(pid):
    """Whether the process lives; one that ended and that nobody has asked for its exit code does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_and_neighbours_change_no_row(atari):
    """Neither the number of processes nor the neighbours change a row."""
    one, two = atari(BREAKOUT, SEEDS[:2]), atari(BREAKOUT, SEEDS[:2], processes=2)
    alone = atari(BREAKOUT, SEEDS[1:2])
    actions = random_actions(one, 40)
    observations = one.reset()
    np.testing.assert_array_equal(two.reset(), observations)
    np.testing.assert_array_equal(alone.reset(), observations[1:2])
    ended = 0
    for action in actions:
        transition = one.step(action)
        ended += int(transition.terminated.sum())
        assert_same_transition(two.step(action), transition)
        assert_same_transition(alone.step(action[1:2]), type(transition)(*(array[1:2] for array in transition)))
    assert ended >= 2
    assert len(processes_of(two)) == 2


def test_there_are_as_many_processes_as_cores_but_no_more_than_rows(atari):
    default, many = atari(BREAKOUT, SEEDS[:2], processes=None), atari(BREAKOUT, SEEDS[:2], processes=9)
    assert processes_of(default) == []  # an environment that is only asked for its spaces starts none
    default.reset()
    many.reset()
    assert len(processes_of(default)) == min(cores(), 2)
    assert cores() == len(os.sched_getaffinity(0))
    assert len(processes_of(many)) == 2


def test_a_killed_worker_is_said_in_one_line_and_the_rest_is_closed(atari):
    env = atari(BREAKOUT, processes=2)
    env.reset()
    pids = [process.pid for process in processes_of(env)]
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(EnvironmentDied) as error:
        env.step(np.zeros(3, np.int64))
    assert str(error.value) == f"BreakoutNoFrameskip-v4, rows 1 to 2: worker process {pids[1]} was killed by SIGKILL"
    assert not any(map(is_running, pids))
    env.close()
    with pytest.raises(ValueError, match="BreakoutNoFrameskip-v4: the environment is closed"):
        env.reset()


def test_a_worker_that_is_killed_in_the_middle_of_a_step_is_noticed(atari):
    env = atari(BREAKOUT, SEEDS[:1])
    env.reset()
    (process,) = processes_of(env)
    os.kill(process.pid, signal.SIGSTOP)  # so that it dies after it was asked
    killer = python(f"import os, time; time.sleep(0.3); os.kill({process.pid}, 9)")
    with pytest.raises(EnvironmentDied, match="was killed by SIGKILL"):
        env.step(np.zeros(1, np.int64))
    killer.communicate()


def test_workers_leave_signals_to_the_parent(atari):
    """Workers leave signals to the parent, and end when it closes them."""
    env = atari(BREAKOUT, SEEDS[:2], processes=2)
    env.reset()
    processes = processes_of(env)
    for process in processes:
        assert os.getpgid(process.pid) != os.getpgid(0)  # Ctrl-C in a terminal does not reach it
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    for _ in range(3):
        env.step(np.zeros(2, np.int64))
    env.close()
    assert [process.returncode for process in processes] == [0, 0]


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()"])
def test_no_worker_outlives_its_parent_and_nothing_is_said(ending):
    """A line of the emulator's about itself, say, or of an environment that was not closed."""
    code = f"""
import os, signal, sys
from ppo.envs import make
env = make({BREAKOUT!r}, [0])
env.reset()
print(env._workers[0].process.pid, flush=True)
{ending}
"""
    parent = python(code, stderr=subprocess.PIPE)
    output, errors = parent.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while is_running(int(output)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(int(output))
    assert errors == ""


def test_a_worker_loads_neither_torch_nor_mujoco():
    loaded = python("import sys, ppo.envs.atari_worker; print({'torch', 'mujoco'} & set(sys.modules))")
    assert loaded.communicate()[0] == "set()\n"
