"""Building the algorithm of a stack, with its environments."""

from collections.abc import Sequence
from pathlib import Path

from baselines import record_of
from experiments.run import Run
from ppo.algorithm import Algorithm
from ppo.envs import make
from ppo.seeding import environment_seeds
from ppo.stacked.engine import Engine


def build(
    runs: Sequence[Run],
    device: str = "cpu",
    processes: int = 1,
    reports: bool = False,
    kind: type[Algorithm] | None = None,
    engine: Engine | None = None,
    storage_dir: Path | None = None,
) -> Algorithm:
    """Build the algorithm of a stack, or ``kind`` instead, with its environments.

    ``reports``: whether it computes diagnostics. ``engine``: None for the fastest available. ``storage_dir``: directory
    for state that is too large to repeat in every checkpoint.
    """
    seeds = [run.seed for run in runs]
    settings = [run.settings for run in runs]
    env = make(runs[0].environment, environment_seeds(seeds, runs[0].settings.num_envs), processes)
    made = kind or record_of(runs[0].algorithm).load()
    return made(env, settings, seeds, runs[0].total_timesteps, device, engine, reports, storage_dir)
