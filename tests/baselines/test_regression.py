"""Short trainings against stored curves: a change that changes results cannot pass unseen.

To the bit where versions and the kind of CPU are those of the recording; elsewhere the first episodes, before rounding
errors have grown. A change that is meant to change results records the curves again, and its commit says so:
``.venv/bin/python tests/baselines/test_regression.py``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import mujoco
import torch

from baselines import ALGORITHMS
from experiments.protocols import COMPARED, Run
from experiments.worker import build
from ppo.training import Training, prepare_process

CURVES = Path(__file__).with_name("curves.json")
STEPS = 6_000
"""Two updates of PPO and VPG, the last on part of a batch."""
FIRST = 10


def circumstances():
    """On what the bits of a training depend."""
    versions = {library.__name__: library.__version__ for library in (mujoco, np, torch)}
    return {**versions, "cpu": torch.backends.cpu.get_cpu_capability()}


def curve(name):
    """Every episode of two runs on Hopper, as [run, step, return, length]."""
    training = Training(build([Run("Hopper-v4", name, "default", seed, STEPS, COMPARED[name]) for seed in (1, 2)]))
    while not training.done:
        training.iterate()
    return [list(row) for row in zip(*(column.tolist() for column in training.episodes().values()), strict=True)]


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_short_training_gives_the_stored_curve(name):
    stored = json.loads(CURVES.read_text())
    if name not in stored["curves"]:
        pytest.skip(f"{name} has no stored curve yet: .venv/bin/python tests/baselines/test_regression.py records it")
    expected, found = stored["curves"][name], curve(name)
    if stored["circumstances"] == circumstances():
        assert found == expected
    np.testing.assert_allclose(np.array(found[:FIRST]), np.array(expected[:FIRST]), rtol=1e-3)


def record():
    """Write all curves."""
    prepare_process()
    curves = {name: curve(name) for name in sorted(ALGORITHMS)}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(own)}" for name, own in curves.items())
    CURVES.write_text(f'{{"circumstances": {json.dumps(circumstances())},\n"curves": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    record()
