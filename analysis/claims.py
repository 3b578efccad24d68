"""What the paper claims, a sentence each with its section, and what our runs say of it. All of them are in CLAIMS.

The sentences are ours, in fewer words than the paper's. A judge sees the evidence and nothing else; it says what we
found, whether that agrees, and how sure it is. "open": the seeds do not decide it. Chance is measured as everywhere:
t intervals over seeds, tasks fixed (`intervals`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.data import intervals
from analysis.data.calibration import CHOSE_NOTHING
from analysis.data.labels import ENVIRONMENTS, SETTINGS, algorithm_name, setting_name
from analysis.data.published import paper_table6
from analysis.data.scores import by_task
from analysis.style.formats import NOTHING, Table, interval, number, p_value

Verdict = Literal["agrees", "differs", "open", "no data"]

SURE = 0.95
"""From this probability on, or with a p value below 1 - SURE, a claim is called decided."""


@dataclass(frozen=True)
class Evidence:
    """What was measured, as far as it is there."""

    surrogates: pd.DataFrame
    """The complete runs of Table 1: `setting`, `task`, `by_run` (normalised score)."""
    algorithms: pd.DataFrame
    """The complete runs of Figure 3: `algorithm`, `task`, `by_run`, `last_tenth`."""
    line: pd.DataFrame | None
    """Figure 2's rows: `seed`, `interpolation` and the surrogates."""
    games: pd.DataFrame
    """Atari, whole trainings: a row per game that counts, `training` and `score`: who wins by either metric of section
    6.4."""


@dataclass(frozen=True)
class Finding:
    """What a judge found."""

    ours: str
    verdict: Verdict
    sure: str = ""


NO_DATA = Finding(NOTHING, "no data")


@dataclass(frozen=True)
class Claim:
    """One of the paper's."""

    section: str
    sentence: str
    judge: Callable[[Evidence], Finding]
    looked_at: bool = False
    """Whether the reading of the text was chosen by this (‡): then agreement is no evidence."""


def _lower_bound(evidence: Evidence) -> Finding:
    line = evidence.line
    if line is None or line.empty:
        return NO_DATA
    above = line["surrogate_clip"] - line["surrogate_cpi"]
    share = float((above <= 1e-6).mean())
    ours = f"L_CLIP is at most L_CPI at {share:.0%} of {len(line):,} points"
    return Finding(ours, "agrees" if share == 1 else "differs", f"{line['seed'].nunique()} seeds; true of each term")


def _first_update(evidence: Evidence) -> Finding:
    line = evidence.line
    if line is None or line.empty:
        return NO_DATA
    at_1 = line[np.isclose(line["interpolation"], 1.0)].groupby("seed")["kl"].mean().to_numpy(dtype=float)
    mean = line.groupby("interpolation")["surrogate_clip"].mean()
    peak, estimate = float(str(mean.idxmax())), intervals.task_mean([at_1])
    ours = f"KL {interval(estimate.value, *estimate.interval(), 3)}; the mean of L_CLIP is highest at {number(peak, 2)}"
    agrees = abs(peak - 1) <= 0.25 and 0.01 <= estimate.value <= 0.03
    return Finding(
        ours, "agrees" if agrees else "differs", f"{len(at_1)} seeds; agreed: 0.01 to 0.03, within 0.25 of 1"
    )


def _means(runs: pd.DataFrame, column: str, names: list[str]) -> dict[str, intervals.Estimate]:
    """Estimate the mean over tasks of each of `names` that has runs on all seven."""
    found = {}
    for name in names:
        mine = runs[(runs[column] == name) & runs["by_run"].notna()]
        if set(mine["task"]) == set(ENVIRONMENTS):
            found[name] = intervals.task_mean(by_task(mine, "by_run", ENVIRONMENTS))
    return found


def _rank(evidence: Evidence, which: Callable[[str], bool], rank: int, what: str) -> Finding:
    """Judge that a row of Table 1 that is `which` has this rank (0: the highest, -1: the lowest)."""
    means = _means(evidence.surrogates, "setting", list(SETTINGS))
    if len(means) < len(SETTINGS):
        return NO_DATA
    order = sorted(means, key=lambda name: -means[name].value)
    ours = f"{what}: {setting_name(order[rank])}, {number(means[order[rank]].value, 2)}"
    chances = intervals.rank_probabilities(list(means.values()))[:, rank]
    if not np.isfinite(chances).all():
        return Finding(ours, "open", "no interval: one seed")
    chance = float(sum(chances[place] for place, name in enumerate(means) if which(name)))
    verdict: Verdict = "agrees" if chance >= SURE else "differs" if chance <= 1 - SURE else "open"
    return Finding(ours, verdict, f"probability {number(chance, 2)}")


def _clipping_best(evidence: Evidence) -> Finding:
    return _rank(evidence, lambda name: name.startswith("clip-"), 0, "highest")


def _clip_02_best(evidence: Evidence) -> Finding:
    return _rank(evidence, "clip-0.2".__eq__, 0, "highest")


def _none_worst(evidence: Evidence) -> Finding:
    return _rank(evidence, "none".__eq__, -1, "lowest")


def _kl_worse(evidence: Evidence) -> Finding:
    means = _means(evidence.surrogates, "setting", list(SETTINGS))
    penalties = [name for name in means if "kl" in name]
    if "clip-0.2" not in means or not penalties:
        return NO_DATA
    best = max(penalties, key=lambda name: means[name].value)
    return _apart(
        evidence.surrogates, "setting", "clip-0.2", best, f"ε = 0.2 less {setting_name(best)}, the best penalty"
    )


def _apart(runs: pd.DataFrame, column: str, one: str, other: str, what: str) -> Finding:
    """Judge that `one`, a run of PPO as it is compared, is better than `other`: by the difference of their means,
    paired by task, which must hold on the tasks alone that chose nothing too."""
    known = runs[runs["by_run"].notna()]
    apart, blind = (
        intervals.task_difference(*(by_task(known[known[column] == name], "by_run", tasks) for name in (one, other)))
        for tasks in (ENVIRONMENTS, CHOSE_NOTHING)
    )
    if not np.isfinite(apart.value):
        return NO_DATA
    ours = f"{what}: {interval(apart.value, *apart.interval())}"
    p, equal = apart.difference_p(), apart.equivalence_p()
    if not np.isfinite(p):
        return Finding(ours, "open", "no interval: one seed")
    told = (
        f"p {p_value(p)}; equal within {intervals.MARGIN:g}: p {p_value(equal)}; on the {len(CHOSE_NOTHING)} tasks "
        f"that chose nothing {interval(blind.value, *blind.interval())}"
    )
    if p >= 1 - SURE:
        return Finding(ours, "differs" if equal < 1 - SURE else "open", told)
    if apart.value < 0:
        return Finding(ours, "differs", told)
    return Finding(ours, "agrees" if blind.value > 0 and blind.difference_p() < 1 - SURE else "open", told)


def _negative(evidence: Evidence) -> Finding:
    mine = evidence.surrogates[(evidence.surrogates["setting"] == "none") & evidence.surrogates["by_run"].notna()]
    if set(mine["task"]) != set(ENVIRONMENTS):
        return NO_DATA
    tasks = mine.groupby("task")["by_run"].mean()
    estimate = intervals.task_mean(by_task(mine, "by_run", ENVIRONMENTS))
    fallen = [f"{name}, {number(float(score), 2)}" for name, score in tasks[tasks < 0].sort_values().items()]
    ours = f"{interval(estimate.value, *estimate.interval())}; below 0: {'; '.join(fallen) or 'no task'}"
    if tasks["HalfCheetah"] >= 0:
        return Finding(ours, "differs", "HalfCheetah does not end below the untrained policy")
    if tasks.idxmin() != "HalfCheetah":
        return Finding(ours, "differs", f"HalfCheetah ends below the untrained policy, but {tasks.idxmin()} deeper")
    low, high = estimate.interval()
    verdict: Verdict = "agrees" if high < 0 else "differs" if low > 0 else "open"
    return Finding(ours, verdict, "HalfCheetah ends below; the sign of the mean is the interval's to tell")


def _almost_all(evidence: Evidence) -> Finding:
    rivals = ["a2c", "a2c-trust-region", "cem", "vpg", "trpo"]
    runs = evidence.algorithms
    means = runs[runs["algorithm"].isin(["ppo", *rivals])].groupby(["task", "algorithm"])["last_tenth"].mean()
    table = means.unstack("algorithm").reindex(index=list(ENVIRONMENTS), columns=["ppo", *rivals])
    if table.isna().any(axis=None):
        return NO_DATA
    best = table.idxmax(axis=1).astype(str)
    won = int(best.eq("ppo").sum())
    others = [f"{task}: {algorithm_name(str(name))}" for task, name in best[best != "ppo"].items()]
    ours = f"highest mean on {won} of {len(ENVIRONMENTS)} tasks" + (f" ({'; '.join(others)})" if others else "")
    return Finding(ours, "agrees" if won >= 5 else "differs", "counts means over seeds; agreed: five tasks or more")


def _better_than_trpo(evidence: Evidence) -> Finding:
    return _apart(evidence.algorithms, "algorithm", "ppo", "trpo", "PPO less TRPO")


def _better_than_gradients(evidence: Evidence) -> Finding:
    known = {
        name: _apart(evidence.algorithms, "algorithm", "ppo", name, "") for name in ("a2c", "a2c-trust-region", "vpg")
    }
    if any(finding is NO_DATA for finding in known.values()):
        return NO_DATA
    better = [algorithm_name(name) for name, finding in known.items() if finding.verdict == "agrees"]
    sure = "; ".join(
        f"{algorithm_name(name)}{finding.ours}, {finding.sure.partition(';')[0]}" for name, finding in known.items()
    )
    verdicts = {finding.verdict for finding in known.values()}
    verdict: Verdict = "differs" if "differs" in verdicts else "open" if "open" in verdicts else "agrees"
    return Finding(f"better than {len(better)} of {len(known)}: {', '.join(better) or 'none'}", verdict, sure)


def _wins(evidence: Evidence, metric: str, winner: str) -> Finding:
    if evidence.games.empty:
        return NO_DATA
    counts = evidence.games[metric].value_counts()
    ours = ", ".join(f"{algorithm_name(str(name))} {count}" for name, count in counts.items())
    ours, every = f"{ours}, of {len(evidence.games)} games", len(paper_table6())
    if len(evidence.games) < every:
        return Finding(ours, "open", f"{len(evidence.games)} of the paper's {every} games")
    return Finding(ours, "agrees" if counts.idxmax() == winner else "differs", "counts means over seeds")


def _fast_learning(evidence: Evidence) -> Finding:
    return _wins(evidence, "training", "ppo")


def _final_performance(evidence: Evidence) -> Finding:
    return _wins(evidence, "score", "acer")


CLAIMS = (
    Claim("3", "L_CLIP is a lower bound of the unclipped objective L_CPI.", _lower_bound),
    Claim(
        "3, Figure 2",
        "After the first update the KL divergence is about 0.02, and L_CLIP is maximal there.",
        _first_update,
        looked_at=True,
    ),
    Claim("1, 6.1", "Of the surrogate objectives, clipped probability ratios perform best.", _clipping_best),
    Claim("6.1, Table 1", "The best setting is clipping with ε = 0.2.", _clip_02_best),
    Claim("4", "A KL penalty performs worse than clipping.", _kl_worse),
    Claim("6.1, Table 1", "Without clipping or penalty the result is the worst.", _none_worst),
    Claim(
        "6.1",
        "Its score is negative, because of HalfCheetah, where it ends below the untrained policy.",
        _negative,
        looked_at=True,
    ),
    Claim("6.2, Figure 3", "PPO outperforms the previous methods on almost all of the seven tasks.", _almost_all),
    Claim("abstract", "PPO has better sample complexity than TRPO: better after the same steps.", _better_than_trpo),
    Claim(
        "abstract",
        "PPO outperforms other online policy gradient methods: A2C, with a trust region, and vanilla.",
        _better_than_gradients,
    ),
    Claim(
        "6.4, Table 2",
        "On Atari PPO wins most games by the mean over all of training, which favours fast learning.",
        _fast_learning,
    ),
    Claim(
        "6.4, Table 2",
        "By the last 100 episodes, which favour final performance, ACER wins most games.",
        _final_performance,
    ),
)
"""In the paper's order, nearly."""


def table(evidence: Evidence, notes: tuple[str, ...] = ()) -> Table:
    """Tabulate the paper's claims: ours, agreed or not, and how sure; `notes` on how whole the data are."""
    found = [claim.judge(evidence) for claim in CLAIMS]
    marks = ["‡" * (claim.looked_at and one != NO_DATA) for claim, one in zip(CLAIMS, found, strict=True)]
    rows = [
        {
            "Claim of the paper": claim.sentence,
            "Section": claim.section,
            "Ours": one.ours,
            "Verdict": one.verdict + mark,
            "How sure": one.sure,
        }
        for claim, one, mark in zip(CLAIMS, found, marks, strict=True)
    ]
    caption = (
        "The paper's claims in short sentences of ours. Scores are normalised as in Table 1 and in Figure 3 in one "
        "number: means over tasks with 95 % t intervals over the seeds. Agrees, differs: as our runs have it; open: "
        "the seeds do not decide it; no data: runs of it are missing, or superseded. ‡ The reading of what the text "
        "leaves open was chosen by this too, so agreement is no evidence. It was chosen by PPO on HalfCheetah and "
        "InvertedPendulum as well: a difference between PPO and another agrees only if it is there without these two. "
        "p values are not corrected for the number of claims."
    )
    facts = pd.DataFrame(rows).rename(columns=lambda name: name.lower().replace(" ", "_"))
    return Table("claims", headline(found, marks), caption, pd.DataFrame(rows), facts, notes, text_columns=5)


def headline(found: list[Finding], marks: list[str]) -> str:
    """Count the verdicts in a sentence; agreement that is no evidence is counted apart."""
    no_evidence = sum(one.verdict == "agrees" and bool(mark) for one, mark in zip(found, marks, strict=True))
    counts = {
        verdict: sum(one.verdict == verdict for one in found) for verdict in ("agrees", "differs", "open", "no data")
    }
    one = {"agrees": "agrees", "differs": "differs", "open": "is open", "no data": "has no data yet"}
    more = {"agrees": "agree", "differs": "differ", "open": "are open", "no data": "have no data yet"}
    told = [f"{count} {(one if count == 1 else more)[verdict]}" for verdict, count in counts.items() if count]
    if no_evidence:
        told[0] += f" ({no_evidence} by calibration‡)"
    return f"The paper's {len(found)} claims: {', '.join(told)}"
