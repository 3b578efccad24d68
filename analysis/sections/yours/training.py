"""A folder of `ppo train`: curves with seeds, scores with intervals, and a sweep with its best setting."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import intervals
from analysis.data.completeness import partial
from analysis.data.labels import algorithm_name
from analysis.data.load import Data
from analysis.data.scores import run_curves, scored
from analysis.style.cells import seeds_cell
from analysis.style.chart import Chart, Panel, runs_series
from analysis.style.colours import Line, algorithm_lines
from analysis.style.drawing import STYLE, Drawing, draw_runs, frame_panel, sentences
from analysis.style.formats import NOTHING, Table, interval, number
from experiments.store.file_names import file_name

LINE = ["algorithm", "setting"]
"""What has a line of its own in every panel."""


def lines_of(data: Data) -> dict[tuple[str, str], Line]:
    """Give each algorithm and setting of the folder its line.

    An algorithm with one setting has its own, as everywhere; the settings of a sweep have colours unlike each other.
    """
    pairs = [(str(a), str(s)) for a, s in data.trained[LINE].drop_duplicates().itertuples(index=False, name=None)]
    alone = {pair for pair in pairs if sum(pair[0] == other[0] for other in pairs) == 1}
    names = {pair: pair[0] if pair in alone else "/".join(pair) for pair in pairs}
    lines = algorithm_lines(names.values())
    return {pair: lines[name] for pair, name in names.items()}


def label(algorithm: str, setting: str) -> str:
    """Name a line: the algorithm, and its setting if that is not the default."""
    name = algorithm_name(algorithm)
    return name if setting == "default" else f"{name}, {setting}"


@matplotlib.rc_context(STYLE)
def figure(data: Data) -> Drawing:
    """Draw the learning curves: a panel per environment, the seeds thin, their mean thick."""
    curves, window = run_curves(data)
    environments = sorted(data.trained["environment"].unique())
    lines = lines_of(data)
    columns = min(2, len(environments))
    rows = -(-len(environments) // columns)
    drawn = Figure(figsize=(5.6 * columns, 3.2 * rows + 0.35 * math.ceil(len(lines) / 2)), layout="constrained")
    panels = list(drawn.subplots(rows, columns, squeeze=False).flat)
    for axes, environment in zip(panels, environments, strict=False):
        here = curves[curves["environment"] == environment]
        for (algorithm, setting), line in lines.items():
            mine = here[(here["algorithm"] == algorithm) & (here["setting"] == setting)]
            if len(mine):
                draw_runs(axes, mine, line.colour, width=1.8, style=line.style)
        budget = int(data.trained.loc[data.trained["environment"] == environment, "total_timesteps"].max())
        frame_panel(axes, environment, budget, empty="" if len(here) else "no episode has ended yet")
    for axes in panels[len(environments) :]:
        axes.axis("off")
    drawn.supxlabel("Environment steps", fontsize=10)
    drawn.supylabel("Episode return", fontsize=10)
    handles = [
        Line2D([], [], color=line.colour, linestyle=line.style, linewidth=2, label=label(*pair))
        for pair, line in lines.items()
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=2)
    caption = (
        f"Mean return of the episodes that ended within the last {window:,} steps. Thin: the seeds; thick: their mean, "
        "where every seed has a value. A cross marks where a run diverged."
    )
    return Drawing("training", "Learning curves", sentences(caption, partial(data)), drawn)


def chart(data: Data) -> Chart:
    """Return the same curves for the page."""
    curves, _ = run_curves(data)
    panels = []
    for environment, here in curves.groupby("environment"):
        series = [
            runs_series("/".join(pair), label(*pair), line, mine)
            for pair, line in lines_of(data).items()
            if len(mine := here[(here["algorithm"] == pair[0]) & (here["setting"] == pair[1])])
        ]
        panels.append(Panel(str(environment), series))
    return Chart("training", panels)


def scores_table(data: Data) -> Table:
    """Tabulate the score of each algorithm and setting on each environment, with its interval over the seeds."""
    runs = scored(data)
    cells, facts = [], []
    for (environment, algorithm, setting), planned in data.trained.groupby(["environment", *LINE], sort=False):
        mine = _of(runs, environment, algorithm, setting)
        estimate = intervals.task_mean([mine["score"].to_numpy(dtype=float)])
        low, high = estimate.interval()
        steps = int(planned["total_timesteps"].max())
        facts.append(
            {
                "environment": environment,
                "algorithm": algorithm,
                "setting": setting,
                "steps": steps,
                "runs": len(mine),
                "planned": len(planned),
                "diverged": int(planned["diverged_at"].notna().sum()),
                "score": estimate.value,
                "low": low,
                "high": high,
            }
        )
        cells.append(
            {
                "Environment": str(environment),
                "Algorithm": algorithm_name(str(algorithm)),
                "Setting": str(setting),
                "Steps": f"{steps:,}",
                "Score [95 % interval]": interval(estimate.value, low, high, digits=None),
                "Each seed": seeds_cell(mine).partition(" ")[2].strip("()") or NOTHING,
                "Runs": f"{len(mine)}/{len(planned)}",
            }
        )
    caption = (
        "Score of a run: the mean return of its last 100 training episodes. In brackets the 95 % t interval of the "
        "mean over the seeds; a dash where there is one seed. × marks a run that diverged, scored on what came before."
    )
    return Table("scores_of_runs", "Scores", caption, pd.DataFrame(cells), pd.DataFrame(facts), text_columns=3)


def sweeps(data: Data) -> list[Table]:
    """Tabulate each sweep, an algorithm with several settings on one environment: what differs, and which is best."""
    pairs = data.trained.groupby(["environment", "algorithm"], sort=False)
    return [_sweep(data, *map(str, pair)) for pair, runs in pairs if runs["setting"].nunique() > 1]


def _sweep(data: Data, environment: str, algorithm: str) -> Table:
    differing = differing_settings(data, environment, algorithm)
    runs = scored(data)
    settings = list(differing.index)
    samples = {setting: _of(runs, environment, algorithm, setting)["score"].dropna() for setting in settings}
    estimates = {name: intervals.task_mean([values.to_numpy(dtype=float)]) for name, values in samples.items()}
    chances = dict(zip(settings, intervals.rank_probabilities(list(estimates.values()))[:, 0], strict=True))
    order = sorted(settings, key=lambda name: -np.nan_to_num(estimates[name].value, nan=-math.inf))
    frame = differing.loc[order].assign(
        score=[estimates[name].value for name in order],
        low=[estimates[name].interval()[0] for name in order],
        high=[estimates[name].interval()[1] for name in order],
        best=[chances[name] for name in order],
        runs=[len(samples[name]) for name in order],
    )
    shown = (
        differing.loc[order]
        .map(_shown)
        .assign(
            **{
                "Score [95 % interval]": [
                    interval(float(value), float(low), float(high), digits=None)
                    for value, low, high in frame[["score", "low", "high"]].to_numpy()
                ],
                "P(best)": [number(chance, 2) for chance in frame["best"]],
                "Seeds": [str(count) for count in frame["runs"]],
            }
        )
    )
    caption = (
        "The settings in which the runs differ, best first. P(best): the probability that the setting has the highest "
        "mean, as far as the spread of its seeds tells; a dash where it has one seed."
    )
    title = f"Sweep of {algorithm_name(algorithm)} on {environment}"
    name = file_name(f"sweep_{algorithm}_{environment}")
    notes = (best_in_words(order, estimates, chances),)
    facts = frame.reset_index(names="setting")
    return Table(name, title, caption, shown.reset_index(drop=True), facts, notes, text_columns=len(differing.columns))


def best_in_words(order: list[str], estimates: Mapping[str, intervals.Estimate], chances: Mapping[str, float]) -> str:
    """Name the best setting with how sure that is; `order` is best first."""
    first, second = order[0], order[1]
    if not math.isfinite(estimates[first].value):
        return "No run is finished yet."
    best = f"Best: {first}, {interval(estimates[first].value, *estimates[first].interval(), digits=None)}"
    if not math.isfinite(chances[first]):
        return (
            f"{best}. One seed: nothing is known of its spread, so neither is whether another seed would say the same."
        )
    sure = "clearly" if chances[first] >= 0.95 else "not clearly"
    return f"{best}, {sure}: with probability {number(chances[first], 2)} it has the highest mean; next is {second}."


def differing_settings(data: Data, environment: str, algorithm: str) -> pd.DataFrame:
    """Return the values that differ between an algorithm's settings: a row per setting, in the manifest's order."""
    found: dict[Hashable, dict[str, Any]] = {}
    for run in data.manifest["runs"]:
        if (run["environment"], run["algorithm"]) == (environment, algorithm):
            found.setdefault(run["setting"], dict(run.get("settings") or {}))
    frame = pd.DataFrame.from_dict(found, orient="index")
    differing = [name for name in frame if frame[name].map(repr).nunique() > 1]
    return frame[differing] if differing else pd.DataFrame({"Setting": list(found)}, index=list(found))


def _of(runs: pd.DataFrame, environment: object, algorithm: object, setting: object) -> pd.DataFrame:
    mine = (runs["environment"] == environment) & (runs["algorithm"] == algorithm) & (runs["setting"] == setting)
    return runs[mine]


def _shown(value: object) -> str:
    return NOTHING if value is None or value != value else f"{value:g}" if isinstance(value, float) else str(value)
