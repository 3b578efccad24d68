"""What results/README.md says of section 6.3."""

from __future__ import annotations

import functools

import pandas as pd
from scipy import stats

from analysis.data.endings import NEVER_UP
from analysis.data.published import published
from tests.analysis.said.pins import RESULTS, Pin, shown, table


def against_the_papers(runs: pd.DataFrame) -> tuple[float, float]:
    """Return by how many percent our runs end higher than the paper's, and the p value. None lies between them."""
    ours, papers = runs["last_tenth"], runs[["paper_higher", "paper_lower"]].iloc[0]
    assert ours.max() < papers.min() or ours.min() > papers.max()
    return 100 * (ours.mean() / papers.mean() - 1), float(stats.ttest_ind(ours, papers).pvalue)


@functools.cache
def on_the_way(task: str, low: float, high: float) -> tuple[list[float], list[float]]:
    """The mean return of the episodes from `low` to `high` million steps in our two runs, and of the paper's curves
    there."""
    episodes = pd.read_parquet(RESULTS / "figure4" / "episodes.parquet")
    millions = episodes["step"] / 1e6
    ours = episodes[(episodes["environment"] == f"{task}-v0(rules=1)") & (low < millions) & (millions <= high)]
    curves = published("fig4_curves")
    papers = curves[(curves["env"] == f"{task}-v0") & (low < curves["timesteps_M"]) & (curves["timesteps_M"] <= high)]
    return list(ours.groupby("seed")["episodic_return"].mean()), list(papers.groupby("run")["return"].mean())


def about_figure_4() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    readings = table("figure4_readings")
    cut = readings.query("setting == 'details=first'")
    ended = readings.query("setting == 'details=first,bootstrap_truncation=False'")
    harder = ended.query("task == 'RoboschoolHumanoidFlagrunHarder'")
    assert (harder["never_up"].between(0.23, 0.27)).all(), "a quarter"

    locomotion = ended.query("task == 'RoboschoolHumanoid'")

    now, flagrun = (
        table("figure4").query("task == @name") for name in ("RoboschoolHumanoid", "RoboschoolHumanoidFlagrun")
    )
    lower, below = against_the_papers(now)
    higher, above = against_the_papers(flagrun)
    ours, papers = on_the_way("RoboschoolHumanoid", 22.5, 27.5)
    assert min(papers) < max(ours), "level half-way: the two pairs overlap"
    assert min(ours) < max(papers), "level half-way: the two pairs overlap"
    ours, papers = on_the_way("RoboschoolHumanoidFlagrun", 45, 50)
    assert 2.5 < sum(ours) / sum(papers) < 3.5, "about three times, in docs/humanoid.md"
    sooner = tuple(shown(value, 0) for value in (*ours, *papers))

    def each(runs: pd.DataFrame, column: str, scale: float = 1) -> list[str]:
        return [shown(scale * value, 0) for value in runs[column]]

    def beside(runs: pd.DataFrame) -> tuple[str, ...]:
        return (*each(runs, "last_tenth"), *(shown(runs[name].iloc[0], 0) for name in ("paper_higher", "paper_lower")))

    return [
        here("ends at {} and {}, where the paper's two have {} and {}", beside(now)),
        here("{} % lower. Half-way ours and theirs are level", (shown(-lower, 0),)),
        here("Of our last episodes {} and {} % last all 1,000 steps", (*each(now, "whole", 100),)),
        here("and return {} and {}. Two runs", (*each(now, "whole_return"),)),
        here("such a difference is chance (p = {})", (shown(below, 2),)),
        here("RoboschoolHumanoidFlagrun** ends at {} and {}, where the paper's two have {} and {}", beside(flagrun)),
        here("{} % higher, and again two runs against two (p = {})", (shown(higher, 0), shown(above, 2))),
        here("from 45M to 50M steps it returns {} and {}, the paper's {} and {}", sooner),
        here(
            "Of our last episodes {} and {} % last all 1,000 steps and return {} and {}. The",
            (*each(flagrun, "whole", 100), *each(flagrun, "whole_return")),
        ),
        here("RoboschoolHumanoid at {} and {} where limits are taken for ends", (*each(locomotion, "last_tenth"),)),
        here("and at {} and {} where they cut", (*each(cut, "last_tenth"),)),
        here("Flagrun harder at {} and {}, limits being ends, where the paper's two have {} and {}.", beside(harder)),
        here("Of their last episodes {} and {} % last all 1,000 steps", (*each(harder, "whole", 100),)),
        here("and return {} and {}. A quarter end after {} steps", (*each(harder, "whole_return"), str(NEVER_UP))),
    ]
