"""How much `make benchmark` trains: chosen from runs whose answer is known, and from the committed ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.benchmark import choose
from analysis.data.load import Data, gather
from experiments.paper.profiles import PROFILES
from tests.helpers.synthetic import planned

RESULTS = Path(analysis.__file__).parents[1] / "results"
ENDS = np.arange(1_000, 1_000_001, 1_000)
"""Where each run's episodes end."""


def data(
    names: tuple[str, ...], seeds: tuple[int, ...], value: Callable[[str, str, int, int], float], field: str
) -> Data:
    """Runs of two tasks, ten and twenty core seconds each, whose episode that ends at a step has the return `value`
    of environment, name, seed and step; untrained policies have 0."""
    runs, frames = [], []
    for environment, cost in (("HalfCheetah", 10.0), ("Hopper", 20.0)):
        for name in (*names, "untrained"):
            for seed in seeds:
                trained = name != "untrained"
                algorithm, setting = (name, "default") if field == "algorithm" and trained else ("ppo", name)
                run = planned(environment, setting, seed, algorithm=algorithm, total_timesteps=1_000_000)
                run |= {"status": "finished", "steps_done": 1_000_000, "wall_time": 3 * cost, "stack": 3}
                returns = [value(environment, name, seed, int(end)) if trained else 0.0 for end in ENDS]
                identity = {key: run[key] for key in ("environment", "algorithm", "setting", "seed")}
                runs.append(run)
                frames.append(pd.DataFrame({"step": ENDS, "episodic_return": returns}).assign(**identity))
    frame = pd.DataFrame(runs).assign(complete=True, superseded="", diverged_at=np.nan)
    return Data("table1", {"runs": runs}, frame, pd.concat(frames, ignore_index=True), None)


def row(environment: str, setting: str, seed: int, step: int) -> float:
    """On HalfCheetah clipping has the higher mean from 30,000 steps on, on Hopper never."""
    if setting == "none":
        return 10.0
    return 100.0 if environment == "HalfCheetah" and step > 25_000 else 5.0


def curve(environment: str, algorithm: str, seed: int, step: int) -> float:
    """PPO is third up to 20,000 steps, then second."""
    return {"trpo": 50.0, "vpg": 20.0, "ppo": 30.0 if step > 15_000 else 15.0}[algorithm]


THREE, ALGORITHMS = (1, 2, 3), ("ppo", "trpo", "vpg")


def test_the_cheapest_prefix_that_shows_both_is_chosen():
    choice = choose(data(("none", "clip-0.2"), THREE, row, "setting"), data(ALGORITHMS, THREE, curve, "algorithm"))
    assert (choice.steps, choice.tasks) == (30_000, ("HalfCheetah",))
    # two rows of Table 1 and two algorithms besides PPO, and the untrained policy twice: 3 seeds of 10 s per million
    assert choice.core_seconds == pytest.approx((3 * 3 + 2 * 3) * 10.0 * 0.03)


def test_any_three_of_the_seeds_must_show_it():
    """A fourth seed without clipping is above the rest at first, as long as that is among its last 100 episodes."""

    def unlucky(environment: str, setting: str, seed: int, step: int) -> float:
        return 900.0 if (setting, seed) == ("none", 4) and step <= 30_000 else row(environment, setting, seed, step)

    figure3 = data(ALGORITHMS, THREE, curve, "algorithm")
    choice = choose(data(("none", "clip-0.2"), (*THREE, 4), unlucky, "setting"), figure3)
    assert (choice.steps, choice.tasks) == (150_000, ("HalfCheetah",))


def test_runs_that_never_show_it_are_named():
    upside_down = data(("none", "clip-0.2"), THREE, lambda *about: 100.0 if about[1] == "none" else 1.0, "setting")
    with pytest.raises(ValueError, match="no prefix of the committed runs"):
        choose(upside_down, data(ALGORITHMS, THREE, curve, "algorithm"))


def test_the_profile_is_what_the_committed_runs_give():
    choice, profile = choose(gather(RESULTS, "table1"), gather(RESULTS, "figure3")), PROFILES["benchmark"]
    assert choice.steps == profile.fraction * profile.total_timesteps
    assert choice.tasks == tuple(name.removesuffix("-v4") for name in profile.environments)
