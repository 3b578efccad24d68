"""Train a little of each kind when imported, so that what is forked from here has nothing left to load: compiled code,
and the modules that are imported where they are first used."""

import dataclasses
import os

from baselines import ALGORITHMS
from experiments.contract.stacks import CONTINUOUS, DISCRETE, finish, run_of, training_of
from ppo.process import prepare_process

os.environ["OMP_NUM_THREADS"] = "1"
prepare_process()
for name in ("ppo", "a2c", "trpo", "cem", "acer"):
    kind = ALGORITHMS[name].load()
    one = run_of(kind, DISCRETE if name == "acer" else CONTINUOUS, total_timesteps=200)
    finish(training_of(kind, one, dataclasses.replace(one, seed=2)))
