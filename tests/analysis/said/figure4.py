"""What results/README.md says of section 6.3."""

from __future__ import annotations

import functools

import pandas as pd

from analysis.data.endings import NEVER_UP
from tests.analysis.said.pins import Pin, shown, table


def about_figure_4() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    ended = table("figure4_readings").query("setting == 'details=first,bootstrap_truncation=False'")
    harder = ended.query("task == 'RoboschoolHumanoidFlagrunHarder'")
    assert (harder["never_up"].between(0.23, 0.27)).all(), "a quarter"

    locomotion = ended.query("task == 'RoboschoolHumanoid'")

    def each(column: str, scale: float = 1) -> list[str]:
        return [shown(scale * value, 0) for value in harder[column]]

    def beside(runs: pd.DataFrame) -> tuple[str, ...]:
        ours = [shown(value, 0) for value in runs["last_tenth"]]
        return (*ours, *(shown(runs[name].iloc[0], 0) for name in ("paper_higher", "paper_lower")))

    return [
        here("two runs end RoboschoolHumanoid at {} and {}, where the paper's two have {} and {}", beside(locomotion)),
        here("two runs end Flagrun harder at {} and {}, where the paper's two have {} and {}.", beside(harder)),
        here("Of their last episodes {} and {} % last all 1,000 steps", (*each("whole", 100),)),
        here("and return {} and {}. A quarter end after {} steps", (*each("whole_return"), str(NEVER_UP))),
    ]
