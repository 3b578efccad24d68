"""What the rooms of experiments/ import: downwards alone; and what a command does: no torch that it has no use for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from commands import SECONDS

import experiments
from experiments.cli.commands import main

REPOSITORY = Path(experiments.__file__).parents[1]

FLOORS = ("store", "messages", "run", "paper", "planning", "training", "policies", "throughput", "cli")
"""Each imports of experiments/ what stands before it, and nothing after it."""
TRAINS = {"torch", "baselines.trpo", "ppo.ppo"}

SAY = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from experiments.cli.commands import main
try:
    code = main(sys.argv[1:])
except SystemExit as ending:
    code = ending.code
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def imports_of(room):
    """What the files of a room import of this project, wherever in them."""
    path = REPOSITORY / "experiments" / room
    for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                # "from experiments import messages" names a room too
                yield from [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                yield from [alias.name for alias in node.names]


def test_every_room_has_its_floor():
    names = {path.stem for path in (REPOSITORY / "experiments").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__main__", "__pycache__"} == set(FLOORS)


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_downwards(room):
    rooms = {name.split(".")[1] for name in imports_of(room) if name.startswith("experiments.")}
    assert rooms <= set(FLOORS[: FLOORS.index(room) + 1])


def test_the_store_imports_nothing_that_trains():
    packages = {name.split(".")[0] for name in imports_of("store")}
    assert not packages & {"ppo", "baselines", "analysis"}


@pytest.mark.parametrize("room", FLOORS[:-1])
def test_analysis_is_above_all_but_the_command_line(room):
    assert "analysis" not in {name.split(".")[0] for name in imports_of(room)}


def imported(folder, *argv):
    """The modules that a command in ``folder`` has imported at its end, which must be a good one."""
    command = [sys.executable, "-c", SAY, str(REPOSITORY), *map(str, argv)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    code, *modules = ended.stderr.split()
    assert code == "0", ended.stderr
    return set(modules)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Real results, small: Figure 3 on one task with two algorithms, two seeds."""
    folder = tmp_path_factory.mktemp("imports")
    flags = ["--profile", "quick", "--workers", "1", "--results", str(folder / "results")]
    assert main(["run", "figure3", *flags], {"quick": SECONDS}) == 0
    return folder


COMMANDS = {
    "help": ["--help"],
    "status": ["status"],
    "status of one": ["status", "figure3"],
    "merge": ["merge", "merged", "results"],
    "report": ["report", "--out", "report"],
    "compare": ["compare", "ppo", "cem"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_torch_is_imported(results, command):
    assert not imported(results, *COMMANDS[command]) & TRAINS


@pytest.mark.parametrize("command", ["run", "plan", "status", "merge", "evaluate", "video", "report", "compare"])
def test_no_help_but_that_of_train_needs_torch(tmp_path, command):
    assert "torch" not in imported(tmp_path, command, "--help")


def test_what_trains_is_imported_where_it_is_wanted(results):
    """So the tests above would see it."""
    assert imported(results, "plan", "figure3", "--profile", "quick", "--results", "results") >= TRAINS
