"""Distances of the paper's TRPO curve to our TRPO and to TRPO as released in 2017."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.completeness import dagger, incomplete, titled
from analysis.data.labels import ENVIRONMENTS, algorithm_name, paper_curve, task
from analysis.data.load import Data
from analysis.data.published import published
from analysis.data.scores import by_seed, mean_curve, papers_seeds, run_curves
from analysis.style.formats import NOTHING, Table, number

VARIANTS = ("trpo", "trpo-2017")
NEAR = 0.1
"""Largest distance that is called near, as a share of the range of the paper's curves."""


def distances(data: Data) -> pd.DataFrame:
    """Compute, per task (row) and variant, the distance of our mean curve to the paper's TRPO curve.

    Both means are over the paper's seeds: a mean curve over more seeds is smoother.

    `distance_*`: mean absolute difference, in returns, over the steps (`points` of them, up to `last_step`) at which
    the paper and every variant with a curve have a value. `relative_*`: the same as a fraction of `paper_range`, from
    the lowest to the highest value of the paper's six curves in that task. `nearer`: the variant with the smaller
    distance; "" unless both are known.
    """
    paper = published("fig3_curves").assign(task=lambda frame: frame["env"].map(task))
    curves, _ = run_curves(data)
    return pd.DataFrame([_distances(name, paper[paper["task"] == name], curves) for name in ENVIRONMENTS])


def _distances(name: str, paper: pd.DataFrame, curves: pd.DataFrame) -> dict[str, object]:
    in_paper = paper[paper["algorithm"] == paper_curve("trpo")]
    ours = {variant: _mean(curves, name, variant) for variant in VARIANTS}
    drawn = pd.DataFrame({variant: curve for variant, curve in ours.items() if curve.notna().any()})
    steps = drawn.index.to_numpy(dtype=float)
    at = np.interp(steps, in_paper["timestep"], in_paper["mean"], left=np.nan, right=np.nan)
    gap = drawn.sub(at, axis=0).abs().dropna()
    span = float(paper["mean"].max() - paper["mean"].min())
    distance = {variant: float(gap[variant].mean()) if variant in gap else np.nan for variant in VARIANTS}
    known = all(np.isfinite(value) for value in distance.values())
    return {
        "environment": name,
        **{f"distance_{variant}": value for variant, value in distance.items()},
        **{f"relative_{variant}": value / span for variant, value in distance.items()},
        "nearer": min(VARIANTS, key=distance.__getitem__) if known else "",
        "paper_range": span,
        "points": len(gap),
        "last_step": int(gap.index.max()) if len(gap) else 0,
    }


def _mean(curves: pd.DataFrame, name: str, variant: str) -> pd.Series[float]:
    drawn = curves[(curves["task"] == name) & (curves["algorithm"] == variant)]
    return mean_curve(by_seed(papers_seeds(drawn[drawn["complete"].astype(bool)])))


def trpo(data: Data) -> Table:
    """Tabulate the distances of TRPO and TRPO as released in 2017 to the paper's TRPO curve."""
    frame = distances(data)
    show = pd.DataFrame({"Environment": frame["environment"]})
    for variant in VARIANTS:
        pairs = zip(frame[f"distance_{variant}"], frame[f"relative_{variant}"], strict=True)
        old = dagger(data.trained[data.trained["algorithm"] == variant])
        show[f"{algorithm_name(variant)}: distance"] = [_cell(*pair) + old for pair in pairs]
    show["Nearer to the paper"] = [algorithm_name(variant) if variant else NOTHING for variant in frame["nearer"]]
    show["Over steps up to"] = [f"{step:,}" if step else NOTHING for step in frame["last_step"]]
    both = frame[frame["nearer"] != ""]
    counts = {variant: int((both["nearer"] == variant).sum()) for variant in VARIANTS}
    verdict = (
        f"On the mean curves the paper's is nearer to {algorithm_name('trpo-2017')} on {counts['trpo-2017']} and to "
        f"{algorithm_name('trpo')} on {counts['trpo']} of the {len(both)} tasks where both have runs."
        if len(both)
        else "There is no task yet where both have runs."
    )
    least = both[[f"relative_{variant}" for variant in VARIANTS]].min(axis=1)
    far = list(both.loc[least > NEAR, "environment"])
    if far:
        verdict += f" On {', '.join(far)} the nearer one too is more than {NEAR:.0%} of the range away."
    caption = (
        "Which of our TRPOs the paper's TRPO curve is nearer to. “As released in 2017” has the settings of OpenAI's "
        "code of that year; its policy's standard deviation stays at 1, but that is not its only difference, so the "
        "distances do not tell which difference makes them. Distance: mean absolute difference, in returns, between "
        "the mean curve of our seeds 1, 2, 3 and the paper's digitised TRPO curve, over the steps that all of them "
        "have; in brackets as a share of the range of the paper's six curves in that task. More seeds than these would "
        "smooth one variant's mean more than the other's. No spread is given: three other seeds could turn a small "
        "lead. "
    )
    title = "Which TRPO the paper's curve is nearer to"
    return Table("figure3_trpo", titled(title, data), caption + verdict, show, frame, incomplete(data))


def _cell(distance: float, relative: float) -> str:
    return f"{number(distance)} ({number(100 * relative, 1)} %)" if np.isfinite(distance) else NOTHING
