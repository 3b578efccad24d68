"""Table 1's first row on Reacher, with one detail of the reading changed at a time: what makes it fall."""

from __future__ import annotations

import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.labels import change_name
from analysis.data.load import Data
from analysis.data.scores import of_scale, random_levels, scored
from analysis.style.cells import seeds_cell
from analysis.style.formats import Table, number

ENVIRONMENT = "Reacher-v4"
UNCHANGED = "paper"
"""The setting's part after + of the reading itself."""


def reacher(data: Data, surrogates: Data) -> Table:
    """Tabulate the ends of these runs (`data`), beside the random policy that Table 1 (`surrogates`) recorded."""
    levels = random_levels(of_scale(surrogates.episodes, surrogates.runs))
    random = float(levels.get(ENVIRONMENT, float("nan")))
    facts, cells = [], []
    for setting, each in scored(data).groupby("setting", sort=False):
        change, below = str(setting).partition("+")[2], int((each["score"] < random).sum())
        facts.append({"change": change, "mean": each["score"].mean(), "seeds": len(each), "below": below})
        cells.append(
            {
                "Changed": change_name(change, UNCHANGED),
                "Last 100 episodes (each seed)": seeds_cell(each),
                "Below the random policy": f"{below} of {len(each)}",
            }
        )
    caption = (
        "PPO without clipping or penalty on Reacher in the chosen reading, and with one of its details changed "
        "(experiments/paper/readings.py): the mean return of the last 100 training episodes, and how many seeds end "
        f"below the random policy ({number(random)}). × marks a run that diverged. Seeds of its own; nothing was "
        "chosen by it."
    )
    title = "What makes the row without clipping or penalty fall on Reacher"
    shown = pd.DataFrame(cells)
    return Table("table1_reacher", titled(title, data), caption, shown, pd.DataFrame(facts), incomplete(data))
