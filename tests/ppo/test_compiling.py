"""Where compiled code is kept: for the next process, for these very sources, and never a reason to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ppo

pytest.importorskip("numba")
REPOSITORY = Path(ppo.__file__).parents[1]

SQUASH = """
import numpy as np
from ppo.stacked import compiling
told = []
compiling.tell_of_compiling(lambda: told.append("compiled"))
from ppo.stacked.kernels import tanh
print(f"{tanh(np.float32(0.5)):.4f}", *told)
"""

TRAINING = """
import hashlib, math
from experiments.run import Run
from experiments.training.build import build
from ppo.ppo import PPOSettings
from ppo.training import Training
settings = PPOSettings(num_steps=256, clip_coef=math.inf, kl_coef=0.3)
training = Training(build([Run("HalfCheetah-v4", "ppo", "x", seed, 512, settings) for seed in (1, 2)], engine="numba"))
while not training.done:
    training.iterate()
print(hashlib.sha256(training.algorithm.policy.parameters.detach().numpy().tobytes()).hexdigest())
"""


def start(cache, code=SQUASH, path=REPOSITORY):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(path)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, cwd=path)


def said(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.split()


def test_first_process_compiles_the_next_loads(tmp_path):
    """The first process compiles and says so, and the next one loads."""
    assert said(start(tmp_path)) == ["0.4621", "compiled"]
    assert said(start(tmp_path)) == ["0.4621"]


def test_two_processes_may_compile_at_once(tmp_path):
    both = [start(tmp_path) for _ in range(2)]
    assert [said(process)[0] for process in both] == ["0.4621", "0.4621"]
    assert said(start(tmp_path)) == ["0.4621"], "what they left is whole"


def test_what_is_compiled_has_the_bits_of_what_is_loaded(tmp_path):
    """Also in functions that others call, of which each caller has a translation too: with a penalty of 0.3 they once
    differed."""
    first, second = (said(start(tmp_path, TRAINING)) for _ in range(2))
    assert first == second


def test_without_a_folder_every_process_compiles(tmp_path):
    """Where no folder can be written, every process compiles for itself."""
    (tmp_path / "file").write_text("")
    assert said(start(tmp_path / "file" / "cache")) == ["0.4621", "compiled"]


def test_after_a_change_of_any_file_everything_is_compiled_anew(tmp_path):
    """numba itself looks at the file of a function alone, and would go on with what the other files were."""
    copy = tmp_path / "copy"
    shutil.copytree(REPOSITORY / "ppo", copy / "ppo")
    assert said(start(tmp_path / "cache", path=copy)) == ["0.4621", "compiled"]
    assert said(start(tmp_path / "cache", path=copy)) == ["0.4621"]
    with (copy / "ppo" / "stacked" / "engine.py").open("a") as file:
        file.write("\n# another line\n")
    assert said(start(tmp_path / "cache", path=copy)) == ["0.4621", "compiled"]
