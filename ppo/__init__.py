"""PPO and the algorithms that it is compared with, trained in stacks of runs.

The public names; what they need is imported when they are called.

    import ppo

    trained = ppo.train("CartPole-v1", seeds=[1, 2, 3], total_timesteps=50_000)
    print(ppo.evaluate(trained.agents[0]).mean())
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from experiments.policies.agents import Agent, Trained
    from ppo.algorithm import Algorithm
    from ppo.envs.base import VectorEnv

__all__ = ["__version__", "evaluate", "load", "make", "results", "train"]

try:
    __version__ = version("ppo-reproduction")
except PackageNotFoundError:  # a copy of the repository that nobody has installed
    __version__ = "unknown"


def train(
    env: str,
    algorithm: str | type[Algorithm] = "ppo",
    seeds: Sequence[int] = (1,),
    total_timesteps: int = 1_000_000,
    out: Path | str | None = None,
    **settings: Any,
) -> Trained:
    """Train one run for each of ``seeds``, together, in this process and on one core.

    ``env``: a Gymnasium id, or ``ID(NAME=VALUE, ...)`` with arguments. ``algorithm``: its name in
    ``baselines.ALGORITHMS``, or a class. ``out``: a folder, as ``ppo train`` leaves it: what it holds is continued, and
    ``ppo report`` reads it. ``settings``: those of the algorithm, such as ``clip_coef=0.1``.

    Raises ``ValueError`` for what cannot be trained.
    """
    from experiments.policies import agents

    return agents.train(env, algorithm, seeds, total_timesteps, out, settings)


def load(path: Path | str, setting: str | None = None, seed: int | None = None) -> Agent:
    """Load one trained policy: of a folder of ``ppo train`` the one with this ``setting`` and ``seed``, or a file.

    Raises ``ValueError`` if there is none, or more than one.
    """
    from experiments.policies import agents

    return agents.load(path, setting, seed)


def evaluate(
    agent: Agent | Path | str, episodes: int = 10, seed: int = 1_000_000, deterministic: bool = False
) -> NDArray[np.float64]:
    """Play ``episodes`` with an agent, or with the policy at a path; returns their raw returns ``[episodes]``.

    ``seed``: of the episodes and of the noise. ``deterministic``: take the most likely actions.
    """
    from experiments.policies import agents

    return agents.evaluate(agent, episodes, seed, deterministic)


def make(env: str, seeds: Sequence[int]) -> VectorEnv:
    """Make rows of one environment that are stepped together, one for each of ``seeds``.

    Raises ``ValueError`` for one that cannot be made.
    """
    from ppo import envs

    return envs.make(env, seeds)


def results(folder: Path | str = "results") -> pd.DataFrame:
    """Read every recorded episode in a results folder, or in one of ``ppo train``: a row for each.

    Columns ``protocol`` (the folder's name in ``folder``; "" of its own), ``environment``, ``algorithm``, ``setting``,
    ``seed``, ``step``, ``episodic_return``, ``episodic_length``.
    """
    from experiments.store import tables

    return tables.all_episodes(Path(folder))
