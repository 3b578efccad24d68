"""The windows in the paper's figures, measured on the committed curves."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.data import smoothing
from analysis.data.published import published_figure6
from analysis.sections.atari import windows
from analysis.sections.atari.figure6 import WINDOW, window_in_words


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], windows.Row]:
    return {(row.figure, row.family): row for row in windows.rows()}


@pytest.mark.parametrize("algorithm", WINDOW)
def test_ours_are_averaged_over_the_window_that_figure_6_shows(
    rows: dict[tuple[str, str], windows.Row], algorithm: str
) -> None:
    row, used = rows["Figure 6", algorithm.upper()], WINDOW[algorithm] / 1e6
    assert row.used == used
    assert row.by_zeros == pytest.approx(used, abs=0.15)
    assert row.low <= used <= row.high
    assert row.by_autocorrelation == pytest.approx(used, abs=0.4)  # a point of the curves
    assert row.high - row.low < 0.5


def test_the_windows_are_those_that_were_measured_elsewhere(rows: dict[tuple[str, str], windows.Row]) -> None:
    """By a reader of the same curves with code of his own: zeros of PPO's at 0.21, 0.44, 0.66, 0.87, 1.07 per million
    frames, of A2C's at 0.23, 0.48, 0.72, 0.92, 1.14, of ACER's at 0.23, 0.48; least squares through the origin."""
    seen = {
        "PPO": [0.21, 0.44, 0.66, 0.87, 1.07],
        "A2C": [0.23, 0.48, 0.72, 0.92, 1.14],
        "ACER": [0.23, 0.48],
    }
    for name, zeros in seen.items():
        order = np.arange(1, len(zeros) + 1)
        spacing = float(order @ zeros / (order @ order))
        assert rows["Figure 6", name].by_zeros == pytest.approx(1 / spacing, abs=0.3)


def test_figures_3_and_4_are_no_moving_averages(rows: dict[tuple[str, str], windows.Row]) -> None:
    for figure, family, curves in (("Figure 3", "all algorithms", 42), ("Figure 4", "PPO", 6)):
        row = rows[figure, family]
        assert row.curves == curves
        assert np.isnan([row.by_zeros, row.by_autocorrelation]).all()
    shown = windows.table().shown.set_index("Figure")
    assert shown.loc["Figure 3", "Window by zeros"] == shown.loc["Figure 4", "Window by autocorrelation"] == "none"


def test_number_of_curves_that_shows_a_window() -> None:
    """As many curves as in Figure 3 show a window, and as few as in Figure 4 need not.

    Drawn at random from PPO's curves in Figure 6, which have one.
    """
    curves = published_figure6().xs("ppo", axis=1, level="algorithm").to_numpy(dtype=float).T
    rng = np.random.default_rng(0)

    def found(count: int) -> float:
        draws = [curves[rng.choice(len(curves), count, replace=False)] for _ in range(20)]
        return float(np.mean([np.isfinite(smoothing.width_by_zeros(draw).width) for draw in draws]))

    assert found(42) == 1
    assert found(6) < 0.5


def test_captions_say_half_the_window_of_each_algorithm() -> None:
    assert "up to 2.05M (A2C, ACER) or 2.3M (PPO) before and behind it" in window_in_words()
