"""A CSV file of every run's score, for other tools (docs/rliable.md reads it)."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.data import calibration, scores
from analysis.data.completeness import superseded
from analysis.data.load import Data

COLUMNS = (
    "protocol",
    "algorithm",
    "setting",
    "environment",
    "seed",
    "steps",
    "score",
    "last_tenth",
    "normalised",
    "remark",
)


def every_score(protocols: Iterable[Data]) -> pd.DataFrame:
    """List every complete run of the trained policies, a row each, as COLUMNS.

    `steps`: environment steps of its training. `score`: mean return of its last 100 episodes, raw; `last_tenth`: mean
    of its curve over the last tenth of its budget. `normalised`: `score` on Table 1's scale over the runs of its
    protocol (0: the untrained policy, 1: the best single run, both of the paper's seeds if any of them is planned),
    empty if no untrained level is recorded. `remark`: "superseded", "calibration" or "tuned" if its setting was chosen
    on this task (`analysis.data.calibration`), "diverged"; several are joined by a space.
    """
    pieces = [_of_protocol(data) for data in protocols]
    frame = pd.concat([piece for piece in pieces if len(piece)] or [pd.DataFrame(columns=list(COLUMNS))])
    return frame[list(COLUMNS)].reset_index(drop=True)


def _of_protocol(data: Data) -> pd.DataFrame:
    runs = scores.scored(data)
    return runs.assign(
        protocol=data.protocol,
        steps=(data.fraction * runs["total_timesteps"]).round().astype("int64"),
        normalised=scores.normalised_scores(
            runs,
            scores.random_levels(scores.of_scale(data.episodes, data.runs)),
            scores.best_runs(scores.of_scale(runs, data.runs)),
        ),
        remark=_remarks(runs),
    )


def _remarks(runs: pd.DataFrame) -> list[str]:
    keys = ["algorithm", "setting", "task"]
    chose = {key: [choice.word for choice in calibration.choices(alike)] for key, alike in runs.groupby(keys)}
    keyed = zip(*(runs[key] for key in keys), strict=True)
    marked = zip(superseded(runs), keyed, runs["diverged_at"].notna(), strict=True)
    return [" ".join(["superseded"] * old + chose[key] + ["diverged"] * diverged) for old, key, diverged in marked]
