"""The learning curves behind Table 1."""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import calibration, scores
from analysis.data.completeness import dagger, reasons
from analysis.data.labels import ENVIRONMENTS, SETTINGS, ordered, setting_name, task
from analysis.data.load import Data
from analysis.style.cells import seeds_counted
from analysis.style.colours import setting_colour
from analysis.style.drawing import STYLE, Drawing, bound_below, draw_runs, frame_panel, note_of, sentences, warn

FAMILIES = {"Clipping": "clip-", "Adaptive KL": "adaptive-kl-", "Fixed KL": "fixed-kl-"}


@matplotlib.rc_context(STYLE)
def figure(data: Data) -> Drawing:
    """Draw the learning curves behind Table 1: a row per environment, a column per family of settings."""
    page = Figure(figsize=(11, 14))
    panels = page.subplots(len(ENVIRONMENTS), len(FAMILIES), sharex=True, sharey="row")
    page.subplots_adjust(left=0.085, right=0.98, top=0.95, bottom=0.125, hspace=0.24, wspace=0.08)
    curves, window = scores.run_curves(data)
    budget = scores.full_budget(data)
    untrained = scores.random_levels(scores.of_scale(data.episodes, data.runs))
    levels = {task(str(environment)): level for environment, level in untrained.items()}
    for row, name in zip(panels, ENVIRONMENTS, strict=True):
        drawn = curves[curves["task"] == name]
        for axes, (family, prefix) in zip(row, FAMILIES.items(), strict=True):
            members = [s for s in ordered(drawn["setting"], SETTINGS) if s.startswith(prefix) or s == "none"]
            for setting in members:
                draw_runs(axes, drawn[drawn["setting"] == setting], setting_colour(setting), width=1.7)
            if name in levels:
                axes.axhline(levels[name], color="#444444", linewidth=0.9, linestyle=":")
            frame_panel(axes, f"{name}: {family}", budget, empty="" if len(drawn) else "no runs yet")
        by_name = {setting_name(str(setting)): group["mean_return"] for setting, group in drawn.groupby("setting")}
        bound_below(row[0], by_name, levels.get(name, float("nan")))
    page.supylabel("Episode return", fontsize=10)
    for axes, prefix in zip(panels[-1], FAMILIES.values(), strict=True):
        members = [setting for setting in SETTINGS if setting.startswith(prefix) or setting == "none"]
        names = {s: setting_name(s) + dagger(data.trained[data.trained["setting"] == s]) for s in members}
        lines = [Line2D([], [], color=setting_colour(s), linewidth=2, label=names[s]) for s in members]
        axes.set_xlabel("Environment steps")
        axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.35))
    note = note_of(data)
    warn(page, note)
    caption = (
        "Learning curves of the runs behind Table 1 (an addition: the paper shows none). Thin lines are the seeds"
        f"{seeds_counted(curves, 'setting', setting_name)}, thick lines their mean; at every step the mean return of "
        f"the episodes that ended within the last {window:,} steps. Dotted: the untrained policy. A cross marks where "
        "a run diverged; where curves leave the panel at the bottom, the panel says how far they fall."
    )
    caption = " ".join([caption, *calibration.notes(curves), *reasons(data.trained)])
    return Drawing("table1_curves", "Learning curves behind Table 1", sentences(caption, note), page)
