from __future__ import annotations

import numpy as np
import pytest

from analysis import figures


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (0.0, 1.0, 0.0),
        (0.5, 2.0, 1.0),  # A > 0: rises with r ...
        (1.2, 1.0, 1.2),
        (1.5, 1.0, 1.2),  # ... up to 1 + eps
        (1.0, -1.0, -1.0),
        (0.8, -1.0, -0.8),
        (0.3, -1.0, -0.8),  # A < 0: flat below 1 - eps ...
        (2.0, -0.5, -1.0),  # ... and falling without bound above
    ],
)
def test_figure1_by_hand(ratio: float, advantage: float, expected: float) -> None:
    value = figures.clip_objective(np.array([ratio]), advantage, 0.2)
    assert value.tolist() == pytest.approx([expected])


def test_figure1_draws_the_formula() -> None:
    left, right = figures.figure1().figure.axes
    for axes, advantage in ((left, 1.0), (right, -1.0)):
        line = axes.lines[0]
        ratio = np.asarray(line.get_xdata(), dtype=float)
        np.testing.assert_array_equal(line.get_ydata(), figures.clip_objective(ratio, advantage, 0.2))
        assert axes.lines[-1].get_xydata().tolist() == [[1.0, advantage]]  # the red dot at r = 1
