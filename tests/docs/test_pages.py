"""README.md and docs/ name what there is, and hold the numbers that were measured."""

import ast
import json
import re
import statistics
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import experiments
from analysis.data.published import published
from baselines import ALGORITHMS
from experiments.paper.games import TWELVE
from experiments.paper.protocols import PROTOCOLS, select
from experiments.paper.readings import DEFAULT, DETAILS
from tests.helpers.documented import DOCUMENTED

ROOT = Path(experiments.__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import fill_docs  # noqa: E402

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
ROOMS = "ppo|baselines|experiments|analysis|tests|tools"


def name_of(path):
    return str(path.relative_to(ROOT))


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


# README


def test_readme_says_the_measured_speed():
    """Medians over the blocks of Stable-Baselines3's time over ours."""
    samples = json.loads((ROOT / "results/throughput/samples.json").read_text())["ppo"]

    def times(environment, name):
        blocks = zip(samples[environment]["Stable-Baselines3"], samples[environment][name], strict=True)
        return f"{statistics.median(theirs / ours for theirs, ours in blocks):.1f}"

    text = " ".join((ROOT / "README.md").read_text().split())
    stacks, runs = (
        [times(environment, name) for environment in ("HalfCheetah-v4", "Hopper-v4")]
        for name in ("stack of 33", "stack of 1")
    )
    assert f"{stacks[0]} and {stacks[1]} times as fast as Stable-Baselines3" in text
    assert f"a single run {runs[0]} and {runs[1]} times" in text


def test_readme_is_short():
    """README has at most 1,000 words, and trains an agent within 300."""
    text = (ROOT / "README.md").read_text()
    start = text.partition("## What came out")[0]
    assert len(text.split()) <= 1000
    assert len(start.split()) <= 300
    for command in ("make benchmark", "make figures", "ppo train", "ppo evaluate"):
        assert command in start


# Links and names


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_links_lead_to_files_that_are_there(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", without_code(page.read_text()))
    relative = [target for target in targets if "://" not in target]
    assert [target for target in relative if not (page.parent / target).exists()] == []
    if page in PAGES:  # a site is made of docs/ alone
        assert [target for target in relative if not (page.parent / target).resolve().is_relative_to(DOCS)] == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_files_that_are_named_are_there(page):
    named = re.findall(rf"`((?:{ROOMS})(?:/[\w.-]+)*)/?`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_site_has_every_page_once():
    def leaves(entries):
        for entry in entries:
            for target in [entry] if isinstance(entry, str) else entry.values():
                yield from [target] if isinstance(target, str) else leaves(target)

    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(leaves(nav)) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_the_picture_has_every_room_of_the_code():
    """A layer, or a folder of one: what a room is divided into is its own affair."""
    texts = ET.parse(DOCS / "architecture.svg").getroot().iter("{http://www.w3.org/2000/svg}text")
    drawn = {text.text for text in texts if text.get("class") == "room"}
    layers = ("ppo", "baselines", "experiments", "analysis")
    inits = [path for layer in layers for depth in ("", "*/") for path in ROOT.glob(f"{layer}/{depth}__init__.py")]
    assert drawn == {name_of(path.parent) for path in inits} - {"experiments", "analysis"}


def test_every_algorithm_is_listed():
    rows = re.findall(r"(?m)^\| `([\w-]+)` \|", (DOCS / "algorithms.md").read_text())
    labelled = [name for name, record in ALGORITHMS.items() if record.label]
    assert sorted(rows) == sorted(labelled)  # each once; a record without a label is a user's


# Details of PPO

DETAILS_PAGE = (DOCS / "implementation-details.md").read_text()
ATARI = (DOCS / "atari.md").read_text()


def definitions(path):
    """The names that a file defines: functions, classes and assignments, and methods as Class.method."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_every_detail_names_a_function_that_is_there():
    places = re.findall(r"`([\w/]+\.py)`: `([\w.]+)`", DETAILS_PAGE)
    rows = [line for line in DETAILS_PAGE.splitlines() if line.startswith("| ") and ".py`" in line]
    assert len(places) == len(rows) > 30
    assert [place for place in places if place[1] not in definitions(ROOT / place[0])] == []


def test_every_detail_that_is_studied_has_its_row():
    assert re.findall(r"(?m)^\|.*\| `([a-z0-9-]+)` \| [^|]+ \|$", DETAILS_PAGE) == list(DETAILS)


# Numbers


def test_pages_hold_what_is_measured():
    written = {name: (DOCS / name).read_text() for name in fill_docs.PAGES}
    assert written == fill_docs.pages(), "run `python tools/fill_docs.py`"
    places = re.findall(r"fill_docs.py: (\w+) -->\n.*?<!-- end -->", "".join(written.values()), re.DOTALL)
    assert sorted(places) == sorted(fill_docs.TABLES)


def test_effects_have_intervals_and_places(tmp_path):
    """An effect is the difference with its interval, and where else it shows."""
    (tmp_path / "effects.csv").write_text(
        "response,detail,level,effect,low,high\n"
        "clip,reward-scaling,reset,-120.4,-300.2,60.1\n"
        "clip,reward-scaling,none,310,120,500\n"
        "none,reward-scaling,reset,-1,-2,1\n"
        "none,reward-scaling,none,-2,-3,-1\n"
        "kl,c1,1,0.001,0.0005,0.002\n"
        "pendulum,c1,1,3,-1,7\n"
    )
    told = fill_docs.effects(tmp_path / "effects.csv")
    assert told["reward-scaling"] == "reset: −120 [−300, 60]; none: +310 [120, 500]; also no clipping or penalty"
    assert told["c1"] == "not measured yet; also KL"
    page = "| c1 | 0.25 | 1 | x | y | `c1` | old |\n| other | `c1` |\n"
    assert fill_docs.filled(page, told) == page.replace("old", told["c1"])


def test_the_games_of_atari_have_the_papers_numbers():
    rows = re.findall(r"(?m)^\| (\w+) \| ([\d.]+) · ([\d.]+) · ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", ATARI)
    assert sorted(game for game, *_ in rows) == sorted(TWELVE)
    ppo = published("fig6_curves").query("algorithm == 'PPO'")
    curves = ppo.set_index(["game", "frames_M", "seed"])["return"].sort_index()
    table6 = published("atari_table6").set_index("game")
    for game, *numbers in rows:
        rise = sorted(curves[game, 4.0] - curves[game, 0.4])
        expected = [*rise, *table6.loc[game, ["a2c", "acer", "ppo"]]]
        assert list(map(float, numbers)) == pytest.approx(expected, abs=0.051), game


def test_protocols_have_the_sizes_that_are_said():
    page = (DOCS / "protocols.md").read_text()
    said = re.findall(r"(?m)^\| `([\w-]+)` \| .* \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", page)
    assert [name for name, *_ in said] == list(PROTOCOLS)
    for name, *numbers in said:
        (protocol,) = select([name], DOCUMENTED["paper"], DEFAULT)
        untrained = sum(run.setting == "untrained" for run in protocol.runs)
        million_steps = sum(run.total_timesteps for run in protocol.runs) // 1_000_000
        sizes = [len(protocol.runs) - untrained, untrained, len(protocol.first_updates), million_steps]
        assert list(map(int, numbers)) == sizes, name
