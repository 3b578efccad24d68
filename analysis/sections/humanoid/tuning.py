"""By what rule `figure4-tuning` chooses what Table 4 leaves open: written before its runs were made.

The paper's curves are not looked at, and the runs are compared among themselves:

- A setting's score is the mean over its seeds of the mean return over the last tenth of the run.
- The error of a score is one number for all: the deviation of the seeds of a setting, pooled over the settings, over
  the root of the seeds of one.
- Admitted is what lies below the best score by no more than the standard error of a difference, root 2 errors.
- Of these the one with the fewest changes from the reference is chosen, and of those that change as much the best: the
  short runs see 3 % of a training, so what they do not tell apart stays as it is.
- A setting of which a run diverged is not admitted; while a run is missing nothing is chosen.

The reference is the middle KL target of Table 1, with observations and rewards normalised, as openai/baselines' ppo2
of 2017 had both; section 6.1's reading, chosen on other tasks, scales no rewards. The larger network is compared and
cannot be chosen.

Figure 4's runs take the KL target and the observations from it. Their rewards are those of ppo1, as they are, since
ppo1's details replaced the first runs': a combination that the rule admits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.completeness import incomplete, titled
from analysis.data.labels import values
from analysis.data.load import Data
from analysis.data.scores import scored
from analysis.style.cells import seeds_cell
from analysis.style.formats import NOTHING, Table, number

REFERENCE = {"lr_kl_target": "0.01", "norm_obs": "True", "norm_reward": "reset"}
"""The settings that are chosen, as names of settings have them."""


def judged(data: Data) -> pd.DataFrame:
    """List the tried settings in their order: `setting`, `score`, `seeds`, `changes` (from REFERENCE; NaN of one that
    cannot be chosen), `admitted`, `chosen`."""
    trained, runs = data.trained, scored(data)
    frame = pd.DataFrame({"setting": trained["setting"].unique()})
    by_setting = runs.groupby("setting")["last_tenth"]
    score, seeds, variance = (frame["setting"].map(by_setting.agg(what)) for what in ("mean", "size", "var"))
    whole = {str(name): bool(rows["complete"].all()) for name, rows in trained.groupby("setting")}
    diverged = set(trained.loc[trained["diverged_at"].notna(), "setting"])
    frame["score"] = score.where(frame["setting"].map(whole))
    frame["seeds"] = seeds.fillna(0).astype(int)
    frame["changes"] = frame["setting"].map(_changes)
    able = frame[frame["changes"].notna() & ~frame["setting"].isin(diverged)]
    if able.empty or able["score"].isna().any():
        return frame.assign(admitted=False, chosen=False)
    error = math.sqrt(variance[able.index].mean() / seeds[able.index].min())
    admitted = able[able["score"] >= able["score"].max() - math.sqrt(2) * error]
    first = admitted.sort_values(["changes", "score"], ascending=[True, False], kind="stable").head(1)
    return frame.assign(admitted=frame.index.isin(admitted.index), chosen=frame.index.isin(first.index))


def _changes(setting: str) -> float:
    named = values(setting)
    if named.keys() != REFERENCE.keys():
        return np.nan
    return sum(named[name] != value for name, value in REFERENCE.items())


def chosen(data: Data) -> dict[str, str] | None:
    """Return the settings that are chosen, as text; None while a run is missing."""
    frame = judged(data)
    found = frame.loc[frame["chosen"], "setting"]
    return values(str(found.iloc[0])) if len(found) else None


def table(data: Data) -> Table:
    """Show every setting that was tried, each seed, and which is chosen."""
    runs, numbers = scored(data), judged(data)
    runs["score"] = runs["last_tenth"]
    shown = pd.DataFrame(_row(row, runs[runs["setting"] == row["setting"]]) for row in numbers.to_dict("records"))
    steps = number(float(data.trained["total_timesteps"].max()))
    caption = (
        "What Table 4 leaves open, tried on RoboschoolHumanoid-v0. Mean return of the training episodes over the last "
        f"tenth of {steps} steps, the beginning of a run of 50M: the mean over seeds, in brackets each; × marks a run "
        "that diverged. Admitted: not told apart from the best by one standard error of a difference. Chosen: of the "
        "admitted the one with the fewest changes from the reference (KL target 0.01, observations and rewards "
        "normalised). Figure 4's runs have since left rewards as they are, with the rest of ppo1's details. The larger "
        "network is only compared. The seeds are reported nowhere else."
    )
    title = "What Table 4 leaves open"
    return Table("figure4_tuning", titled(title, data), caption, shown, numbers, incomplete(data), text_columns=4)


def _row(row: Mapping[Any, Any], runs: pd.DataFrame) -> dict[str, str]:
    named = {**REFERENCE, **values(row["setting"])}
    verdict = "chosen" if row["chosen"] else "admitted" if row["admitted"] else NOTHING
    return {
        "KL target": named["lr_kl_target"],
        "Observations": "normalised" if named["norm_obs"] == "True" else "as they are",
        "Rewards": "as they are" if named["norm_reward"] == "none" else "normalised",
        "Network": " ".join(named[name] for name in ("network", "activation") if name in named) or "64-64 tanh",
        "Return": seeds_cell(runs),
        "Verdict": verdict,
    }
