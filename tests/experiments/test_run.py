"""Real trainings through the command: recorded whole, continued wherever they stopped, never trained twice."""

import contextlib
import dataclasses
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pandas as pd
import pytest
import torch
from rich.console import Console

from experiments.cli import commands as cli
from experiments.planning.planner import Stack
from experiments.policies import evaluation
from experiments.run import trainable
from experiments.store import provenance
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import read_episodes
from experiments.training.executor import Job
from experiments.training.live_table import Display
from tests.helpers.commands import (
    SECONDS,
    children,
    end,
    files_in,
    same_data,
    same_episodes,
    stacks_of,
    train,
    train_flags,
    train_stack,
    wait_for,
    working_on,
)
from tests.helpers.processes import ForkedCommand, forked_workers
from tests.helpers.reports import without_pictures

STEPS = 4096
SETTINGS = {"num_steps=256,update_epochs=2", "num_steps=256,clip_coef=0.1,update_epochs=2"}
CHECKPOINT_ALWAYS = ("--checkpoint-interval", "0")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A training that nothing disturbed, its worker started as users have it."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert cli.main(train_flags(out, "--tensorboard")) == 0
    return out


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The same training, stopped by Ctrl-C, and by SIGTERM while it saves: its folder, exit code and last words."""
    out = tmp_path_factory.mktemp("interrupted") / "out"
    process = ForkedCommand(train_flags(out, *CHECKPOINT_ALWAYS))
    wait_for(lambda: any(map(working_on, stacks_of(out))))
    process.send_signal(signal.SIGINT)
    for _ in range(2):
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    return out, end(process), process.returncode


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy of the undisturbed training."""
    return shutil.copytree(undisturbed, tmp_path / "out")


@pytest.fixture
def half_done(interrupted, tmp_path):
    """A copy of the interrupted training."""
    return shutil.copytree(interrupted[0], tmp_path / "out")


# --- what is recorded


def test_four_runs_are_one_stack(undisturbed):
    (stack,) = stacks_of(undisturbed)
    assert len(json.loads((stack / "stack.json").read_text())["runs"]) == 4


def test_every_episode_of_every_run_is_recorded(undisturbed):
    table = read_episodes(undisturbed / "episodes.parquet")
    runs = table.groupby(["environment", "algorithm", "setting", "seed"])
    assert set(runs.groups) == {("InvertedPendulum-v4", "ppo", name, seed) for name in SETTINGS for seed in (1, 2)}
    for _, run in runs:
        # one environment: an episode ends where those before it and itself are done, and at most one is unfinished
        assert run["step"].tolist() == run["episodic_length"].cumsum().tolist()
        assert STEPS - 1000 < run["step"].iloc[-1] <= STEPS
        # InvertedPendulum pays 1 a step, and nothing on the step where the pole falls (in -v4: 1)
        assert ((run["episodic_length"] - run["episodic_return"]).isin([0, 1])).all()
    first = [run["episodic_length"].tolist() for _, run in runs]
    assert len({tuple(lengths) for lengths in first}) == 4, "no two runs are the same"


def test_the_manifest_says_what_each_run_was(undisturbed):
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert len(manifest["runs"]) == 4
    for run in manifest["runs"]:
        assert run["status"] == "finished"
        assert run["steps_done"] == run["total_timesteps"] == STEPS
        assert run["diverged_at"] is None
        assert run["settings"]["clip_coef"] == (0.1 if "clip_coef=0.1" in run["setting"] else 0.2)
        assert run["settings"]["num_steps"] == 256
        assert {"torch", "numpy", "gymnasium", "mujoco", "ale-py", "python"} <= set(run["versions"])
        assert run["versions"]["mujoco"][0].isdigit()
        assert run["wall_time"] > 0
        assert (run["device"], run["threads"], run["stack"]) == ("cpu", 1, 4)
        assert run["commit"]
        assert run["machine"]
        assert run["processor"] == provenance.processor()
        assert "began_with" not in run, "said only where it is not what the run ended with"


def test_tensorboard_has_the_names_of_the_field(undisturbed):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (stack,) = stacks_of(undisturbed)
    folders = sorted((stack / "tensorboard").iterdir())
    assert {folder.name for folder in folders} == {f"{name}_{seed}" for name in SETTINGS for seed in (1, 2)}
    events = EventAccumulator(str(folders[0]))
    events.Reload()
    names = {"policy_loss", "value_loss", "entropy", "approx_kl", "clipfrac", "explained_variance"}
    wanted = {f"losses/{name}" for name in names}
    wanted |= {"charts/learning_rate", "charts/episodic_return", "charts/SPS"}
    assert wanted <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("losses/policy_loss")] == list(range(256, STEPS + 1, 256))


# --- run again


def test_what_is_finished_is_not_trained_again(finished):
    before = {path: content for path, content in files_in(finished).items() if "stacks" in path.parts}
    table = (finished / "episodes.parquet").read_bytes()
    assert train(finished) == 0
    assert {path: content for path, content in files_in(finished).items() if "stacks" in path.parts} == before
    assert (finished / "episodes.parquet").read_bytes() == table


def test_a_new_seed_trains_the_new_runs_alone_and_keeps_the_old(finished, undisturbed):
    assert train(finished, "--seeds", "3") == 0
    new = [stack for stack in stacks_of(finished) if not (undisturbed / "stacks" / stack.name).exists()]
    assert [len(json.loads((stack / "stack.json").read_text())["runs"]) for stack in new] == [2]
    table = read_episodes(finished / "episodes.parquet")
    assert set(table["seed"]) == {1, 2, 3}
    old = table[table["seed"] != 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, read_episodes(undisturbed / "episodes.parquet"), check_exact=True)


# --- stopped and killed


def test_ctrl_c_stops_cleanly(interrupted):
    out, said, code = interrupted
    assert code == 130
    (stack,) = stacks_of(out)
    progress = json.loads((stack / "progress.json").read_text())
    assert progress["state"] == "stopped", "it was waited for, however often it was asked"
    assert f"stopped at step {progress['steps_done']} of {STEPS}" in (stack / "log.txt").read_text()
    assert "the same command continues" in said
    assert "Traceback" not in said
    assert "failed" not in said


def test_after_ctrl_c_the_same_command_finishes_to_the_same_bytes(half_done, undisturbed):
    assert train(half_done) == 0
    (stack,) = stacks_of(half_done)
    assert "continuing at step" in (stack / "log.txt").read_text()
    assert same_episodes(half_done, undisturbed)


def test_the_same_runs_named_in_another_order_continue(half_done, undisturbed, capsys):
    (stack,) = stacks_of(half_done)
    folder = StackFolder(stack)
    folder.create(folder.runs()[::-1])
    assert train_stack(stack) == 0
    assert "continuing at step" in capsys.readouterr().out
    assert same_episodes(stack, stacks_of(undisturbed)[0])


def test_ctrl_c_at_the_very_start_is_no_failure(tmp_path, capsys):
    def press():
        wait_for(lambda: stacks_of(tmp_path / "out"))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=press).start()
    assert cli.main(train_flags(tmp_path / "out")) == 130
    said = capsys.readouterr().out
    assert "the same command continues" in said
    assert "failed" not in said


def test_killed_worker_is_named_and_the_rest_finish(tmp_path, undisturbed, capfd):
    """A killed worker is named, the others finish, and the rest continues."""
    out = tmp_path / "out"
    process = ForkedCommand(train_flags(out, *CHECKPOINT_ALWAYS, workers=2))
    victim = wait_for(lambda: next(filter(working_on, stacks_of(out)), None))
    os.kill(working_on(victim), signal.SIGKILL)
    said = end(process)
    assert process.returncode == 1
    assert f"failed: {victim.name}: its process was killed by SIGKILL" in said
    survivors = [stack for stack in stacks_of(out) if stack != victim]
    assert [(stack / "manifest.json").exists() for stack in survivors] == [True]
    assert train(out, workers=2) == 0
    assert same_episodes(out, undisturbed)
    assert "continuing at step" in (victim / "log.txt").read_text(), "what the killed worker had done was trained again"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc names the processes to kill on Linux alone")
def test_kills_of_everything_and_of_the_command_lose_nothing(tmp_path, undisturbed):
    """And the next command waits for the worker that was left over, which saves."""
    out = tmp_path / "out"

    def trains(process):
        return any(working_on(stack) in children(process.pid) for stack in stacks_of(out))

    for with_workers in (True, False):
        process = ForkedCommand(train_flags(out, *CHECKPOINT_ALWAYS))
        wait_for(partial(trains, process))
        for pid in [process.pid, *(children(process.pid) if with_workers else [])]:
            os.kill(pid, signal.SIGKILL)
        end(process)
        assert process.returncode == -signal.SIGKILL
    assert train(out) == 0
    (stack,) = stacks_of(out)
    assert (stack / "log.txt").read_text().count("continuing at step") == 2
    assert same_data(out, undisturbed)


def test_two_commands_on_the_same_folder_at_once_do_no_harm(tmp_path, undisturbed):
    processes = [ForkedCommand(train_flags(tmp_path / "out")) for _ in range(2)]
    said = [end(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert not any("Traceback" in text for text in said), said
    assert same_episodes(tmp_path / "out", undisturbed)
    runs = json.loads((tmp_path / "out" / "manifest.json").read_text())["runs"]
    assert [run["status"] for run in runs] == ["finished"] * 4


HOLD = """
import sys, time, pathlib
from experiments.store.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1.5)
"""


def test_command_waits_for_a_table_being_written(finished, capsys):
    """A command that finds the table being written waits, or says so."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(finished)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    code = train(finished)
    holder.communicate()
    assert code == 0 or capsys.readouterr().err.count("\n") == 1


# --- damage


def test_bad_checkpoints_are_set_aside(half_done, undisturbed, capsys):
    """Damaged and foreign checkpoints are named, set aside and trained again."""
    (stack,) = stacks_of(half_done)
    whole = (stack / "checkpoint.pt").read_bytes()
    (stack / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    (stack / "checkpoint.pt.previous").write_bytes(b"PK\x03\x04 a checkpoint of some other program")
    assert train_stack(stack, begin_anew=True) == 0
    said = capsys.readouterr().out
    assert f"{stack / 'checkpoint.pt'} is damaged" in said
    assert "set aside as checkpoint.pt.damaged-1" in said
    assert "set aside as checkpoint.pt.previous.damaged-1" in said
    assert (stack / "checkpoint.pt.damaged-1").read_bytes() == whole[: len(whole) // 2]
    assert same_episodes(stack, stacks_of(undisturbed)[0])


def test_another_trainings_checkpoint_is_set_aside(half_done, undisturbed, capsys):
    """A checkpoint of another training is named, set aside and not used."""
    (stack,) = stacks_of(half_done)
    runs = json.loads((stack / "stack.json").read_text())["runs"]
    for run in runs:
        run["seed"] += 1
    (stack / "stack.json").write_text(json.dumps({"runs": runs}))
    assert train_stack(stack, begin_anew=True) == 0
    said = capsys.readouterr().out
    assert f"{stack / 'checkpoint.pt'} belongs to another training" in said
    assert "continuing" not in said
    table, before = (read_episodes(folder / "episodes.parquet") for folder in (stack, undisturbed))
    pd.testing.assert_frame_equal(  # seed 2 is seed 2, whether 1 or 3 is trained beside it
        table[table["seed"] == 2].reset_index(drop=True), before[before["seed"] == 2].reset_index(drop=True)
    )


def test_the_checkpoint_before_serves_where_the_last_is_damaged(half_done, undisturbed, capsys):
    (stack,) = stacks_of(half_done)
    whole = (stack / "checkpoint.pt").read_bytes()
    shutil.copy(stack / "checkpoint.pt", stack / "checkpoint.pt.previous")
    (stack / "checkpoint.pt").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert train_stack(stack) == 0
    assert "continuing at step" in capsys.readouterr().out
    assert same_episodes(stack, stacks_of(undisturbed)[0])


def test_a_damaged_list_of_runs_is_mended(half_done, undisturbed):
    (stack,) = stacks_of(half_done)
    (stack / "stack.json").write_text('{"runs": [')
    assert train(half_done) == 0
    assert len(json.loads((stack / "stack.json").read_text())["runs"]) == 4
    assert same_episodes(half_done, undisturbed)


def test_damaged_results_are_named_set_aside_and_made_again(finished, undisturbed, capsys):
    (stack,) = stacks_of(finished)
    (finished / "episodes.parquet").write_bytes((finished / "episodes.parquet").read_bytes()[:-9])
    (stack / "manifest.json").write_text('{"runs": [{"seed"')
    assert train(finished) == 0
    said = capsys.readouterr().out
    assert str(finished / "episodes.parquet") in said
    assert "set aside as manifest.json.damaged-1 and episodes.parquet.damaged-1" in said
    assert str(stack / "manifest.json") in said
    assert "set aside as manifest.json.damaged-1" in said
    assert same_episodes(finished, undisturbed)


@pytest.mark.parametrize("foreign", ["{}", '{"runs": 3}', "[]", "{", '{"runs": [{"seed": 1}]}'])
@pytest.mark.parametrize("with_table", [True, False])
def test_a_foreign_manifest_is_named_and_set_aside(finished, undisturbed, capsys, foreign, with_table):
    (finished / "manifest.json").write_text(foreign)
    if not with_table:
        (finished / "episodes.parquet").unlink()
    assert train(finished) == 0
    assert str(finished / "manifest.json") in capsys.readouterr().out
    assert (finished / "manifest.json.damaged-1").read_text() == foreign
    assert same_episodes(finished, undisturbed)


@pytest.mark.parametrize("content", ['{"steps": "all"}', "[]", '{"steps_done": 1', '{"steps_done": "x"}'])
def test_a_posted_progress_that_is_foreign_does_no_harm(half_done, content, capsys):
    (stack,) = stacks_of(half_done)
    (stack / "progress.json").write_text(content)
    job = Job(Stack(tuple(trainable(stack, StackFolder(stack).runs()))), StackFolder(stack))
    job.state = "training"
    Display(Console(force_terminal=False), [job]).update()
    assert stack.name in capsys.readouterr().out


# --- a full disk, as the limit on the size of a file that a process may write


@pytest.fixture
def disk_of():
    """Call it with the largest size that a file may have: writing more fails, here and in the workers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100_000, 4096])  # too small for a checkpoint; too small for the list of 10 runs
def test_a_full_disk_is_said_and_loses_nothing(finished, undisturbed, disk_of, size, capsys):
    disk_of(size)
    code = cli.main(train_flags(finished, "--seeds", "1", "2", "3", "4", "5", "6", "7"))
    disk_of(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    said = capsys.readouterr()
    assert code in (1, 2)
    assert "File too large" in said.out + said.err  # of that limit; a full disk has "No space left on device"
    table = read_episodes(finished / "episodes.parquet")
    old = table[table["seed"] <= 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, read_episodes(undisturbed / "episodes.parquet"), check_exact=True)
    assert not list(finished.rglob("*.writing"))


# --- protocols


def call_each(*commands, profiles):
    """What each command prints, run one after the other; all must succeed."""
    said = []
    for argv in commands:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert cli.main(list(map(str, argv)), profiles) == 0, out.getvalue()
        said.append(out.getvalue())
    return said


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """``ppo run all``, again, ``status`` and ``report``, with a profile of seconds and one task: the folder, and what
    each printed."""
    results = tmp_path_factory.mktemp("benchmark") / "results"
    quick = dataclasses.replace(SECONDS, atari_algorithms=("a2c",), games=("Pong",), atari_timesteps=160)
    run = ["run", "all", "--profile", "quick", "--workers", "1", "--results", results]
    commands = (run, run, ["status", "--results", results], ["report", "--results", results])
    with forked_workers(), without_pictures():
        said = call_each(*commands, profiles={"quick": quick})
    return results, dict(zip(("run", "again", "status", "report"), said, strict=True))


def test_all_protocols_are_gathered(benchmark):
    results, _ = benchmark
    table1 = read_episodes(results / "table1" / "episodes.parquet")
    assert len(table1.groupby(["setting", "seed"])) == 12 * 2  # 11 settings and the untrained policy
    manifest = json.loads((results / "table1" / "manifest.json").read_text())
    assert (manifest["protocol"], manifest["profile"]) == ("table1", "quick")
    assert {run["status"] for run in manifest["runs"]} == {"finished"}
    assert len(manifest["runs"]) == 24
    atari = json.loads((results / "atari" / "manifest.json").read_text())
    assert [(run["environment"], run["status"], run["steps_done"]) for run in atari["runs"]] == [
        ("PongNoFrameskip-v4", "finished", 160)
    ] * 2


def test_what_two_protocols_need_is_trained_once(benchmark):
    results, said = benchmark
    assert "to train: 28 runs in 5 stacks" in said["run"]
    trained = [len(json.loads((stack / "stack.json").read_text())["runs"]) for stack in stacks_of(results)]
    assert sorted(trained) == [1, 1, 2, 2, 22]
    table1 = read_episodes(results / "table1" / "episodes.parquet")
    figure3 = read_episodes(results / "figure3" / "episodes.parquet")
    one, other = (
        table[table["setting"].isin(["clip-0.2", "untrained"])].reset_index(drop=True) for table in (figure3, table1)
    )
    assert set(one["setting"]) == {"clip-0.2", "untrained"}
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_figure_2_is_measured(benchmark):
    results, _ = benchmark
    table = pd.read_parquet(results / "figure2" / "interpolation.parquet")
    assert set(table["seed"]) == {1, 2}
    at_start = table[table["interpolation"] == 0]
    assert at_start["kl"].abs().max() < 1e-6
    assert at_start["surrogate_clip"].abs().max() < 1e-5  # standardised advantages: every surrogate starts at 0
    at_end = table[table["interpolation"] == 1]
    assert (at_end["kl"] > 0).all()
    assert (at_end["surrogate_clip"] > 0).all()
    assert (table["surrogate_clip"] <= table[["surrogate_cpi", "surrogate_clipped"]].min(axis=1) + 1e-6).all()


def test_run_again_trains_nothing(benchmark):
    _, said = benchmark
    assert "to train: 0 runs in 0 stacks, 0 steps" in said["again"]
    assert "training" not in said["again"].split("to train:")[1]


def test_status_counts_what_is_finished(benchmark):
    _, said = benchmark
    assert "figure2: 2 of 2 runs finished, 0 diverged" in said["status"]
    assert "table1: 24 of 24 runs finished" in said["status"]


def test_policies_of_one_seed_play_without_stacks(benchmark, tmp_path):
    """The policies of one seed are kept, and play without the stacks."""
    results, _ = benchmark
    kept = sorted(path.name for path in (results / "policies").iterdir())
    assert kept == [*(f"InvertedPendulum-v4_{name}" for name in ("cem.md", "cem.pt", "ppo.md", "ppo.pt")), "README.md"]
    players = evaluation.policies_in(shutil.copytree(results / "policies", tmp_path / "policies"))
    assert [(player.run.algorithm, player.run.setting, player.run.seed) for player in players] == [
        ("cem", "default", 1),
        ("ppo", "clip-0.2", 1),
    ]
    for player in players:
        (own,) = [other for other in evaluation.policies_in(results) if other.run == player.run]
        assert torch.equal(own.policy.parameters, player.policy.parameters)
        assert evaluation.play(player, 2, 7, False).tolist() == evaluation.play(own, 2, 7, False).tolist()


def test_report_builds_on_it(benchmark):
    results, _ = benchmark
    assert (results / "report.html").stat().st_size > 100_000
    assert (results / "tables" / "table1.md").stat().st_size > 0
    assert (results / "figures" / "figure2.png").exists()
