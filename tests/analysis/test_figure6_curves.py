"""Our Atari curves averaged as the paper's Figure 6, by hand and by a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from analysis.data.load import gather
from analysis.data.published import published
from analysis.sections.atari import figure6
from tests.helpers.synthetic import ATARI_BUDGET, planned, write, write_atari

# Mean returns in bins of 0.4M frames of a run of PPO on BankHeist, seed 2, up to 4.4M frames.
BANKHEIST = [15.1, 15.9, 17.0, 22.5, 25.5, 22.5, 26.0, 23.0, 26.1, 33.9, 32.8]
NAN = float("nan")


def bins(values: list[float]) -> npt.NDArray[np.float64]:
    return np.array([*values, *[NAN] * (100 - len(values))])


def episodes_at(run: dict[str, Any], frames: npt.ArrayLike, returns: npt.ArrayLike) -> pd.DataFrame:
    names = {name: run[name] for name in ("environment", "algorithm", "setting", "seed")}
    steps = np.asarray(frames, dtype=float) * 1e6 / 4
    rows = pd.DataFrame({**names, "step": steps.round().astype(np.int64), "episodic_return": returns})
    return rows.assign(episodic_length=np.int32(100))


def atari_run(algorithm: str = "ppo", frames: float = 4.0, seed: int = 1, **changes: Any) -> dict[str, Any]:
    """A run that has trained so many million frames of the paper's 40M."""
    done = {"total_timesteps": ATARI_BUDGET, "steps_done": round(frames * 1e6 / 4)}
    return planned("BankHeistNoFrameskip", "default", seed, algorithm=algorithm, **(done | changes))


def test_the_mean_over_the_window_by_hand() -> None:
    curve = figure6.smooth(bins(BANKHEIST[:10]), 4_600_000)
    # 2.3M frames behind 0.4M are seven bins (the middle of the eighth is at 3.0M), cut off at 0 before it.
    assert curve[:4] == pytest.approx([144.5 / 7, 167.5 / 8, 193.6 / 9, 227.5 / 10])
    narrower = figure6.smooth(bins(BANKHEIST[:10]), 4_100_000)
    assert narrower[:4] == pytest.approx([118.5 / 6, 144.5 / 7, 167.5 / 8, 193.6 / 9])


def test_smoothing_keeps_a_line() -> None:
    """Inside a curve a line stays a line, and at its ends the window is cut off."""
    middles = np.arange(100) * 0.4 + 0.2
    curve = figure6.smooth(middles, 4_600_000)
    points = np.arange(1, 101) * 0.4
    np.testing.assert_allclose(curve[5:94], points[5:94])
    assert curve[-1] == pytest.approx(np.mean([37.8, 38.2, 38.6, 39.0, 39.4, 39.8]))  # 40M frames: the half before
    assert curve[0] == pytest.approx(np.mean([0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6]))


def test_a_bin_in_which_no_episode_ended_does_not_count() -> None:
    curve = figure6.smooth(bins([1.0, NAN, 3.0, NAN, NAN, 5.0, NAN]), 4_600_000)
    assert curve[0] == 3.0
    assert np.isnan(curve[-1])


@pytest.mark.parametrize(
    ("window", "frames", "last"),
    [
        (4.6, 4.0, 1.6),  # 1.6M + 2.3M lies inside 4M, 2.0M + 2.3M does not
        (4.1, 4.0, 1.6),
        (4.6, 3.9, 1.2),  # the bin up to 4M is not whole
        (4.1, 4.1, 2.0),
        (4.6, 2.8, 0.4),
        (4.6, 2.7, None),
        (4.6, 39.9, 37.2),
        (4.6, 40.0, 40.0),  # cut off at the end of the training, as the paper's
    ],
)
def test_points_count_whose_window_lies_inside_what_was_trained(
    window: float, frames: float, last: float | None
) -> None:
    inside = figure6.covered(round(window * 1e6), round(frames * 1e6))
    points = np.arange(1, 101) * 0.4
    np.testing.assert_array_equal(inside, points < (last or 0) + 0.01)


@pytest.mark.parametrize(("algorithm", "half"), [("ppo", 2.3), ("a2c", 2.05), ("acer", 2.05)])
def test_our_curve_is_that_of_a_plain_loop(tmp_path: Path, algorithm: str, half: float) -> None:
    rng = np.random.default_rng(0)
    run = atari_run(algorithm, frames=12.0)
    frames = np.sort(rng.uniform(0.05, 12.0, 3000)).round(5)
    returns = rng.normal(size=3000) + frames**2
    write(tmp_path, "atari", [run], [episodes_at(run, frames, returns)], "paper", fraction=0.3)
    curve = figure6.smoothed(gather(tmp_path, "atari")).set_index("step")["mean_return"]
    assert curve.index.max() == 9_600_000
    for point in range(1, 25):
        inside = []
        for number in range(30):
            low, high = number * 0.4, number * 0.4 + 0.4
            if abs(low + 0.2 - point * 0.4) <= half:
                inside.append(returns[(frames > low + 1e-9) & (frames <= high + 1e-9)].mean())
        assert curve[point * 400_000] == pytest.approx(np.mean(inside))


def test_only_finished_comparable_runs_are_scored(tmp_path: Path) -> None:
    """A run is scored where it can be compared, and once it is finished."""
    frames = np.arange(0.2, 4.0, 0.4)
    runs = [
        atari_run(seed=1),
        atari_run(seed=2, status="running"),
        atari_run(seed=3, diverged_at=900_000, status="running"),  # after 3.6M frames: its curve ends at 1.2M
    ]
    rows = [episodes_at(run, frames, BANKHEIST[:10]) for run in runs]
    write(tmp_path, "atari", runs, rows, "paper", fraction=0.1)
    data = gather(tmp_path, "atari")
    assert figure6.comparable_points(data).tolist() == [400_000, 800_000, 1_200_000, 1_600_000]
    there = figure6.ours_at(figure6.smoothed(data), 1_600_000).set_index("seed")["score"]
    assert there.to_dict() == pytest.approx({1: 22.75, 3: 193.6 / 9})
    before = figure6.ours_at(figure6.smoothed(data), 1_200_000).set_index("seed")["score"]
    assert before.to_dict() == pytest.approx({1: 193.6 / 9, 3: 193.6 / 9})
    drawn = figure6.smoothed(data).groupby("seed")["step"].max()
    assert drawn.to_dict() == {1: 1_600_000, 2: 1_600_000, 3: 1_200_000}


def test_a_short_training_has_no_point_to_compare(tmp_path: Path) -> None:
    data = gather(write_atari(tmp_path, ("Pong",), lambda run: 1.0, fraction=0.01), "atari")
    assert len(figure6.comparable_points(data)) == 0
    assert figure6.smoothed(data).empty
    assert figure6.ours_at(figure6.smoothed(data), 0).empty
    assert figure6.paper_at(0).empty
    nothing = gather(tmp_path / "nowhere", "atari")
    assert figure6.comparable_points(nothing)[-1] == 40_000_000  # before any is planned: the paper's whole curves
    assert figure6.smoothed(nothing).empty


def test_every_digitised_point_of_the_paper_can_be_asked_for() -> None:
    curves = published("fig6_curves")
    for frames in (400_000, 1_600_000, 22_800_000, 40_000_000):
        there = curves[(curves["frames_M"] * 1e6 - frames).abs() < 1]
        found = figure6.paper_at(frames)
        assert len(found) == len(there) == 440  # 49 games x 3 algorithms x 3 trials, one of ACER's missing on Kangaroo
        assert sorted(found["score"]) == sorted(there["return"])


def test_the_releases_curves_go_through_the_same_window() -> None:
    raw = published("atari_baselines").query("game == 'Breakout' and algorithm == 'ppo'")
    curve = figure6.release_curve("Breakout", "ppo")
    middles = np.arange(7) * 0.4 + 0.2
    assert curve[0] == pytest.approx(np.interp(middles, raw["frames_M"], raw["return"]).mean())
    assert raw["return"].iloc[0] < curve[0] / 3  # so it had not been averaged over such a window before
    assert np.isnan(figure6.release_curve("Alien", "ppo")).all()
