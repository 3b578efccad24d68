"""`ppo compare A B`: two algorithms or settings side by side, task by task, with intervals over their seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data import calibration, intervals, scores, statistics
from analysis.data.completeness import mark, reasons
from analysis.data.labels import ENVIRONMENTS, ordered
from analysis.sides import Side, chosen
from analysis.style.cells import seeds_cell
from analysis.style.formats import Table, interval, markdown, number, p_value, p_values
from experiments.store.printable import printable


def compared(left: Side, right: Side) -> tuple[list[str], tuple[str, ...]]:
    """List the tasks on which both have two runs or more, with a sentence on those left out.

    Raises ValueError if there is none, or if the runs of the two were trained for different budgets.
    """
    shared = [name for name in _tasks(left.runs) if name in _tasks(right.runs)]
    if not shared:
        raise ValueError(f"{left.name!r} and {right.name!r} have no task in common")
    both = pd.concat([side.runs[side.runs["task"].isin(shared)] for side in (left, right)])
    versions = sorted(both["environment"].unique())
    if len(versions) > len(shared):
        raise ValueError(f"different versions of one environment: {', '.join(versions)}")
    budgets = [set(side.runs.loc[side.runs["task"].isin(shared), "steps"]) for side in (left, right)]
    if len(budgets[0] | budgets[1]) > 1:
        steps_of_both = (" and ".join(f"{steps:,}" for steps in sorted(budget)) for budget in budgets)
        pairs = zip((left.name, right.name), steps_of_both, strict=True)
        raise ValueError("different budgets: " + ", ".join(f"{name!r} has {steps} steps" for name, steps in pairs))
    seeds = {name: min(len(side.runs[side.runs["task"] == name]) for side in (left, right)) for name in shared}
    tasks = [name for name in shared if seeds[name] > 1]
    if not tasks:
        single = [repr(side.name) for side in (left, right) if side.runs.groupby("task").size()[shared].min() == 1]
        raise ValueError(f"one seed of {' and of '.join(single)} on {', '.join(shared)}: a spread needs at least two")
    every = ordered([*_tasks(left.runs), *_tasks(right.runs)], ENVIRONMENTS)
    rest = [name for name in every if name not in tasks]
    return tasks, (f"Left out, as one of the two has fewer than two runs there: {', '.join(rest)}.",) if rest else ()


def _tasks(runs: pd.DataFrame) -> list[str]:
    return ordered(runs["task"], ENVIRONMENTS)


def compare(left: Side, right: Side) -> Table:
    """Tabulate, per task, raw scores of both, their difference with its interval, and the seeds needed to show it."""
    tasks, left_out = compared(left, right)
    facts = _facts(left, right, tasks)
    every = pd.concat([side.runs[side.runs["task"].isin(tasks)] for side in (left, right)])
    shown = pd.DataFrame(
        {
            "Task": tasks,
            f"A: {left.name}": [_cell(left, name) for name in tasks],
            f"B: {right.name}": [_cell(right, name) for name in tasks],
            "A − B [95 % interval]": [
                interval(float(difference), float(low), float(high), digits=None)
                for difference, low, high in zip(facts["difference"], facts["low"], facts["high"], strict=True)
            ],
            "p (Holm)": [p_values(*row) for row in facts[["p", "p_holm"]].to_numpy()],
            "Seeds for 80 % power": facts["seeds_needed"].map(_seeds),
        }
    )
    caption = (
        "Score of a run: the mean return of its last 100 training episodes, raw; each side's mean over seeds, in "
        "brackets each. A − B: the difference of the means with its 95 % t interval (Welch). p: of no difference, in "
        "brackets after Holm's correction for the tasks compared. Seeds: how many of each side would show the "
        "difference at 5 % with 80 % power, were it and the spreads as measured here."
    )
    notes = (*_overall(left, right, tasks), *left_out, *calibration.notes(every), *_about(left, right, every))
    title = f"{left.algorithm}/{left.setting} and {right.algorithm}/{right.setting}"
    return Table("compare", title, caption, shown, facts, notes)


def _facts(left: Side, right: Side, tasks: list[str]) -> pd.DataFrame:
    """Compute, per task, A's mean less B's, its interval and p values, and the seeds needed to show it."""
    sides = [scores.by_task(side.runs, "score", tasks) for side in (left, right)]
    apart = [intervals.task_difference([of_a], [of_b]) for of_a, of_b in zip(*sides, strict=True)]
    bounds = np.array([estimate.interval() for estimate in apart])
    p = [estimate.difference_p() for estimate in apart]
    return pd.DataFrame(
        {
            "task": tasks,
            "difference": [estimate.value for estimate in apart],
            "low": bounds[:, 0],
            "high": bounds[:, 1],
            "p": p,
            "p_holm": intervals.holm(p),
            "seeds_needed": [intervals.seeds_needed([of_a], [of_b]) for of_a, of_b in zip(*sides, strict=True)],
        }
    )


def _cell(side: Side, name: str) -> str:
    runs = side.runs[side.runs["task"] == name]
    return seeds_cell(runs) + calibration.marks(runs)


def _seeds(needed: float) -> str:
    return f">{intervals.MOST_SEEDS:,}" if np.isinf(needed) else number(needed, 0)


def _overall(left: Side, right: Side, tasks: list[str]) -> list[str]:
    """Describe, over all tasks, how often each wins, and the difference on the common scale if there is one."""
    raw = [scores.by_task(side.runs, "score", tasks) for side in (left, right)]
    better = statistics.probability_of_improvement(*raw)
    sentences = [
        f"A run of A scores higher than a run of B with probability {number(better, 2)} (mean over the tasks)."
    ]
    both = _normalised(left, right)
    scaled = [name for name in tasks if both[0].loc[both[0]["task"] == name, "normalised"].notna().all()]
    if not scaled:
        return [*sentences, "No common scale: no untrained level is recorded beside these runs."]
    sides = [scores.by_task(runs, "normalised", scaled) for runs in both]
    means, apart = [intervals.task_mean(side) for side in sides], intervals.task_difference(*sides)
    a, b, difference = (interval(estimate.value, *estimate.interval()) for estimate in (*means, apart))
    where = ", ".join(dict.fromkeys(f"{side.source.data.protocol}" for side in (left, right)))
    return [
        *sentences,
        f"Over {len(scaled)} task{'s' * (len(scaled) != 1)}, normalised (0: the untrained policy, 1: the best single "
        f"run in {where}, both of seeds 1, 2, 3 where planned): A {a}, B {b}, A − B {difference}, "
        f"p {p_value(apart.difference_p())}; equal within "
        f"{intervals.MARGIN:g} (two one-sided tests): p {p_value(apart.equivalence_p())}; seeds for 80 % power: "
        f"{_seeds(intervals.seeds_needed(*sides))}.",
    ]


def _normalised(left: Side, right: Side) -> list[pd.DataFrame]:
    """Normalise the runs of both, as `normalised`, on Table 1's scale over the runs of their protocols."""
    sources = left.source, right.source
    planned = pd.concat([source.data.runs for source in sources])
    best = scores.best_runs(scores.of_scale(pd.concat([source.runs for source in sources]), planned))
    random = scores.random_levels(scores.of_scale(pd.concat([source.data.episodes for source in sources]), planned))
    return [side.runs.assign(normalised=scores.normalised_scores(side.runs, random, best)) for side in (left, right)]


def _about(left: Side, right: Side, runs: pd.DataFrame) -> list[str]:
    """Describe the origin and state of the runs."""
    data = [left.source.data, right.source.data]
    places, warnings = dict.fromkeys(each.protocol for each in data), dict.fromkeys(map(mark, data))
    origin = f"From {', '.join(places)}; {int(runs['steps'].iloc[0]):,} steps each."
    return [origin, *(f"{line[0].upper()}{line[1:]}." for line in warnings if line), *reasons(runs)]


def print_comparison(first: str, second: str, results: Path, protocol: str | None) -> None:
    """Print the comparison of two names. Raises ValueError, one line, for unknown names and for runs that cannot be
    compared."""
    table = compare(*chosen(first, second, results, protocol))
    print("\n".join(printable(line) for line in markdown(table).splitlines()))
