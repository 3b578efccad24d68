"""Figures 1 and 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.data.load import gather_interpolation
from analysis.data.published import PUBLISHED
from analysis.sections import figure1_2
from ppo.ppo import surrogate
from tests.helpers.synthetic import write_figure2


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


def test_figure2_table(tmp_path: Path) -> None:
    table = figure1_2.figure2_table(*gather_interpolation(write_figure2(tmp_path)))
    numbers = table.data.set_index("curve")
    assert numbers.at["kl", "at_1"] == pytest.approx(0.02)
    assert numbers.at["surrogate_cpi", "at_2"] == pytest.approx(0.15)  # mean of 2/20 and 4/20
    assert numbers.at["surrogate_clip", "maximum_at"] == pytest.approx(1.0)
    assert numbers.at["surrogate_clip", "paper_maximum"] == pytest.approx(0.0343, abs=1e-4)
    assert numbers.at["surrogate_clip", "paper_maximum_at"] == pytest.approx(1.07, abs=0.01)


def test_update_among_our_seeds_by_hand(tmp_path: Path) -> None:
    """The paper's four numbers at the updated policy, among those of our seeds, by hand."""
    table = figure1_2.figure2_update(*gather_interpolation(write_figure2(tmp_path)))
    numbers = table.data.set_index("curve")
    paper = np.interp(1.0, *pd.read_csv(PUBLISHED / "fig2_curves.csv")[["interp", "L_CPI"]].to_numpy().T)
    row = numbers.loc["surrogate_cpi"]  # 1/20 and 2/20
    assert row[["mean", "lowest", "highest", "paper"]].tolist() == pytest.approx([0.075, 0.05, 0.1, paper])
    assert row["deviation"] == pytest.approx(np.std([0.05, 0.1], ddof=1))
    assert row["deviations_away"] == pytest.approx((paper - 0.075) / np.std([0.05, 0.1], ddof=1))
    assert numbers["inside"].to_dict() == dict.fromkeys(numbers.index, False) | {"surrogate_cpi": 0.05 <= paper <= 0.1}
    assert np.isnan(numbers.at["kl", "deviations_away"])  # both seeds have 0.02
    shown = table.shown.set_index("Curve").loc["L_CPI = E[r A]"]
    assert shown.tolist()[1:] == ["0.0750 ± 0.0354‡", "0.0500 to 0.1000", "yes", "−0.7"]


def test_updates_with_a_setting_changed_stand_beside_the_usual_one(tmp_path: Path) -> None:
    settings = ["clip-0.2+update_epochs=15", "clip-0.2+gae_lambda=1.0"]
    write_figure2(write_figure2(tmp_path), "figure2-settings", settings)
    path = tmp_path / "figure2-settings" / "interpolation.parquet"
    rows = pd.read_parquet(path)
    rows.loc[rows["setting"] == settings[0], "kl"] *= 0.5 + rows["seed"] / 4  # of KL = 0.02: 0.015 and 0.02
    rows.to_parquet(path, index=False)
    changed, usual = gather_interpolation(tmp_path, "figure2-settings"), gather_interpolation(tmp_path)
    assert changed[1] is not None
    table = figure1_2.figure2_settings(changed[0], changed[1], usual[1])
    assert table.shown["Changed"].tolist() == ["nothing", "update_epochs = 15", "gae_lambda = 1.0"]
    assert table.shown["E[KL]"].tolist() == ["0.0200 ± 0.0000 (–)", "0.0175 ± 0.0035 (−0.3)", "0.0200 ± 0.0000 (–)"]
    assert table.shown["Inside"].tolist() == ["1 of 4", "2 of 4", "1 of 4"]  # L_CPI, and 0.015 to 0.02 has 0.0165
    inside = table.data.set_index("change").loc["update_epochs=15"].set_index("curve")["inside"]
    assert inside.index[inside].tolist() == ["kl", "surrogate_cpi"]
    alone = figure1_2.figure2_settings(changed[0], changed[1], None).shown
    pd.testing.assert_frame_equal(alone, table.shown[1:].reset_index(drop=True))


def test_update_without_data(tmp_path: Path) -> None:
    """Without data the paper's numbers stand alone."""
    table = figure1_2.figure2_update(*gather_interpolation(tmp_path))
    assert table.shown["Paper"].tolist() == ["0.0165", "0.0501", "0.0377", "0.0341"]
    assert (table.shown.drop(columns=["Curve", "Paper"]) == "–").all(axis=None)
