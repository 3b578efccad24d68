"""A card beside each saved policy: which run it is, its score, and where that is not known."""

import json
import shutil
from dataclasses import replace

import pytest

import ppo
from experiments.cli.commands import main
from experiments.policies.cards import write_cards
from experiments.run import known_settings
from tests.helpers.commands import SECONDS
from tests.helpers.processes import forked_workers

NAME = "InvertedPendulum-v4_ppo"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Real results, small: PPO on InvertedPendulum, with the policies that `ppo run` keeps."""
    folder = tmp_path_factory.mktemp("cards") / "results"
    profile = replace(SECONDS, total_timesteps=2048, figure3_algorithms=("ppo",))
    flags = ["--profile", "quick", "--workers", "1", "--results", str(folder)]
    with forked_workers():
        assert main(["run", "figure3", *flags], {"quick": profile}) == 0
    return folder


@pytest.fixture
def results(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "results")


def rows_of(card):
    """The card's table."""
    lines = [line.strip("|").split("|") for line in card.splitlines() if line.startswith("| ")]
    return {name.strip(): value.strip() for name, value in lines[1:]}


def test_it_says_which_run_it_is_and_its_score(results):
    rows = rows_of((results / "policies" / f"{NAME}.md").read_text())
    (seed,) = rows["seed"]
    episodes = ppo.results(results).query("setting != 'untrained' and seed == @seed", local_dict={"seed": int(seed)})
    last = episodes["episodic_return"].to_list()[-100:]
    assert len(episodes) > 100
    assert rows["score"] == f"{sum(last) / 100:,.1f}, the mean return of its last 100 training episodes"
    assert (rows["environment"], rows["steps"]) == ("InvertedPendulum-v4", "2,048 of 2,048")
    (run,) = [
        run
        for run in json.loads((results / "figure3/manifest.json").read_text())["runs"]
        if run["seed"] == int(seed) and run["setting"] != "untrained"
    ]
    assert rows["commit"] == run["commit"]
    assert f"    clip_coef = {run['settings']['clip_coef']}\n" in (results / "policies" / f"{NAME}.md").read_text()


def test_all_are_listed_with_their_scores(results):
    listed = (results / "policies" / "README.md").read_text()
    rows = rows_of((results / "policies" / f"{NAME}.md").read_text())
    (row,) = [line for line in listed.splitlines() if line.startswith("| InvertedPendulum-v4 ")]
    cells = ["InvertedPendulum-v4", f"[ppo]({NAME}.md)", "clip-0.2", rows["seed"], rows["score"]]
    assert row == f"| {' | '.join(cells)} |"
    assert listed.count("v4 | [ppo]") == len(list((results / "policies").glob("*.pt")))


def test_a_superseded_run_is_marked(results):
    path = results / "figure3" / "manifest.json"
    manifest = json.loads(path.read_text())
    for run in manifest["runs"]:
        run["superseded"] = "a fault | of \x1b[2J ours"
    path.write_text(json.dumps(manifest))
    shutil.rmtree(results / "stacks")
    write_cards(results, known_settings())
    assert (
        "**Superseded**, to be trained again: a fault | of \\x1b[2J ours"
        in (results / "policies" / f"{NAME}.md").read_text()
    )


def test_a_policy_whose_run_is_not_recorded_says_so_and_what_is_no_policy_has_no_card(results):
    shutil.rmtree(results / "figure3")
    shutil.rmtree(results / "stacks")
    (results / "policies" / "other.pt").write_bytes(b"not a policy")
    write_cards(results, known_settings())
    assert rows_of((results / "policies" / f"{NAME}.md").read_text())["score"] == "not recorded in this folder"
    assert not (results / "policies" / "other.md").exists()
