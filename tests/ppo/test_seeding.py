"""Streams of random numbers that never meet, and stay the same from release to release."""

import itertools

import numpy as np
import pytest

from ppo.seeding import PURPOSES, environment_seeds, generator, sequence


def test_streams_differ_by_seed_purpose_and_index():
    seeds, indices = [0, 1, 2, 3, 2**40], [0, 1, 2, 488]
    draws = [
        tuple(generator(seed, purpose, index).integers(2**63, size=4).tolist())
        for seed, purpose, index in itertools.product(seeds, PURPOSES, indices)
    ]
    assert len(set(itertools.chain(*draws))) == 4 * len(draws)


def test_a_stream_is_addressed_not_consumed():
    """Iteration 7's noise is the same whether anything was drawn before it or not."""
    first = generator(5, "actions", 7).standard_normal(10)
    generator(5, "actions", 6).standard_normal(1000)
    np.testing.assert_array_equal(generator(5, "actions", 7).standard_normal(10), first)


def test_environment_seeds_of_neighbouring_runs_are_all_distinct():
    """``reset(seed=s)`` giving s + i to the i-th environment would make runs 1, 2, 3 share most of theirs."""
    seeds = environment_seeds([1, 2, 3], 8)
    assert len(seeds) == 24
    assert len(set(seeds)) == 24
    assert all(isinstance(seed, int) and 0 <= seed < 2**64 for seed in seeds)


def test_environment_seed_depends_on_run_and_number():
    """An environment's seed depends on its own run and number alone."""
    assert environment_seeds([1, 2, 3], 8)[8:11] == environment_seeds([2], 3)
    assert environment_seeds([3, 1], 2) == environment_seeds([3], 2) + environment_seeds([1], 2)


@pytest.mark.parametrize(
    ("purpose", "golden"),
    [
        ("initialisation", 15486983843438124195),
        ("environment", 13336838860807406167),
        ("actions", 14845567282308600520),
        ("minibatches", 1058529349291251750),
        ("algorithm", 9025372597264505928),
    ],
)
def test_streams_are_those_of_the_published_results(purpose, golden):
    """Golden numbers: a change of the streams changes every curve, and must be meant."""
    assert int(sequence(1, purpose, 2).generate_state(1, np.uint64)[0]) == golden
