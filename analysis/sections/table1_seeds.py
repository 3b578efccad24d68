"""What the seeds behind Table 1 can tell: how sure the rows' order is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data import calibration, intervals
from analysis.data.completeness import incomplete, titled
from analysis.data.labels import setting_name
from analysis.data.load import Data
from analysis.data.published import published
from analysis.sections.table1 import Table1, estimate, settings
from analysis.style.cells import marks
from analysis.style.formats import Table, number


def ranks(data: Data, parts: Table1) -> Table:
    """Tabulate how sure the order of Table 1's rows is: the probability of each rank, from the seeds' spreads.

    Each row's mean is drawn 20,000 times from value + error x t(freedom), whose middle 95 % is the row's interval, rows
    independently, and the ranks are counted (`intervals.rank_probabilities`).
    """
    estimates = {setting: estimate(parts.scaled(setting)) for setting in settings(data)}
    known = {setting: of_row for setting, of_row in estimates.items() if np.isfinite(of_row.error)}
    columns = [f"P(rank {rank + 1})" for rank in range(len(known))]
    frame = pd.DataFrame(intervals.rank_probabilities(list(known.values())), columns=columns)
    frame.insert(0, "setting", list(known))
    frame["paper_rank"] = frame["setting"].map(published("table1").set_index("setting")["score"].rank(ascending=False))
    marked = [setting_name(setting) + marks(parts.scaled(setting)) for setting in known]
    show = pd.DataFrame({"Setting": marked, **{column: frame[column].map(_two) for column in columns}})
    show["Paper's rank"] = frame["paper_rank"].map(lambda rank: number(rank, 1).removesuffix(".0"))
    caption = (
        "The probability that a row of Table 1 has each rank (1: the highest mean), as far as the spread of all its "
        f"seeds tells: each row's mean is drawn {intervals.DRAWS:,} times from the t distribution whose middle 95 % is "
        "the row's interval, rows independently, and the ranks are counted. The paper's rank is that of its printed "
        "score; rows that are equal there share one. Rows without an interval are left out."
    )
    title = "How sure the order of Table 1 is"
    notes = (*calibration.notes(parts.runs), *incomplete(data))
    return Table("table1_ranks", titled(title, data), caption, show, frame, notes)


def _two(value: float) -> str:
    return number(value, 2)
