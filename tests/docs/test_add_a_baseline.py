"""docs/add-a-baseline.md: its file and its entry are the repository's, and its commands do what it says."""

import re
from pathlib import Path

import pytest

import experiments
from baselines import ALGORITHMS
from experiments.cli.commands import main
from experiments.store.tables import read_episodes
from tests.helpers.processes import forked_workers

REPOSITORY = Path(experiments.__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "add-a-baseline.md").read_text()
FILE, ENTRY = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def ppo(capsys):
    """Call one of the page's commands, with 2,000 steps in place of its budget; returns its output."""

    def call(command):
        with forked_workers():
            assert main(command.replace("--total-timesteps 50000", "--total-timesteps 2000").split()) == 0
        return capsys.readouterr().out

    return call


def test_the_file_is_the_repositorys():
    (path,) = re.findall(r"(?m)^`(baselines/\w+\.py)`:$", PAGE)
    assert (REPOSITORY / path).read_text() == FILE


def test_the_entry_is_the_record_that_lists_it():
    listing = (REPOSITORY / "baselines" / "__init__.py").read_text().partition("ALGORITHMS")[2]
    assert listing.count(ENTRY) == 1
    assert "per-sample-kl" in ALGORITHMS


def test_every_file_that_the_page_names_is_there():
    names = set(re.findall(r"`((?:baselines|experiments|analysis|ppo|tests)/[\w/]+\.py)`", PAGE))
    assert len(names) >= 6
    assert [name for name in names if not (REPOSITORY / name).exists()] == []


def test_its_commands_train_it_beside_ppo_and_compare_the_two(ppo, tmp_path):
    first, second, comparison, _ = re.findall(r"bin/ppo ((?:train|compare) .*)", PAGE)
    for command in (first, second):
        ppo(command)
    for name in ("per-sample-kl", "clipped"):
        tables = [read_episodes(path) for path in (tmp_path / "runs" / name / "stacks").glob("*/episodes.parquet")]
        assert {seed for table in tables for seed in table["seed"]} == {1, 2, 3}
    assert "InvertedPendulum" in ppo(comparison)


def test_its_sweep_trains_a_run_for_each_clip_range(ppo, tmp_path):
    *_, sweep = re.findall(r"bin/ppo (train .*)", PAGE)
    ppo(sweep)
    tables = [read_episodes(path) for path in (tmp_path / "runs" / "sweep" / "stacks").glob("*/episodes.parquet")]
    assert len({setting for table in tables for setting in table["setting"]}) == 3


def test_it_is_in_its_own_protocol_and_not_in_figure_3(ppo):
    options = "--profile quick --results nowhere"
    (own,) = re.findall(r"bin/ppo run (\S+)", PAGE)
    assert "per-sample-kl" in ppo(f"plan {own} {options}")
    assert "per-sample-kl" not in ppo(f"plan figure3 {options}")
