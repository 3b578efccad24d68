"""A check against another paper: KLip-PPO's table (arXiv 2606.23932) and our runs with its settings."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data.completeness import incomplete, titled
from analysis.data.intervals import published_difference
from analysis.data.labels import algorithm_name, task
from analysis.data.load import Data
from analysis.data.published import published
from analysis.data.scores import run_curves, scored
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import DASHES, STYLE, Drawing, frame_panel, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, interval, number

SUFFIX = "+klip-ppo"
"""Ends the names of KLip-PPO's settings."""

OBJECTIVES = {
    ("ppo", "clip-0.2"): "Clipping, ε = 0.2",
    ("per-sample-kl", "clip-0.2"): "Per-sample KL, ε = 0.2",
    ("ppo", "fixed-kl-1"): "Fixed KL, β = 1",
    ("ppo", "adaptive-kl-0.02"): "Adaptive KL d_targ = 0.02",
}
"""By algorithm and setting of published/klip_ppo.csv."""

CLIPPED, PENALISED = "ppo", "per-sample-kl"
"""The algorithms in the figure."""


def measured(data: Data) -> pd.DataFrame:
    """List each cell of published/klip_ppo.csv that is planned here, by task and objective, with ours and difference.

    `algorithm`, `setting`, `environment` (the task); `published_mean`, `published_std`, `published_seeds`; `mean`,
    `std`, `seeds` of our complete runs' `last_tenth`; `difference` of the means, `low`, `high`: its 95 % interval by
    Welch. Either deviation is over n, as published; the interval takes them over n - 1.
    """
    runs = scored(data)
    planned = set(zip(data.trained["algorithm"], data.trained["setting"], data.trained["environment"], strict=True))
    facts = []
    for cell in published("klip_ppo").to_dict("records"):
        key = [cell["algorithm"], f"{cell['setting']}{SUFFIX}", f"{cell['environment']}-v4"]
        if tuple(key) not in planned:
            continue
        ours = runs[(runs[["algorithm", "setting", "environment"]] == key).all(axis=1)]
        values = ours["last_tenth"].dropna().to_numpy(dtype=float)
        mean, deviation, seeds = (cell[name] for name in ("mean", "std", "seeds"))
        estimate = published_difference(values, mean, deviation * math.sqrt(seeds / (seeds - 1)), seeds)
        low, high = estimate.interval()
        facts.append(
            {
                **{name: cell[name] for name in ("algorithm", "setting", "environment")},
                "published_mean": mean,
                "published_std": deviation,
                "published_seeds": seeds,
                "mean": float(np.mean(values)) if len(values) else np.nan,
                "std": float(np.std(values)) if len(values) else np.nan,
                "seeds": len(values),
                "difference": estimate.value,
                "low": low,
                "high": high,
            }
        )
    order = list(OBJECTIVES)
    facts.sort(key=lambda fact: (fact["environment"], order.index((fact["algorithm"], fact["setting"]))))
    return pd.DataFrame(facts)


def table(data: Data) -> Table:
    """Tabulate our cells beside KLip-PPO's."""
    numbers = measured(data)
    rows = numbers.to_dict("records")
    shown = pd.DataFrame(
        {
            "Task": row["environment"],
            "Objective": OBJECTIVES[row["algorithm"], row["setting"]],
            "KLip-PPO": _spread(row["published_mean"], row["published_std"]),
            "Ours": _spread(row["mean"], row["std"]),
            "Seeds": f"{row['published_seeds']}, {row['seeds']}",
            "Difference": _difference(row["difference"], row["low"], row["high"]),
        }
        for row in rows
    )
    known = numbers[(numbers["algorithm"] == CLIPPED) & numbers["low"].notna()]
    inside = int(((known["low"] <= 0) & (known["high"] >= 0)).sum())
    caption = (
        "Not the paper's: KLip-PPO (arXiv 2606.23932, 2026) trained PPO with the objectives of sections 3 and 4, with "
        "settings of its own and other code: annealed step size, clipped values, bootstrapped time limits, actions "
        "clipped to their bounds. Ours has the same settings (experiments/paper/klip_ppo.py); nothing was tuned to it. "
        "Mean return of the training episodes over the last tenth of 1M steps, ± the deviation over the seeds (over n, "
        "as published). Seeds: theirs, ours. Difference: ours less theirs, with Welch's 95 % t interval, each by "
        "itself: where nothing differs, one of nine or more misses 0 in 37 % of cases. The per-sample KL has the "
        "clipped surrogate's gradient, and the same numbers in their table."
    )
    counted = (f"0 lies within {inside} of the {len(known)} intervals of clipping and of the KL penalties.",)
    notes = (*(counted if len(known) else ()), *incomplete(data))
    title = "Not the paper's: an outside check of the clipped and the KL-penalised objectives"
    return Table("klip_ppo", titled(title, data), caption, shown, numbers, notes, text_columns=2)


def _spread(mean: float, deviation: float) -> str:
    return f"{number(mean)} ± {number(deviation)}" if math.isfinite(mean) else NOTHING


def _difference(value: float, low: float, high: float) -> str:
    return ("+" if value > 0 else "") + interval(value, low, high, digits=None)


@matplotlib.rc_context(STYLE)
def figure(data: Data) -> Drawing:
    """Draw the per-sample KL and clipping with the same seeds, and KLip-PPO's mean at the end."""
    numbers = measured(data)
    penalised = data.trained[data.trained["algorithm"] == PENALISED]
    (name,), seeds = penalised["environment"].map(task).unique(), sorted(penalised["seed"])
    curves, window = run_curves(data)
    drawn = curves[(curves["task"] == name) & curves["setting"].str.startswith("clip-") & curves["seed"].isin(seeds)]
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    handles, lines = [], algorithm_lines((CLIPPED, PENALISED))
    for algorithm, width, alpha in ((CLIPPED, 3.5, 0.4), (PENALISED, 1.0, 1.0)):
        style: dict[str, Any] = {"color": lines[algorithm].colour, "linewidth": width, "alpha": alpha}
        for _, run in drawn[drawn["algorithm"] == algorithm].groupby("seed"):
            axes.plot(run["step"], run["mean_return"], **style)
        handles.append(Line2D([], [], label=algorithm_name(algorithm), **style))
    cell = numbers[(numbers["algorithm"] == PENALISED) & (numbers["environment"] == name)].iloc[0]
    budget = int(penalised["total_timesteps"].max())
    low, high = cell["published_mean"] - cell["published_std"], cell["published_mean"] + cell["published_std"]
    axes.fill_between([0.9 * budget, budget], low, high, color="#333333", alpha=0.15, linewidth=0)
    axes.plot([0.9 * budget, budget], [cell["published_mean"]] * 2, color="#333333", linewidth=1.2, linestyle=DASHES)
    handles.append(Line2D([], [], color="#333333", linewidth=1.2, linestyle=DASHES, label="KLip-PPO: both, last tenth"))
    axes.legend(handles=handles, loc="upper left", frameon=True, facecolor="white", edgecolor="none")
    axes.set(xlabel="Environment steps", ylabel="Episode return")
    frame_panel(axes, name, budget, empty="" if len(drawn) else "no runs of ours yet")
    note = note_of(data)
    warn(figure, note)
    caption = (
        f"Not the paper's. PPO's clipping on {name}, and the same gradient as a KL penalty of each sample (KLip-PPO, "
        f"arXiv 2606.23932), with the same {len(seeds)} seeds. The two losses are equal in their gradients and not in "
        "their bits: the curves of a seed part where rounding errors have grown. At every step the mean return of the "
        f"episodes that ended within the last {window:,} steps. Grey: what KLip-PPO gives for both, mean and deviation "
        "of five seeds over the last tenth."
    )
    title = "Not the paper's: PPO's clipping as a KL penalty of each sample"
    return Drawing("klip_ppo", title, sentences(caption, note), figure)
