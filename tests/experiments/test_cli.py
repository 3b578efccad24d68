"""The command: bad input is one line and exit code 2, before anything is written; help and plan tell everything."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from baselines import ALGORITHMS
from experiments.cli import commands
from experiments.cli.arguments import COMMANDS, parse
from experiments.cli.commands import main
from experiments.cli.flags.settings import field_docs
from experiments.cli.flags.values import argument, steps
from experiments.paper.profiles import PROFILES
from experiments.training import scheduler
from tests.helpers.commands import overriding

TRAIN = ["train", "InvertedPendulum-v4", "--out", "out", "--total-timesteps", "64", "--num-steps", "64"]


@pytest.fixture(autouse=True)
def _on_a_wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def call(*argv):
    """The exit code, whether it is returned or raised (argparse raises)."""
    try:
        return main([str(word) for word in argv])
    except SystemExit as ending:
        return ending.code


def refused(capsys, *argv):
    """The one line that says why, after making sure that nothing else happened."""
    Path("file").touch()
    assert call(*argv) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("ppo")
    assert printed.out == ""
    assert os.listdir() == ["file"]
    return printed.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["train", "Hoper-v4", "--out", "out"], "unknown environment 'Hoper-v4'; did you mean Hopper-v4"),
        ([*TRAIN, "--algorithm", "pop"], "unknown algorithm 'pop'; did you mean ppo"),
        ([*TRAIN, "--algorithm=zzz"], "unknown algorithm 'zzz'; valid: a2c"),
        (["plan", "tabel1"], "unknown protocol 'tabel1'; did you mean table1"),
        (["run", "table1", "--algorithms", "pppo"], "unknown algorithm of these protocols 'pppo'; did you mean ppo"),
        (["run", "table1", "--seeds", "1", "88888"], "unknown seed of these protocols '88888'; valid: 1, 2, 3"),
        (["run", "tabel1"], "unknown protocol 'tabel1'; did you mean table1"),
        (["run", "table1", "figrue3", "--results", "out"], "unknown protocol 'figrue3'; did you mean figure3"),
        (["status", "tabel1"], "unknown protocol 'tabel1'; did you mean table1"),
        (["run", "table1", "--profile", "quik"], "quick"),
        (["trian", "Hopper-v4"], "train"),
        ([*TRAIN, "--reading", "pppo1"], "unknown reading 'pppo1'; did you mean ppo1"),
        (["run", "table1", "--reading", "zzz"], "unknown reading 'zzz'; valid: paper, ppo1, ppo2, a3c"),
        ([*TRAIN, "--reading", "ppo1", "--algorithm", "cem"], "and on Atari (section 6.4): cem has none"),
        (
            ["train", "RoboschoolHumanoid-v0", "--out", "out", "--reading", "ppo2"],
            "on MuJoCo (sections 6.1 and 6.2) and on Atari (section 6.4): RoboschoolHumanoid-v0 has none",
        ),
        ([*TRAIN, "--reading", "a3c"], "the a3c reading is for PPO on Atari (section 6.4): MuJoCo has none"),
        (
            ["run", "atari", "--environments", "PnogNoFrameskip-v4"],
            "unknown environment of these protocols 'PnogNoFrameskip-v4'; did you mean PongNoFrameskip-v4",
        ),
        (["plan", "precision", "--reading", "a3c"], "precision takes no --reading, only table1, figure2"),
        (["run", "atari-readings", "--reading", "ppo1"], "atari-readings takes no --reading, only table1"),
        (["plan", "figure2-settings", "--reading", "ppo2"], "figure2-settings takes no --reading, only table1"),
        (
            ["run", "tuning", "--reading", "ppo1"],
            "tuning takes no --reading, only table1, figure2, figure3 and atari do",
        ),
        (
            ["run", "figure3", "--reading", "ppo1", "--algorithms", "trpo", "cem"],
            "the ppo1 reading changes nothing in the runs that the flags name",
        ),
        (
            ["plan", "table1", "--settings", "fixed-kl-1", "--seeds", "9"],
            "no run of table1 has all of --settings fixed-kl-1 --seeds 9",
        ),
        (["plan", "table2"], "table2 is made by the protocol atari"),
        (["status", "table2"], "table2 is made by the protocol atari"),
        (["compare", "ppo", "trpo", "--protocol", "figure6"], "figure6 is made by the protocol atari"),
        (["report", "--results", "tpyo"], "there is no folder tpyo"),
        (["report", "tpyo", "--results", "tpyo"], "two folders are named"),
        (["plan", "table1", "--throughput", "tpyo.json"], "there is no file tpyo.json"),
        (["plan", "table1", "--results", "file"], "file is no folder: name a results folder"),
        (["run", "figure6", "--results", "out"], "figure6 is made by the protocol atari"),
        (
            ["run", "table1", "--settings", "clip-0.4"],
            "unknown setting of these protocols 'clip-0.4'; did you mean clip",
        ),
        ([], "COMMAND"),
        ([*TRAIN, "--clip-coff", "0.2"], "--clip-coef"),
        ([*TRAIN, "--learning_rate", "0.1"], "--learning-rate"),
        ([*TRAIN, "--norm-adv", "batsh"], "batch"),
        (["trian", "Hopper-v4"], "unknown command 'trian'; did you mean train, run?"),
        (["frobnicate"], "unknown command 'frobnicate'; valid: plan, run"),
        ([*TRAIN, "--total", "64"], "unknown argument '--total'; did you mean --total-timesteps"),
        (["train", "Hopper-v4", "twice", "--out", "out"], "'twice' is one argument too many"),
        (["check", "pqo", "--num-steps", "64"], "unknown algorithm 'pqo'; did you mean ppo"),
    ],
)
def test_a_name_that_is_not_there_gets_its_nearest(capsys, argv, said):
    assert said in refused(capsys, *argv)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--minibatch-size", "65"],
            "minibatch_size = 65 cannot be trained: it must be at most num_steps x num_envs = 64",
        ),
        (["--minibatch-size", "0"], "minibatch_size = 0 cannot be trained: it must be at least 1"),
        (["--total-timesteps", "-64"], "'-64' is not a whole number of steps, of 1 to 1e+15, such as 50000 or 5e4"),
        (["--total-timesteps", "0"], "'0' is not a whole number of steps"),
        (["--total-timesteps", "65", "--num-envs", "2"], "it must be a positive multiple of num_envs = 2"),
        (["--total-timesteps", "1.5"], "'1.5' is not a whole number of steps"),
        (["--total-timesteps", "inf"], "'inf' is not a whole number of steps"),
        (["--out", ""], "no folder is named"),
        (["--rescale-actions", "maybe"], "'maybe' is neither true nor false"),
        (["--network", "nature"], "the nature network is for images: observations are of shape (4,)"),
        (["--num-steps", "-1"], "num_steps = -1"),
        (["--num-envs", "0"], "num_envs = 0"),
        (["--clip-coef", "0"], "clip_coef = 0.0 cannot be trained: it must be greater than 0"),
        (["--clip-coef", "0.2", "-0.2"], "clip_coef = -0.2"),
        (["--clip-coef", "nan"], "clip_coef = nan"),
        (["--learning-rate", "-1"], "learning_rate = -1.0"),
        (["--learning-rate", "nan"], "learning_rate = nan"),
        (["--learning-rate", "inf"], "learning_rate = inf"),
        (["--gamma", "1.5"], "gamma = 1.5 cannot be trained: it must be at least 0 and at most 1"),
        (["--kl-coef", "-1"], "kl_coef = -1.0"),
        (["--max-grad-norm", "0"], "max_grad_norm = 0.0"),
        (["--update-epochs", "0"], "update_epochs = 0"),
        (["--clip-coef", "small"], "'small'"),
        (["--clip-coef"], "--clip-coef"),
        (["--norm-obs", "maybe"], "'maybe' is neither true nor false"),
        (["--seeds", "-1"], "'-1' is no seed: it must lie between 0 and 9223372036854775807"),
        (["--seeds", "9223372036854775808"], "'9223372036854775808' is no seed"),
        (["--seeds", "1", "2", "1"], "name each seed once"),
        (["--seeds", "1", "--seeds", "2"], "--seeds is given twice: write all its values after one --seeds"),
        (["--clip-coef=0.1", "--clip-coef", "0.2"], "--clip-coef is given twice"),
        (["--num-envs", "1000000000"], "it must be a positive multiple of num_envs = 1000000000"),
        (["--num-steps", "9999999999999999999"], "'9999999999999999999' is not a whole number below 2**53"),
        (["--update-epochs", "1.5"], "'1.5' is not a whole number"),
        (["--total-timesteps", "1e16"], "'1e16' is not a whole number of steps, of 1 to 1e+15"),
        (["--network", "90000-90000"], "network = 90000-90000 cannot be held: its weights"),
        (["--max-episode-steps", "9", "--env-kwargs", "max_episode_steps=8"], "max_episode_steps is given twice"),
        (["--env-kwargs", "render_fps=1e999"], "'render_fps=1e999' holds a number that is too large"),
        (["--out", "x" * 256], "a name of 256 bytes, and a file's has at most 255"),
        (["--algorithm"], "argument --algorithm: expected one argument"),
        (["--device", "meta"], "cannot use device 'meta': write cpu, cuda, or cuda:1 and so on"),
        (["--device", "cpu:1"], "cannot use device 'cpu:1'"),
        (["--workers", "99999999999"], "'99999999999' is not a whole number of 1 to 65,536"),
        (["--seeds", "one"], "'one'"),
        (["--workers", "0"], "'0' is not a whole number of 1 to 65,536"),
        (["--workers", "two"], "'two'"),
        (["--gpus-per-stack", "0"], "'0' is not a number of GPUs above 0"),
        (["--gpus-per-stack", "1.5"], "'1.5' is not a number of GPUs above 0"),
        (["--checkpoint-interval", "-1"], "-1"),
        (["--checkpoint-interval", "nan"], "nan"),
        (["--device", "gpu"], "gpu"),
        (["--out", "file"], "file is no folder: name a folder to train into"),
        (["--out", "file/below"], "cannot write results to file/below"),
    ],
)
def test_untrainable_is_refused_before_writing(capsys, flags, said):
    """What cannot be trained is refused before anything is written."""
    assert said in refused(capsys, *overriding(TRAIN, *flags))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/0", "1", "a/b", "1/2/3", "-1/2", ""])
def test_a_shard_that_is_none_is_refused(capsys, shard):
    assert "is no shard: write i/n" in refused(capsys, "run", "table1", f"--shard={shard}")


def test_a_folder_that_cannot_be_written_is_refused(capsys):
    assert "cannot write results to file" in refused(capsys, "run", "table1", "--results", "file")


def test_nothing_is_trained_into_results_of_a_protocol(capsys):
    """It would replace their manifest."""
    Path("results/table1").mkdir(parents=True)
    Path("results/table1/manifest.json").write_text('{"protocol": "table1", "profile": "paper", "runs": []}')
    for out in ("results", "results/table1"):
        assert call(*overriding(TRAIN, "--out", out)) == 2
        assert "results/table1 holds table1 of `ppo run`: train into another folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["evaluate"], ["video"]])
def test_a_path_without_policies_is_refused(capsys, command):
    assert "there is no nowhere" in refused(capsys, *command, "nowhere")


def test_where_nobody_reads_it_says_so():
    """A pipe whose other end is closed, as behind `| head -1`."""
    reads, writes = os.pipe()
    os.close(reads)
    ended = subprocess.run([sys.executable, "-m", "ppo", "plan", "figure1"], stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    assert ended.returncode == 1
    assert ended.stderr.decode() == "ppo: nobody reads what it prints any more: stopped; the same command goes on\n"


def test_a_command_that_is_interrupted_says_so(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.COMMANDS, "plan", interrupted)
    assert main(["plan", "table1"]) == 130
    assert capsys.readouterr().err == "ppo: stopped before the end; the same command does the rest\n"


def test_a_missing_rom_is_one_line_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    monkeypatch.setattr(scheduler, "train", lambda *_: pytest.fail("it trained"))
    assert call("run", "atari", "--fraction", "1e-6", "--seeds", "1") == 2
    said = capsys.readouterr().err
    assert "has no usable ROM" in said
    assert said.count("\n") == 1


def test_status_of_a_folder_that_is_not_there_is_refused(capsys):
    assert "there is no results folder nowhere" in refused(capsys, "status", "--results", "nowhere")


def test_what_cannot_be_compared_is_refused(capfd):
    """It is a process of its own, so its lines are read where they leave this one."""
    Path("results").mkdir()
    for argv, said in (
        (["ppo", "trpo@nowhere"], "there is no results folder nowhere"),
        (["ppo", "trpo"], "results has no runs"),
        (["ppo", "trpo", "--protocol", "tabel1"], "unknown protocol 'tabel1'; did you mean table1"),
        (["ppo", "trpo", "--resluts", "x"], "--results"),
    ):
        assert call("compare", *argv) == 2
        printed = capfd.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert said in printed.err


def test_help_names_every_command(capsys):
    assert call("--help") == 0
    text = capsys.readouterr().out
    for command in ("plan", "run", "status", "train", "evaluate", "video", "report", "compare"):
        assert f"\n    {command} " in text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_help_of_train_has_every_setting_with_its_docstring(capsys, algorithm):
    assert call("train", "--help", "--algorithm", algorithm) == 0
    text = " ".join(capsys.readouterr().out.split())
    docs = field_docs(ALGORITHMS[algorithm].load().Settings)
    for field in dataclasses.fields(ALGORITHMS[algorithm].load().Settings):
        assert f"--{field.name.replace('_', '-')} " in text
        assert " ".join(docs[field.name].split()) in text


@pytest.mark.parametrize("command", ["plan", "run", "status", "train", "evaluate", "video", "report", "compare"])
def test_every_command_has_help_of_its_own(capsys, command):
    assert call(command, "--help") == 0
    assert f"usage: ppo {command}" in capsys.readouterr().out


def test_plan_tells_runs_stacks_steps_and_hours_and_starts_nothing(capsys):
    assert call("plan", "table1", "--profile", "paper", "--workers", "2") == 0
    text = capsys.readouterr().out
    assert "table1: 595 runs" in text  # (4 settings x 10 seeds + 7 x 5 + the untrained policy's 10) x 7 tasks
    assert "seeds 1,2,3,4,5,6,7,8,9,10: none, clip-0.1, clip-0.2, clip-0.3\n" in text
    assert "seeds 1,2,3,4,5: adaptive-kl-0.003, " in text
    assert "HalfCheetah-v4 ppo" in text
    assert "to train: 595 runs in 21 stacks, 528,500,000 steps" in text  # 525 x 1M + 70 x 50k
    assert " h) with 2 workers" in text
    assert os.listdir() == []


def test_a_plan_of_parts_adds_up_to_the_whole(capsys):
    def planned(*flags):
        assert call("plan", "table1", "--profile", "quick", "--workers", "1", *flags) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        return int(last.split()[2])

    assert sum(planned("--shard", f"{index}/3") for index in (1, 2, 3)) == planned()


def test_a_row_of_table_1_can_be_planned_alone(capsys):
    assert call("plan", "table1", "--settings", "clip-0.2", "--environments", "Hopper-v4", "--seeds", "1") == 0
    assert "1 runs" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "number"), [("1e6", 1_000_000), ("2.5e3", 2500), ("64", 64), ("1000001", 1_000_001)])
def test_steps_can_be_written_with_an_exponent(text, number):
    assert steps(text) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=0.5", 0.5),
        ("a=true", True),
        ("a=None", None),
        ("a=[1, 2]", [1, 2]),
        ("a=word", "word"),
        ("a=x=1", "x=1"),
        ("a='1'", "1"),
        ("a=['info']", ["info"]),
    ],
)
def test_an_argument_of_an_environment_is_a_literal_or_a_text(text, value):
    assert argument(text) == ("a", value)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_that_can_be_typed(capsys, command):
    assert call(command, "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith(f"example: {COMMANDS[command].example}")
    program, *argv = COMMANDS[command].example.split()
    assert program == "ppo"
    assert parse(argv, PROFILES).command == command
