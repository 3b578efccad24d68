"""What README.md and results/README.md say came out is what the tables say.

A sentence with numbers stands in `pins` as a template, with the cells that fill it: filled, it must stand in the
document. What is left of these sections may hold no number with a decimal point, a sign or three digits, but those of
CONSTANTS. So a new number must be pinned, and a table that changes makes the sentences about it fail.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from analysis.data.published import PUBLISHED
from analysis.data.scores import papers_seeds
from experiments.paper.readings import CHOSEN, TRIED

RESULTS = PUBLISHED.resolve().parent
DOCUMENTS = {"README.md": RESULTS.parent / "README.md", "results/README.md": RESULTS / "README.md"}

CONSTANTS = (  # settings, budgets and definitions, the paper's or ours: no results
    "ε = 0.2",
    "within 0.10 of the paper's scores",
    "gradients at 0.5",
    "200,000 steps",
    "0.00185 ends",
    "gain 0.01",
    "section 6.3",
    "section 6.4",
)
NUMBER = re.compile(r"(?<![\w.])[−±-]?\d+(?:,\d{3})*(?:\.\d+)?[Mk]?(?!\w)")
RESULT = re.compile(r"[.−±]|\d{3}|^-")
"""What makes a number one that must be pinned."""


@dataclass(frozen=True)
class Pin:
    documents: str
    """Where the sentence stands: "both", or one of DOCUMENTS."""
    template: str
    values: tuple[str, ...]

    def sentence(self) -> str:
        return self.template.format(*self.values)


@functools.cache
def table(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / "tables" / f"{name}.csv")


def shown(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def rows(name: str, **where: Any) -> pd.DataFrame:
    frame = table(name)
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame), (name, where)
    return frame


def cells(name: str, columns: str, digits: int, **where: Any) -> list[str]:
    """The named columns of the one row of a table for which `where` holds."""
    frame = rows(name, **where)
    assert len(frame) == 1, (name, where)
    return [shown(float(frame[column].iloc[0]), digits) for column in columns.split()]


def each(digits: int, column: str, **where: Any) -> list[str]:
    """Of the runs of seeds 1, 2, 3 in scores.csv for which `where` holds, in their order."""
    return [shown(value, digits) for value in papers_seeds(rows("scores", **where)).sort_values("seed")[column]]


def mean(digits: int, **where: Any) -> str:
    return shown(float(rows("scores", **where)["score"].mean()), digits)


@functools.cache
def random_level(environment: str, digits: int = 0) -> str:
    episodes = pd.read_parquet(RESULTS / "table1" / "episodes.parquet")
    untrained = papers_seeds(episodes[(episodes["setting"] == "untrained") & (episodes["environment"] == environment)])
    return shown(float(untrained["episodic_return"].mean()), digits)


def manifest(protocol: str) -> list[dict[str, Any]]:
    """Return the records of a protocol's runs."""
    runs: list[dict[str, Any]] = json.loads((RESULTS / protocol / "manifest.json").read_text())["runs"]
    return runs


def planned(protocol: str) -> str:
    return str(len(manifest(protocol)))


def atari(columns: str, algorithm: str, game: str, frames: float) -> list[str]:
    return cells("atari_prefix", columns, 1, algorithm=algorithm, game=game, frames=frames)


def elsewhere(source: str, task: str) -> str:
    frame = table("elsewhere")
    (score,) = frame.loc[frame["source"].str.startswith(source) & (frame["environment"] == task), "score"].unique()
    return shown(float(score), 0)


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
        here("paper's is {}, tables", (correlations[0][0],)),
        here("anew have {} [{}, {}], and", correlations[2]),
        here("would have {} [{}, {}] if", correlations[3]),
        here("last, at {} where the paper has −0.39.", (three["none"],)),
        here("of our seeds give {} [{}, {}]", tuple(shown(triple[name], 2) for name in ("median", "low", "high"))),
        here("HalfCheetah‡, at {} on average (untrained {}), and", fallen["HalfCheetah"][:2]),
        here("on Reacher, at {} (untrained {}), though each first rises above −50.", fallen["Reacher"][:2]),
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
        here("clipped actions ({}), which", means["actions=clipped"]),
    ]


def highest_on_reacher() -> pd.Series[float]:
    """Of each seed without clipping or penalty: its best mean over 50,000 steps."""
    episodes = pd.read_parquet(RESULTS / "table1" / "episodes.parquet")
    episodes = episodes[(episodes["environment"] == "Reacher-v4") & (episodes["setting"] == "none")]
    means = episodes.groupby(["seed", (episodes["step"] - 1) // 50_000])["episodic_return"].mean()
    return means.groupby("seed").max()


def about_figure_2() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    update = table("figure2_update").set_index("curve")
    numbers = update[["paper", "mean", "deviation"]].map(lambda value: shown(value, 4))
    kl, cpi, clipped, clip = (tuple(numbers.loc[curve]) for curve in numbers.index)
    apart = [shown(update.loc[curve, "deviations_away"], 1) for curve in ("surrogate_cpi", "surrogate_clipped")]
    (end,) = rows("figure2", curve="surrogate_clip").to_dict("records")
    all_four = table("figure2_settings").groupby("change")["inside"].all()
    moves = dict(name.split("=") for name in all_four.index[all_four])
    assert len(moves) == all_four.sum(), "one value of each"
    epochs, size, step, lam = (
        moves.pop(name) for name in ("update_epochs", "minibatch_size", "learning_rate", "gae_lambda")
    )
    assert not moves
    return [
        here("with {} epochs instead of ten", (epochs,)),
        here("minibatches of {}, with a step size of {} or with λ = {}, each alone", (size, step, lam)),
        here("the KL, {} (ours {} ± {}, a standard deviation), and", kl),
        here("L_CLIP, {} ({} ± {}).", clip),
        here("L_CPI, {} ({} ± {}), and the clipped surrogate, {} ({} ± {}), by", (*cpi, *clipped)),
        here("by {} and {} deviations.", (*apart,)),
        here("highest at {} (the paper {})", (shown(end["maximum_at"], 2), shown(end["paper_maximum_at"], 2))),
        here("ends at {} ({}).", (shown(end["at_2"], 4), shown(end["paper_at_2"], 4))),
    ]


def about_the_tuning() -> list[Pin]:
    rates = [
        cells("tuning", "score", 0, setting=f"learning_rate=0.00185,anneal_lr={anneal}", task="HalfCheetah")[0]
        for anneal in (False, True)
    ]
    return [Pin("results/README.md", "ends HalfCheetah at {}, and at {} when", (*rates,))]


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

    double = rows("scores", protocol="figure3", algorithm="ppo", environment="InvertedDoublePendulum-v4")["last_tenth"]
    edge = float(band.loc["InvertedDoublePendulum", ["paper", "band"]] @ [1, -1])
    interval = stats.t.interval(0.95, len(double) - 1, double.mean(), stats.sem(double))
    assert interval[0] < edge < interval[1]
    return [
        here("Hopper ({}; the paper {}), Swimmer ({}; {})", (*beside("Hopper"), *beside("Swimmer"))),
        here("and Walker2d ({}; {}) and above", (*beside("Walker2d"),)),
        here("on Reacher ({}; {}), which chose nothing", (*beside("Reacher", 1),)),
        here("on HalfCheetah ({}‡; {})", (*beside("HalfCheetah"),)),
        here("and InvertedPendulum ({}‡; {}), which did", (*beside("InvertedPendulum"),)),
        here("its mean is below ({}; {}), but", (*beside("InvertedDoublePendulum"),)),
        here("lower edge, {}: the 95 % interval is [{}, {}].", (shown(edge, 0), *(shown(end, 0) for end in interval))),
    ]


def about_ppo_and_the_others() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    numbers = table("figure3_aggregate").set_index("algorithm")
    apart = numbers["difference"][numbers["p_holm"] < 0.05]
    assert set(apart.index) == {"a2c-trust-region", "cem", "trpo-2017", "vpg"}
    assert (numbers.loc[["a2c", "trpo", "npg"], "p_holm"] > 0.05).all()
    by_task = table("figure3")[~table("figure3")["algorithm"].isin(["npg", "trpo-2017"])]
    best = {
        column: by_task.loc[by_task.groupby("environment")[column].idxmax()].set_index("environment")["algorithm"]
        for column in ("last_tenth", "paper_last_100k")
    }
    assert set(best["last_tenth"].index[best["last_tenth"] == "ppo"]) == {"Swimmer", "Walker2d"}
    assert (best["paper_last_100k"] == "ppo").sum() == 5

    def difference(name: str) -> tuple[str, ...]:
        return tuple(shown(numbers.loc[name, f"difference{end}"], 3) for end in ("", "_low", "_high"))

    return [
        here("PPO has {}‡ [{}, {}].", (*cells("figure3_aggregate", "mean mean_low mean_high", 2, algorithm="ppo"),)),
        here("as released in 2017, by {} or more", (shown(apart.min(), 2),)),
        here("from TRPO, by {} [{}, {}], nor", difference("trpo")),
        Pin("README.md", "(PPO less TRPO: {} [{}, {}])", difference("trpo")),
        here("lie too far apart to say, {} [{}, {}].", difference("a2c")),
        here("from the natural gradient, by {} [{}, {}]; A2C's", difference("npg")),
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
    assert (reacher < float(random_level("Reacher-v4").replace("−", "-"))).sum() == 1
    good = [ends("a2c", "HalfCheetah"), ends("a2c", "Hopper")]
    return [
        here("good there, {}§ and {}§ (the paper {} and {}).", (good[0][0], good[1][0], good[0][1], good[1][1])),
        here("learns to balance ({}; {}), and", (*ends("a2c", "InvertedDoublePendulum"),)),
        here("(the mean is {}; {}).", (*ends("a2c", "Reacher"),)),
        here(
            "reaches {}§ on HalfCheetah (the paper {}) and {} on Swimmer ({})",
            (*ends("cem", "HalfCheetah"), *ends("cem", "Swimmer")),
        ),
    ]


def ends(algorithm: str, task: str, digits: int = 0) -> list[str]:
    """The mean over all seeds of the last tenth, and the paper's last 100k (its one TRPO's, of both of ours)."""
    (paper,) = rows("figure3", algorithm=algorithm, environment=task)["paper_last_100k"]
    every = rows("scores", protocol="figure3", algorithm=algorithm, environment=f"{task}-v4")["last_tenth"]
    return [shown(float(every.mean()), digits), shown(float(paper), digits)]


def floor(value: float) -> str:
    """The hundred below."""
    return str(int(value // 100 * 100))


def about_klip_ppo() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    cells = table("klip_ppo")
    cells = cells[cells["algorithm"] == "ppo"].set_index(["environment", "setting"])
    missed = cells[(cells["low"] > 0) | (cells["high"] < 0)]
    assert missed.index.tolist() == [("Hopper", "fixed-kl-1")]
    assert set(cells["seeds"]) == {5}
    assert len(cells) == 9
    assert (cells.loc["Hopper", "difference"] < 0).all()
    fixed = tuple(shown(float(missed[column].iloc[0]), 0) for column in ("mean", "published_mean"))
    half = (cells["high"] - cells["low"]) / 2
    runs = rows("scores", protocol="klip-ppo", environment="HalfCheetah-v4").set_index(["algorithm", "setting", "seed"])
    clipped, sampled = (runs["last_tenth"].loc[name, "clip-0.2+klip-ppo"] for name in ("ppo", "per-sample-kl"))
    assert ((clipped > 3200).sum(), (clipped < 1900).sum(), len(clipped)) == (2, 3, 5)
    each = {seed: (shown(sampled[seed], 0), shown(clipped[seed], 0)) for seed in sampled.index}
    return [
        here("where ours has {} and theirs {}.", fixed),
        here("two end above {}, three below {}), a difference", ("3200", "1900")),
        here("a difference of {} would not be seen", (floor(half["HalfCheetah"].min()),)),
        here("on Hopper, not one of {}.", (floor(half.drop(missed.index).drop("HalfCheetah").min()),)),
        here("with the same seed ({} and {}, {} and {}); the third", (*each[302], *each[303])),
        here("ends at {} where clipping has {}.", each[301]),
    ]


def about_atari() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")
    first, last = (f(table("atari_prefix")["frames"]) for f in (min, max))
    ends = f"{first / 1e6:g}M", f"{last / 1e6:g}M"
    halves = [f"{rows('smoothing', figure='Figure 6', family=name)['used'].iloc[0] / 2:g}M" for name in ("PPO", "ACER")]
    ppo = functools.partial(atari, "ours paper_lowest paper_highest baselines", "ppo")
    breakout, pong = ppo("Breakout", last), ppo("Pong", last)
    began, bank = ppo("BankHeist", first), ppo("BankHeist", last)
    acer = [atari("paper ours baselines", "acer", "Breakout", frames) for frames in (first, last)]
    (paper0, ours0, release0), (paper1, ours1, release1) = acer
    human = pd.read_csv(PUBLISHED / "atari_human.csv").set_index("game")
    random = shown(float(human.loc["Breakout", "random"]), 1)
    return [
        here("about {} frames to either side of it (PPO; A2C and ACER about {})", (*halves,)),
        here("up to {} frames.", (ends[1],)),
        here("on Breakout ({} at {} frames; the paper {} to {})", (breakout[0], ends[1], *breakout[1:3])),
        here("Pong ({}; {} to {}), and near openai/baselines' release ({} and {})", (*pong[:3], breakout[3], pong[3])),
        here("among them at {} frames ({}; {} to {})", (ends[0], *began[:3])),
        here("falling behind: {} at {}, where they have {} to {}.", (bank[0], ends[1], *bank[1:3])),
        here("rises from {} to {} between {} and {} frames", (paper0, paper1, *ends)),
        here("ours from {} to {}, as openai/baselines' own does ({} to {})", (ours0, ours1, release0, release1)),
        here("a random player ({})", (random,)),
        here("{} runs of 10M steps", (planned("atari"),)),
    ]


def about_the_readings() -> list[Pin]:
    here = functools.partial(Pin, "results/README.md")

    def effect(digits: int, response: str, detail: str, level: str) -> list[str]:
        return cells("readings_effects", "effect low high", digits, response=response, detail=detail, level=level)

    effects = rows("readings_effects", response="surrogate_cpi")
    others = effects[effects["detail"] != "reward-scaling"].set_index("detail")["effect"].abs()
    assert others.idxmax() == "advantages"
    on_clip = rows("readings_effects", response="clip")
    shown_apart = on_clip[(on_clip["low"] > 0) | (on_clip["high"] < 0)]
    assert shown_apart["detail"].tolist() == ["actions"]
    assert len(on_clip) == 13
    sinks = rows("readings_cells").groupby("gradient-clip")[["none_sinks", "none_runs"]].sum().astype(str)
    chosen = {"protocol": "readings", "setting": f"clip-0.2+{CHOSEN}"}
    fallen = rows("scores", protocol="readings", setting=f"none+{CHOSEN}").sort_values("seed")["score"]
    updates = pd.read_parquet(RESULTS / "readings" / "figure2" / "interpolation.parquet")
    at_1 = updates[(updates["interpolation"] == 1.0) & (updates["setting"] == chosen["setting"])]
    figure2 = rows("figure2", curve="surrogate_cpi")
    paper = rows("figure3", algorithm="ppo").set_index("environment")["paper_last_100k"]
    return [
        here("higher by {} [{}, {}] than", (*effect(4, "surrogate_cpi", "reward-scaling", "none"),)),
        here("another detail is {} [{}, {}].", (*effect(4, "surrogate_cpi", "advantages", "batch"),)),
        here("of {} runs without a gradient clip", (sinks.loc["none", "none_runs"],)),
        here("of {} with it {}.", (sinks.loc["0.5", "none_runs"], sinks.loc["0.5", "none_sinks"])),
        here("an interval without 0, {} [{}, {}].", (*effect(0, "clip", "actions", "clipped"),)),
        here(
            "it has {} on HalfCheetah (the paper {}), {} on InvertedPendulum ({}), and",
            tuple(
                text
                for task in ("HalfCheetah", "InvertedPendulum")
                for text in (mean(0, environment=f"{task}-v4", **chosen), shown(paper[task], 0))
            ),
        ),
        here("penalty {}, {}, {} and {} on HalfCheetah", tuple(shown(value, 0) for value in fallen)),
        here(
            "L_CPI is {} where the paper has {}:",
            (shown(at_1["surrogate_cpi"].mean(), 3), shown(float(figure2["paper_at_1"].iloc[0]), 3)),
        ),
        here(
            "the mean of the four, {}, is",
            (mean(0, protocol="readings-best", environment="HalfCheetah-v4", setting="none+b2"),),
        ),
    ]


ABOUT: tuple[Callable[[], list[Pin]], ...] = (
    about_table_1,
    about_the_readings,
    about_reachers_fall,
    about_figure_2,
    about_the_tuning,
    about_figure_3,
    about_klip_ppo,
    about_atari,
)


def what_came_out(document: str) -> str:
    """The section as one line, without tables, pictures, code, places of links, dates and arXiv numbers."""
    text = DOCUMENTS[document].read_text()
    section = text.partition("## What came out\n")[2].partition("\n## ")[0]
    for noise in (
        r"(?m)^\|.*$",
        r"!\[.*?\]\(.*?\)",
        r"`[^`]*`",
        r"\]\([^)]*\)",
        r"\b20\d\d-\d\d(-\d\d)?\b",
        r"\barXiv \S+",
    ):
        section = re.sub(noise, " ", section)
    return " ".join(section.split())


@pytest.fixture(scope="module")
def pins() -> list[Pin]:
    return [pin for about in ABOUT for pin in about()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_number_is_the_tables(document: str, pins: list[Pin]) -> None:
    text = what_came_out(document)
    sentences = [pin.sentence() for pin in pins if pin.documents in ("both", document)]
    assert not [sentence for sentence in sentences if sentence not in text]
    known = [match.span() for phrase in (*sentences, *CONSTANTS) for match in re.finditer(re.escape(phrase), text)]
    unpinned = [
        text[max(0, match.start() - 40) : match.end()]
        for match in NUMBER.finditer(text)
        if RESULT.search(match.group()) and not any(a <= match.start() and match.end() <= b for a, b in known)
    ]
    assert not unpinned, "pin them above, to the table that they are from"


def test_no_constant_is_out_of_use() -> None:
    texts = [what_came_out(document) for document in DOCUMENTS]
    assert not [phrase for phrase in CONSTANTS if not any(phrase in text for text in texts)]


def test_what_is_said_in_words_holds() -> None:
    """Nothing diverged; the tuning and Figure 2's update; where Atari's games lie beside the paper's; the row without
    clipping or penalty."""
    finals = rows("readings_tasks", reading=CHOSEN).set_index("task")["mean"]
    paper = rows("figure3", algorithm="ppo").set_index("environment")
    low = paper["paper_last_100k"] - paper["paper_band_halfwidth"]
    assert set(finals.index[finals < low[finals.index]]) == {"HalfCheetah", "Swimmer"}
    assert len(finals) == 7
    for reading in ("b1", "b3"):
        (walker,) = rows("readings_tasks", reading=reading, task="Walker2d")["mean"]
        (hopper,) = rows("readings_tasks", reading=reading, task="Hopper")["mean"]
        assert walker < paper["paper_last_100k"]["Walker2d"] / 4
        assert hopper < paper["paper_last_100k"]["Hopper"] / 3
    random = float(random_level("HalfCheetah-v4").replace("−", "-"))
    other = rows("readings_tasks", reading="b2").set_index("task")["mean"]
    assert set(other.index[other < low[other.index]]) == {"HalfCheetah"}
    sunk = rows("scores", protocol="readings-best", setting="none+b2")["score"] < random
    assert (len(sunk), sunk.sum()) == (4, 3)
    changed = {name for name, level in TRIED[CHOSEN].items() if TRIED["b2"][name] != level}
    assert changed == {"step-size", "adam-eps"}
    assert (rows("scores", protocol="readings", setting=f"none+{CHOSEN}")["score"] < random).all()
    for protocol in ("table1", "figure3"):
        assert not rows("scores", protocol=protocol)["remark"].fillna("").str.contains("diverged").any()
    for algorithm in ("trpo", "npg"):
        assert set(rows("tuning", algorithm=algorithm, chosen=True)["norm_reward"]) == {"never-reset"}
    update = table("figure2_update").set_index("curve")
    assert update["inside"].to_dict() == {
        "kl": True,
        "surrogate_cpi": False,
        "surrogate_clipped": False,
        "surrogate_clip": True,
    }
    assert set(update["seeds"]) == {20}
    assert (update["paper"] > update["mean"]).all()
    bank = rows("atari_prefix", game="BankHeist", algorithm="ppo").sort_values("frames")
    assert bank["ours"].between(bank["paper_lowest"], bank["paper_highest"]).tolist()[0]
    assert (bank["ours"] < bank["paper_lowest"]).tolist()[1:] == [True, True, True]
    for game in ("Breakout", "Pong"):
        ppo = rows("atari_prefix", game=game, algorithm="ppo")
        assert (ppo["ours"] > ppo["paper_highest"]).all()
