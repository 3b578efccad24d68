from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic import write_figure3

from analysis.data.labels import ALGORITHMS, algorithm_colour
from analysis.data.load import gather, published
from analysis.sections import figure1_2, figure3
from ppo.ppo import surrogate


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
    value = figure1_2.clip_objective(np.array([ratio]), advantage, 0.2)
    assert value.tolist() == pytest.approx([expected])


def test_figure1_draws_the_formula() -> None:
    left, right = figure1_2.figure1().figure.axes
    for axes, advantage in ((left, 1.0), (right, -1.0)):
        line = axes.lines[0]
        ratio = np.asarray(line.get_xdata(), dtype=float)
        np.testing.assert_array_equal(line.get_ydata(), figure1_2.clip_objective(ratio, advantage, 0.2))
        assert axes.lines[-1].get_xydata().tolist() == [[1.0, advantage]]  # the red dot at r = 1


def test_figure3_with_all_algorithms_has_ours_solid_and_the_papers_dashed(tmp_path: Path) -> None:
    def value(run: dict[str, Any]) -> float:
        return 100.0 * ALGORITHMS.index(run["algorithm"]) + 10 * run["seed"]

    figure = figure3.figure3(gather(write_figure3(tmp_path, ALGORITHMS, value=value), "figure3")).figure
    hopper = figure.axes[1]
    solid = {line.get_color(): line.get_ydata() for line in hopper.lines if line.get_linestyle() == "-"}
    dashed = {line.get_color(): line.get_ydata() for line in hopper.lines if line.get_linestyle() == "--"}
    assert set(solid) == {algorithm_colour(algorithm) for algorithm in ALGORITHMS}
    assert len(dashed) == 6  # the paper has six
    for place, algorithm in enumerate(ALGORITHMS):
        assert set(solid[algorithm_colour(algorithm)]) == {100.0 * place + 15}  # the mean of seeds 1 and 2
    bands = [band.get_paths()[0].get_extents() for band in hopper.collections]
    assert sorted((band.y0, band.y1) for band in bands) == [
        (100.0 * i + 10, 100.0 * i + 20) for i in range(len(ALGORITHMS))
    ]
    theirs = published("fig3_curves").query("env == 'Hopper-v1' and algorithm == 'TRPO' and timestep <= 20_000")["mean"]
    assert len(theirs) == 3, "the paper's curve as far as ours go"
    np.testing.assert_array_equal(dashed[algorithm_colour("trpo")], theirs)
    names = [text.get_text() for text in figure.axes[7].get_legend().get_texts()]
    assert names[5:9] == ["Vanilla PG, Adaptive", "TRPO", "TRPO as released in 2017", "Natural PG"]
    assert names[10:] == ["ours, mean", "ours, lowest to highest seed", "paper (digitised)"]


def test_one_bad_run_does_not_flatten_figure3(tmp_path: Path) -> None:
    def value(run: dict[str, Any]) -> float:
        bad = (run["environment"], run["algorithm"], run["seed"]) == ("HalfCheetah-v4", "a2c", 2)
        return -50_000.0 if bad else 500.0

    data = gather(write_figure3(tmp_path, ("ppo", "a2c"), value=value), "figure3")
    cheetah, hopper, *_ = figure3.figure3(data).figure.axes
    low, high = cheetah.get_ylim()
    paper = published("fig3_curves").query("env == 'HalfCheetah-v1' and timestep <= 20_000")["mean"]
    assert low == pytest.approx(paper.min() - 0.5 * (500 - paper.min()))
    assert high > 500
    assert [text.get_text() for text in cheetah.texts] == ["A2C: falls to −50,000"]
    assert [text.get_text() for text in hopper.texts] == []


@pytest.mark.parametrize("epsilon", [0.1, 0.2, 0.3, 0.9])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0, 2.5])
def test_figure_1_draws_the_surrogate_that_is_trained(advantage: float, epsilon: float) -> None:
    """Point by point, and in its slope, which is what training follows."""
    ratio = torch.linspace(0, 2, 401, dtype=torch.float64, requires_grad=True)
    trained = surrogate(ratio, torch.full_like(ratio, advantage), torch.tensor(epsilon, dtype=torch.float64))
    (slope,) = torch.autograd.grad(trained.sum(), ratio)
    drawn = figure1_2.clip_objective(ratio.detach().numpy(), advantage, epsilon)
    np.testing.assert_allclose(drawn, trained.detach().numpy(), rtol=0, atol=1e-12)
    inside = np.abs(np.abs(ratio.detach().numpy() - 1) - epsilon) > 0.006
    np.testing.assert_allclose(np.gradient(drawn, 0.005)[inside], slope.numpy()[inside], atol=1e-9)
