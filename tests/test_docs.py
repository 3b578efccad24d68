"""docs/add-a-baseline.md, followed to the letter in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import experiments
from experiments.store import read_episodes

REPOSITORY = Path(experiments.__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "add-a-baseline.md").read_text()
FILE, LINE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with the page's file and its line."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("ppo", "baselines", "experiments", "tests"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / "baselines" / "reinforce.py").write_text(FILE)
    listing = folder / "baselines" / "__init__.py"
    head, brace, tail = listing.read_text().rpartition("}")
    listing.write_text(head.replace("\n\n", "\n\nfrom baselines.reinforce import Reinforce\n", 1) + LINE + brace + tail)
    return folder


def python(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_file_is_short_and_the_line_is_one():
    assert len(FILE.splitlines()) <= 80
    assert len(LINE.splitlines()) == 1


def test_it_passes_the_contract_tests(copy):
    """Those of them that are quick, and that it learns."""
    wanted = (
        "reinforce and (learns or metrics or budget or checkpoint_continues or same_alone_and_in_any or own_settings)"
    )
    output = python(copy, "pytest", "-p", "no:cacheprovider", "tests/baselines/test_contract.py", "-k", wanted)
    assert "." in output


def test_it_is_trained_by_the_pages_command(copy):
    (command,) = re.findall(r"ppo (train .*--seeds 1 2 3.*)", PAGE)
    command = command.replace("--total-timesteps 50000", "--total-timesteps 2000")
    output = python(copy, "experiments", *command.split())
    assert "reinforce" in output
    tables = [read_episodes(path) for path in (copy / "runs" / "reinforce" / "stacks").glob("*/episodes.parquet")]
    assert {seed for table in tables for seed in table["seed"]} == {1, 2, 3}


def test_it_is_in_figure_3(copy):
    (command,) = re.findall(r"ppo run (figure3 .*--environments \S+)", PAGE)
    assert "InvertedPendulum-v4 reinforce" in python(copy, "experiments", "plan", *command.split())
