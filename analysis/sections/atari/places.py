"""Whether our smoothed curves lie ahead of the paper's three, among them or behind them, and how far outside.

The rule: a curve's level is its mean over the points that all finished runs of ours reach (of readings: the runs of
all readings of the game), ours being first averaged over the seeds. Ours is ahead if its level is above those of all
three of the paper's curves at the same points, behind if it is below all three, and else among them. How far: to the
nearest of the three levels, also as a share of what the paper's algorithm gains over a random player in all 40M frames
(Table 6). A distance below 0.05, which one decimal does not show, counts as none.

Of four curves that differ only by chance, one is above or below the other three in a quarter of the cases each; the
mean of two or three such curves in a fifth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.completeness import incomplete, superseded, titled
from analysis.data.labels import frames_per_step, ordered, task
from analysis.data.load import RUN, Data
from analysis.data.published import paper_table6, published, published_figure6
from analysis.sections.atari.figure6 import ALGORITHMS, POINTS, window_in_words
from analysis.style.formats import NOTHING, Table, number, signed

UNSEEN = 0.05
"""A distance that the table's one decimal does not show."""
PLACES = ("ahead", "among them", "behind")
READINGS = {
    "default": "Table 5, other details as in ppo2 but for its clipped values",
    "ppo2": "Table 5, other details as in ppo2",
    "ppo1": "Table 5, other details as in ppo1",
    "a3c": "the network of [Mni+16]",
}
"""The settings of the protocol `atari-readings`."""


@dataclass(frozen=True)
class Row:
    """A game with one algorithm and setting, a row of the CSV."""

    setting: str
    game: str
    algorithm: str
    runs: int
    first: int
    """frames of the first point"""
    last: int
    ours: float
    """level: the mean over the points, and over the seeds"""
    paper_lowest: float
    paper_middle: float
    paper_highest: float
    place: str
    """one of PLACES"""
    outside: float
    """from `outside`"""
    share: float
    """of the paper's gain over a random player; NaN if it gains nothing"""
    points_ahead: int
    points_among: int
    points_behind: int
    superseded: int


def points_of(runs: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Select the POINTS that all finished `runs` (rows of `figure6.smoothed`) reach; a run that diverged has its last
    value at every later point."""
    ends = runs.groupby(RUN)["step"].max()
    going = runs[runs["diverged_at"].isna()].groupby(RUN)["step"].max()
    return np.asarray(POINTS[(going.min() if len(going) else ends.max()) >= POINTS])


def finished(curves: pd.DataFrame) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Group the rows of finished runs in `curves` (`figure6.smoothed`) by setting, game and algorithm."""
    complete = curves[curves["complete"].astype(bool)]
    return {(str(s), str(g), str(a)): rows for (s, g, a), rows in complete.groupby(["setting", "game", "algorithm"])}


def outside(ours: float, lowest: float, highest: float) -> float:
    """Return how far our level lies above the paper's highest or below its lowest; 0 among them, and below UNSEEN."""
    distance = ours - min(max(ours, lowest), highest)
    return distance if abs(distance) >= UNSEEN else 0.0


def place(distance: float) -> str:
    """Return the place that goes with a distance from `outside`."""
    return PLACES[0] if distance > 0 else PLACES[2] if distance < 0 else PLACES[1]


def rows(curves: pd.DataFrame, together: bool = False) -> list[Row]:
    """Compare the finished runs in `curves`, in the paper's order of games; settings of a game at the same points, if
    they are put `together`."""
    groups = finished(curves)
    games = ordered((game for _, game, _ in groups), tuple(paper_table6().index))
    settings = ordered((setting for setting, _, _ in groups), tuple(READINGS))
    keys = [(s, g, a) for a in reversed(ALGORITHMS) for g in games for s in settings if (s, g, a) in groups]
    rows_made = []
    for key in keys:
        beside = [groups[other] for other in keys if other[1:] == key[1:]] if together else [groups[key]]
        rows_made.append(_row(*key, groups[key], points_of(pd.concat(beside))))
    return rows_made


def _row(setting: str, game: str, algorithm: str, runs: pd.DataFrame, points: npt.NDArray[np.int64]) -> Row:
    each = runs.pivot_table(index="step", columns=RUN, values="mean_return").reindex(points).ffill()
    ours = each.mean(axis=1).to_numpy(dtype=float)
    paper = published_figure6()[game][algorithm].reindex(points / 1e6).to_numpy(dtype=float)
    level, levels = float(ours.mean()), sorted(paper.mean(axis=0))
    distance = outside(level, levels[0], levels[-1])
    counts = [place(outside(mine, theirs.min(), theirs.max())) for mine, theirs in zip(ours, paper, strict=True)]
    random = float(published("atari_human").set_index("game")["random"].get(game, np.nan))
    gain = float(paper_table6()[algorithm].get(game, np.nan)) - random
    return Row(
        setting,
        game,
        algorithm,
        runs=each.shape[1],
        first=int(points[0]),
        last=int(points[-1]),
        ours=level,
        paper_lowest=levels[0],
        paper_middle=float(np.median(levels)),
        paper_highest=levels[-1],
        place=place(distance),
        outside=distance,
        share=distance / gain if gain > 0 else float("nan"),
        points_ahead=counts.count(PLACES[0]),
        points_among=counts.count(PLACES[1]),
        points_behind=counts.count(PLACES[2]),
        superseded=int(superseded(runs).any()),
    )


RULE = (
    "Ours: our curve, averaged over the seeds and over all points that every seed reaches. Paper: the same mean of "
    "each of its three curves (Figure 6, digitised). Ours lies ahead if it is above all three, behind if it is below "
    "all three; outside: its distance from the nearest of them, also as a share of what the paper's algorithm gains "
    "over a random player in 40M frames (Table 6). Points: at how many of them ours is ahead, among the three, behind. "
    "Of four curves that differ only by chance, one is above the others in a quarter of the cases, below in another; a "
    "mean of two or three seeds in a fifth"
)


def places(data: Data, curves: pd.DataFrame) -> Table:
    """Tabulate the place of every game of ours; `curves`: from `figure6.smoothed`."""
    made = rows(curves)
    caption = f"{RULE}. {window_in_words()}."
    title = titled("Atari beside the paper's curves: ahead, among them or behind", data)
    return _table("atari_places", title, caption, made, (*_counts(made), *unseen(data, curves), *incomplete(data)))


def readings(data: Data, curves: pd.DataFrame) -> Table:
    """Tabulate PPO in each reading of section 6.4; `curves`: from `figure6.smoothed`."""
    made = sorted(rows(curves, together=True), key=lambda row: row.game)
    caption = (
        "PPO with four readings of section 6.4. What Table 5 omits as in openai/baselines' ppo2 (2017-11), but with "
        "the value loss of equation 9, which clips nothing: all other tables have this. As in ppo2, which clips how "
        "far values move. As in its ppo1 (2017-08). And the first with the network that the paper cites in place of "
        f"the one in OpenAI's code. All readings of a game at the same points. {RULE}. {window_in_words()}."
    )
    title = titled("Atari in four readings of section 6.4", data)
    return _table("atari_readings", title, caption, made, (*unseen(data, curves), *incomplete(data)), by_setting=True)


def unseen(data: Data, curves: pd.DataFrame) -> list[str]:
    """Name the finished runs that have no comparable point, because they diverged before it."""
    seen = set(curves[RUN].itertuples(index=False, name=None))
    diverged = data.trained[data.trained["diverged_at"].notna() & data.trained["algorithm"].isin(list(ALGORITHMS))]
    lost = [run for run in diverged.to_dict("records") if tuple(run[name] for name in RUN) not in seen]
    frames = [frames_per_step(run["environment"]) * run["diverged_at"] / 1e6 for run in lost]
    return [
        f"Not compared: {ALGORITHMS[run['algorithm']]} on {task(run['environment'])}, seed {run['seed']}, which "
        f"diverged after {millions:.1f}M frames, before a comparable point."
        for run, millions in zip(lost, frames, strict=True)
    ]


def _table(
    name: str, title: str, caption: str, made: Sequence[Row], notes: tuple[str, ...], by_setting: bool = False
) -> Table:
    cells = [
        {
            "Game": row.game,
            **({"PPO with": READINGS.get(row.setting, row.setting)} if by_setting else {}),
            **({} if by_setting else {"Algorithm": ALGORITHMS[row.algorithm]}),
            "Ours lies": row.place + "†" * (row.superseded > 0),
            "Seeds": str(row.runs),
            "Frames": f"{row.first / 1e6:g}M to {row.last / 1e6:g}M",
            "Ours": number(row.ours, 1),
            "Paper": " · ".join(number(level, 1) for level in (row.paper_lowest, row.paper_middle, row.paper_highest)),
            "Outside": signed(row.outside, 1) if row.outside else "0",
            "Of the gain": f"{signed(100 * row.share, 1)} %" if np.isfinite(row.share) and row.outside else NOTHING,
            "Points": f"{row.points_ahead} / {row.points_among} / {row.points_behind}",
        }
        for row in made
    ]
    data = pd.DataFrame([asdict(row) for row in made])
    return Table(name, title, caption, pd.DataFrame(cells), data, notes, text_columns=3)


def _counts(made: Sequence[Row]) -> list[str]:
    """Count the places of each algorithm, a sentence each."""
    sentences = []
    for algorithm, name in reversed(ALGORITHMS.items()):
        mine = [row for row in made if row.algorithm == algorithm]
        parts = [
            f"{there} on {len(games)} ({', '.join(games)})"
            for there in PLACES
            for games in [[row.game for row in mine if row.place == there]]
            if games
        ]
        if mine:
            sentences.append(f"{name}, {len(mine)} game{'s' * (len(mine) != 1)}: {', '.join(parts)}.")
    return sentences
