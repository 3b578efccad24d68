"""What an installed copy is made of, and that it works: built as a wheel, installed, used in an empty folder."""

import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

from experiments.store.files import read_json

ROOT = Path(__file__).parents[1]
LAYERS = ("ppo", "baselines", "experiments", "analysis")


def test_every_room_is_a_package_of_the_wheel():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    rooms = {path.parent for layer in LAYERS for path in ROOT.glob(f"{layer}/**/*.py")}
    assert set(find_packages(str(ROOT), include=found["include"])) == {
        ".".join(room.relative_to(ROOT).parts) for room in rooms
    }


def test_every_package_says_that_it_is_typed():
    assert [layer for layer in LAYERS if not (ROOT / layer / "py.typed").exists()] == []


def run(folder, *command):
    """What ``command`` prints in ``folder``, where nothing points at this project's sources."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel in a virtual environment that has this one's packages, but not this project: the environment's bin/."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "results" / "published", source / "results" / "published")
    for name in LAYERS:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    run(folder, *pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    run(folder, sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "parent.pth").write_text("\n".join(site.getsitepackages()))
    python = folder / "venv" / "bin" / "python"
    run(folder, *pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    return python.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder, which is a repository of its own."""
    path = tmp_path_factory.mktemp("user")
    git = ["git", "-c", "user.name=user", "-c", "user.email=user@example.org"]
    subprocess.run(["git", "init", "-q", path], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], cwd=path, check=True)
    return path


def test_it_is_the_wheel_that_is_tested(installed, folder):
    place = Path(run(folder, installed / "python", "-c", "import ppo; print(ppo.__file__)").strip())
    assert place.is_relative_to(installed.parent)


def test_the_command_and_the_module_say_the_version(installed, folder):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    said = f"ppo-reproduction {version}\n"
    assert run(folder, installed / "ppo", "--version") == run(folder, installed / "python", "-m", "ppo", "--version")
    assert run(folder, installed / "ppo", "--version") == said


def test_an_installed_copy_plans_trains_plays_and_reports(installed, folder):
    ppo = installed / "ppo"
    (folder / "baselines.py").write_text("raise SystemExit('the wrong module')")
    assert "figure3" in run(folder, ppo, "plan", "figure3", "--profile", "quick")
    small = ["--total-timesteps", "512", "--num-steps", "256", "--minibatch-size", "64", "--workers", "1"]
    small += ["--engine", "torch"]  # compiling for a new place takes a minute, and test_compiling.py does it
    run(folder, ppo, "train", "InvertedPendulum-v4", *small, "--out", "runs")
    assert "InvertedPendulum-v4" in run(folder, ppo, "evaluate", "runs", "--episodes", "1")
    run(folder, ppo, "report", "runs")
    assert "Learning curves" in (folder / "runs" / "report.html").read_text()
    (folder / "nothing").mkdir()
    run(folder, ppo, "report", "nothing")
    table = (folder / "nothing" / "tables" / "table1.md").read_text()
    assert re.search(r"0\.82", table), "the paper's score of clipping at 0.2 is in the wheel"

    (trained,) = read_json(folder / "runs" / "manifest.json")["runs"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert trained["commit"] == f"v{version}", "not the commit of the user's own repository"


def test_the_published_data_is_there_once():
    """In the repository the package has a link to it."""
    link = ROOT / "analysis" / "published"
    assert link.resolve() == ROOT / "results" / "published"
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["analysis"]
    assert {path.suffix for path in link.iterdir()} == {Path(pattern).suffix for pattern in data}


def test_the_files_that_the_code_reads_are_in_the_wheel_too():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    files = [path for layer in LAYERS for path in ROOT.glob(f"{layer}/**/*.*") if path.suffix not in (".py", ".pyc")]
    assert any(path.name == "page.css" for path in files)
    assert [path.name for path in files if path.is_file() and not any(map(path.match, patterns))] == []
