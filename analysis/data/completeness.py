"""Sentences about missing, superseded and shortened runs, for titles and notes."""

from __future__ import annotations

import pandas as pd

from analysis.data.labels import algorithm_name, frames_per_step, setting_name, task
from analysis.data.load import Data

SEVERAL = 8
"""More settings of one algorithm than this are counted, not listed."""


def mark(data: Data) -> str:
    """Return a title's warning that runs have less than the paper's budget, or are all superseded; "" if neither."""
    sentences = []
    if data.manifest.get("profile") == "quick":
        seeds, steps = budget(data)
        size = f"{seeds} seed{'s' * (seeds != 1)}, {steps:,} steps"
        sentences.append(f"quick profile: {size}: not comparable with the paper's numbers")
    if data.fraction < 1:
        sentences.append(f"ours {reached(data)}: not comparable with the paper's final numbers")
    if len(data.trained) and superseded(data.trained).all():
        sentences.append("ours all superseded, to be trained again")
    return "; ".join(sentences)


def reached(data: Data) -> str:
    """Return 'after 4M of 40M frames': where runs were stopped on purpose, and their budget."""
    steps = budget(data)[1]
    per_step = max(map(frames_per_step, data.trained["environment"]), default=1)
    unit = "steps" if per_step == 1 else "frames"
    return f"after {short(data.fraction * steps * per_step)} of {short(steps * per_step)} {unit}"


def short(count: float) -> str:
    """Abbreviate: 4,000,000 -> '4M'; 50,000 -> '50k'; 500 -> '500'."""
    unit, letter = (1e6, "M") if abs(count) >= 1e6 else (1e3, "k") if abs(count) >= 1e3 else (1.0, "")
    return f"{count / unit:g}{letter}"


def budget(data: Data) -> tuple[int, int]:
    """Return the planned seeds of each setting, and the steps of each run (the largest, if they differ)."""
    trained = data.trained
    if trained.empty:
        return 0, 0
    seeds = trained.groupby(["environment", "algorithm", "setting"])["seed"].nunique().max()
    return int(seeds), int(trained["total_timesteps"].max())


def superseded(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return a mask of the superseded runs."""
    return runs["superseded"] != ""


def current(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that are not superseded."""
    return runs[~superseded(runs)] if len(runs) else runs


def dagger(runs: pd.DataFrame) -> str:
    """Return the mark of a number that was computed from `runs`, if any of them is superseded."""
    return "†" if "superseded" in runs and superseded(runs).any() else ""


def partial(data: Data) -> str:
    """Return '12 of 231 runs are finished' while some are not; "" if all are, or if `mark` gives a stronger warning."""
    trained = data.trained
    old = int((trained["complete"] & superseded(trained)).sum())
    done = int(trained["complete"].sum()) - old
    if done == len(trained) or old == len(trained):
        return ""
    again = f", {old} superseded (†), to be trained again" if old else ""
    return f"{done} of {len(trained)} runs are finished{again}"


def incomplete(data: Data) -> tuple[str, ...]:
    """Return the notes of every table of a protocol whose data are incomplete."""
    sentences = [f"{line[0].upper()}{line[1:]}." for line in (partial(data), mark(data)) if line]
    sentences += reasons(data.trained)
    return (data.problem, *sentences) if data.problem else tuple(sentences)


def reasons(runs: pd.DataFrame) -> list[str]:
    """Describe the superseded runs, a sentence for each reason."""
    sentences = []
    for why, group in runs[superseded(runs)].groupby("superseded", sort=False):
        count, names = len(group), " and ".join(map(algorithm_name, group["algorithm"].unique()))
        verb = "are" if count != 1 else "is"
        sentences.append(f"† {count} run{'s' * (count != 1)} of {names} {verb} superseded: {str(why).rstrip('.')}.")
    return sentences


def titled(title: str, data: Data) -> str:
    """Return a title with its warning behind it, if there is one (`mark`)."""
    return f"{title} ({mark(data)})" if mark(data) else title


def missing(data: Data) -> list[str]:
    """Describe a protocol's incomplete runs, a line per state and group of environments; or say that it has no data."""
    if data.problem:
        return [data.problem]
    gaps: dict[str, list[str]] = {}
    lines = []
    runs = data.runs.assign(task=data.runs["environment"].map(task))
    old = runs["complete"] & superseded(runs)
    runs["status"] = runs["status"].mask(old, "superseded, to be trained again")
    for (name, state), group in runs[~runs["complete"] | old].groupby(["task", "status"], sort=True):
        progress = f", {int(group['steps_done'].min()):,} of {int(group['total_timesteps'].max()):,} steps done"
        whole = len(group) == (runs["task"] == name).sum()
        which = f"all {len(group)} runs" if whole else _named(group)
        gaps.setdefault(f"{state}{progress if state == 'running' else ''}: {which}", []).append(str(name))
    for gap, names in gaps.items():
        lines.append(f"{data.protocol}: {', '.join(names)}: {gap}{' of each' * (len(names) > 1)}")
    for run in runs[runs["diverged_at"].notna()].to_dict("records"):
        name = _name(run["algorithm"], run["setting"])
        lines.append(
            f"{data.protocol}: {run['task']}: diverged at step {int(run['diverged_at']):,}: {name}, seed {run['seed']}"
        )
    return lines


def _named(group: pd.DataFrame) -> str:
    parts = []
    for algorithm, rows in group.groupby("algorithm", sort=True):
        settings = rows.groupby("setting", sort=True)["seed"]
        if len(settings) > SEVERAL:
            parts.append(f"{algorithm_name(str(algorithm))} ({len(rows)} runs of {len(settings)} settings)")
            continue
        for setting, seeds in settings:
            listed = ", ".join(str(seed) for seed in sorted(seeds))
            parts.append(f"{_name(str(algorithm), str(setting))} (seed {listed})")
    return "; ".join(parts)


def _name(algorithm: str, setting: str) -> str:
    return (
        algorithm_name(algorithm) if setting == "default" else f"{algorithm_name(algorithm)}, {setting_name(setting)}"
    )
