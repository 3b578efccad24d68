"""Figure 3, the algorithms compared on the seven tasks: learning curves, their ends, and PPO's in the paper's band."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import calibration
from analysis.data.completeness import dagger, incomplete, reasons, titled
from analysis.data.labels import (
    ALGORITHMS,
    ENVIRONMENTS,
    algorithm_name,
    ordered,
    paper_curve,
)
from analysis.data.load import Data
from analysis.data.published import drawn_in_paper, paper_curves, paper_final
from analysis.data.scores import full_budget, papers_seeds, run_curves, scored
from analysis.style.cells import paper_cell, seeds_cell, seeds_counted, spread_cell
from analysis.style.colours import Line, algorithm_lines
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
from analysis.style.formats import NOTHING, Table, signed


@matplotlib.rc_context(STYLE)
def figure3(data: Data) -> Drawing:
    """Draw Figure 3: learning curves of the algorithms on the seven tasks, with the paper's digitised curves."""
    figure = Figure(figsize=(14, 7.6), layout="constrained")
    panels = list(figure.subplots(2, 4).flat)
    budget = full_budget(data)
    paper = paper_curves(budget)
    curves, window = run_curves(data)
    drawn = drawn_in_paper()
    curves = curves[curves["algorithm"].isin(drawn)]
    lines = algorithm_lines(drawn)
    for axes, name in zip(panels, ENVIRONMENTS, strict=False):
        _comparison_panel(axes, curves[curves["task"] == name], paper[paper["task"] == name], lines)
        frame_panel(axes, name, budget, empty="" if (curves["task"] == name).any() else "no runs of ours yet")
    figure.supxlabel("Environment steps", fontsize=10)
    figure.supylabel("Episode return", fontsize=10)
    names = {a: algorithm_name(a) + dagger(data.trained[data.trained["algorithm"] == a]) for a in drawn}
    handles = [
        Line2D([], [], color=line.colour, linestyle=line.style, linewidth=2.2, label=names[a])
        for a, line in lines.items()
    ]
    panels[-1].axis("off")
    panels[-1].legend(handles=[*handles, *legend_of_lines(len(curves) > 0, band=True)], loc="center left", fontsize=10)
    note = note_of(data)
    warn(figure, note)
    ours = (
        f"Ours, thick: the mean over all seeds{seeds_counted(curves, 'algorithm', algorithm_name)}, where every seed "
        "has a value; the shaded band reaches from the lowest to the highest seed; at every step the mean return of "
        f"the episodes that ended within the last {window:,} steps. "
        "A cross marks where a run diverged; where curves leave the panel at the bottom, the panel says how far the "
        "lowest falls."
        if len(curves)
        else "No runs of ours yet."
    )
    caption = (
        f"Return of training episodes against environment steps. {ours} Dashed, in the same colours: digitised from "
        "the paper's Figure 3 (its bands, whose meaning and number of seeds it does not state, are left out). The "
        "algorithms are those of the paper's figure. Our TRPO trains its deviation. The code released with the paper "
        "did not; it is in the figure of ours against the paper's."
    )
    caption = " ".join([caption, *calibration.notes(curves), *reasons(data.trained)])
    return Drawing("figure3", "Figure 3. Algorithms compared on continuous control", sentences(caption, note), figure)


def _comparison_panel(axes: Axes, curves: pd.DataFrame, paper: pd.DataFrame, lines: dict[str, Line]) -> None:
    """Draw one task: ours thick with bands, the paper's dashed above them, PPO's over the others'."""
    values = {"paper": paper["mean"]}
    for algorithm in sorted(ordered(curves["algorithm"], ALGORITHMS), key="ppo".__eq__):
        drawn = curves[curves["algorithm"] == algorithm]
        values[algorithm_name(algorithm)] = drawn["mean_return"]
        draw_runs(axes, drawn, lines[algorithm].colour, width=2.0, band=True, style=lines[algorithm].style)
    for algorithm in drawn_in_paper():
        in_paper, colour = paper[paper["algorithm"] == paper_curve(algorithm)], lines[algorithm].colour
        axes.plot(in_paper["timestep"], in_paper["mean"], color=colour, linewidth=1.2, linestyle=DASHES)
    bound_below(axes, values, float(paper["mean"].min()))


def figure3_table(data: Data) -> Table:
    """Tabulate Figure 3: the mean over the last 100k steps, as in the paper, and the score of the last 100 episodes."""
    runs = scored(data)
    algorithms = ordered([*data.trained["algorithm"], *drawn_in_paper()], ALGORITHMS)
    cells, facts = [], []
    for name in ENVIRONMENTS:
        for algorithm in algorithms:
            every = runs[(runs["task"] == name) & (runs["algorithm"] == algorithm)]
            late = every.assign(score=every["last_tenth"])
            three, late_three, chose = papers_seeds(every), papers_seeds(late), calibration.marks(every)
            in_paper, band = paper_final(name, algorithm)
            difference = float(late_three["score"].mean()) - in_paper
            facts.append(
                {
                    "environment": name,
                    "algorithm": algorithm,
                    "three_runs": len(three),
                    "three_last_100_episodes": float(three["score"].mean()),
                    "three_last_tenth": float(late_three["score"].mean()),
                    "runs": len(every),
                    "last_100_episodes": float(every["score"].mean()),
                    "last_tenth": float(late["score"].mean()),
                    "paper_last_100k": in_paper,
                    "paper_band_halfwidth": band,
                    "difference": difference,
                }
            )
            cells.append(
                {
                    "Environment": name,
                    "Algorithm": algorithm_name(algorithm),
                    "Last 100 episodes, seeds 1, 2, 3": seeds_cell(three) + chose,
                    "Last 100 episodes, all seeds": spread_cell(every) + chose,
                    "Last tenth, seeds 1, 2, 3": seeds_cell(late_three) + chose,
                    "Last tenth, all seeds": spread_cell(late) + chose,
                    "Paper, last 100k": paper_cell(name, algorithm),
                    "Ours − paper": signed(difference),
                }
            )
    caption = (
        "Returns at the end of training, Figure 3. Last 100 episodes: mean return of a run's last 100 training "
        "episodes. Last tenth: mean of a run's curve (episodes ended in each hundredth of the budget) over the last "
        "tenth of its budget, which at 1M steps is the last 100k, as the paper's curve is read. Of seeds 1, 2, 3, the "
        "paper's number of seeds: the mean, in brackets each; of all seeds: the mean ± the standard deviation, in "
        "brackets how many. × marks a run that diverged. Paper: digitised from Figure 3, with the half width of its "
        "shaded band, whose meaning and number of seeds the paper does not state; its one TRPO stands beside both of "
        "ours. Ours − paper compares the last tenth of seeds 1, 2, 3."
    )
    title = "Figure 3 in numbers"
    show, numbers = pd.DataFrame(cells), pd.DataFrame(facts)
    notes = (*calibration.notes(runs), *incomplete(data))
    return Table("figure3", titled(title, data), caption, show, numbers, notes, text_columns=2)


def ppo_beside_the_band(data: Data) -> Table:
    """Compare PPO's ends with the band of the paper's PPO, on seeds 1, 2, 3 and on all; calibration tasks apart."""
    runs = scored(data)
    late = runs.assign(score=runs["last_tenth"])[runs["algorithm"] == "ppo"]
    cells, facts = [], []
    for name in ENVIRONMENTS:
        every = late[late["task"] == name]
        mean, half = paper_final(name, "ppo")
        chose = name in calibration.LOOKED_AT["clip-0.2"]
        ends = {"three": papers_seeds(every), "all": every}
        where = {which: _place(float(of["score"].mean()), mean, half) for which, of in ends.items()}
        reached = int((every["score"] >= mean - half).sum())
        facts.append(
            {
                "environment": name,
                "calibration": chose,
                "paper": mean,
                "band": half,
                "three_seeds": where["three"],
                "all_seeds": where["all"],
                "seeds": len(every),
                "seeds_reaching": reached,
            }
        )
        cells.append(
            {
                "Environment": name,
                "Chose the reading": "‡ calibration" if chose else "validation",
                "Paper, last 100k": paper_cell(name, "ppo"),
                "Seeds 1, 2, 3": seeds_cell(ends["three"]),
                "To the band": where["three"] or NOTHING,
                "All seeds": spread_cell(every),
                "To the band, all": where["all"] or NOTHING,
                "Seeds within or above": f"{reached}/{len(every)}" if len(every) else NOTHING,
            }
        )
    frame = pd.DataFrame(facts)
    caption = (
        "PPO's mean over the last tenth of its budget beside the paper's last 100k steps, digitised from Figure 3 with "
        "the half width of its shaded band. Within: no farther from the paper's mean than that; above: higher. "
        "Validation: nothing was chosen by this task. Seeds within or above: single seeds at or above the band's lower "
        "edge."
    )
    notes = (*_reached(frame), *calibration.notes(runs[runs["algorithm"] == "ppo"]), *incomplete(data))
    show, title = pd.DataFrame(cells), "PPO beside the paper's band"
    return Table("figure3_ppo", titled(title, data), caption, show, frame, notes, text_columns=2)


def _place(ours: float, mean: float, half: float) -> str:
    if not np.isfinite(ours):
        return ""
    return "within" if abs(ours - mean) <= half else "above" if ours > mean else "below"


def _reached(frame: pd.DataFrame) -> list[str]:
    """Count the tasks within or above the band: validation and calibration apart."""
    notes = []
    for which, words in (("three_seeds", "seeds 1, 2, 3"), ("all_seeds", "all seeds")):
        known = frame[frame[which] != ""]
        good, chose = known[which].isin(["within", "above"]), known["calibration"]
        notes.append(
            f"Within or above the paper's band on {words}: {good.sum()} of {len(known)} tasks; of the {(~chose).sum()} "
            f"validation tasks {good[~chose].sum()}, of the {chose.sum()} calibration tasks {good[chose].sum()}."
        )
    return notes if (frame["three_seeds"] != "").any() else []
