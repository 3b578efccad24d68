"""Runs of other programs (`ppo import`) beside ours and the paper's, task by task."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data.imported import Imported, imported_curves
from analysis.data.labels import ENVIRONMENTS, algorithm_name, ordered, paper_curve, task
from analysis.data.load import Data
from analysis.data.published import paper_curves, paper_final, published_figure3
from analysis.data.scores import curve_grid, run_curves, scored
from analysis.style.cells import paper_cell, seeds_cell
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import DASHES, STYLE, Drawing, draw_runs, frame_panel, legend_of_lines, sentences
from analysis.style.formats import NOTHING, Table, signed

OURS = "ppo"
"""What imported runs are set beside, with the paper's curve of it."""


def table(imports: list[Imported], ours: Data) -> Table:
    """Tabulate each imported algorithm on each task beside our PPO with the same budget, and the paper's."""
    own, cells, facts = scored(ours), [], []
    for one in imports:
        theirs = scored(one.data)
        for (environment, algorithm), planned in one.data.runs.groupby(["environment", "algorithm"]):
            name, budget = task(str(environment)), int(planned["total_timesteps"].max())
            runs = theirs[(theirs["environment"] == environment) & (theirs["algorithm"] == algorithm)]
            mine = own[(own["task"] == name) & (own["algorithm"] == OURS) & (own["total_timesteps"] == budget)]
            mine = mine if ours.fraction == 1 else mine.iloc[:0]
            difference = float(runs["score"].mean() - mine["score"].mean())
            facts.append(
                {
                    "import": one.name,
                    "environment": environment,
                    "algorithm": algorithm,
                    "steps": budget,
                    "values": one.data.manifest["values"],
                    "runs": len(planned),
                    "scored": len(runs),
                    "score": float(runs["score"].mean()),
                    "ours": float(mine["score"].mean()),
                    "difference": difference,
                    "paper_last_100k": paper_final(name, OURS)[0],
                }
            )
            cells.append(
                {
                    "Algorithm": str(algorithm),
                    "Environment": str(environment),
                    "From": one.origin,
                    "Steps": f"{budget:,}",
                    "Runs": f"{len(runs)}/{len(planned)}",
                    "Imported": seeds_cell(runs),
                    f"Ours, {algorithm_name(OURS)}": seeds_cell(mine),
                    "Imported − ours": signed(difference),
                    "Paper, last 100k": paper_cell(name, OURS) if budget == 1_000_000 else NOTHING,
                }
            )
    caption = (
        "Runs of other programs, from their logs (`ppo import`). Score of a run: the mean return of its last 100 "
        "episodes; in brackets each seed. Averages that a log holds in place of episodes are drawn and not scored, nor "
        "are runs that end early. Ours: the runs of Figure 3 with the same budget. What the other program did to "
        "rewards, observations and time limits is not known here: the environment's version is all that is compared."
    )
    notes = tuple(one.data.problem for one in imports if one.data.problem)
    columns = ["Algorithm", "Environment", "From", "Steps", "Runs", "Imported", f"Ours, {algorithm_name(OURS)}"]
    show = pd.DataFrame(cells, columns=[*columns, "Imported − ours", "Paper, last 100k"])
    return Table("imported", "Runs of other programs", caption, show, pd.DataFrame(facts), notes, text_columns=3)


@matplotlib.rc_context(STYLE)
def figure(imports: list[Imported], ours: Data) -> Drawing:
    """Draw the imported curves, a panel for each task, with our PPO and the paper's where they have the task."""
    runs = pd.concat([one.data.runs for one in imports])
    tasks = ordered(runs["environment"].map(task), ENVIRONMENTS)
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    drawn = Figure(figsize=(4.4 * columns, 2.9 * rows + 0.7), layout="constrained")
    panels = list(drawn.subplots(rows, columns, squeeze=False).flat)
    algorithms = ordered([OURS, *runs["algorithm"]], (OURS,))
    lines, own = algorithm_lines(algorithms), run_curves(ours)[0]
    for axes, name in zip(panels, tasks, strict=False):
        budget = int(runs.loc[runs["environment"].map(task) == name, "total_timesteps"].max())
        grid, window = curve_grid(budget)
        curves = imported_curves(imports, grid, window)
        mine = own[(own["algorithm"] == OURS) & (own["step"] <= budget)]
        for algorithm in algorithms:
            every = mine if algorithm == OURS else curves[curves["algorithm"] == algorithm]
            here = every[every["task"] == name]
            if len(here):
                draw_runs(axes, here, lines[algorithm].colour, 2.0, band=True, style=lines[algorithm].style)
        _draw_paper(axes, name, budget, lines[OURS].colour)
        frame_panel(axes, name, budget, empty="")
    for axes in panels[len(tasks) :]:
        axes.axis("off")
    handles = [
        Line2D([], [], color=line.colour, linestyle=line.style, linewidth=2.2, label=algorithm_name(name))
        for name, line in lines.items()
    ]
    drawn.legend(handles=[*handles, *legend_of_lines(ours=False)], loc="outside lower center", ncols=4)
    caption = (
        "Learning curves of imported runs beside our PPO (mean and range of the seeds) and the paper's, dashed, where "
        "they have the task. Logged episodes are averaged as ours are, over the last twentieth of the budget; logged "
        "averages are drawn as they were logged."
    )
    return Drawing("imported", "Runs of other programs, as curves", sentences(caption, ""), drawn)


def _draw_paper(axes: Axes, name: str, budget: int, colour: str) -> None:
    """Draw the paper's PPO, if it has the task."""
    if (name, paper_curve(OURS)) in published_figure3().index:
        curves = paper_curves(budget)
        theirs = curves[(curves["task"] == name) & (curves["algorithm"] == paper_curve(OURS))]
        axes.plot(theirs["timestep"], theirs["mean"], color=colour, linewidth=1.2, linestyle=DASHES)
