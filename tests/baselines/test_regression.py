"""Short trainings against stored curves: a change that changes results cannot pass unseen.

To the bit where versions and the kind of CPU are those of a recording; elsewhere nearly so, as long as rounding errors
have not grown. A change that is meant to change an algorithm's results records its curve again, and its commit says so:
``.venv/bin/python tests/baselines/test_regression.py ppo``. Recordings of it on other CPUs are dropped then, unless
they are nearly the same, as where only this kind of CPU is new.
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
from baselines.acer import ACERSettings
from experiments.paper.settings import COMPARED
from experiments.run import Run
from experiments.training.build import build
from ppo.process import prepare_process
from ppo.training import Training

CURVES = Path(__file__).with_name("curves.json")
STEPS = 6_000
"""Two updates of PPO and VPG, the last on part of a batch."""
FIRST = 10


def processor():
    """The kind of CPU, on which the bits of a training depend: libraries have other kernels for each maker's."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line for line in lines if line.startswith("vendor_id")]
    return f"{names[0].split()[-1] if names else 'unknown'} {torch.backends.cpu.get_cpu_capability()}"


HERE = processor()
DISCRETE = {"acer": ACERSettings(num_envs=4, replay_start=200, replay_capacity=1000)}
"""Settings of the algorithms for discrete actions, with which so few steps see all that they do."""


def versions():
    """The libraries on which they depend."""
    return {library.__name__: library.__version__ for library in (mujoco, np, torch)}


def curve(name):
    """Every episode of two runs on Hopper (or on CartPole), as [run, step, return, length]."""
    environment = "Hopper-v4" if ALGORITHMS[name].load().continuous else "CartPole-v1"
    settings = {**COMPARED, **DISCRETE}.get(name, ALGORITHMS[name].load().Settings())
    training = Training(build([Run(environment, name, "default", seed, STEPS, settings) for seed in (1, 2)]))
    while not training.done:
        training.iterate()
    return [list(row) for row in zip(*(column.tolist() for column in training.episodes().values()), strict=True)]


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_short_training_gives_the_stored_curve(name):
    stored = json.loads(CURVES.read_text())
    recorded = {cpu: curves[name] for cpu, curves in stored["curves"].items() if name in curves}
    if not recorded:
        pytest.skip(f"{name} has no stored curve yet: .venv/bin/python tests/baselines/test_regression.py {name}")
    found = curve(name)
    if stored["versions"] == versions() and HERE in recorded:
        assert found == recorded[HERE]
    for expected in recorded.values():
        assert_nearly_the_same(found, expected)


def assert_nearly_the_same(found, expected):
    """The first episodes, and the number and the mean of all."""
    found, expected = np.array(found), np.array(expected)
    np.testing.assert_allclose(found[:FIRST], expected[:FIRST], rtol=1e-3)
    assert len(found) == pytest.approx(len(expected), rel=0.02)
    assert found[:, 2].mean() == pytest.approx(expected[:, 2].mean(), rel=0.02)


def changed(found, expected):
    """Whether it is more than rounding that they differ by."""
    try:
        assert_nearly_the_same(found, expected)
    except AssertionError:
        return True
    return False


def record(names):
    """Write the curves of ``names``; of others what is stored stays, unless other versions made it."""
    prepare_process()
    stored = json.loads(CURVES.read_text())
    kept = stored["curves"] if stored["versions"] == versions() else {}
    found = {name: curve(name) for name in names}
    curves = {
        cpu: {name: own for name, own in kept[cpu].items() if name not in names or not changed(found[name], own)}
        for cpu in kept
    }
    curves.setdefault(HERE, {}).update(found)
    parts = []
    for cpu, own in sorted((cpu, own) for cpu, own in curves.items() if own):
        lines = [f" {json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted(own.items())]
        parts.append(f"{json.dumps(cpu)}: {{\n" + ",\n".join(lines) + "\n}")
    body = ",\n".join(parts)
    CURVES.write_text(f'{{"versions": {json.dumps(versions())},\n"curves": {{\n{body}\n}}}}\n')


if __name__ == "__main__":
    record(sys.argv[1:] or sorted(ALGORITHMS))
