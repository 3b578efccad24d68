"""The beginning of Flagrun harder with settings changed that Table 4 leaves open: what moves it towards Figure 4."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.endings import WHOLE, endings
from analysis.data.labels import change_name, ordered
from analysis.data.load import RUN, Data
from analysis.data.scores import last_tenth
from analysis.sections.humanoid.figure4 import paper_last_tenth
from analysis.sections.humanoid.readings import ENDS
from analysis.style.cells import seeds_cell
from analysis.style.formats import NOTHING, Table


def ours(data: Data) -> pd.DataFrame:
    """Return the means of our finished runs over the last tenth of the steps that they have in common: RUN, `score`
    and the columns of `endings`."""
    finished = data.trained[data.trained["complete"]]
    episodes = data.episodes.merge(finished[RUN], on=RUN)
    late = episodes[episodes["step"].between(*_span(data), inclusive="right")]
    return last_tenth(late, finished, data.fraction).merge(endings(late), on=RUN)


def papers(data: Data) -> pd.DataFrame:
    """Return the means of the paper's two digitised curves over the same steps: `seed` (which of the two), `score`."""
    (environment,) = data.trained["environment"].unique()
    return pd.DataFrame({"score": paper_last_tenth(environment, data.fraction)}).rename_axis("seed").reset_index()


def _span(data: Data) -> tuple[int, int]:
    """Return the steps between which a number is a mean."""
    last = int(data.fraction * data.trained["total_timesteps"].max())
    return last * 9 // 10, last


def table(data: Data) -> Table:
    """Tabulate each change beside the paper's two runs; at least one run is finished."""
    (environment,) = data.trained["environment"].unique()
    first, last = (step / 1e6 for step in _span(data))
    span = f"{first:g}M to {last:g}M"
    measured, paper = (frame.assign(diverged_at=np.nan) for frame in (ours(data), papers(data)))
    cells = [{"Changed": "the paper's two", span: seeds_cell(paper)}]
    for setting in ordered(measured["setting"], (ENDS,)):
        mine = measured[measured["setting"] == setting]
        shares = {"whole": _shares(mine["whole"]), "never up": _shares(mine["never_up"])}
        cells.append({"Changed": change_name(setting), span: seeds_cell(mine), **shares})
    caption = (
        f"{environment} under v0's rules, with the first runs' details and time limits taken for ends, and then with "
        f"one more setting changed that Table 4 leaves open; beside Figure 4, digitised: the mean return of "
        f"the training episodes from {span} steps, in brackets each run. One seed, the schedules being those of the "
        f"whole training. Beside it: of the same episodes the share that lasted {WHOLE:,} steps, and the share that "
        f"ended on the ground, where they began. Nothing was chosen by it."
    )
    title = "What moves the beginning of Flagrun harder"
    show = pd.DataFrame(cells).fillna(NOTHING)
    return Table("figure4_settings", titled(title, data), caption, show, measured, incomplete(data))


def _shares(each: pd.Series[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in each)
