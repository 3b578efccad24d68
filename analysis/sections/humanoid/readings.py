"""Tasks of Figure 4 with the first runs' details and both readings of a time limit, beside Figure 4's own runs."""

from __future__ import annotations

import matplotlib
import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.load import Data
from analysis.data.scores import SPARSE
from analysis.sections.humanoid.figure4 import TASKS, Line, measured, panels, papers, seeds, wholes
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import STYLE, Drawing, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table

TITLE = "What Table 4 leaves open: humanoid tasks with other details"
FIGURE4 = "as in Figure 4"
ENDS = "details=first,bootstrap_truncation=False"
"""The setting of the first runs, which `figure4-settings` changes."""
READINGS = {  # setting -> its name, its colour
    "default": (FIGURE4, algorithm_lines(["ppo"])["ppo"].colour),
    "details=first": ("first details, limits cut", "#e69f00"),
    ENDS: ("first details, limits end", "#d55e00"),
}
WHAT = (
    "As in Figure 4: under Roboschool's rules of July 2017, the others under those of May; and what Table 4 leaves "
    "open is from openai/baselines' ppo1 of 2017-07, a process for each actor, but where an episode reaches the time "
    "limit, the advantages go on with the value of its last state, as in the first author's modular_rl of 2016 (limits "
    "cut). First details: mostly from ppo2 of 2017-11; with them these tasks were trained first. Limits end: the limit "
    "is an end without a future, as in ppo1 and ppo2."
)


def table(data: Data, before: Data) -> Table:
    """Tabulate the last tenth of the runs of `figure4` (``data``) and `figure4-readings` (``before``)."""
    both = pd.concat([measured(data), measured(before)], ignore_index=True)
    tasks = _tasks(before)
    rows = []
    for environment in tasks:
        rows.append({"Task": environment, "Runs": "the paper's two", "Return": papers(environment)})
        for setting, (name, _) in READINGS.items():
            mine = both[(both["environment"] == environment) & (both["setting"] == setting)]
            if len(mine):
                rows.append({"Task": "", "Runs": name, "Return": seeds(mine), "Whole (their return)": wholes(mine)})
    caption = (
        f"{WHAT} Mean return of the training episodes over the last tenth of the budget, and beside it the share of "
        "these episodes that the limit stopped, with their return."
    )
    counted = both[both["environment"].isin(tasks)]
    shown = pd.DataFrame(rows).fillna(NOTHING)
    return Table("figure4_readings", titled(TITLE, before), caption, shown, counted, incomplete(before), text_columns=2)


@matplotlib.rc_context(STYLE)
def figure(data: Data, before: Data) -> Drawing:
    """Draw the learning curves of all of them, on the axes of Figure 4."""
    lines = [
        Line(data if name == FIGURE4 else before, colour, f"ours, {name}", setting)
        for setting, (name, colour) in READINGS.items()
    ]
    drawn = panels(lines, {environment: TASKS[environment] for environment in _tasks(before)})
    note = note_of(before)
    warn(drawn, note)
    caption = (
        f"Tasks of Figure 4 with what Table 4 leaves open read in other ways. {WHAT} Ours: at every hundredth of the "
        f"budget the mean return of the episodes that ended in the last {SPARSE:.0%} of it. Dashed: the paper's two "
        "runs, digitised."
    )
    return Drawing("figure4_readings", TITLE, sentences(caption, note), drawn)


def _tasks(before: Data) -> list[str]:
    """Return the tasks of which runs are planned, in the order of Figure 4."""
    planned = set(before.trained["environment"])
    return [environment for environment in TASKS if environment in planned]
