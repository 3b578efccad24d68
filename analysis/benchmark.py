"""How much `make benchmark` trains: the smallest prefix of the paper's runs that shows what the paper says.

`python -m analysis.benchmark` prints it for the committed runs; `experiments/paper/profiles.py` holds the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import pandas as pd

from analysis.data import scores
from analysis.data.labels import PAPER_SEEDS, task
from analysis.data.load import Data, gather
from analysis.sections.table1.table import LOWEST
from baselines import REFERENCE

STEPS = (10_000, 20_000, 30_000, 40_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000)
"""The budgets that are looked at."""


@dataclass(frozen=True)
class Choice:
    """A prefix of the paper's runs on its three seeds."""

    steps: int
    tasks: tuple[str, ...]
    core_seconds: float
    """as long as the committed runs took for it, stacked as they were"""


def choose(table1: Data, figure3: Data) -> Choice:
    """Choose the cheapest prefix that shows both: "no clipping or penalty" last in Table 1, PPO first or second in
    Figure 3.

    Any three of the committed seeds must show them, as other machines' bits are other draws, with this budget and with
    any larger one of `STEPS`. Of two choices of one cost it is the one with fewer tasks. Raises `ValueError` if there
    is none.
    """
    seconds = _seconds(table1).add(_seconds(figure3, without=REFERENCE), fill_value=0)
    left = list(_subsets(list(seconds.index)))
    found: list[Choice] = []
    for steps in reversed(STEPS):
        rows, algorithms = list(_means(table1, "setting", steps)), list(_means(figure3, "algorithm", steps))
        left = [
            tasks
            for tasks in left
            if all(_over(means, tasks).idxmin() == LOWEST for means in rows)
            and all(_over(means, tasks).rank(ascending=False)[REFERENCE] <= 2 for means in algorithms)
        ]
        found += [Choice(steps, tasks, float(seconds[list(tasks)].sum()) * steps) for tasks in left]
    if not found:
        raise ValueError("no prefix of the committed runs shows what the paper says")
    return min(found, key=lambda choice: (choice.core_seconds, len(choice.tasks)))


def _subsets(tasks: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for count in range(1, len(tasks) + 1):
        yield from combinations(tasks, count)


def _over(means: pd.DataFrame, tasks: tuple[str, ...]) -> pd.Series[float]:
    return means[list(tasks)].mean(axis=1)


def _means(data: Data, name: str, steps: int) -> Iterator[pd.DataFrame]:
    """Yield the mean normalised scores after `steps`, [row or algorithm, task], for each three of the seeds that all of
    them have. As in Table 1, 0 is the untrained policy and 1 the best single run of the three."""
    episodes = data.episodes[data.episodes["step"] <= steps]
    runs = scores.scored(replace(data, episodes=episodes))
    random = scores.random_levels(scores.papers_seeds(episodes))
    common = set.intersection(*map(set, runs.groupby(name)["seed"].unique()))
    for seeds in combinations(sorted(common), len(PAPER_SEEDS)):
        three = runs[runs["seed"].isin(seeds)]
        normalised = scores.normalised_scores(three, random, scores.best_runs(three))
        yield three.assign(normalised=normalised).pivot_table(index=name, columns="task", values="normalised")


def _seconds(data: Data, without: str = "") -> pd.Series[float]:
    """Sum, by task, the core seconds that a step of all runs of the paper's seeds took, each as part of its stack."""
    entries = pd.DataFrame(data.manifest["runs"])
    entries = entries[entries["seed"].isin(PAPER_SEEDS) & (entries["algorithm"] != without)]
    seconds = entries["wall_time"] / entries["stack"] / entries["steps_done"]
    return seconds.groupby(entries["environment"].map(task)).sum().astype(float)


if __name__ == "__main__":
    results = Path("results")
    print(choose(gather(results, "table1"), gather(results, "figure3")))
