"""Figure 4 with time limits taken for ends of episodes, beside its own runs and the paper's."""

from __future__ import annotations

import matplotlib
import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.load import Data
from analysis.data.scores import SPARSE
from analysis.sections.humanoid.figure4 import TASKS, Line, measured, panels, papers, seeds, wholes
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import STYLE, Drawing, note_of, sentences, warn
from analysis.style.formats import Table

TITLE = "What a time limit is: the humanoid tasks with both readings"
CUT, END = "limits cut", "limits end"
ENDED = "#d55e00"
"""The colour of runs with time limits taken for ends."""
WHAT = (
    "Where an episode reaches the time limit, the advantages go on with the value of its last state (limits cut, as in "
    "Figure 4 and in the first author's modular_rl of 2016), or the limit counts as an end without a future (limits "
    "end, as in openai/baselines' ppo1 and ppo2). Nothing else differs."
)


def table(data: Data, ended: Data) -> Table:
    """Tabulate the last tenth of the runs of `figure4` (``data``) and `figure4-time-limits` (``ended``)."""
    frames = {CUT: measured(data), END: measured(ended)}
    tasks = _tasks(ended)
    rows = []
    for environment in tasks:
        mine = {name: frame[frame["environment"] == environment] for name, frame in frames.items()}
        rows.append(
            {
                "Task": environment,
                "Paper, its two runs": papers(environment),
                **{f"Ours, {name}": seeds(frame) for name, frame in mine.items()},
                **{f"Whole, {name}": wholes(frame) for name, frame in mine.items()},
            }
        )
    caption = (
        f"{WHAT} Mean return of the training episodes over the last tenth of the budget, and beside it the share of "
        "these episodes that the limit stopped, with their return."
    )
    both = pd.concat([frame.assign(limits=name) for name, frame in frames.items()], ignore_index=True)
    counted = both[both["environment"].isin(tasks)]
    return Table("figure4_time_limits", titled(TITLE, ended), caption, pd.DataFrame(rows), counted, incomplete(ended))


@matplotlib.rc_context(STYLE)
def figure(data: Data, ended: Data) -> Drawing:
    """Draw the learning curves of both, on the axes of Figure 4."""
    lines = [Line(data, algorithm_lines(["ppo"])["ppo"].colour, f"ours, {CUT}"), Line(ended, ENDED, f"ours, {END}")]
    drawn = panels(lines, {environment: TASKS[environment] for environment in _tasks(ended)}, SPARSE)
    note = note_of(ended)
    warn(drawn, note)
    caption = (
        f"Tasks of Figure 4 with time limits read in two ways. {WHAT} Ours: at every hundredth of the budget the mean "
        f"return of the episodes that ended in the last {SPARSE:.0%} of it. Dashed: the paper's two runs, digitised."
    )
    return Drawing("figure4_time_limits", TITLE, sentences(caption, note), drawn)


def _tasks(ended: Data) -> list[str]:
    """Return the tasks of which runs are planned, in the order of Figure 4."""
    planned = set(ended.trained["environment"])
    return [environment for environment in TASKS if environment in planned]
