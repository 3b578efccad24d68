"""The readings that are nearest to the paper: as measured where they are chosen, and on all seven tasks."""

from __future__ import annotations

import pandas as pd

from analysis.data.calibration import LOOKED_AT
from analysis.data.completeness import incomplete, titled
from analysis.data.labels import ENVIRONMENTS
from analysis.data.load import Data
from analysis.data.scores import scored
from analysis.sections.readings import choice
from analysis.sections.readings.model import RAW, RESPONSES, measured, signed_exp
from analysis.sections.readings.report import Study, formatted
from analysis.style.cells import paper_cell
from analysis.style.formats import Table, number


def decided(study: Study, data: Data, updates: pd.DataFrame | None) -> Table:
    """Tabulate the readings with raw actions by their measured distances; `data`, `updates`: of the three best."""
    values = competing(study, data, updates)
    missing = set(RESPONSES) - set(values["response"])
    frame = pd.DataFrame(columns=["reading"]) if missing else choice.decided(values)
    show = pd.DataFrame({"Reading": frame["reading"]})
    for name, response in RESPONSES.items():
        means = values[values["response"] == name].groupby("point")["value"].mean().reindex(frame["reading"])
        show[response.words] = [number(float(signed_exp(v))) if name == "none" else formatted(v, name) for v in means]
    if not missing:
        show["Every seed without clipping or penalty sinks"] = ["yes" if sinks else "no" for sinks in frame["sinks"]]
        show["Distance"] = [
            number(row["distance"], 2) + (" ← chosen" if row["chosen"] else "") for row in frame.to_dict("records")
        ]
    caption = (
        "Every measured reading with raw actions, of the design (p01 to p24) and of the three best predicted (b1 to "
        "b3), by the same distance; the nearest of those under which every seed without clipping or penalty ends below "
        "the random policy on HalfCheetah is the preset's. At first only the three could be chosen; that rule was "
        "widened as analysis/sections/readings/choice.py says. All of this is calibration."
    )
    title = "The readings as measured"
    return Table("readings_decided", titled(title, data), caption, show, frame, incomplete(data))


def competing(study: Study, data: Data, updates: pd.DataFrame | None) -> pd.DataFrame:
    """Return the measured values of every reading with raw actions, each once."""
    designed = study.values[study.values["point"].isin(study.levels.index[study.levels["actions"] == RAW])]
    best = measured(data, updates)
    return pd.concat([designed, best[~best["point"].isin(study.levels.index)]], ignore_index=True)


def on_all_tasks(data: Data) -> Table:
    """Tabulate what the nearest readings do on every task, beside the paper's PPO; `data`: of `readings-best`."""
    runs = scored(data)
    clipped = runs[runs["setting"].str.startswith("clip-0.2+")]
    clipped = clipped.assign(reading=clipped["setting"].str.partition("+")[2])
    means = clipped.groupby(["reading", "task"])["last_tenth"].agg(["mean", "std", "size"])
    rows = []
    for reading in clipped["reading"].drop_duplicates():
        known = {task: means.loc[(reading, task)] for task in ENVIRONMENTS if (reading, task) in means.index}
        cells = {task: f"{number(row['mean'])} ({number(row['std'])})" for task, row in known.items()}
        rows.append({"Reading": reading, **{_named(task): cells.get(task, "–") for task in ENVIRONMENTS}})
    rows.append({"Reading": "paper", **{_named(task): paper_cell(task, "ppo") for task in ENVIRONMENTS}})
    caption = (
        "PPO with ε = 0.2 in the readings nearest to the paper, over the last tenth of the steps: mean over the seeds "
        "(and their standard deviation), beside the end of Figure 3's curve with its band. ‡: the reading was chosen "
        "also by this task; no other was looked at."
    )
    title = titled("The nearest readings on all tasks", data)
    return Table("readings_tasks", title, caption, pd.DataFrame(rows), means.reset_index(), incomplete(data))


def _named(task: str) -> str:
    return task + "‡" * (task in LOOKED_AT["clip-0.2"])
