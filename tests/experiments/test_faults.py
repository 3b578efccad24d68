"""Faults that are really there: signals, full and read-only disks, clocks that go back, environments that die.

After each, nothing that was finished is lost, and the data end as those of a training that nothing disturbed. Kills of
processes are in test_run.py, by the dozen in test_soak.py; what needs no more than one process is done in this one.
"""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from experiments.planning.planner import Stack
from experiments.run import Run
from experiments.store import recording, results
from experiments.store.files import StoreError, read_json
from experiments.store.results import collect
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import INTERPOLATION_COLUMNS, episode_frame, read_episodes
from experiments.training import build, first_update, scheduler, worker
from experiments.training.executor import BUSY, FAILED, FINISHED, STOPPED, Job
from experiments.training.options import Options
from experiments.training.records.progress import ProgressFile
from ppo import checkpoint
from ppo.envs import make as make_env
from ppo.envs.base import EnvironmentDied
from ppo.ppo import PPO
from ppo.training import Training
from tests.helpers.commands import AtIteration, Killed, killed, same_data, same_episodes, stack_in, train, work

SETTINGS = PPO.Settings(num_steps=64, update_epochs=1)
RUNS = [Run("InvertedPendulum-v4", "ppo", "default", seed, 64 * 20, SETTINGS) for seed in (1, 2)]
RECORDS = [run.record for run in RUNS]
ALWAYS, NEVER = 0.0, 1e9
"""Seconds between checkpoints."""


@pytest.fixture(autouse=True)
def _as_it_was(tmp_path, monkeypatch):
    """In an empty folder; and the signal handlers that a worker sets are taken back."""
    monkeypatch.chdir(tmp_path)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def train_until(stack, stop, interval=ALWAYS, **options):
    return worker.train(stack, Options(checkpoint_interval=interval, **options), stop=stop)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What ``RUNS`` come to."""
    stack = stack_in(tmp_path_factory.mktemp("undisturbed"), RUNS)
    assert train_until(stack, False) == FINISHED
    return stack.path


# --- SIGTERM


def test_worker_stopped_twice_ends_the_same(tmp_path, undisturbed, monkeypatch, capsys):
    """A worker asked twice to stop saves, and goes on to the same bytes.

    The second time in the midst of saving.
    """
    stack, save = stack_in(tmp_path, RUNS), checkpoint.save

    def ask(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)

    def ask_and_save(*arguments):
        ask()
        save(*arguments)

    iterate = Training.iterate

    def iterate_and_ask(training):
        if training.algorithm.iteration == 7:
            ask()
        return iterate(training)

    monkeypatch.setattr(Training, "iterate", iterate_and_ask)
    monkeypatch.setattr(checkpoint, "save", ask_and_save)
    assert work(stack, NEVER) == STOPPED
    monkeypatch.undo()
    assert f"stopped at step {8 * 64} of" in capsys.readouterr().out
    assert work(stack) == FINISHED
    assert f"continuing at step {8 * 64} of" in capsys.readouterr().out
    assert same_data(stack.path, undisturbed)


def test_a_worker_that_was_stopped_alone_is_not_taken_for_finished(tmp_path):
    """By somebody, while the command that waits for it was told nothing."""

    class Stopped(Job):
        def start(self):
            self.state = "training"

        def poll(self):
            return STOPPED

        def terminate(self):
            pass

    stack, jobs = Stack(tuple(RUNS)), []

    class Executor:
        def slots(self):
            return 1

        def job(self, stack, folder):
            jobs.append(Stopped(stack, folder))
            return jobs[-1]

    outcome = scheduler.train(tmp_path, [stack], Executor(), Console(file=io.StringIO()))
    (job,) = jobs
    assert (job.state, outcome.stopped, outcome.failed) == ("stopped", True, {})


def test_a_worker_whose_parent_is_gone_before_it_could_look_stops(tmp_path, capsys):
    stack = stack_in(tmp_path, RUNS)
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert worker.main([str(stack.path), "--parent", str(gone.pid)]) == STOPPED
    assert "stopped at step 0" in capsys.readouterr().out


# --- what is lost at most


@pytest.mark.parametrize("kill_at", [2, 9, 10, 11, 17, 18, 19])
def test_a_kill_costs_one_interval_and_one_iteration_at_most(tmp_path, monkeypatch, kill_at):
    """By a clock on which each iteration takes 7 seconds, and every other moment none."""
    now = [0.0]
    iterate = Training.iterate

    def in_seven_seconds(training):
        now[0] += 7
        return iterate(training)

    monkeypatch.setattr(Training, "iterate", in_seven_seconds)
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: now[0], strftime=time.strftime))
    stack = stack_in(tmp_path, RUNS)
    with pytest.raises(Killed):
        train_until(stack, AtIteration(kill_at, killed), interval=60)
    saved = checkpoint.load(stack.checkpoint)["algorithm"]["iteration"] if stack.checkpoint.exists() else 0
    assert (kill_at - saved) * 7 <= 60 + 7
    assert saved == kill_at // 9 * 9


# --- disks


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"only root can mount: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, that can be filled, and made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=2m", "none", folder)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)


@pytest.mark.parametrize("moment", ["in training", "at the end"])
def test_a_full_disk_is_said_and_what_was_saved_goes_on(disk, undisturbed, monkeypatch, capsys, moment):
    """While checkpoints are saved, or the Parquet file is written."""
    stack = stack_in(disk, RUNS)
    if moment == "in training":
        monkeypatch.setattr(worker, "StopSignal", lambda parent: AtIteration(5, lambda: fill(disk)))
    else:
        monkeypatch.setattr(worker, "episode_frame", lambda *args, make=episode_frame: fill(disk) or make(*args))
    assert work(stack) == FAILED
    monkeypatch.undo()
    said = capsys.readouterr().out
    assert "No space left on device" in said.splitlines()[-1]
    assert "results recorded so far are kept" in said.splitlines()[-1]
    assert not list(stack.path.glob("*.writing"))
    (disk / "ballast").unlink()
    assert work(stack) == FINISHED
    assert f"continuing at step {64 * (5 if moment == 'in training' else 20)} of" in capsys.readouterr().out
    assert same_data(stack.path, undisturbed)


def test_read_only_disk_is_reported(disk, undisturbed, monkeypatch, capsys):
    """A disk that becomes read-only is reported, and what was saved goes on."""
    stack = stack_in(disk, RUNS)

    def protect():
        mount("--bind", disk, disk)  # over the disk, for the kernel protects none on which files are open for writing
        mount("-o", "remount,bind,ro", disk)

    monkeypatch.setattr(worker, "StopSignal", lambda parent: AtIteration(5, protect))
    assert work(stack) == FAILED
    monkeypatch.undo()
    assert "Read-only file system" in capsys.readouterr().out.splitlines()[-1]
    assert work(stack) == FAILED, "and again, without a trace of an earlier error in its place"
    assert "Read-only file system" in capsys.readouterr().out.splitlines()[-1]
    assert train(disk) == 2
    assert capsys.readouterr().err.startswith(f"ppo: cannot write results to {disk}: Read-only file system")
    subprocess.run(["umount", str(disk)], check=True)
    assert work(stack) == FINISHED
    assert "continuing at step 320 of" in capsys.readouterr().out
    assert same_data(stack.path, undisturbed)


# --- clocks


def test_a_clock_that_goes_back_changes_nothing(tmp_path, undisturbed, monkeypatch):
    """Neither what time it is, nor when files say that they were written."""
    clock = [2e9]

    def earlier():
        clock[0] -= 3600
        return clock[0]

    monkeypatch.setattr(time, "time", earlier)
    stack = stack_in(tmp_path, RUNS)
    for kill_at in (6, 5):
        with pytest.raises(Killed):
            train_until(stack, AtIteration(kill_at, killed))
        for path in [*stack.path.iterdir(), stack.path]:
            os.utime(path, (earlier(), earlier()))
        os.utime(stack.path / "checkpoint.pt.previous", (3e9, 3e9))
    assert train_until(stack, False) == FINISHED
    assert same_data(stack.path, undisturbed)
    assert not results.collect(tmp_path, tmp_path / "gathered", {}, RECORDS, None)
    assert same_episodes(tmp_path / "gathered", undisturbed)


# --- environments that die


@pytest.fixture
def dying(monkeypatch):
    """Call it with how many steps each environment lives that is built; those built later live on."""

    def install(*lives):
        made, rest = [], list(lives)

        def make(*arguments, real=make_env):
            env = real(*arguments)
            env.closed, step, left = False, env.step, rest.pop(0) if rest else 10**9

            def mortal(actions):
                nonlocal left
                left -= 1
                if left < 0:
                    raise EnvironmentDied("InvertedPendulum-v4: process 17 was killed by SIGKILL")
                return step(actions)

            def close():
                env.closed = True
                raise BrokenPipeError

            env.step, env.close = mortal, close
            made.append(env)
            return env

        monkeypatch.setattr(build, "make", make)
        return made

    return install


def test_where_an_environment_dies_the_stack_goes_on_with_a_new_one(tmp_path, undisturbed, dying, capsys):
    """Before the first checkpoint, in the middle of an iteration, at its first step."""
    stack, made = stack_in(tmp_path, RUNS), dying(10, 64 * 5 + 30, 64 * 7)
    assert work(stack) == FINISHED
    said = capsys.readouterr().out
    assert said.count("process 17 was killed by SIGKILL; continuing from the last checkpoint") == 3
    assert [step for step in range(0, 1281, 64) if f"continuing at step {step} of" in said] == [5 * 64, 12 * 64]
    assert [env.closed for env in made] == [True] * 4
    assert same_data(stack.path, undisturbed)


def test_deaths_that_let_the_training_get_on_do_not_end_it(tmp_path, undisturbed, dying):
    stack = stack_in(tmp_path, RUNS)
    dying(*[64 * 2 + 1] * 9)
    assert work(stack) == FINISHED
    assert same_data(stack.path, undisturbed)


def test_an_environment_that_always_dies_is_given_up(tmp_path, undisturbed, dying, capsys, monkeypatch):
    stack, made = stack_in(tmp_path, RUNS), dying(*[64 * 3 + 1] * 2, *[63] * 9)
    assert work(stack) == FAILED
    line = (stack.path / "error.txt").read_text()
    assert line.count("\n") == 1
    assert f"its environment died {worker.MOST_DEATHS} times after step {6 * 64}: " in line
    assert "process 17 was killed by SIGKILL" in line
    assert line.strip() in capsys.readouterr().out
    assert len(made) == 2 + worker.MOST_DEATHS - 1
    monkeypatch.undo()
    assert work(stack) == FINISHED
    assert same_data(stack.path, undisturbed)


def test_environment_dying_at_a_stop_is_not_rebuilt(tmp_path, undisturbed, dying):
    """An environment that dies while the worker is asked to stop is not built again.

    A signal to the whole group ends its processes too.
    """
    stack = stack_in(tmp_path, RUNS)
    made = dying(64 * 8 + 5)

    class AskedOnceItIsDead:
        def __bool__(self):
            return bool(made) and made[0].closed

    assert train_until(stack, AskedOnceItIsDead()) == STOPPED
    assert len(made) == 1
    assert work(stack) == FINISHED
    assert same_data(stack.path, undisturbed)


# --- a kill at the end


@pytest.mark.parametrize("name", ["episodes.parquet", "progress.json", "manifest.json"])
def test_kill_at_the_last_files_leaves_them_whole(tmp_path, undisturbed, monkeypatch, name):
    """A kill while the last files are written leaves nothing half written.

    A stack that is finished gets no other worker that could tidy up: so it is not before all is written.
    """
    stack, replace = stack_in(tmp_path, RUNS), os.replace

    def kill_at(source, target):
        if target.name == name and (name != "progress.json" or read_json(source)["state"] == "finished"):
            source.with_name(f".{name}.17.writing").write_bytes(b"half of it")
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", kill_at)
    with pytest.raises(Killed):
        work(stack)
    monkeypatch.undo()
    assert not stack.finished
    assert list(stack.path.glob(".*.17.writing"))
    assert work(stack) == FINISHED
    assert not list(stack.path.glob("*.writing"))
    assert same_data(stack.path, undisturbed)


# --- two at once


def test_worker_waits_for_one_that_ends_soon(tmp_path, undisturbed, capsys, monkeypatch):
    """A worker waits for one that ends soon, and does not train again."""
    stack = stack_in(tmp_path, RUNS)
    hold = "import sys, time, pathlib; from experiments.store.files import locked\n"
    hold += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    command = [sys.executable, "-c", hold, str(stack.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(worker, "PATIENCE", 0.0)
        assert work(stack) == BUSY
        assert "is being written by another process" in capsys.readouterr().out
        monkeypatch.setattr(worker, "PATIENCE", 60.0)

        def sleep(seconds, real=time.sleep):
            """The other one finishes while this one waits."""
            if holder.poll() is None:
                stack.episodes.write_bytes((undisturbed / "episodes.parquet").read_bytes())
                stack.manifest.write_bytes((undisturbed / "manifest.json").read_bytes())
                holder.communicate("\n")
            real(seconds)

        monkeypatch.setattr(time, "sleep", sleep)
        assert work(stack) == FINISHED
    assert "finished by another process" in capsys.readouterr().out
    assert not stack.checkpoint.exists()


def test_unplanned_runs_are_kept_aside(tmp_path, undisturbed, monkeypatch):
    """Runs that are planned no more are kept aside, and a kill then loses no others.

    The others may be nowhere else: whoever has a copy of the results has no stacks.
    """
    folder = tmp_path / "table1"
    folder.mkdir()
    for name in ("episodes.parquet", "manifest.json"):
        (folder / name).write_bytes((undisturbed / name).read_bytes())
    wanted, other = RUNS[0], Run("InvertedPendulum-v4", "ppo", "default", 3, 64 * 20, SETTINGS)
    for step in ("write_json", "write_table"):
        with monkeypatch.context() as patch:
            patch.setattr(recording, step, lambda *_: killed())
            with pytest.raises(Killed):
                results.collect(tmp_path, folder, {}, [wanted.record, other.record], None)
        assert wanted.key in results.recorded_runs(tmp_path, None)[0], f"killed before {step}"
    results.collect(tmp_path, folder, {}, [wanted.record, other.record], None)
    statuses = [run["status"] for run in read_json(folder / "manifest.json")["runs"]]
    assert statuses == ["finished", "missing"]
    assert (folder / "episodes.parquet.replaced-1").read_bytes() == (undisturbed / "episodes.parquet").read_bytes()
    assert read_json(folder / "manifest.json.replaced-1") == read_json(undisturbed / "manifest.json")
    table = read_episodes(folder / "episodes.parquet")
    kept = read_episodes(undisturbed / "episodes.parquet")
    assert table.equals(kept[kept["seed"] == wanted.seed].reset_index(drop=True))


def test_figure2_without_manifest_is_measured_again(tmp_path):
    """Curves of Figure 2 without their manifest are measured again.

    A kill may come between the two files.
    """
    folder = tmp_path / "figure2"
    folder.mkdir()
    table = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in INTERPOLATION_COLUMNS.items()})
    table.to_parquet(folder / "interpolation.parquet")
    assert not first_update.is_measured(folder, [])
    (folder / "manifest.json").write_text("{}")
    assert not first_update.is_measured(folder, [])
    (folder / "manifest.json").write_text('{"runs": []}')
    assert first_update.is_measured(folder, [])


# --- long work is visible


def test_the_log_has_a_line_with_the_time_for_all_that_happens(tmp_path, dying, capsys):
    stack = stack_in(tmp_path, RUNS)
    with pytest.raises(Killed):
        train_until(stack, AtIteration(3, killed))
    (stack.path / "checkpoint.pt.previous").unlink()
    stack.checkpoint.write_bytes(b"damaged")
    dying(70)
    work(stack, begin_anew=True)
    stack.stack.write_text("{")
    work(stack)
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:2] == "20"]
    moments = [time.strptime(line[:25], "%Y-%m-%d %H:%M:%S %z") for line in lines]
    assert len(moments) == len(lines)
    wanted = ["2 runs of ppo on InvertedPendulum-v4, process", "beginning, 1280 steps", "2 runs of ppo", "set aside as"]
    wanted += ["beginning", "continuing from the last checkpoint", "continuing at step 64 of 1280", "finished after"]
    wanted += [f"failed: {stack.path.name}: "]
    assert len(lines) == len(wanted)
    for line, part in zip(lines, wanted, strict=True):
        assert part in line[26:]


def test_scalars_are_not_logged_twice(tmp_path):
    """Scalars logged after the last checkpoint are not there twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stack, options = stack_in(tmp_path, RUNS[:1]), Options(checkpoint_interval=NEVER, tensorboard=True)
    for kill_at in (3, 4):  # nothing is saved yet: both begin at the beginning
        with pytest.raises(Killed):
            worker.train(stack, options, stop=AtIteration(kill_at, killed))
    assert worker.train(stack, options, stop=False) == FINISHED
    (folder,) = (stack.path / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Scalars("losses/policy_loss")] == list(range(64, 64 * 20 + 1, 64))


DURATIONS = {
    "all the same": lambda iteration: 5.0,
    "the first as long as twenty": lambda iteration: 100.0 if iteration == 0 else 5.0,
    "long and short ones": lambda iteration: 1.0 if iteration % 2 else 9.0,
    "slower and slower": lambda iteration: 4.0 + 0.005 * iteration,
    "faster and faster": lambda iteration: 5.0 - 0.005 * iteration,
    "ten a second": lambda iteration: 0.1,
}


@pytest.mark.parametrize("begun_at", [0, 50])
@pytest.mark.parametrize("kind", DURATIONS)
def test_the_time_left_is_right_to_a_fifth_after_a_tenth(tmp_path, monkeypatch, kind, begun_at):
    """Also after a tenth of what is left where a training goes on."""
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=lambda: 0.0)
    monkeypatch.setattr("experiments.training.records.progress.time", clock)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a disk takes longer than all else here
    algorithm = SimpleNamespace(steps_done=64 * begun_at, total_timesteps=64 * 200, runs=2, diverged_at=[None, None])
    training = SimpleNamespace(algorithm=algorithm, goal=64 * 200, scores=lambda: [float("nan")] * 2, saved_at=0)
    board, posted = ProgressFile(StackFolder(tmp_path), training), []
    for iteration in range(begun_at, 200):
        now[0] += DURATIONS[kind](iteration - begun_at)
        algorithm.steps_done += 64
        board.write("training")
        posted.append((iteration + 1, now[0], json.loads((tmp_path / "progress.json").read_text())["seconds_left"]))
    tenth = begun_at + (200 - begun_at) // 10
    for iteration, moment, left in posted:
        if tenth <= iteration <= 190:
            assert left == pytest.approx(now[0] - moment, rel=0.2, abs=1.5), f"at iteration {iteration}"


def test_what_leads_out_of_the_results_is_not_written_to(tmp_path, undisturbed):
    """An archive from a stranger may hold links."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("manifest.json", "log.txt"):
        (elsewhere / name).write_text("mine")
    results = tmp_path / "results"
    stack = stack_in(results, RUNS)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}

    (stack.path / "log.txt").symlink_to(elsewhere / "log.txt")
    with pytest.raises(StoreError, match=r"log\.txt leads out of .*: remove that link"):
        stack.create(RECORDS)
    assert work(stack) == FAILED
    (stack.path / "log.txt").unlink()
    elsewhere_too = tmp_path / "stacks elsewhere"
    elsewhere_too.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stacks").symlink_to(elsewhere_too)
    with pytest.raises(StoreError, match=r"leads out of .*: remove that link"):
        stack_in(tmp_path / "other", RUNS)
    assert not list(elsewhere_too.iterdir())
    (results / "table1").symlink_to(elsewhere)
    with pytest.raises(StoreError, match=r"table1 leads out of .*: remove that link"):
        collect(results, results / "table1", {}, RECORDS, None)
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before
    assert work(stack) == FINISHED


def test_another_engines_stack_goes_on_if_asked(tmp_path):
    """A stack that another engine began goes on only if that is asked for.

    By its own engine, or by the other one, which the manifest then says.
    """
    stack = stack_in(tmp_path, RUNS)
    with pytest.raises(Killed):
        train_until(stack, AtIteration(3, killed), engine="torch")
    before = stack.checkpoint.read_bytes()
    assert work(stack) == FAILED
    assert "was trained by the torch engine: --engine torch continues it" in stack.error.read_text()
    assert stack.checkpoint.read_bytes() == before, "it is not damaged"
    assert worker.main([str(stack.path), "--options", Options(engine="numba").to_text()]) == FINISHED
    (said,) = {run["engine"] for run in read_json(stack.manifest)["runs"]}
    assert re.fullmatch(r"torch to step \d+, then numba", said)
