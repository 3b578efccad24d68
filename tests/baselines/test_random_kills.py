"""Workers killed at random moments, forked after the imports; a thousand of them by hand:

``RANDOM_KILLS=1000 RANDOM_SEED=0 pytest -m soak -s tests/baselines/test_random_kills.py``
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import experiments

REPOSITORY = Path(experiments.__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks after torch was imported")


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(6, id="some"),
        pytest.param(int(os.environ.get("RANDOM_KILLS", 1000)), id="many", marks=pytest.mark.soak),
    ],
)
def test_what_is_killed_at_random_ends_as_what_nothing_disturbs(tmp_path, kills):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.experiments.random_kills", "--kills", str(kills)]
    command += ["--counts", str(tmp_path / "counts")]
    seed = ["--seed", os.environ.get("RANDOM_SEED", "0")]
    for more in (seed, ["--sum"]):
        ended = subprocess.run([*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-3000:]
        print(f"\n{ended.stdout}")
    assert int(ended.stdout.split()[0]) >= kills
