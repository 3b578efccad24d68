"""An algorithm of the user's own, MODULE:CLASS, in a folder of theirs: trained, played, drawn in Figure 3."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import experiments
from experiments.cli.commands import main
from experiments.contract import check, data, divergence, neighbours, outputs, resumption
from experiments.contract.check import checks_of
from experiments.store.files import read_json
from tests.helpers.commands import SECONDS
from tests.helpers.processes import forked_workers
from tests.helpers.reports import without_pictures

PROJECT = Path(experiments.__file__).parents[1]
EXAMPLE = PROJECT / "examples" / "own_algorithm.py"
NAME = "own_algorithm:SquaredPenalty"
SMALL = ["--total-timesteps", "512", "--num-steps", "256", "--minibatch-size", "64", "--workers", "1"]

BROKEN = """

class Broken(SquaredPenalty):
    def update(self, batch):
        return {**super().update(batch), "losses/of_all": torch.zeros(1)}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(EXAMPLE, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ppo(folder, *argv):
    """The command as a process of its own, in which nothing is imported yet."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "experiments", *map(str, argv)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_is_trained_with_its_own_settings_and_played(folder):
    train = ["train", "InvertedPendulum-v4", "--algorithm", NAME, *SMALL, "--ratio-coef", "1", "5", "--out", "runs"]
    done = ppo(folder, *train)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = read_json(folder / "runs" / "manifest.json")["runs"]
    assert {run["algorithm"] for run in runs} == {NAME}
    assert sorted(run["settings"]["ratio_coef"] for run in runs) == [1.0, 5.0]
    again = ppo(folder, *train)
    assert "2 runs, 2 finished before" in again.stdout

    unasked = ppo(folder, "evaluate", "runs", "--episodes", "1")
    assert unasked.returncode == 2
    assert f"needs the module 'own_algorithm' for '{NAME}'" in unasked.stderr
    assert main(["evaluate", "runs", "--episodes", "1", "--import", "own_algorithm"]) == 0

    beside = ["train", "InvertedPendulum-v4", *SMALL, "--out", "runs"]  # in the same folder, not asked for
    with forked_workers():
        assert main(beside) == 0
    assert len(read_json(folder / "runs" / "manifest.json")["runs"]) == 3


def test_figure_3_trains_its_runs_alone_and_keeps_them(folder):
    flags = ["--profile", "quick", "--results", "results", "--workers", "1"]
    profiles = {"quick": replace(SECONDS, figure3_seeds=replace(SECONDS.figure3_seeds, usual=(1,)))}
    with forked_workers():
        assert main(["run", "figure3", *flags], profiles) == 0
    before = pd.read_parquet("results/figure3/episodes.parquet")
    stacks = set(Path("results/stacks").iterdir())
    with forked_workers():
        assert main(["run", "figure3", "--algorithms", NAME, *flags], profiles) == 0
    (new,) = set(Path("results/stacks").iterdir()) - stacks
    assert NAME in new.name
    both = pd.read_parquet("results/figure3/episodes.parquet")
    assert set(both["algorithm"]) - set(before["algorithm"]) == {NAME}
    with without_pictures():
        assert main(["report", "--results", "results"], profiles) == 0
    assert "SquaredPenalty" in Path("results/tables/figure3.md").read_text()

    assert main(["run", "figure3", *flags], profiles) == 0  # without a word of it: its runs stay
    pd.testing.assert_frame_equal(pd.read_parquet("results/figure3/episodes.parquet"), both)
    assert not list(Path("results/figure3").glob("*replaced*"))


def test_check_holds_it_to_the_contract_and_names_what_fails(folder, monkeypatch, capsys):
    """With three of the checks, on an algorithm that keeps them and on one that does not."""
    chosen = (
        "a state holds all that changes",
        "what no stack can hold is refused",
        "metrics are numbers of each run (CartPole-v1)",
    )
    monkeypatch.setattr(check, "checks_of", lambda kind, few: {name: checks_of(kind, few)[name] for name in chosen})
    assert main(["check", NAME]) == 0
    assert capsys.readouterr().out.splitlines() == [*(f"passed  {name}" for name in chosen), "3 of 3 checks passed"]
    (folder / "broken.py").write_text(EXAMPLE.read_text() + BROKEN)
    assert main(["check", "broken:Broken"]) == 1
    *_, metrics, total = capsys.readouterr().out.splitlines()
    assert metrics.startswith(f"FAILED  {chosen[-1]}: AssertionError: losses/of_all: one number for each run")
    assert total == "2 of 3 checks passed"


@pytest.mark.parametrize(("flags", "steps"), [((), 2048), (("--num-steps", "128"), 128)])
def test_the_check_that_it_learns_takes_settings_for_so_few_steps(folder, monkeypatch, capsys, flags, steps):
    trained = []

    def learns(kind, environment, few_steps):
        trained.append(kind.Settings(**few_steps).num_steps)

    promise = "it learns in 20,000 steps (CartPole-v1)"
    monkeypatch.setattr(outputs, "check_it_learns", learns)
    monkeypatch.setattr(check, "checks_of", lambda kind, few: {promise: checks_of(kind, few)[promise]})
    assert main(["check", NAME, *flags]) == 0
    assert trained == [steps]


def test_settings_that_no_check_can_take_are_refused(folder, capsys):
    assert main(["check", NAME, "--num-steps", "128", "256"]) == 2
    assert main(["check", NAME, "--learning-rate", "-1"]) == 2
    several, impossible = capsys.readouterr().err.splitlines()
    assert several == "ppo: --num-steps takes one value here, not 2"
    assert "learning_rate = -1.0 cannot be trained" in impossible


ODD = {
    "Abstract": ("class Abstract(Algorithm):\n    Settings = Settings", "it lacks advance(), setup()"),
    "Raises": ("class Raises(PPO):\n    def setup(self):\n        {}['x']", "be set up: KeyError: 'x', at odd_one.py:"),
    "NoSettings": ("class NoSettings(PPO):\n    Settings = dict", "no dataclass that derives from ppo.settings"),
    "Optional": (
        "@dataclass(frozen=True)\nclass S(PPOSettings):\n    limit: float | None = None\n\n\n"
        "class Optional(PPO):\n    Settings = S",
        "its setting limit is declared as float | None: bool, int, float or str is needed",
    ),
    "Needed": (
        "@dataclass(frozen=True)\nclass S(PPOSettings):\n    limit: float = field(kw_only=True)\n\n\n"
        "class Needed(PPO):\n    Settings = S",
        "its setting limit has no default",
    ),
    "Undecorated": (
        "class S(PPOSettings):\n    limit: float = 0.5\n\n\nclass Undecorated(PPO):\n    Settings = S",
        "its Settings lack @dataclass(frozen=True)",
    ),
    "Clash": (
        "@dataclass(frozen=True)\nclass S(PPOSettings):\n    out: float = 0.5\n\n\nclass Clash(PPO):\n    Settings = S",
        "has a setting out, and ppo train a flag --out: rename it",
    ),
}
"""Algorithms that cannot be trained, and why."""


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_trained_is_refused_in_one_line(folder, monkeypatch, capsys, name):
    source, said = ODD[name]
    imports = "from dataclasses import dataclass, field\n\nfrom ppo.algorithm import Algorithm\n"
    imports += "from ppo.ppo import PPO, PPOSettings\nfrom ppo.settings import Settings\n\n\n"
    (folder / "odd_one.py").write_text(f"{imports}{source}\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "odd_one", raising=False)
    assert main(["train", "CartPole-v1", "--algorithm", f"odd_one:{name}", *SMALL, "--out", "runs"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not Path("runs").exists()


def test_settings_without_a_text_are_flags(folder, monkeypatch, capsys):
    """A class that a call has made has no source to read docstrings from."""
    source = "import dataclasses\n\nfrom ppo.ppo import PPO, PPOSettings\n\n"
    source += "Made = dataclasses.make_dataclass('Made', [('limit', float, 0.5)], bases=(PPOSettings,), frozen=True)\n"
    (folder / "odd_one.py").write_text(source + "\n\nclass Own(PPO):\n    Settings = Made\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "odd_one", raising=False)
    with pytest.raises(SystemExit):
        main(["train", "CartPole-v1", "--algorithm", "odd_one:Own", "--help"])
    assert "--limit FLOAT" in capsys.readouterr().out


def test_every_check_of_the_contract_is_made():
    """Those in the folder, but for one that needs a part of the state that not every algorithm has."""
    functions = set()
    for module in (data, divergence, neighbours, outputs, resumption):
        functions |= {name for name in vars(module) if name.startswith("check_")}
    source = Path(check.__file__).read_text()
    assert {name for name in functions if f".{name}" not in source} == {"check_checkpoint_that_does_not_fit_is_refused"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_algorithm:Squared", "own_algorithm:Squared is no algorithm: a class that derives from"),
        ("own_algorithm:Tensor", "own_algorithm:Tensor is no algorithm"),
        ("nowhere:Squared", "cannot import nowhere: No module named 'nowhere'"),
        ("squared", "unknown algorithm 'squared'"),
    ],
)
def test_what_is_no_algorithm_is_refused_in_one_line(folder, name, message, capsys):
    assert main(["train", "InvertedPendulum-v4", "--algorithm", name, "--out", "runs"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "runs").exists()
