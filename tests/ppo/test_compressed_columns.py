"""Columns come back to the bit, small, and a stranger's do no harm."""

import zlib

import numpy as np
import pytest

from ppo.checkpoint import compressed, decompressed


@pytest.mark.parametrize(
    "column",
    [
        np.array([0.1, -0.0, np.nan, np.inf, -1e300, 5e-324]),
        np.array([0, -1, 2**62], np.int64),
        np.array([7], np.int32),
        np.arange(12.0)[::3],
        np.empty(0),
        np.empty(0, np.int32),
    ],
)
def test_every_bit_comes_back(column):
    back = decompressed(compressed(column), len(column))
    assert (back.dtype, back.shape) == (column.dtype, column.shape)
    assert back.tobytes() == column.tobytes()


def test_an_episode_takes_about_nine_bytes():
    """Return, length and step, as a run of 128 environments has them."""
    rng, count = np.random.default_rng(0), 50_000
    columns: list[np.ndarray] = [
        np.zeros(count, np.int32),
        np.sort(rng.integers(1, 100_000, count)) * 128,
        rng.normal(300.0, 100.0, count),
        rng.integers(20, 1000, count).astype(np.int32),
    ]
    assert sum(column.nbytes for column in columns) == 24 * count
    assert sum(len(compressed(column)["content"]) for column in columns) < 9.5 * count


BOMB = np.frombuffer(zlib.compress(bytes(10_000_000)), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 10**9}, "a column of 1000000000 float64"),
        ({"rows": -1}, "a column of -1"),
        ({"rows": 2}, "a column of 17 bytes or more, and not of 16"),
        ({"rows": 5}, "a column of 24 bytes or more, and not of 40"),
        ({"content": BOMB}, "a column of 25 bytes or more, and not of 24"),
        ({"content": np.zeros(9, np.uint8)}, "cannot be read"),
        ({"content": [1, 2]}, "no compressed column"),
        ({"type": "|O"}, "a column of 3 object"),
        ({"type": "what"}, "no compressed column"),
    ],
)
def test_what_is_no_column_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        decompressed({**compressed(np.ones(3)), **change}, 100)
    for other in (None, [1], {"rows": 1}):
        with pytest.raises(ValueError, match="no compressed column"):
            decompressed(other, 100)
