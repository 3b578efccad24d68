"""Whichever system call of a save fails, whatever with: it is refused in a line or done, and nothing is lost.

A sample each time; every call: ``FAULTS_EVERY=1 pytest -m soak -s tests/experiments/test_failing_calls.py``
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import experiments

REPOSITORY = Path(experiments.__file__).parents[1]
SOURCE = REPOSITORY / "tests" / "experiments" / "failing_calls.c"
SEED = os.environ.get("FAULTS_SEED", "0")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux's LD_PRELOAD, and a C compiler"
)


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    path = tmp_path_factory.mktemp("shim") / "failing_calls.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"],
        check=True,
    )
    return path


def cases(scenario, every):
    some = pytest.param(scenario, every, id=f"{scenario}-some")
    return [some, pytest.param(scenario, 1, id=f"{scenario}-all", marks=pytest.mark.soak)]


@pytest.mark.parametrize(("scenario", "every"), [*cases("checkpoint", 4), *cases("table", 6), *cases("training", 120)])
def test_nothing_is_lost_whichever_call_fails(tmp_path, shim, scenario, every):
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shim),
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-m",
        "tests.experiments.fail_calls",
        str(shim),
        scenario,
        str(tmp_path),
        str(every),
        SEED,
    ]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    print(f"\n{scenario}, FAULTS_SEED={SEED}: {found}")
    assert found["calls"] > 5
    assert found["cases"] >= 5
    assert any("refused" in outcome for outcome in found["outcomes"]), "faults do happen"
    assert found["lost"] == [], ended.stderr
