"""Table 1 with other seeds: the probability of the rows' order, and averages over any three of our seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from analysis.data import calibration, intervals, scores, statistics
from analysis.data.completeness import incomplete, titled
from analysis.data.labels import PAPER_SEEDS, setting_name
from analysis.data.load import Data
from analysis.data.published import published
from analysis.sections.table1.table import LOWEST, Table1, estimate, settings, strata
from analysis.style.cells import marks, value_with_interval
from analysis.style.formats import NOTHING, Table, interval, number

HIGH = 0.9
"""A rank correlation that one would call a good agreement of eleven rows."""
NAN = float("nan")


def ranks(data: Data, parts: Table1) -> Table:
    """Tabulate the probability of each rank of Table 1's rows, from the seeds' spreads.

    Each row's mean is drawn 20,000 times from value + error x t(freedom), whose middle 95 % is the row's interval, rows
    independently, and the ranks are counted (`intervals.rank_probabilities`).
    """
    estimates = {setting: estimate(parts.scaled(setting)) for setting in settings(data)}
    known = {setting: of_row for setting, of_row in estimates.items() if np.isfinite(of_row.error)}
    columns = [f"P(rank {rank + 1})" for rank in range(len(known))]
    frame = pd.DataFrame(intervals.rank_probabilities(list(known.values())), columns=columns)
    frame.insert(0, "setting", list(known))
    frame["paper_rank"] = frame["setting"].map(published("table1").set_index("setting")["score"].rank(ascending=False))
    marked = [setting_name(setting) + marks(parts.scaled(setting)) for setting in known]
    show = pd.DataFrame({"Setting": marked, **{column: frame[column].map(_two) for column in columns}})
    show["Paper's rank"] = frame["paper_rank"].map(lambda rank: number(rank, 1).removesuffix(".0"))
    caption = (
        "The probability that a row of Table 1 has each rank (1: the highest mean), as far as the spread of all its "
        f"seeds tells: each row's mean is drawn {intervals.DRAWS:,} times from the t distribution whose middle 95 % is "
        "the row's interval, rows independently, and the ranks are counted. The paper's rank is that of its printed "
        "score; rows that are equal there share a rank. Rows without an interval are left out."
    )
    title = "How sure the order of Table 1 is"
    notes = (*calibration.notes(parts.runs), *incomplete(data))
    return Table("table1_ranks", titled(title, data), caption, show, frame, notes)


def more_than_three(parts: Table1, rows: Sequence[str]) -> list[str]:
    """List the rows with more than three seeds in each of the seven environments."""
    counts = {row: min(map(len, strata(parts.scaled(row)))) for row in rows}
    return [row for row, seeds in counts.items() if seeds > len(PAPER_SEEDS)]


@dataclass(frozen=True)
class Triples:
    """Averages over three seeds in each environment of a row of Table 1; a row of the CSV."""

    setting: str
    seeds: int
    """The fewest in an environment."""
    three: float
    """On seeds 1, 2, 3."""
    ours: float
    """On all seeds."""
    low: float
    """The central 95 % of `statistics.triples_of_seeds`."""
    median: float
    high: float
    paper: float
    share_at_most_paper: float
    paper_inside: bool
    marks: str


def triples(parts: Table1, rows: Sequence[str]) -> list[Triples]:
    """Compute, for the rows with more than three seeds, the averages over any three of them."""
    paper = published("table1").set_index("setting")["score"]
    generator = np.random.default_rng(statistics.SEED)
    return [
        _triples(setting, parts, float(paper.get(setting, NAN)), generator) for setting in more_than_three(parts, rows)
    ]


def _triples(setting: str, parts: Table1, paper: float, generator: np.random.Generator) -> Triples:
    runs = parts.scaled(setting)
    drawn = statistics.triples_of_seeds(strata(runs), generator)
    low, high = statistics.central(drawn)
    return Triples(
        setting,
        seeds=min(map(len, strata(runs))),
        three=estimate(scores.papers_seeds(runs)).value,
        ours=estimate(runs).value,
        low=low,
        median=float(np.median(drawn)),
        high=high,
        paper=paper,
        share_at_most_paper=float((drawn <= paper).mean()) if np.isfinite(paper) else NAN,
        paper_inside=low <= paper <= high,
        marks=marks(runs),
    )


def three_seeds(data: Data, parts: Table1) -> Table:
    """Tabulate each row's averages over any three of its seeds, beside the paper's score."""
    rows = triples(parts, settings(data))
    caption = (
        "Table 1 with other seeds. The paper's score is an average over the seven environments of three seeds each. So "
        "in each environment one of all triples of our seeds is drawn, all equally likely; environments independently, "
        "as equal seeds of two environments have only their number in common. The row is the mean over the "
        f"environments, on the scale of Table 1. Of {statistics.RESAMPLES:,} such averages: the median, the central 95 "
        "%, and the share at or below the paper's score. Triples of n seeds differ less than those of new seeds: their "
        "deviation is smaller by the factor √(1 − 3/n), 0.84 for ten seeds and 0.63 for five."
    )
    title = "Table 1 with any three of our seeds"
    notes = (*_below_untrained(parts), *calibration.notes(parts.runs), *incomplete(data))
    show, frame = pd.DataFrame([_cells(row) for row in rows]), pd.DataFrame([asdict(row) for row in rows])
    return Table("table1_three_seeds", titled(title, data), caption, show, frame, notes)


def _cells(row: Triples) -> dict[str, str]:
    known = np.isfinite(row.paper)
    return {
        "Setting": setting_name(row.setting) + row.marks,
        "Seeds": str(row.seeds),
        "Seeds 1, 2, 3": _two(row.three),
        "All seeds": _two(row.ours),
        "Any three: median [central 95 %]": interval(row.median, row.low, row.high),
        "Paper": _two(row.paper),
        "At or below the paper": f"{number(100 * row.share_at_most_paper, 1)} %" if known else NOTHING,
        "Paper inside": ("yes" if row.paper_inside else "no") if known else NOTHING,
    }


def _below_untrained(parts: Table1) -> list[str]:
    """Count the seeds of the row without clipping or penalty that end below the untrained policy on HalfCheetah."""
    runs = parts.scaled(LOWEST)
    cheetah = runs[runs["task"] == "HalfCheetah"]
    below = f"{int((cheetah['by_run'] < 0).sum())} of {len(cheetah)} seeds end below the untrained policy"
    return [f"{setting_name(LOWEST)}, HalfCheetah: {below}{marks(cheetah)}."] if len(cheetah) else []


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of rows of Table 1 with the paper's: of one table, or the median of many."""

    of: str
    value: float
    low: float = NAN
    """The central 95 % of many."""
    high: float = NAN
    share_high: float = NAN
    """Of many, those that reach HIGH."""


def correlations(parts: Table1, rows: Sequence[str]) -> list[Correlation]:
    """Correlate `rows`, which the paper has, with the paper's: on seeds 1, 2, 3, on all, and on three drawn anew."""
    paper = published("table1").set_index("setting")["score"]
    in_paper = [float(paper[row]) for row in rows]
    runs = [parts.scaled(row) for row in rows]
    three, every = [estimate(scores.papers_seeds(of_row)).value for of_row in runs], [estimate(r).value for r in runs]
    generator = np.random.default_rng(statistics.SEED)
    drawn = np.array([statistics.resampled_triples(strata(of_row), generator) for of_row in runs]).T
    apart = [0.0 if row == LOWEST else a - b for row, a, b in zip(rows, in_paper, every, strict=True)]
    return [
        Correlation("Seeds 1, 2, 3", statistics.rank_correlation(three, in_paper)),
        Correlation("All seeds", statistics.rank_correlation(every, in_paper)),
        _of_many("Three of our seeds, drawn anew", statistics.rank_correlations(drawn, in_paper)),
        _of_many(
            "The same, were the paper's scores the true means",
            statistics.rank_correlations(drawn + np.array(apart), in_paper),
        ),
    ]


def _of_many(of: str, values: statistics.Array) -> Correlation:
    return Correlation(of, float(np.median(values)), *statistics.central(values), float((values >= HIGH).mean()))


def correlation(data: Data, parts: Table1) -> Table:
    """Tabulate the rank correlation of the rows with the paper's, also with three seeds a row drawn anew."""
    printed = set(published("table1")["setting"])
    rows = [row for row in more_than_three(parts, settings(data)) if row in printed]
    made = correlations(parts, rows)
    caption = (
        f"Spearman's rank correlation of {len(rows)} rows of Table 1 with the paper's. Drawn anew: "
        f"{statistics.RESAMPLES:,} tables in which each row has three of its seeds in each environment, with "
        "replacement, rows and environments independently; the median, the central 95 % and the share of tables that "
        f"reach {HIGH:g}. Last row: the same tables, each row moved so that its mean over all seeds is the paper's "
        f"printed score (but “{setting_name(LOWEST)}”, whose spread is that of single falls, stays where it is): what "
        "noise alone leaves of a correlation of 1. Resampling n seeds gives √(1 − 1/n) of the spread of new ones, 0.95 "
        "for ten seeds and 0.89 for five."
    )
    show = pd.DataFrame(
        {
            "Of": [row.of for row in made],
            "Rank correlation [central 95 %]": [value_with_interval(row.value, row.low, row.high) for row in made],
            f"At least {HIGH:g}": [
                f"{number(100 * row.share_high, 0)} %" if np.isfinite(row.share_high) else NOTHING for row in made
            ],
        }
    )
    title = "Rank correlation of Table 1's rows with the paper's"
    notes = (*calibration.notes(parts.runs), *incomplete(data))
    frame = pd.DataFrame([asdict(row) for row in made])
    return Table("table1_correlation", titled(title, data), caption, show, frame, notes)


def _two(value: float) -> str:
    return number(value, 2)
