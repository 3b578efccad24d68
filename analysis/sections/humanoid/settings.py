"""The beginning of Flagrun harder with settings changed that Table 4 leaves open, and under Roboschool's rules."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.endings import WHOLE, endings
from analysis.data.labels import change_name, ordered, without_arguments
from analysis.data.load import RUN, Data
from analysis.data.scores import last_tenth
from analysis.sections.humanoid.figure4 import paper_last_tenth
from analysis.sections.humanoid.readings import ENDS
from analysis.style.cells import seeds_cell
from analysis.style.formats import NOTHING, Table

HARDER = "RoboschoolHumanoidFlagrunHarder-v0"
RULES = {
    HARDER: "rules of v0, 7 July",
    f"{HARDER}(rules=2)": "rules of 8 July (Figure 4's)",
    f"{HARDER}(rules=1)": "rules of v1, 13 July",
}
"""What the environments of the runs with Figure 4's settings are called."""


def ours(data: Data) -> pd.DataFrame:
    """Return the means of our finished runs over the last tenth of the steps that they have in common: RUN, `score`
    and the columns of `endings`."""
    finished = data.trained[data.trained["complete"]]
    episodes = data.episodes.merge(finished[RUN], on=RUN)
    late = episodes[episodes["step"].between(*_span(data), inclusive="right")]
    return last_tenth(late, finished, data.fraction).merge(endings(late), on=RUN)


def papers(data: Data) -> pd.DataFrame:
    """Return the means of the paper's two digitised curves over the same steps: `seed` (which of the two), `score`."""
    (environment,) = data.trained["environment"].map(without_arguments).unique()
    return pd.DataFrame({"score": paper_last_tenth(environment, data.fraction)}).rename_axis("seed").reset_index()


def _span(data: Data) -> tuple[int, int]:
    """Return the steps between which a number is a mean."""
    last = int(data.fraction * data.trained["total_timesteps"].max())
    return last * 9 // 10, last


def table(data: Data) -> Table:
    """Tabulate each change beside the paper's two runs; at least one run is finished."""
    first, last = (step / 1e6 for step in _span(data))
    span = f"{first:g}M to {last:g}M"
    measured, paper = (frame.assign(diverged_at=np.nan) for frame in (ours(data), papers(data)))
    cells = [{"Runs": "the paper's two", span: seeds_cell(paper)}]
    changed, ruled = measured[measured["setting"] != "default"], measured[measured["setting"] == "default"]
    rows = [(change_name(name), changed[changed["setting"] == name]) for name in ordered(changed["setting"], (ENDS,))]
    rows += [(f"as in Figure 4, {words}", ruled[ruled["environment"] == name]) for name, words in RULES.items()]
    for name, mine in rows:
        if len(mine):
            shares = {"whole": _shares(mine["whole"]), "never up": _shares(mine["never_up"])}
            cells.append({"Runs": name, span: seeds_cell(mine), **shares})
    caption = (
        f"{HARDER} under v0's rules, with the first runs' details and time limits taken for ends, and then with one "
        "more setting changed that Table 4 leaves open; and with Figure 4's details under each of Roboschool's rules "
        "(docs/humanoid.md). Beside Figure 4, digitised: the mean return of the training episodes from "
        f"{span} steps, in brackets each run; the schedules are those of the whole training. Beside it: of the same "
        f"episodes the share that lasted {WHOLE:,} steps, and the share that ended on the ground, where they began. No "
        "setting was chosen by it; Figure 4's rules were."
    )
    title = "What moves the beginning of Flagrun harder"
    show = pd.DataFrame(cells).fillna(NOTHING)
    return Table("figure4_settings", titled(title, data), caption, show, measured, incomplete(data))


def _shares(each: pd.Series[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in each)
