"""The records of `baselines.ALGORITHMS`: what they name is there, and what they leave out has a default that works."""

from dataclasses import replace

import pytest

import baselines
from baselines import ALGORITHMS, REFERENCE, Record
from experiments.paper.settings import COMPARED
from experiments.planning.costs import CONSTANTS
from experiments.throughput import mujoco, peers
from ppo.algorithm import Algorithm

NEW = Record("baselines.vpg:VPG")
"""As a newcomer would list it: module and class, and nothing else."""


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_a_record_names_is_there(name):
    record = ALGORITHMS[name]
    assert issubclass(record.load(), Algorithm)
    assert record.peer in ("", *peers.PEERS)


def test_every_peer_is_named_by_a_record():
    assert {record.peer for record in ALGORITHMS.values()} - {""} == set(peers.PEERS)


def test_classes_and_labels_are_all_different():
    for field in ("where", "label", "colour"):
        assert len({getattr(record, field) for record in ALGORITHMS.values()}) == len(ALGORITHMS)


def test_figure3_compares_continuous_actions():
    """A compared algorithm has continuous actions, and the others are not in Figure 3."""
    assert set(COMPARED) == {name for name, record in ALGORITHMS.items() if record.compared}
    assert all(ALGORITHMS[name].load().continuous for name in COMPARED)


def test_without_costs_it_is_planned_for_as_the_papers_own():
    known = CONSTANTS.per_vector_step("Hopper-v4", REFERENCE, rows=6)
    assert CONSTANTS.per_vector_step("Hopper-v4", "new", rows=6) == known == 6 * 120e-6 + 34e-6


@pytest.mark.parametrize("peer", ["", "made up"])
def test_its_speed_is_measured_alone_or_beside_its_peer(monkeypatch, peer):
    monkeypatch.setitem(baselines.ALGORITHMS, "vpg", replace(NEW, peer=peer))
    monkeypatch.setitem(peers.PEERS, "made up", lambda settings, environment: lambda: 1.0)
    seconds = mujoco.measure_baseline("vpg", "InvertedPendulum-v4", blocks=1)
    assert set(seconds) == {"vpg", peer} - {""}
    rows = mujoco.baseline_rows("InvertedPendulum-v4", "vpg", seconds)
    assert [row[0] for row in rows] == [
        *(f"InvertedPendulum-v4, {other}" for other in (peer,) if other),
        "InvertedPendulum-v4, vpg, stack of 9",
    ]
    assert rows[-1][2].endswith(f"x {peer}" if peer else "")
    assert bool(rows[-1][2]) == bool(peer)
