"""What results/README.md says of section 6.3."""

from __future__ import annotations

import functools

import pandas as pd
from scipy import stats

from analysis.data.endings import NEVER_UP
from tests.analysis.said.pins import Pin, shown, table


def about_figure_4() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    readings = table("figure4_readings")
    cut = readings.query("setting == 'details=first'")
    ended = readings.query("setting == 'details=first,bootstrap_truncation=False'")
    harder = ended.query("task == 'RoboschoolHumanoidFlagrunHarder'")
    assert (harder["never_up"].between(0.23, 0.27)).all(), "a quarter"

    locomotion = ended.query("task == 'RoboschoolHumanoid'")

    now = table("figure4").query("task == 'RoboschoolHumanoid'")
    ours, papers = now["last_tenth"], now[["paper_higher", "paper_lower"]].iloc[0]
    lower = 100 * (1 - ours.mean() / papers.mean())
    assert (ours < papers.min()).all()

    def each(runs: pd.DataFrame, column: str, scale: float = 1) -> list[str]:
        return [shown(scale * value, 0) for value in runs[column]]

    def beside(runs: pd.DataFrame) -> tuple[str, ...]:
        return (*each(runs, "last_tenth"), *(shown(runs[name].iloc[0], 0) for name in ("paper_higher", "paper_lower")))

    return [
        here("ends at {} and {}, where the paper's two have {} and {}", beside(now)),
        here("{} % lower", (shown(lower, 0),)),
        here("Of our last episodes {} and {} % last all 1,000 steps", (*each(now, "whole", 100),)),
        here("and return {} and {}. Two runs", (*each(now, "whole_return"),)),
        here("such a difference is chance (p = {})", (shown(stats.ttest_ind(ours, papers).pvalue, 2),)),
        here("RoboschoolHumanoid at {} and {} where limits are taken for ends", (*each(locomotion, "last_tenth"),)),
        here("and at {} and {} where they cut", (*each(cut, "last_tenth"),)),
        here("Flagrun harder at {} and {}, limits being ends, where the paper's two have {} and {}.", beside(harder)),
        here("Of their last episodes {} and {} % last all 1,000 steps", (*each(harder, "whole", 100),)),
        here("and return {} and {}. A quarter end after {} steps", (*each(harder, "whole_return"), str(NEVER_UP))),
    ]
