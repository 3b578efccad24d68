"""Exit codes mean what they say, every end has its reason in the folder, and output may be of any kind."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import experiments
from experiments.cli import commands as cli
from experiments.planning.planner import Stack
from experiments.run import Run
from experiments.training import scheduler
from experiments.training.executor import BUSY, FINISHED, Job
from experiments.training.live_table import Display
from experiments.training.local import LocalExecutor
from experiments.training.options import Options
from ppo.ppo import PPO
from tests.helpers.commands import stack_in, work

REPOSITORY = Path(experiments.__file__).parents[1]
SETTINGS = PPO.Settings(num_steps=64, update_epochs=1)
RUNS = (Run("InvertedPendulum-v4", "ppo", "default", 1, 64 * 4, SETTINGS),)


class EndsWith(Job):
    """A job whose worker ends with some code and writes nothing."""

    code = 0

    def start(self):
        self.create()
        self.state = "training"

    def poll(self):
        return self.code

    def terminate(self):
        pass


def ending_with(number):
    class Executor:
        def slots(self):
            return 1

        def job(self, stack, folder):
            job = EndsWith(stack, folder)
            job.code = number
            return job

    return Executor()


def train_ending_with(tmp_path, number):
    output = io.StringIO()
    console = Console(file=output, width=1000)
    outcome = scheduler.train(tmp_path, [Stack(RUNS)], ending_with(number), console)
    from experiments.cli.execution import report_outcome

    return report_outcome(console, outcome, []), output.getvalue(), tmp_path / "stacks" / Stack(RUNS).name


def test_what_another_process_trains_is_not_done(tmp_path):
    code, said, _ = train_ending_with(tmp_path, BUSY)
    assert code == 1
    assert "another process is training it" in said


@pytest.mark.parametrize(
    ("number", "reason"),
    [(-9, "was killed by SIGKILL"), (-11, "was killed by SIGSEGV"), (FINISHED, "ended with code 0, without results")],
)
def test_a_worker_that_ends_without_a_word_leaves_its_reason_in_the_folder(tmp_path, number, reason, capsys):
    code, said, folder = train_ending_with(tmp_path, number)
    assert code == 1
    assert reason in said
    assert (folder / "error.txt").read_text() == f"{folder.name}: its process {reason}\n"
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    assert reason in capsys.readouterr().out


def test_a_worker_that_trains_what_failed_before_takes_the_reason_away(tmp_path):
    _, _, folder = train_ending_with(tmp_path, -9)
    stack = stack_in(tmp_path, RUNS)
    assert stack.path == folder
    assert work(stack) == FINISHED
    assert not (folder / "error.txt").exists()


def test_an_environment_that_ends_its_process_has_not_finished(tmp_path, monkeypatch, capsys):
    """Not even where an earlier part of the training is recorded."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    runs = (Run("tests.experiments.odd:Leaves-v0", "ppo", "default", 1, 64 * 4, SETTINGS),)
    console = Console(file=io.StringIO())
    options = Options(modules=("tests.experiments.odd",), directory=str(REPOSITORY))
    outcome = scheduler.train(tmp_path, [Stack(runs)], LocalExecutor(1, options), console)
    assert not outcome.finished
    assert "ended with code 0, without results" in outcome.failed[Stack(runs).name]
    folder = stack_in(tmp_path / "other", RUNS)
    assert work(folder, fraction=0.5) == FINISHED
    outcome = scheduler.train(tmp_path / "other", [Stack(RUNS)], ending_with(FINISHED), console)
    assert not outcome.finished


def test_the_command_is_in_the_folder(tmp_path, capsys):
    stack = stack_in(tmp_path, RUNS)
    assert work(stack, interval=1e9, command="ppo train 'what was typed'") == FINISHED
    assert "for the command: ppo train 'what was typed'" in capsys.readouterr().out
    progress = json.loads(stack.progress.read_text())
    assert progress["command"] == "ppo train 'what was typed'"
    stack.manifest.unlink()
    stack.progress.write_text(json.dumps({**progress, "state": "training"}))
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    assert "stopped at 256 of 256 steps; ppo train 'what was typed' continues it" in capsys.readouterr().out


def test_what_a_worker_wants_known_is_on_the_terminal_once_and_in_the_status(tmp_path, capsys):
    stack = stack_in(tmp_path, RUNS)
    job = EndsWith(Stack(RUNS), stack)
    job.state = "training"
    output = io.StringIO()
    display = Display(Console(file=output, width=200), [job])
    note = "not exact from step 64: [/x] mujoco was 3.0, and is 4.0"
    about = {"state": "stopped", "steps_done": 64, "total_timesteps": 256, "notes": [note]}
    stack.progress.write_text(json.dumps(about))
    for _ in range(3):
        display.update()
    assert output.getvalue().count(f"{stack.path.name}: {note}") == 1
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    assert note in capsys.readouterr().out


@pytest.mark.parametrize("content", ["[]", '{"notes": 3}', '{"notes": "text"}', '{"notes": [[], {}, null]}'])
def test_notes_of_any_kind_do_no_harm(tmp_path, content):
    stack = stack_in(tmp_path, RUNS)
    job = EndsWith(Stack(RUNS), stack)
    job.state = "training"
    stack.progress.write_text(content)
    Display(Console(file=io.StringIO()), [job]).update()
    assert cli.main(["status", "--results", str(tmp_path)]) == 0


def test_a_terminal_that_cannot_redraw_gets_lines(tmp_path):
    stack = stack_in(tmp_path, RUNS)
    job = EndsWith(Stack(RUNS), stack)
    job.state = "training"
    output = io.StringIO()
    display = Display(Console(file=output, force_terminal=True, _environ={"TERM": "dumb"}, width=200), [job])
    with display:
        display.update()
        assert f"training  {stack.path.name}" in output.getvalue()


# --- output that is closed, names that are no text


def shell(command, folder):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PPO": f"{sys.executable} -m experiments"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def some(tmp_path):
    """Results whose status is a line."""
    work(stack_in(tmp_path / "some", RUNS), interval=1e9)
    manifest = {"runs": [{"status": "finished", "diverged_at": None}]}
    (tmp_path / "some" / "figure3").mkdir()
    (tmp_path / "some" / "figure3" / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "some"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&-"])
def test_closed_output_is_no_failure(some, closed):
    ended = shell(f"$PPO status --results some {closed}", some.parent)
    assert ended.returncode == 0
    assert ended.stderr == ""


def test_output_that_nobody_reads_is_one_line(some):
    ended = shell("($PPO status --results some; echo $? > code) | true", some.parent)
    assert (some.parent / "code").read_text() in ("0\n", "1\n")
    assert ended.stderr.count("\n") <= 1
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.parametrize("flag", ["--out", "--results"])
@pytest.mark.parametrize(("name", "reason"), [("bad\udcffname", "is not UTF-8"), ("", "no folder is named")])
def test_a_name_that_cannot_be_used_is_refused_before_anything_is_trained(tmp_path, capsys, flag, name, reason):
    command = ["train", "CartPole-v1"] if flag == "--out" else ["run", "figure3"]
    with pytest.raises(SystemExit) as ending:
        cli.main([*command, flag, name])
    assert ending.value.code == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_results_in_a_folder_of_any_name_are_read(tmp_path, capsys):
    """What is not text is shown escaped."""
    folder = tmp_path / os.fsdecode(b"bad\xffname")
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    assert "bad\\udcffname" in capsys.readouterr().out


# --- errors before training


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["Hopper-v4", "--algorithm", "acer"], "ACER needs discrete actions"),
        (["CartPole-v1", "--network", "nature"], "network = nature cannot be trained here"),
        (
            ["CartPole-v1", "--num-steps", str(10**12), "--minibatch-size", "64", "--total-timesteps", str(10**12)],
            "num_steps = 1000000000000 cannot be held",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(tmp_path, capsys, flags, reason):
    assert cli.main(["train", *flags, "--out", "out", "--workers", "1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ppo: {reason}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    def fail(*arguments):
        raise MemoryError("Unable to allocate 14.6 TiB")

    monkeypatch.setitem(cli.COMMANDS, "status", fail)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err == "ppo: there is not enough memory: Unable to allocate 14.6 TiB\n"
