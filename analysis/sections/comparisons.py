"""The tables beside Figures 2 and 3."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data import calibration
from analysis.data.completeness import dagger, incomplete, titled
from analysis.data.labels import ALGORITHMS, ENVIRONMENTS, algorithm_name, ordered
from analysis.data.load import Data, drawn_in_paper, paper_final, published
from analysis.data.scores import scored
from analysis.sections.table1 import paper_cell, seeds_cell
from analysis.style.formats import NOTHING, Table, number, signed

# Figure 2's curves: our column, the digitised file's column, and the label of the paper's legend.
CURVES = (
    ("kl", "KL", "E[KL]"),
    ("surrogate_cpi", "L_CPI", "L_CPI = E[r A]"),
    ("surrogate_clipped", "E[clip(r)A]", "E[clip(r, 1−ε, 1+ε) A]"),
    ("surrogate_clip", "L_CLIP", "L_CLIP"),
)


def figure2(data: Data, rows: pd.DataFrame | None) -> Table:
    """Figure 2 in numbers: each curve at the updated policy (x = 1), at x = 2, and where it is largest.

    `rows` is interpolation.parquet (None if there is none); ours is the mean over its seeds.
    """
    paper = published("fig2_curves")
    cells, facts = [], []
    for column, digitised, label in CURVES:
        theirs = _points(paper["interp"], paper[digitised])
        ours = dict.fromkeys(theirs, float("nan"))
        if rows is not None and not rows.empty:
            mean = rows.groupby("interpolation")[column].mean()
            ours = _points(pd.Series(mean.index.to_numpy(dtype=float)), mean.reset_index(drop=True))
        facts.append({"curve": column, **ours, **{f"paper_{name}": value for name, value in theirs.items()}})
        cells.append({"Curve": label, **_shown("ours", ours, dagger(data.trained), "‡"), **_shown("paper", theirs)})
    seeds = 0 if rows is None else rows["seed"].nunique()
    caption = (
        "Figure 2 in numbers: surrogate objectives between the policy before the first update (x = 0) and after it "
        f"(x = 1), Hopper. Ours: mean over seeds ({seeds}). Paper: digitised from Figure 2. The maximum is taken over "
        "the points of the curve; a maximum at x = 2 only means that the curve still rises there."
    )
    title, notes = "Figure 2 in numbers", (calibration.FIGURE2, *incomplete(data))
    return Table("figure2", titled(title, data), caption, pd.DataFrame(cells), pd.DataFrame(facts), notes)


def figure3(data: Data) -> Table:
    """Figure 3 in numbers, like with like: the mean over the last 100k steps; and the last-100-episodes score."""
    runs = scored(data)
    algorithms = ordered([*data.trained["algorithm"], *drawn_in_paper()], ALGORITHMS)
    cells, facts = [], []
    for name in ENVIRONMENTS:
        for algorithm in algorithms:
            mine = runs[(runs["task"] == name) & (runs["algorithm"] == algorithm)]
            theirs, band = paper_final(name, algorithm)
            last = mine.assign(score=mine["last_tenth"])
            ours = float(last["score"].mean())
            facts.append(
                {
                    "environment": name,
                    "algorithm": algorithm,
                    "runs": len(mine),
                    "last_100_episodes": float(mine["score"].mean()),
                    "last_tenth": ours,
                    "paper_last_100k": theirs,
                    "paper_band_halfwidth": band,
                    "difference": ours - theirs,
                }
            )
            cells.append(
                {
                    "Environment": name,
                    "Algorithm": algorithm_name(algorithm),
                    "Ours, last 100 episodes": seeds_cell(mine) + calibration.marks(mine),
                    "Ours, last tenth": seeds_cell(last) + calibration.marks(mine),
                    "Paper, last 100k": paper_cell(name, algorithm),
                    "Ours − paper": signed(ours - theirs),
                }
            )
    caption = (
        "Returns at the end of training, Figure 3. Last 100 episodes: mean return of a run's last 100 training "
        "episodes. Last tenth: mean of a run's curve (episodes ended in each hundredth of the budget) over the last "
        "tenth of its budget, which at 1M steps is the last 100k, as the paper's curve is read. In brackets each seed; "
        "× marks a run that diverged. Paper: digitised from Figure 3, with the half width of its shaded band, whose "
        "meaning and number of seeds the paper does not state; its one TRPO stands beside both of ours. Ours − paper "
        "compares the last tenth."
    )
    title = "Figure 3 in numbers"
    show, numbers = pd.DataFrame(cells), pd.DataFrame(facts)
    notes = (*calibration.notes(runs), *incomplete(data))
    return Table("figure3", titled(title, data), caption, show, numbers, notes, text_columns=2)


def _points(x: pd.Series[float], y: pd.Series[float]) -> dict[str, float]:
    """The curve at x = 1 and x = 2 (linear between its points), its largest value, and the x of that."""
    xs, ys = x.to_numpy(dtype=float), y.to_numpy(dtype=float)
    return {
        "at_1": float(np.interp(1.0, xs, ys)),
        "at_2": float(np.interp(2.0, xs, ys)),
        "maximum": float(ys.max()),
        "maximum_at": float(xs[ys.argmax()]),
    }


def _shown(who: str, points: dict[str, float], mark: str = "", chose: str = "") -> dict[str, str]:
    """The cells of a curve; `chose`: the mark of what a choice looked at."""
    peak = f"{number(points['maximum'], 4)} at {number(points['maximum_at'], 2)}"
    return {
        f"x = 1, {who}": number(points["at_1"], 4) + mark + (chose if np.isfinite(points["at_1"]) else ""),
        f"x = 2, {who}": number(points["at_2"], 4) + mark,
        f"Maximum, {who}": (peak if np.isfinite(points["maximum"]) else NOTHING) + mark,
    }
