"""A command imports no torch that it has no use for. (Which room may import which: tests/test_architecture.py.)"""

import subprocess
import sys
from pathlib import Path

import pytest

import experiments
from experiments.cli.commands import main
from tests.helpers.commands import SECONDS
from tests.helpers.processes import forked_workers

REPOSITORY = Path(experiments.__file__).parents[1]

TRAINS = {"torch", "baselines.trpo", "ppo.ppo"}

SAY = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from experiments.cli.commands import main
if "report" in sys.argv and "--help" not in sys.argv:
    from analysis import report
    report.pictures = lambda drawing: {"png": b"", "svg": b""}  # rendering would take nearly all of the time
try:
    code = main(sys.argv[1:])
except SystemExit as ending:
    code = ending.code
print(code, *sorted(sys.modules), file=sys.stderr)
"""


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
    with forked_workers():
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


@pytest.mark.parametrize(
    "command", ["run", "plan", "status", "merge", "import", "verify", "evaluate", "video", "report", "compare"]
)
def test_no_help_but_that_of_train_needs_torch(tmp_path, command):
    assert "torch" not in imported(tmp_path, command, "--help")


def test_what_trains_is_imported_where_it_is_wanted(results):
    """So the tests above would see it."""
    assert imported(results, "plan", "figure3", "--profile", "quick", "--results", "results") >= TRAINS
