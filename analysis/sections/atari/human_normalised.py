"""Human-normalised Atari scores (an addition): IQM, median and performance profile of each algorithm."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.data import statistics
from analysis.data.completeness import dagger, incomplete, reached, reasons, short, superseded, titled
from analysis.data.load import Data
from analysis.data.published import paper_table6, published
from analysis.sections.atari.figure6 import ALGORITHMS, FULL, comparable_points, ours_at, paper_at, window_in_words
from analysis.style.colours import algorithm_lines
from analysis.style.drawing import DASHES, STYLE, Drawing, legend_of_lines, note_of, sentences, warn
from analysis.style.formats import NOTHING, Table, interval, number

NAN = float("nan")
HIGHEST = 5.0
"""Largest human-normalised score in the profile: a few games lie far above it."""


@dataclass(frozen=True)
class Row:
    """An algorithm from one source, a row of the CSV; scores are human-normalised, NaN if unknown."""

    algorithm: str
    source: str
    games: int
    runs: int
    iqm: float
    """Over the runs; over the games' means if the source has only those."""
    iqm_low: float
    """Stratified bootstrap: NaN below ten seeds."""
    iqm_high: float
    median: float
    """Over the games, of their means over seeds."""
    superseded: int
    """Of the runs."""


def normalised(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `human` to `runs` (columns `game`, `score`): 0 is the random player, 1 the human tester; NaN if unknown."""
    levels = published("atari_human").set_index("game")
    low, high = (runs["game"].map(levels[column]).astype(float) for column in ("random", "human"))
    return runs.assign(human=(runs["score"] - low) / (high - low))


def evenly(runs: pd.DataFrame) -> pd.DataFrame:
    """Return of each game as many of our `runs` as every game has, the first seeds: each game then weighs the same."""
    if runs.empty:
        return runs
    count = runs.groupby("game").size().min()
    return runs.sort_values(["game", "seed"], kind="stable").groupby("game").head(count)


def compared(data: Data, curves: pd.DataFrame, algorithm: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Normalise the smoothed curves of an algorithm at `compared_at`: ours, and the paper's on our games.

    The paper's on all games while there are none of ours.
    """
    frames = compared_at(data)
    ours, paper = (
        normalised(frame[frame["algorithm"] == algorithm]).dropna(subset="human")
        for frame in (ours_at(curves, frames), paper_at(frames))
    )
    ours = evenly(ours)
    return ours, paper[paper["game"].isin(ours["game"])] if len(ours) else paper


def compared_at(data: Data) -> int:
    """Return the last frames at which our runs, when they are done, are comparable with Figure 6; 0 if nowhere."""
    return int(max(comparable_points(data), default=0))


def rows(data: Data, runs: pd.DataFrame, curves: pd.DataFrame) -> list[Row]:
    """List, of each algorithm: both curves where comparable, our last episodes, and the paper's Table 6."""
    end = normalised(paper_table6().reset_index().melt("game", var_name="algorithm", value_name="score"))
    where = f"at {short(compared_at(data))} frames"
    made = []
    for algorithm in ALGORITHMS:
        ours, paper = compared(data, curves, algorithm)
        if len(paper):
            same = ", the same games" if len(ours) else ""
            made.append(_row(algorithm, f"Ours, smoothed, {where}", ours))
            made.append(_row(algorithm, f"Paper's curves {where}{same}", paper))
        last = evenly(normalised(runs[runs["algorithm"] == algorithm]).dropna(subset="human"))
        stopped = f" {reached(data)}" if data.fraction < 1 else ""
        made.append(_row(algorithm, f"Ours, last 100 episodes{stopped}", last))
        made.append(_row(algorithm, f"Paper, Table 6 ({short(FULL)} frames)", end[end["algorithm"] == algorithm]))
    return made


def _row(algorithm: str, source: str, runs: pd.DataFrame) -> Row:
    strata, values = _by_game(runs), runs["human"].to_numpy(dtype=float)
    single = "seed" not in runs  # a mean per game: there are no seeds to resample
    low, high = (NAN, NAN) if single else statistics.stratified_bootstrap(strata, statistics.iqm)
    return Row(
        algorithm,
        source,
        games=len(strata),
        runs=0 if single else len(runs),
        iqm=float(statistics.iqm(values)) if len(values) else NAN,
        iqm_low=low,
        iqm_high=high,
        median=float(np.median([stratum.mean() for stratum in strata])) if strata else NAN,
        superseded=int(superseded(runs).sum()) if "superseded" in runs else 0,
    )


def _by_game(runs: pd.DataFrame) -> list[statistics.Array]:
    return [group["human"].to_numpy(dtype=float) for _, group in runs.groupby("game", sort=True)]


def table(data: Data, runs: pd.DataFrame, curves: pd.DataFrame) -> Table:
    """Tabulate human-normalised IQM and median of each algorithm, ours and the paper's."""
    made = rows(data, runs, curves)
    caption = (
        "Human-normalised scores (an addition: the paper has none). Per game 0 is a random player and 1 a human "
        "tester, as published with Wang et al. 2016. The mean of the last 100 episodes goes with Table 6 once all of "
        "its frames are trained, the smoothed runs with the paper's curves (Figure 6, digitised). "
        f"{window_in_words()}. IQM: "
        "the mean of the middle half of the runs (with a bootstrap interval from ten seeds on; with fewer it would "
        "cover far less than it says); median: over the games, of the means over seeds. Of Table 6 only the means of "
        "the games are known, so its IQM is over those. Ours: of each game as many seeds as every game has, so that "
        "none weighs more. Numbers over other games are not to be compared."
    )
    show = pd.DataFrame(
        {
            "Algorithm": ALGORITHMS[row.algorithm],
            "Source": row.source + "†" * (row.superseded > 0),
            "Games": str(row.games),
            "Runs": str(row.runs or NOTHING),
            "IQM": interval(row.iqm, row.iqm_low, row.iqm_high) if np.isfinite(row.iqm_low) else number(row.iqm, 2),
            "Median of the games": number(row.median, 2),
        }
        for row in made
    )
    games = {frozenset(runs.loc[runs["algorithm"] == algorithm, "game"]) for algorithm in ALGORITHMS}
    notes = ["Ours: not the same games for every algorithm, so not comparable between them."] if len(games) > 1 else []
    title = "Atari in one number per algorithm: human-normalised scores"
    numbers = pd.DataFrame([asdict(row) for row in made])
    return Table(
        "atari_human", titled(title, data), caption, show, numbers, (*notes, *incomplete(data)), text_columns=2
    )


@matplotlib.rc_context(STYLE)
def profile(data: Data, curves: pd.DataFrame) -> Drawing:
    """Draw the share of runs above each human-normalised score: ours (a band from ten seeds on), the paper's dashed."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    pairs = {algorithm: compared(data, curves, algorithm) for algorithm in ALGORITHMS}
    highest = max((frame["human"].max() for pair in pairs.values() for frame in pair if len(frame)), default=1.0)
    thresholds = np.linspace(0.0, float(np.clip(highest, 0.1, HIGHEST)), 201)
    lines = algorithm_lines(ALGORITHMS)
    for algorithm, (ours, paper) in pairs.items():
        colour = lines[algorithm].colour
        if len(paper):
            shares = statistics.performance_profile(paper["human"].to_numpy(dtype=float), thresholds)
            axes.plot(thresholds, shares, color=colour, linewidth=1.2, linestyle=DASHES)
        if len(ours):
            shares = statistics.performance_profile(ours["human"].to_numpy(dtype=float), thresholds)
            if statistics.enough_seeds(_by_game(ours)):
                band = statistics.profile_band(_by_game(ours), thresholds)
                axes.fill_between(thresholds, *band, color=colour, alpha=0.15, linewidth=0)
            axes.plot(thresholds, shares, color=colour, linewidth=2)
    axes.set(xlim=(0, thresholds[-1]), ylim=(0, 1.02), xlabel="Human-normalised score")
    axes.set_ylabel("Share of the runs above it")
    names = {a: name + dagger(pairs[a][0]) for a, name in ALGORITHMS.items()}
    handles = [Line2D([], [], color=lines[a].colour, linewidth=2.2, label=names[a]) for a in names]
    any_ours = any(len(ours) for ours, _ in pairs.values())
    handles += [Line2D([], [], color="#333333", linewidth=2, label="ours")] if any_ours else []
    axes.legend(handles=[*handles, *legend_of_lines(ours=False)])
    note = note_of(data)
    warn(figure, note)
    about, same = "No runs of ours to compare yet.", ""
    if any_ours:
        about, same = "Solid: our finished runs, with a bootstrap band from ten seeds on.", " on the same games"
    caption = (
        "The share of the runs whose human-normalised score lies above the value on the axis, at "
        f"{short(compared_at(data))} frames. {about} Dashed: the paper's runs{same}, digitised. {window_in_words()}."
    )
    caption = " ".join([caption, *reasons(data.trained)])
    return Drawing("atari_profile", "Atari: performance profile", sentences(caption, note), figure)
