"""What results/README.md says of Figure 3, and README.md with it."""

from __future__ import annotations

import functools

import pandas as pd
from scipy import stats

from tests.analysis.said.pins import Pin, cells, floor, manifest, random_level, rows, shown, table


def about_figure_3() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    trained = [run for run in manifest("figure3") if run["setting"] != "untrained"]
    assert not any(run.get("superseded") for run in trained)
    assert len({run["commit"] for run in trained}) == 1
    seeds = pd.DataFrame(trained).groupby(["algorithm", "environment"])["seed"].nunique().groupby("algorithm").unique()
    assert {name: list(counts) for name, counts in seeds.items()} == {
        **{name: [10] for name in ("ppo", "trpo")},
        **{name: [5] for name in ("a2c", "a2c-trust-region", "cem", "npg", "trpo-2017", "vpg")},
    }
    return [
        here("All {} runs are from one commit", (str(len(trained)),)),
        *about_ppo_beside_the_band(),
        *about_ppo_and_the_others(),
        *about_trpo(),
        *about_a2c_and_cem(),
    ]


def about_ppo_beside_the_band() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    within = ("Hopper", "Swimmer", "Walker2d", "HalfCheetah", "InvertedPendulum")
    tasks = (*within, "Reacher", "InvertedDoublePendulum")
    band = table("figure3_ppo").set_index("environment").loc[list(tasks)]
    assert band["all_seeds"].tolist() == ["within"] * 5 + ["above", "below"]
    assert band["calibration"].tolist() == [False] * 3 + [True] * 2 + [False] * 2

    def beside(name: str, digits: int = 0) -> list[str]:
        return ends("ppo", name, digits)

    for name in tasks:
        mine = rows("scores", protocol="figure3", algorithm="ppo", environment=f"{name}-v4")["last_tenth"]
        edge = float(band.loc[name, ["paper", "band"]] @ [1, -1])
        low, high = stats.t.interval(0.95, len(mine) - 1, mine.mean(), stats.sem(mine))
        assert (low > edge) if name in ("Reacher", "InvertedPendulum") else (low < edge < high), name
    return [
        here("Hopper ({}; the paper {}), Swimmer ({}; {})", (*beside("Hopper"), *beside("Swimmer"))),
        here("and Walker2d ({}; {}) and above", (*beside("Walker2d"),)),
        here("on Reacher ({}; {}), which chose nothing", (*beside("Reacher", 1),)),
        here("on HalfCheetah ({}‡; {})", (*beside("HalfCheetah"),)),
        here("and InvertedPendulum ({}‡; {}), which did", (*beside("InvertedPendulum"),)),
        here("its mean is below ({}; {}). Ten seeds do not decide", (*beside("InvertedDoublePendulum"),)),
    ]


def about_ppo_and_the_others() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    numbers = table("figure3_aggregate").set_index("algorithm")
    apart = numbers["difference"][numbers["p_holm"] < 0.05]
    assert set(apart.index) == {"a2c-trust-region", "cem", "trpo-2017", "vpg"}
    assert (numbers.loc[["a2c", "trpo", "npg"], "p_holm"] > 0.05).all()
    assert (numbers.loc[["a2c", "npg"], "p"] > 0.05).all()
    assert numbers.loc["trpo", "p"] < 0.05
    p_values = [shown(numbers.loc["trpo", name], 2) for name in ("p", "p_holm")]
    by_task = table("figure3")[~table("figure3")["algorithm"].isin(["npg", "trpo-2017"])]
    best = {
        column: by_task.loc[by_task.groupby("environment")[column].idxmax()].set_index("environment")["algorithm"]
        for column in ("last_tenth", "paper_last_100k")
    }
    assert set(best["last_tenth"].index[best["last_tenth"] == "ppo"]) == {"Swimmer", "Walker2d"}
    assert (best["paper_last_100k"] == "ppo").sum() == 5

    def difference(name: str, column: str = "difference") -> tuple[str, ...]:
        return tuple(shown(numbers.loc[name, f"{column}{end}"], 3) for end in ("", "_low", "_high"))

    return [
        here("PPO has {}‡ [{}, {}].", (*cells("figure3_aggregate", "mean mean_low mean_high", 2, algorithm="ppo"),)),
        here("as released in 2017, by {} or more", (shown(apart.min(), 2),)),
        here("better than TRPO too, by {} [{}, {}] (p = {}), after it not ({}), and", (*difference("trpo"), *p_values)),
        here("on the other five it is {} [{}, {}].", difference("trpo", "blind")),
        Pin("README.md", "(PPO less TRPO: {} [{}, {}],", difference("trpo")),
        Pin("README.md", "on the five tasks that chose nothing {} [{}, {}])", difference("trpo", "blind")),
        here("lie too far apart to say, {} [{}, {}].", difference("a2c")),
        here("told apart from the natural gradient, by {} [{}, {}]; A2C's", difference("npg")),
    ]


def about_trpo() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    nearer = table("figure3_trpo").set_index("environment")["nearer"]
    assert set(nearer.index[nearer != "trpo-2017"]) <= {"InvertedPendulum"}
    alike = ("HalfCheetah", "InvertedDoublePendulum", "InvertedPendulum", "Reacher", "Hopper")
    released = [ends("trpo-2017", name) for name in alike]
    band = rows("figure3", algorithm="trpo").set_index("environment")
    swimmer = ends("trpo-2017", "Swimmer")
    gap = float(swimmer[1]) - float(swimmer[0])
    walker = ends("trpo-2017", "Walker2d")
    seeds = rows("scores", protocol="figure3", algorithm="trpo-2017", environment="Walker2d-v4")["last_tenth"]
    assert gap > band.loc["Swimmer", "paper_band_halfwidth"]
    td3 = "TD3 paper, Table 1 (OpenAI Baselines' TRPO, before the fix"
    return [
        here(
            "It ends HalfCheetah at {} (the paper {}), InvertedDoublePendulum at {} ({}), "
            "InvertedPendulum at {} ({}), Reacher at {} ({}) and Hopper at {} ({}), where",
            tuple(number for pair in released for number in pair),
        ),
        here("deviation has {}, {}, {}, {} and {} (", tuple(ends("trpo", name)[0] for name in alike)),
        here("On Swimmer it is {} below the paper ({}; {}).", (shown(gap, 0), *swimmer)),
        here("open**: {} with no seed below {}, where the paper", (walker[0], floor(seeds.min()))),
        here("where the paper has {}. The released", (walker[1],)),
        here("has {} there, as", (elsewhere(td3, "Walker2d"),)),
        here("evaluations, and {} on HalfCheetah", (elsewhere(td3, "HalfCheetah"),)),
    ]


def about_a2c_and_cem() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    a2c = rows("scores", protocol="figure3", algorithm="a2c")
    double = a2c.loc[a2c["environment"] == "InvertedDoublePendulum-v4", "score"]
    reacher = a2c.loc[a2c["environment"] == "Reacher-v4", "score"]
    assert ((double > 1000).sum(), (double < 200).sum()) == (1, 4)
    pendulum = a2c.loc[a2c["environment"] == "InvertedPendulum-v4", "last_tenth"]
    assert ((pendulum < 100).sum(), (pendulum > 900).sum()) == (1, 4)
    assert (reacher < float(random_level("Reacher-v4").replace("−", "-"))).sum() == 1
    good = [ends("a2c", "HalfCheetah"), ends("a2c", "Hopper")]
    return [
        here("good there, {}§ and {}§ (the paper {} and {}).", (good[0][0], good[1][0], good[0][1], good[1][1])),
        here("learns to balance ({}; {}), on", (*ends("a2c", "InvertedDoublePendulum"),)),
        here("one of five falls (to {})", (shown(pendulum.min(), 0),)),
        here("(the mean is {}; {}).", (*ends("a2c", "Reacher"),)),
        here(
            "reaches {}§ on HalfCheetah (the paper {}) and {} on Swimmer ({})",
            (*ends("cem", "HalfCheetah"), *ends("cem", "Swimmer")),
        ),
    ]


def elsewhere(source: str, task: str) -> str:
    frame = table("elsewhere")
    (score,) = frame.loc[frame["source"].str.startswith(source) & (frame["environment"] == task), "score"].unique()
    return shown(float(score), 0)


def ends(algorithm: str, task: str, digits: int = 0) -> list[str]:
    """The mean over all seeds of the last tenth, and the paper's last 100k (its one TRPO's, of both of ours)."""
    (paper,) = rows("figure3", algorithm=algorithm, environment=task)["paper_last_100k"]
    every = rows("scores", protocol="figure3", algorithm=algorithm, environment=f"{task}-v4")["last_tenth"]
    return [shown(float(every.mean()), digits), shown(float(paper), digits)]
