"""`ppo gpu` on the CPU in a GPU's place, with a tiny profile; and what it says where something is missing."""

import argparse
import dataclasses
import subprocess
import time

import pytest
import torch

from experiments.cli import gpu
from experiments.cli.commands import main
from experiments.paper.games import TWELVE
from experiments.paper.profiles import GAMES, PROFILES, Seeds
from experiments.paper.settings import ATARI
from experiments.planning.costs import Measured
from experiments.planning.estimates import read_measured, write_measured
from experiments.planning.planner import Stack
from experiments.run import Run
from experiments.store.files import read_json
from experiments.throughput import atari, command
from experiments.training import scheduler
from experiments.training.executor import STOPPED, Job
from ppo.ppo import PPOSettings
from tests.helpers.processes import forked_workers

TINY = dataclasses.replace(
    PROFILES["quick"],
    environments=("InvertedPendulum-v4",),
    table1_seeds=Seeds((1,)),
    total_timesteps=2048,
    untrained_seeds=(1,),
    untrained_timesteps=2048,
    games=("Pong",),
    atari_algorithms=("ppo",),
    atari_seeds=(1,),
    atari_timesteps=160,
)


@pytest.fixture
def measured(monkeypatch):
    """The devices that were measured, instead of measuring them."""
    devices = []

    def measure(path, device):
        devices.append(device)
        one = Measured("Hopper-v4", "ppo", 3, 1e-3)
        write_measured(path, device.partition(":")[0], [one, Measured("PongNoFrameskip-v4", "ppo", 8, 2e-2)], {})

    monkeypatch.setattr(gpu, "measure", measure)
    return devices


@pytest.fixture
def on_cpu(tmp_path, monkeypatch, measured):
    """The command on the CPU; returns its exit code."""
    monkeypatch.chdir(tmp_path)
    flags = ["--device", "cpu", "--profile", "quick", "--results", "gpu", "--workers", "1"]
    with forked_workers():
        yield lambda hours: main(["gpu", "--hours", hours, *flags], {"quick": TINY})


@pytest.mark.parametrize("hours", ["0", "-1", "soon", "nan", "inf", ""])
def test_hours_that_are_none_are_one_line(hours, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["gpu", "--hours", hours])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said == f"ppo gpu: argument --hours: {hours!r} is not a number of hours above 0, such as 0.1 or 24\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("built", "said"), [(None, "is built without it"), ("13.0", "`nvidia-smi` must list one")], ids=["build", "driver"]
)
def test_without_cuda_it_says_in_a_line_what_is_missing(built, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["gpu", "--hours", "1"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("ppo: no CUDA: torch")
    assert said in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing is made"


def test_it_trains_table_1_and_atari_into_its_folder_and_says_what_to_keep(on_cpu, measured, tmp_path, capsys):
    assert on_cpu("0.2") == 0
    table1, games = (read_json(tmp_path / "gpu" / name / "manifest.json")["runs"] for name in ("table1", "atari"))
    assert {run["status"] for run in (*table1, *games)} == {"finished"}
    assert len(table1) == 12
    assert [run["environment"] for run in games] == ["PongNoFrameskip-v4"]
    said = capsys.readouterr().out
    assert "3,000" in said, "steps per second of the stack of 3"
    assert "keep gpu with its folder stacks/" in said
    assert "git add gpu/*/episodes.parquet gpu/*/manifest.json gpu/throughput.json" in said
    assert "ppo compare clip-0.2@results clip-0.2@gpu" in said
    assert not (tmp_path / "results").exists()
    assert measured == ["cpu"]
    assert on_cpu("0.2") == 0
    assert measured == ["cpu"], "what is measured is not measured again"


def test_it_stops_when_the_hours_are_over_and_continues_later(on_cpu, tmp_path, capsys):
    assert on_cpu("1e-9") == 0
    said = capsys.readouterr().out
    assert "hours are over" in said
    assert "keep gpu" in said
    assert {run["status"] for run in read_json(tmp_path / "gpu" / "table1" / "manifest.json")["runs"]} == {"missing"}
    assert not (tmp_path / "gpu" / "atari").exists(), "what was not begun has no results"
    assert on_cpu("0.2") == 0
    assert {run["status"] for run in read_json(tmp_path / "gpu" / "table1" / "manifest.json")["runs"]} == {"finished"}


def test_a_part_that_fails_neither_keeps_the_next_from_training_nor_is_forgotten(on_cpu, monkeypatch):
    """Not even when the hours end the training."""
    trained = []

    def train(arguments, console, until):
        trained.append(arguments.protocols)
        first = len(trained) == 1
        return scheduler.Outcome(failed={"a": "it broke"} if first else {}, stopped=not first), []

    monkeypatch.setattr("experiments.cli.protocols.train", train)
    assert on_cpu("1e-9") == 1
    assert trained == [["table1"], ["atari"]]


@pytest.mark.usefixtures("on_cpu")
def test_the_gpu_that_was_named_is_measured(measured, monkeypatch):
    monkeypatch.setattr(gpu, "check_cuda", lambda device: None)
    monkeypatch.setattr("experiments.cli.protocols.train", lambda arguments, console, until: (scheduler.Outcome(), []))
    assert main(["gpu", "--hours", "1", "--device", "cuda:1", "--profile", "quick"], {"quick": TINY}) == 0
    assert measured == ["cpu", "cuda:1"]


def test_a_missing_rom_is_one_line_before_anything_is_measured(tmp_path, monkeypatch, capsys, measured):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    assert main(["gpu", "--hours", "1", "--device", "cpu", "--profile", "quick"], {"quick": TINY}) == 2
    said = capsys.readouterr().err
    assert "has no usable ROM pong.bin" in said
    assert said.count("\n") == 1
    assert measured == []
    with pytest.raises(SystemExit):
        command.main(["--few", "--costs", "x.json"])
    assert "has no usable ROM pong.bin" in capsys.readouterr().err


def test_what_it_measures_with_measures(tmp_path, monkeypatch):
    """The command that the others replace, with smaller trainings."""
    small = dataclasses.replace(ATARI["ppo"], num_envs=2, num_steps=4, minibatch_size=8, update_epochs=1)
    monkeypatch.setattr(atari, "ATARI", {"ppo": small})
    monkeypatch.setattr(command, "COST_SECONDS", 0.0)
    monkeypatch.setattr(gpu, "MEASURED", ("InvertedPendulum-v4",))

    run = subprocess.run

    def here(argv, **more):
        if argv[1:3] != ["-m", "experiments.throughput"]:
            return run(argv, **more)
        return argparse.Namespace(returncode=command.main(argv[3:]))

    monkeypatch.setattr(subprocess, "run", here)
    gpu.measure(tmp_path / "speeds.json", "cpu")
    found = read_measured(tmp_path / "speeds.json")["cpu"]
    assert [(one.environment, one.algorithm, one.rows) for one in found] == [
        ("InvertedPendulum-v4", "ppo", 3),
        ("InvertedPendulum-v4", "ppo", 33),
        ("PongNoFrameskip-v4", "ppo", 2),
    ]


class Endless(Job):
    """Trains until it is asked to stop."""

    def start(self):
        self.create()
        self.stopping = False

    def poll(self):
        return STOPPED if self.stopping else None

    def terminate(self):
        self.stopping = True


class OneAtATime:
    def slots(self):
        return 1

    def job(self, stack, folder):
        return Endless(stack, folder)


def test_a_training_is_asked_to_save_when_the_time_is_over(tmp_path):
    from experiments.cli.commands import PlainConsole

    stacks = [Stack((Run("Hopper-v4", "ppo", "x", seed, 2048, PPOSettings()),)) for seed in (1, 2)]
    outcome = scheduler.train(tmp_path, stacks, OneAtATime(), PlainConsole(quiet=True), time.monotonic() + 0.2)
    assert outcome.stopped
    assert not outcome.failed
    assert len(list((tmp_path / "stacks").iterdir())) == 1, "the second one is not begun"


def test_the_chosen_games_and_ppo_come_first():
    planned = list(gpu.parts(PROFILES["paper"]))
    assert [part[0] for part in planned] == ["table1", "atari", "atari", "atari"]
    assert planned[0][1:] == ["--seeds", "1", "2", "3"]
    assert {f"{game}NoFrameskip-v4" for game in TWELVE} < set(planned[1])
    assert planned[1][-4:] == ["--algorithms", "ppo", "--seeds", "1"]
    assert set(TWELVE) < set(GAMES)
    others = dataclasses.replace(PROFILES["paper"], games=("Krull",))
    assert list(gpu.parts(others))[1:] == [["atari"]]
