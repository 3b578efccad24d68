"""What README.md and results/README.md say came out is what the tables say.

A sentence with numbers stands in tests/analysis/said as a template, with the cells that fill it: filled, it must stand
in the document. What is left of these sections may hold no number with a decimal point, a sign or three digits, but
those of CONSTANTS. So a new number must be pinned, and a table that changes makes the sentences about it fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from experiments.paper.readings import CHOSEN, TRIED
from tests.analysis.said.atari import about_atari
from tests.analysis.said.figure2 import about_figure_2
from tests.analysis.said.figure3 import about_figure_3
from tests.analysis.said.figure4 import about_figure_4
from tests.analysis.said.klip_ppo import about_klip_ppo
from tests.analysis.said.pins import RESULTS, Pin, random_level, rows, table
from tests.analysis.said.readings import about_the_readings, about_the_tuning
from tests.analysis.said.table1 import about_reachers_fall, about_table_1

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


ABOUT: tuple[Callable[[], list[Pin]], ...] = (
    about_table_1,
    about_the_readings,
    about_reachers_fall,
    about_figure_2,
    about_the_tuning,
    about_figure_3,
    about_figure_4,
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
    assert not unpinned, "pin them in tests/analysis/said, to the table that they are from"


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
