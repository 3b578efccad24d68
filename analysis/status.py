"""How complete the data are, in words: the mark of a quick profile, and what is missing."""

from __future__ import annotations

import pandas as pd

from analysis.load import Data
from analysis.names import algorithm_name, setting_name, task


def mark(data: Data) -> str:
    """The sentence that every table and figure made from quick runs carries; "" for the paper's budget."""
    if data.manifest.get("profile") != "quick":
        return ""
    seeds, steps = budget(data)
    return f"quick profile: {seeds} seed{'s' * (seeds != 1)}, {steps:,} steps: not comparable with the paper's numbers"


def budget(data: Data) -> tuple[int, int]:
    """Planned seeds of each setting, and environment steps of each run (the largest, should they differ)."""
    trained = data.trained
    if trained.empty:
        return 0, 0
    seeds = trained.groupby(["environment", "algorithm", "setting"])["seed"].nunique().max()
    return int(seeds), int(trained["total_timesteps"].max())


def partial(data: Data) -> str:
    """'12 of 231 runs are finished' while some are not; "" when all are, and when there are no data at all."""
    trained = data.trained
    done = int(trained["complete"].sum())
    return "" if done == len(trained) else f"{done} of {len(trained)} runs are finished"


def incomplete(data: Data) -> tuple[str, ...]:
    """The notes that every table of a protocol carries while its data are not whole."""
    sentences = [f"{line[0].upper()}{line[1:]}." for line in (partial(data), mark(data)) if line]
    return (data.problem, *sentences) if data.problem else tuple(sentences)


def titled(title: str, data: Data) -> str:
    return f"{title} ({mark(data)})" if mark(data) else title


def missing(data: Data) -> list[str]:
    """One line for the protocol, or per environment and state, naming the runs that are not there in full."""
    if data.problem:
        return [data.problem]
    lines = []
    runs = data.runs.assign(task=data.runs["environment"].map(task))
    for (name, state), group in runs[~runs["complete"]].groupby(["task", "status"], sort=True):
        reached = f", {int(group['steps_done'].min()):,} of {int(group['total_timesteps'].max()):,} steps done"
        whole = len(group) == (runs["task"] == name).sum()
        which = f"all {len(group)} runs" if whole else _named(group)
        lines.append(f"{data.protocol}: {name}: {state}{reached if state == 'running' else ''}: {which}")
    for run in runs[runs["diverged_at"].notna()].to_dict("records"):
        name = _name(run["algorithm"], run["setting"])
        lines.append(
            f"{data.protocol}: {run['task']}: diverged at step {int(run['diverged_at']):,}: {name}, seed {run['seed']}"
        )
    return lines


def _named(group: pd.DataFrame) -> str:
    parts = []
    for (algorithm, setting), rows in group.groupby(["algorithm", "setting"], sort=True):
        seeds = ", ".join(str(seed) for seed in sorted(rows["seed"]))
        parts.append(f"{_name(str(algorithm), str(setting))} (seed {seeds})")
    return "; ".join(parts)


def _name(algorithm: str, setting: str) -> str:
    return (
        algorithm_name(algorithm) if setting == "default" else f"{algorithm_name(algorithm)}, {setting_name(setting)}"
    )
