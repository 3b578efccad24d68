"""The paper's claims: a judge's verdict follows from the data, and from nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.claims import CLAIMS, Evidence, table
from analysis.data.labels import ENVIRONMENTS, SETTINGS

EMPTY = Evidence(
    pd.DataFrame(columns=["setting", "task", "by_run"]),
    pd.DataFrame(columns=["algorithm", "task", "by_run", "last_tenth"]),
    None,
    pd.DataFrame(),
)
NOISE = (-0.02, 0.0, 0.02)


def table1(value: Callable[[str, str], float], seeds: int = 3) -> Evidence:
    rows = [
        {"setting": setting, "task": task, "by_run": value(setting, task) + noise}
        for setting in SETTINGS
        for task in ENVIRONMENTS
        for noise in NOISE[:seeds]
    ]
    return dataclasses.replace(EMPTY, surrogates=pd.DataFrame(rows))


def figure3(value: Callable[[str, str], float]) -> Evidence:
    rows = [
        {"algorithm": name, "task": task, "by_run": value(name, task) + noise, "last_tenth": value(name, task)}
        for name in ("ppo", "a2c", "a2c-trust-region", "cem", "vpg", "trpo")
        for task in ENVIRONMENTS
        for noise in NOISE
    ]
    return dataclasses.replace(EMPTY, algorithms=pd.DataFrame(rows))


def verdict(words: str, evidence: Evidence) -> tuple[str, str]:
    (claim,) = (claim for claim in CLAIMS if words in claim.sentence)
    found = claim.judge(evidence)
    return found.verdict, found.ours


def as_the_paper(setting: str, task: str) -> float:
    if setting == "none":
        return -3.0 if task == "HalfCheetah" else 0.1
    return {"clip-0.2": 0.8, "clip-0.1": 0.6, "clip-0.3": 0.6}.get(setting, 0.4)


def test_there_are_a_dozen_each_with_its_section() -> None:
    assert len(CLAIMS) == 12
    assert all(claim.section and claim.sentence.endswith(".") for claim in CLAIMS)


def test_without_data_nothing_is_said() -> None:
    assert set(table(EMPTY).shown["Verdict"]) == {"no data"}
    assert table(EMPTY).title == "The paper's 12 claims: 12 have no data yet"


def test_what_the_reading_was_chosen_by_is_marked() -> None:
    shown = table(table1(as_the_paper)).shown.set_index("Section")["Verdict"]
    assert shown["6.1"] == "agrees‡"
    assert shown["4"] == "agrees"
    assert shown["3, Figure 2"] == "no data"


@pytest.mark.parametrize("words", ["ratios perform best", "ε = 0.2", "KL penalty", "is the worst", "is negative"])
def test_a_table_like_the_papers_agrees(words: str) -> None:
    assert verdict(words, table1(as_the_paper))[0] == "agrees"


def test_another_order_differs_and_says_which() -> None:
    turned = table1(lambda setting, task: 0.9 if setting == "fixed-kl-3" else as_the_paper(setting, task))
    assert verdict("ratios perform best", turned) == ("differs", "highest: Fixed KL, β = 3, 0.90")
    assert verdict("KL penalty", turned)[0] == "differs"
    mild = table1(lambda setting, task: 0.2 if setting == "none" else as_the_paper(setting, task))
    assert verdict("is negative", mild)[0] == "differs"


def test_which_tasks_fall_is_told() -> None:
    (claim,) = (claim for claim in CLAIMS if "is negative" in claim.sentence)

    def told(**falls: float) -> tuple[str, str, str]:
        found = claim.judge(table1(lambda setting, task: falls.get(task, 0.1) if setting == "none" else 0.5))
        return found.verdict, found.ours.partition("; ")[2], found.sure

    deeper = told(HalfCheetah=-3.0, Reacher=-4.0)
    assert deeper[:2] == ("differs", "below 0: Reacher, −4.00; HalfCheetah, −3.00")
    assert deeper[2] == "HalfCheetah ends below the untrained policy, but Reacher deeper"
    assert told(Reacher=-4.0)[2] == "HalfCheetah does not end below the untrained policy"
    assert told()[1] == "below 0: no task"


def test_what_the_seeds_do_not_decide_is_open() -> None:
    wide = table1(lambda setting, task: 0.0)
    wide.surrogates["by_run"] *= 20
    wide.surrogates.loc[wide.surrogates["setting"] == "clip-0.1", "by_run"] -= 0.01
    wide.surrogates.loc[wide.surrogates["setting"] == "fixed-kl-1", "by_run"] += 0.01
    assert verdict("ε = 0.2", wide)[0] == "open"
    assert verdict("KL penalty", wide)[0] == "open"
    assert verdict("KL penalty", table1(as_the_paper, seeds=1))[0] == "open"


def test_ppo_against_the_others() -> None:
    ahead = figure3(lambda name, task: 0.9 if name == "ppo" else 0.5)
    for words in ("almost all", "than TRPO", "other online"):
        assert verdict(words, ahead)[0] == "agrees"
    behind = figure3(lambda name, task: 0.9 if name == "trpo" else 0.5)
    assert verdict("almost all", behind)[0] == "differs"
    assert verdict("than TRPO", behind)[0] == "differs"
    beaten = figure3(lambda name, task: {"ppo": 0.7, "vpg": 0.9}.get(name, 0.5))
    assert verdict("other online", beaten)[0] == "differs"
    four = figure3(lambda name, task: 0.9 if (name == "ppo") == (task in ENVIRONMENTS[:4]) else 0.5)
    assert verdict("almost all", four)[0] == "differs"
    assert "4 of 7 tasks" in verdict("almost all", four)[1]


def test_what_chose_the_reading_does_not_decide_for_ppo() -> None:
    """A lead on HalfCheetah and InvertedPendulum alone, however sure, leaves the claims open."""
    chosen = ("HalfCheetah", "InvertedPendulum")
    lead = figure3(lambda name, task: 0.9 if name == "ppo" and task in chosen else 0.5)
    assert verdict("than TRPO", lead)[0] == "open"
    assert verdict("other online", lead)[0] == "open"
    (claim,) = (claim for claim in CLAIMS if "than TRPO" in claim.sentence)
    assert claim.judge(lead).sure.endswith("on the 5 tasks that chose nothing 0.00 [−0.02, 0.02]")
    rows = table1(lambda setting, task: 0.8 if setting == "clip-0.2" and task in chosen else 0.4)
    assert verdict("KL penalty", rows)[0] == "open"


def test_agreement_by_calibration_is_counted_apart() -> None:
    assert "5 agree (1 by calibration‡)" in table(table1(as_the_paper)).title


def test_equal_algorithms_differ_from_a_claim_that_one_is_better() -> None:
    assert verdict("than TRPO", figure3(lambda name, task: 0.5))[0] == "differs"


def test_the_clipped_objective_is_compared_at_every_point() -> None:
    x = np.array([0.0, 0.5, 1.0, 1.5])
    rows = {"seed": 1, "interpolation": x, "kl": 0.02 * x, "surrogate_cpi": x, "surrogate_clip": [0.0, 0.4, 0.6, 0.1]}
    line = pd.concat([pd.DataFrame(rows), pd.DataFrame(rows).assign(seed=2, kl=0.022 * x)])
    good = dataclasses.replace(EMPTY, line=line)
    assert verdict("lower bound", good)[0] == "agrees"
    assert verdict("0.02", good)[0] == "agrees"
    above = dataclasses.replace(EMPTY, line=line.assign(surrogate_clip=line["surrogate_clip"] + 0.2))
    assert verdict("lower bound", above) == ("differs", "L_CLIP is at most L_CPI at 50% of 8 points")
    far = dataclasses.replace(EMPTY, line=line.assign(kl=0.2))
    assert verdict("0.02", far)[0] == "differs"


def games(training: list[str], score: list[str]) -> Evidence:
    """So many games of a kind as the two lists repeat to: 49."""
    won = pd.DataFrame({"training": (training * 49)[:49], "score": (score * 49)[:49]})
    return dataclasses.replace(EMPTY, games=won)


def test_games_are_counted() -> None:
    won = games(["ppo", "ppo", "a2c"], ["ppo", "acer", "ppo"])
    assert verdict("favours fast learning", won) == ("agrees", "PPO (Clip) 33, A2C 16, of 49 games")
    assert verdict("ACER wins", won)[0] == "differs"


def test_some_of_the_games_decide_nothing() -> None:
    few = dataclasses.replace(EMPTY, games=games(["ppo"], ["acer"]).games[:3])
    assert verdict("favours fast learning", few)[0] == "open"
    assert verdict("ACER wins", few)[0] == "open"
