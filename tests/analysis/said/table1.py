"""What results/README.md says of Table 1, and README.md with it."""

from __future__ import annotations

import functools

import pandas as pd

from tests.analysis.said.pins import RESULTS, Pin, manifest, random_level, rows, shown, table


def about_table_1() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    runs = [run for run in manifest("table1") if run["setting"] != "untrained"]
    assert not any(run.get("superseded") for run in runs)
    assert {run["diverged_at"] for run in runs} == {None}
    assert len({run["commit"] for run in runs}) == 1
    ours = rows("table1").set_index("setting")
    others = ours.drop("none")
    assert (others["difference"].abs() < 0.10).all()
    furthest = others["difference"].abs().idxmax()
    assert furthest == "adaptive-kl-0.03"
    correlations = [
        tuple(shown(one[name], 2) for name in ("value", "low", "high"))
        for _, one in table("table1_correlation").iterrows()
    ]
    triple = rows("table1_three_seeds", setting="none").iloc[0]
    assert triple["paper_inside"]
    assert triple["share_at_most_paper"] > 0.9, "near the upper end"
    three = {name: shown(value, 2) for name, value in ours["three"].items()}
    every = {name: shown(value, 2) for name, value in ours["ours"].items()}
    printed = {name: shown(value, 2) for name, value in ours["paper"].items()}
    assert ours["three"].idxmin() == ours["ours"].idxmin() == "none"
    scores = rows("scores", protocol="table1")
    fallen = {}
    for name in ("HalfCheetah", "Reacher"):
        random = random_level(f"{name}-v4")
        none = scores[(scores["environment"] == f"{name}-v4") & (scores["setting"] == "none")]
        assert (none["score"] < float(random.replace("−", "-"))).all()
        assert len(none) == 10
        fallen[name] = (shown(none["score"].mean(), 0), random, shown(none["normalised"].mean(), 2))
    assert highest_on_reacher().min() > -50
    by_task = scores[scores["setting"] == "none"].groupby("environment")["normalised"].mean()
    best_of_others = scores[scores["setting"] != "none"].groupby(["environment", "setting"])["normalised"].mean()
    unfallen = (by_task.drop("Reacher-v4").sum() + best_of_others["Reacher-v4"].mean()) / len(by_task)
    scaled = scores.groupby(["environment", "setting"])["normalised"].mean()
    assert (scaled.drop("none", level="setting") > 0).all()
    clipped = scores.loc[(scores["environment"] == "HalfCheetah-v4") & (scores["setting"] == "clip-0.2"), "score"]
    assert len(clipped) == 10
    assert scores.groupby(["environment", "setting"])["score"].mean()["HalfCheetah-v4"].idxmax() == "clip-0.2"
    assert ((clipped > 2600).sum(), (clipped < 1600).sum()) == (4, 6)
    walker = scaled["Walker2d-v4"].drop("none")
    assert walker.idxmin() == "fixed-kl-0.3"
    assert walker[walker.index.str.contains("kl")].max() < walker[["clip-0.1", "clip-0.2"]].min()
    assert (printed["clip-0.2"], printed["fixed-kl-10"], printed["none"]) == ("0.82", "0.69", "−0.39")
    return [
        here("All {} runs are", (str(len(runs)),)),
        here("d_targ = 0.03, at {} (the paper {}).", (three[furthest], printed[furthest])),
        here("ε = 0.2 has {}‡ (0.82), β = 10 has {} (0.69).", (three["clip-0.2"], three["fixed-kl-10"])),
        here("paper's is {} by the three seeds ({} by all); tables", (correlations[0][0], correlations[1][0])),
        here("anew have {} [{}, {}], and", correlations[2]),
        here("would have {} [{}, {}] if", correlations[3]),
        here("last, at {} by the three seeds where the paper has −0.39 ({} by all).", (three["none"], every["none"])),
        here("were it not for Reacher's fall, the row would be at about {}.", (shown(unfallen, 1).removeprefix("−"),)),
        here("of our seeds give {} [{}, {}]", tuple(shown(triple[name], 2) for name in ("median", "low", "high"))),
        here("HalfCheetah‡, at {} on average (untrained {}), and", fallen["HalfCheetah"][:2]),
        here("on Reacher, at {} (untrained {}), where each had first risen above −50.", fallen["Reacher"][:2]),
        here("the two are at {} and {}; for a row of −0.39", (fallen["HalfCheetah"][2], fallen["Reacher"][2])),
        here("add up to {}.", (shown(7 * float(ours["paper"]["none"]), 2),)),
        here("the highest mean, {}‡, of", (shown(clipped.mean(), 0),)),
        here("end above {}, the others below {}.", ("2600", "1600")),
        here("0.1 and 0.2, at {} and {} on", tuple(shown(walker[name], 2) for name in ("clip-0.1", "clip-0.2"))),
        here("β = 0.3 is lowest, at {}.", (shown(walker["fixed-kl-0.3"], 2),)),
        Pin("README.md", "(ours {}, the paper −0.39)", (three["none"],)),
    ]


def about_reachers_fall() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    ends = table("table1_reacher").set_index("change")
    assert set(ends["seeds"]) == {4}
    few = {name: int(below) for name, below in ends["below"].items() if below < 3}
    assert few == {
        **dict.fromkeys(("step-size=annealed", "reward-scaling=reset", "actions=clipped"), 0),
        **dict.fromkeys(("reward-scaling=never-reset", "time-limits=bootstrap"), 1),
        "value-clipping=0.2": 2,
    }
    assert len(ends) - len(few) == 1 + 6, "unchanged, and six others"
    assert ends["below"]["paper"] == 4
    diverged = [run["setting"] for run in manifest("none-on-reacher") if run["diverged_at"]]
    assert [name.partition("+")[2] in few for name in diverged] == [False]
    means = {name: (shown(value, 0),) for name, value in ends["mean"].items()}
    return [
        here("falls to 0 (at {} on average)", means["step-size=annealed"]),
        here("scaled and reset ({}), nor", means["reward-scaling=reset"]),
        here("clipped actions ({}), whose", means["actions=clipped"]),
    ]


def highest_on_reacher() -> pd.Series[float]:
    """Of each seed without clipping or penalty: its best mean over 50,000 steps."""
    episodes = pd.read_parquet(RESULTS / "table1" / "episodes.parquet")
    episodes = episodes[(episodes["environment"] == "Reacher-v4") & (episodes["setting"] == "none")]
    means = episodes.groupby(["seed", (episodes["step"] - 1) // 50_000])["episodic_return"].mean()
    return means.groupby("seed").max()
