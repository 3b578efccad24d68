"""Learning curves: Figure 3, and the runs behind Table 1. Every function returns a finished `Drawing`."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import calibration
from analysis.data.completeness import dagger, reasons
from analysis.data.labels import (
    ALGORITHMS,
    ENVIRONMENTS,
    SETTINGS,
    algorithm_colour,
    algorithm_name,
    ordered,
    setting_colour,
    setting_name,
    task,
)
from analysis.data.load import Data, drawn_in_paper, published
from analysis.data.scores import random_levels, run_curves
from analysis.style.drawing import (
    DASHES,
    STYLE,
    Drawing,
    bound_below,
    draw_runs,
    frame_panel,
    legend_of_lines,
    note_of,
    sentences,
    warn,
)


@matplotlib.rc_context(STYLE)
def figure3(data: Data) -> Drawing:
    """Figure 3: learning curves of the algorithms on the seven tasks, the paper's digitised curves beside them."""
    figure = Figure(figsize=(14, 7.6), layout="constrained")
    panels = list(figure.subplots(2, 4).flat)
    budget = int(data.trained["total_timesteps"].max()) if len(data.trained) else 1_000_000
    paper = published("fig3_curves").query("timestep <= @budget").assign(task=lambda frame: frame["env"].map(task))
    curves, window = run_curves(data)
    for axes, name in zip(panels, ENVIRONMENTS, strict=False):
        _comparison_panel(axes, curves[curves["task"] == name], paper[paper["task"] == name])
        frame_panel(axes, name, budget, empty="" if (curves["task"] == name).any() else "no runs of ours yet")
    figure.supxlabel("Environment steps", fontsize=10)
    figure.supylabel("Episode return", fontsize=10)
    drawn = ordered([*curves["algorithm"], *drawn_in_paper()], ALGORITHMS)
    names = {a: algorithm_name(a) + dagger(data.trained[data.trained["algorithm"] == a]) for a in drawn}
    handles = [Line2D([], [], color=algorithm_colour(a), linewidth=2.2, label=names[a]) for a in drawn]
    panels[-1].axis("off")
    panels[-1].legend(handles=[*handles, *legend_of_lines(len(curves) > 0, band=True)], loc="center left", fontsize=10)
    note = note_of(data)
    warn(figure, note)
    ours = (
        "Ours, solid: the mean over seeds, where every seed has a value; the shaded band reaches from the lowest to "
        f"the highest seed; at every step the mean return of the episodes that ended within the last {window:,} steps. "
        "A cross marks where a run diverged; where curves leave the panel at the bottom, the panel says how far the "
        "lowest falls."
        if len(curves)
        else "No runs of ours yet."
    )
    caption = (
        f"Return of training episodes against environment steps. {ours} Dashed, in the same colours: digitised from "
        "the paper's Figure 3 (its bands, whose meaning and number of seeds it does not state, are left out). The "
        "paper's one TRPO curve is to be compared with both of ours."
    )
    caption = " ".join([caption, *calibration.notes(curves), *reasons(data.trained)])
    return Drawing("figure3", "Figure 3. Algorithms compared on continuous control", sentences(caption, note), figure)


def _comparison_panel(axes: Axes, curves: pd.DataFrame, paper: pd.DataFrame) -> None:
    """One task: ours solid with bands, the paper's dashed above them, PPO's over the others'."""
    values = {"paper": paper["mean"]}
    for algorithm in sorted(ordered(curves["algorithm"], ALGORITHMS), key="ppo".__eq__):
        mine = curves[curves["algorithm"] == algorithm]
        values[algorithm_name(algorithm)] = mine["mean_return"]
        draw_runs(axes, mine, algorithm_colour(algorithm), width=2.0, band=True)
    for algorithm in drawn_in_paper():
        theirs, colour = paper[paper["algorithm"] == algorithm_name(algorithm)], algorithm_colour(algorithm)
        axes.plot(theirs["timestep"], theirs["mean"], color=colour, linewidth=1.2, linestyle=DASHES)
    bound_below(axes, values, float(paper["mean"].min()))


FAMILIES = {"Clipping": "clip-", "Adaptive KL": "adaptive-kl-", "Fixed KL": "fixed-kl-"}


@matplotlib.rc_context(STYLE)
def table1_curves(data: Data) -> Drawing:
    """The learning curves behind Table 1: a row per environment, a column per family of settings."""
    figure = Figure(figsize=(11, 14))
    panels = figure.subplots(len(ENVIRONMENTS), len(FAMILIES), sharex=True, sharey="row")
    figure.subplots_adjust(left=0.085, right=0.98, top=0.95, bottom=0.125, hspace=0.24, wspace=0.08)
    curves, window = run_curves(data)
    budget = int(data.trained["total_timesteps"].max()) if len(data.trained) else 1_000_000
    levels = {task(str(environment)): level for environment, level in random_levels(data.episodes).items()}
    for row, name in zip(panels, ENVIRONMENTS, strict=True):
        here = curves[curves["task"] == name]
        for axes, (family, prefix) in zip(row, FAMILIES.items(), strict=True):
            members = [s for s in ordered(here["setting"], SETTINGS) if s.startswith(prefix) or s == "none"]
            for setting in members:
                draw_runs(axes, here[here["setting"] == setting], setting_colour(setting), width=1.7)
            if name in levels:
                axes.axhline(levels[name], color="#444444", linewidth=0.9, linestyle=":")
            frame_panel(axes, f"{name}: {family}", budget, empty="" if len(here) else "no runs yet")
        drawn = {setting_name(str(setting)): group["mean_return"] for setting, group in here.groupby("setting")}
        bound_below(row[0], drawn, levels.get(name, float("nan")))
    figure.supylabel("Episode return", fontsize=10)
    for axes, prefix in zip(panels[-1], FAMILIES.values(), strict=True):
        members = [setting for setting in SETTINGS if setting.startswith(prefix) or setting == "none"]
        names = {s: setting_name(s) + dagger(data.trained[data.trained["setting"] == s]) for s in members}
        lines = [Line2D([], [], color=setting_colour(s), linewidth=2, label=names[s]) for s in members]
        axes.set_xlabel("Environment steps")
        axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.35))
    note = note_of(data)
    warn(figure, note)
    caption = (
        "Learning curves of the runs behind Table 1 (an addition: the paper shows none). Thin lines are the seeds, "
        f"thick lines their mean; at every step the mean return of the episodes that ended within the last {window:,} "
        "steps. Dotted: the untrained policy. A cross marks where a run diverged; where curves leave the panel at the "
        "bottom, the panel says how far they fall."
    )
    caption = " ".join([caption, *calibration.notes(curves), *reasons(data.trained)])
    return Drawing("table1_curves", "Learning curves behind Table 1", sentences(caption, note), figure)
