"""Published numbers and curves, of the paper and others, from results/published/ (its README has the sources)."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data.labels import ALGORITHMS, paper_curve, task

PUBLISHED = Path(__file__).parents[1] / "published"
"""In the repository a link to results/published/; in an installed copy the files themselves."""

FIGURE2_CURVES = (
    ("kl", "KL", "E[KL]"),
    ("surrogate_cpi", "L_CPI", "L_CPI = E[r A]"),
    ("surrogate_clipped", "E[clip(r)A]", "E[clip(r, 1−ε, 1+ε) A]"),
    ("surrogate_clip", "L_CLIP", "L_CLIP"),
)
"""Figure 2's curves: our column, the digitised file's column, and the label of the paper's legend."""


def published(name: str) -> pd.DataFrame:
    """Read a table of results/published/ (its README has the sources)."""
    return pd.read_csv(PUBLISHED / f"{name}.csv")


@functools.cache
def published_figure3() -> pd.DataFrame:
    """Read published/fig3_summary.csv, by task and name in the figure's legend: `initial`, `mean_last_100k`, ..."""
    summary = published("fig3_summary")
    return summary.assign(task=summary["env"].map(task)).set_index(["task", "algorithm"]).drop(columns="env")


@functools.cache
def published_figure6() -> pd.DataFrame:
    """Read published/fig6_curves.csv: a row per point (`frames_M`), a column per game, algorithm and seed."""
    curves = published("fig6_curves")
    curves["algorithm"] = curves["algorithm"].str.lower()
    return curves.pivot(index="frames_M", columns=["game", "algorithm", "seed"], values="return").astype(float)


@functools.cache
def published_baselines() -> dict[tuple[str, str], pd.Series[float]]:
    """Read published/atari_baselines.csv: the curve of each game and algorithm over `frames_M`."""
    groups = published("atari_baselines").groupby(["game", "algorithm"])
    return {(str(game), str(name)): curve.set_index("frames_M")["return"] for (game, name), curve in groups}


def paper_final(name: str, algorithm: str) -> tuple[float, float]:
    """Return the end of a curve of the paper's Figure 3, digitised: mean over the last 100k steps and the band's half
    width; (NaN, NaN) if the paper has no such curve.
    """
    summary, key = published_figure3(), (name, paper_curve(algorithm))
    means, bands = summary["mean_last_100k"].astype(float), summary["band_halfwidth_last_100k"].astype(float)
    return float(means.get(key, np.nan)), float(bands.get(key, np.nan))


def drawn_in_paper() -> list[str]:
    """List the algorithms of the paper's Figure 3; if several are compared with one curve, the first."""
    curves = [(paper_curve(algorithm), algorithm) for algorithm in reversed(ALGORITHMS)]
    first = {curve: algorithm for curve, algorithm in curves if curve}
    return [algorithm for algorithm in ALGORITHMS if algorithm in first.values()]


def paper_curves(budget: int) -> pd.DataFrame:
    """Return the paper's Figure 3, digitised, with `task`: its first `budget` environment steps."""
    curves = published("fig3_curves")
    return curves[curves["timestep"] <= budget].assign(task=curves["env"].map(task))


def paper_table6() -> pd.DataFrame:
    """Read the paper's Table 6: a row per game (alphabetical, as in the paper), a column per algorithm."""
    return published("atari_table6").set_index("game").astype(float)
