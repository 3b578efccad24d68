"""Section 6.4: who wins on how many Atari games (Table 2), and the returns of each game (Table 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.data.completeness import dagger, incomplete, reached, short, titled
from analysis.data.labels import ordered, task
from analysis.data.load import RUN, Data
from analysis.data.published import paper_table6, published, published_figure6
from analysis.data.scores import final_scores
from analysis.sections.atari.figure6 import ALGORITHMS, comparable_points, ours_at, paper_at
from analysis.style.cells import seeds_cell
from analysis.style.formats import NOTHING, Table, number

TIE = "tie"
METRICS = {"training": "all episodes of training", "score": "last 100 episodes"}
"""The two metrics of section 6.4, by their names in `measured` and published/atari_table2.csv."""
INFERRED = {"Pong": "acer"}
"""Ties in Table 6 as printed (both have 20.7) that must have had a winner before rounding.

As printed, A2C wins 1 game, ACER 27, PPO 19, and two tie: Pong and Venture (0.0 of all three). Table 2 has 28 for ACER
and one tie. (Venture for ACER and a tie in Pong would give the same counts, but three equal zeros are likelier.)
"""


def measured(data: Data) -> pd.DataFrame:
    """Return the complete runs: RUN, `game`, `score` (last 100 episodes), `training` (mean over all episodes),
    `diverged_at`, `superseded`.

    `training` is a mean over episodes, not over frames: short episodes, which are often early and poor, count as much
    as long ones.
    """
    complete = data.trained[data.trained["complete"]]
    episodes = data.episodes_in_common
    training = episodes.groupby(RUN, as_index=False).agg(training=("episodic_return", "mean"))
    runs = final_scores(episodes, complete).merge(training, on=RUN, how="left").astype({"training": float})
    about = {name: complete[name].to_numpy() for name in ("diverged_at", "superseded")}
    return runs.assign(game=runs["environment"].map(task), **about)


def counted(data: Data, runs: pd.DataFrame) -> list[str]:
    """List the games on which every planned run of all three algorithms has a score; the others have no winner yet."""

    def sizes(frame: pd.DataFrame) -> pd.DataFrame:
        games = frame.assign(game=frame["environment"].map(task)).groupby(["game", "algorithm"]).size()
        return games.unstack("algorithm").reindex(columns=list(ALGORITHMS))

    planned = sizes(data.trained)
    whole = sizes(runs[runs["score"].notna()]).reindex(planned.index).eq(planned).all(axis=1)
    return ordered((str(game) for game, all_runs in whole.items() if all_runs), tuple(paper_table6().index))


def means(runs: pd.DataFrame, games: Sequence[str], metric: str = "score") -> pd.DataFrame:
    """Return the mean over seeds: a row per game, columns as ALGORITHMS."""
    by_game = runs.groupby(["game", "algorithm"])[metric].mean().unstack("algorithm")
    return by_game.reindex(index=list(games), columns=list(ALGORITHMS)).astype(float)


def printed(values: pd.DataFrame) -> pd.DataFrame:
    """Round to the precision of Table 6: one decimal."""
    return values.map(lambda value: float(f"{value:.1f}"))


def winners(values: pd.DataFrame) -> pd.Series[str]:
    """Return the algorithm with the highest mean per game (row); TIE if several are equal at Table 6's precision."""
    shown = printed(values)
    best = shown.eq(shown.max(axis=1), axis=0)
    won = best.apply(lambda row: str(row.idxmax()) if row.sum() == 1 else TIE, axis=1)
    return pd.Series(won, index=values.index, dtype=str)


def paper_winners() -> pd.Series[str]:
    """Return the winners in the paper's Table 6, with INFERRED for a printed tie that Table 2 does not count as one."""
    won = winners(paper_table6())
    return won.mask(won.index.isin(list(INFERRED)), pd.Series(INFERRED).reindex(won.index))


def count(won: pd.Series[str]) -> dict[str, int]:
    """Count the games that each algorithm won, and the ties."""
    return {name: int((won == name).sum()) for name in (*ALGORITHMS, TIE)}


def table2(data: Data, runs: pd.DataFrame, curves: pd.DataFrame) -> Table:
    """Make Table 2: on how many games each algorithm has the highest mean over its seeds, by both metrics.

    `curves`: of the same runs, from `figure6.smoothed`.
    """
    games, paper = counted(data, runs), published("atari_table2").set_index("metric")
    ours = f"Ours, {reached(data)}" if data.fraction < 1 else "Ours"
    ours += dagger(runs[runs["game"].isin(games)])
    same = ", the same games" if 0 < len(games) < len(paper_table6()) else ""
    rows: list[dict[str, object]] = []
    for metric in METRICS:
        won = winners(means(runs, games, metric))
        rows.append({"metric": metric, "source": ours, "games": len(won), **count(won)})
        if metric == "score" and data.fraction == 1:
            won = paper_winners().loc[games or slice(None)]
            source = f"Paper, counted in Table 6{same}"
            rows.append({"metric": metric, "source": source, "games": len(won), **count(won)})
        whole = {name: int(paper[name][metric]) for name in (*ALGORITHMS, TIE)}
        rows.append({"metric": metric, "source": "Paper, Table 2", "games": sum(whole.values()), **whole})
    rows += _by_curves(data, curves, games) if data.fraction < 1 else []
    caption = (
        "On how many Atari games each algorithm has the highest mean over its seeds, by the two metrics of section "
        "6.4: the average return of an episode over all of training (a mean over episodes, not over frames), and over "
        "the last 100 episodes. A tie: the highest means are equal at the one decimal that Table 6 prints. A game "
        "counts once every planned run of all three algorithms is finished. Runs stopped early are held against the "
        "paper's curves only (Figure 6, digitised), all averaged over the same window of frames."
    )
    title = "Table 2. Games won"
    show = pd.DataFrame([_wins(row) for row in rows])
    notes = (*_ties(runs, games), *_not_counted(data, games), *_about_the_paper(), *incomplete(data))
    return Table("table2", titled(title, data), caption, show, pd.DataFrame(rows), notes, text_columns=2)


def _by_curves(data: Data, curves: pd.DataFrame, games: list[str]) -> list[dict[str, object]]:
    """Count the games won by the smoothed curves at the last point where ours are comparable with the paper's."""
    rows: list[dict[str, object]] = []
    for frames in comparable_points(data)[-1:]:
        same = ", the same games" if games else ""
        ours = ours_at(curves, frames)
        for source, runs, over in (
            (f"Ours{dagger(ours[ours['game'].isin(games)])}", ours, games),
            (f"Paper, Figure 6{same}", paper_at(frames), games or list(paper_table6().index)),
        ):
            won = winners(means(runs, over))
            metric = f"curves at {short(frames)} frames"
            rows.append({"metric": metric, "source": source, "games": len(won), **count(won)})
    return rows


def _wins(row: Mapping[str, object]) -> dict[str, str]:
    counts = {name: str(row[key]) if row["games"] else NOTHING for key, name in {**ALGORITHMS, TIE: "Tie"}.items()}
    metric = str(row["metric"])
    return {"Metric": METRICS.get(metric, metric), "Source": str(row["source"]), "Games": str(row["games"]), **counts}


def _ties(runs: pd.DataFrame, games: list[str]) -> list[str]:
    """Describe the ties among our games."""
    notes = []
    for metric, words in METRICS.items():
        values, equal = printed(means(runs, games, metric)), []
        for game, row in values[winners(values) == TIE].iterrows():
            best = [name for key, name in ALGORITHMS.items() if row[key] == row.max()]
            equal.append(f"{game} ({' = '.join([*best, number(row.max(), 1)])})")
        notes += [f"Ours, tied in {words}: {', '.join(equal)}."] if equal else []
    return notes


def _not_counted(data: Data, games: list[str]) -> list[str]:
    rest = [game for game in paper_table6().index if game not in games]
    if data.problem or not rest:
        return []
    which = ", ".join(rest) if len(rest) <= 12 else f"{len(rest)} of {len(rest) + len(games)}"
    return [f"Games not counted, as not every run of A2C, ACER and PPO is finished: {which}."]


def _about_the_paper() -> list[str]:
    over_frames = published_figure6().mean().groupby(["game", "algorithm"]).mean().unstack()
    plain, frames = count(winners(paper_table6())), count(winners(over_frames))
    shares = ", ".join(f"{name} {frames[key]}" for key, name in ALGORITHMS.items())
    return [
        f"The paper's Table 6 as printed has A2C {plain['a2c']}, ACER {plain['acer']}, PPO {plain['ppo']} and "
        f"{plain[TIE]} ties: Pong (ACER = PPO = 20.7) and Venture (0.0 of all three). Table 2 has 28 for ACER and one "
        "tie: Pong, we infer, went to ACER before rounding.",
        f"A mean over frames is another metric: the digitised curves' would give {shares}, and not Table 2's first "
        "row, in which an episode counts the same whether short or long.",
    ]


def table6(data: Data, runs: pd.DataFrame) -> Table:
    """Make Table 6: the mean return of the last 100 episodes of every game, beside the paper's."""
    paper = paper_table6()
    ours = "ours" if data.fraction == 1 else f"ours {reached(data)}"
    rows, cells = [], []
    for game in ordered([*runs["game"], *paper.index], tuple(paper.index)):
        cell = {"Game": game}
        for algorithm, name in ALGORITHMS.items():
            scores = runs[(runs["game"] == game) & (runs["algorithm"] == algorithm)]
            printed_score = float(paper[algorithm].get(game, np.nan))
            cell |= {f"{name}, {ours}": seeds_cell(scores, 1), f"{name}, paper": number(printed_score, 1)}
            rows.append(
                {
                    "game": game,
                    "algorithm": algorithm,
                    "runs": len(scores),
                    "last_100_episodes": float(scores["score"].mean()),
                    "all_episodes": float(scores["training"].mean()),
                    "diverged": int(scores["diverged_at"].notna().sum()),
                    "paper": printed_score,
                }
            )
        cells.append(cell)
    caption = (
        "Mean return of the last 100 episodes after 40M frames. Ours: the mean over the finished seeds, in brackets "
        "each; × marks a run that diverged, a dash a game without runs. Paper: Table 6 as printed, a mean over three "
        "trials. The CSV has also the mean over all episodes of training, the other metric of Table 2."
    )
    notes = incomplete(data)
    title = titled("Table 6. Returns of the last 100 episodes", data)
    return Table("table6", title, caption, pd.DataFrame(cells), pd.DataFrame(rows), notes)
