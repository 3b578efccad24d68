"""Section 6.3's figure and tables, from synthetic runs with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from analysis.data.endings import NEVER_UP, WHOLE
from analysis.data.load import Data, gather
from analysis.sections.humanoid.figure4 import (
    LEFT_OUT,
    TABLE4,
    TASKS,
    figure4,
    figure4_table,
    figure5,
    measured,
    paper_last_tenth,
    table4,
)
from experiments.paper.settings import HUMANOID
from ppo.envs.roboschool.environment import DOWN_STEPS, EPISODE_STEPS
from ppo.ppo import PPOSettings
from tests.helpers.synthetic import episodes_of, planned, write, write_humanoids

SETTINGS = {
    "learning_rate": 0.001,
    "num_steps": 512,
    "update_epochs": 15,
    "minibatch_size": 4096,
    "gamma": 0.99,
    "gae_lambda": 0.95,
}
LENGTH = 100_000
"""Of an episode here: few rows make a whole training."""


def runs_of(environment: str, seeds: tuple[int, ...] = (1, 2), part: float = 1.0) -> list[dict[str, Any]]:
    budget = TASKS[environment]
    settings = {**SETTINGS, "num_envs": 32 if environment == "RoboschoolHumanoid-v0" else 128}
    status = {"status": "finished"} if part == 1 else {"status": "partial"}
    about = {**status, "total_timesteps": budget, "steps_done": int(part * budget), "settings": settings}
    return [{**planned("", "default", seed, **about), "environment": environment} for seed in seeds]


def data_of(results: Path, runs: list[dict[str, Any]]) -> Data:
    """Each run's returns are 100 x its seed, and in the last tenth of its budget 1000 x its seed."""
    rows = []
    for run in runs:
        steps = np.arange(LENGTH, run["steps_done"] + 1, LENGTH)
        late = steps > 0.9 * run["total_timesteps"]
        rows.append(episodes_of(run, run["seed"] * np.where(late, 1000.0, 100.0), length=LENGTH))
    write(results, "figure4", runs, rows, "paper")
    return gather(results, "figure4")


def test_the_last_tenth_stands_beside_the_papers_two_runs(tmp_path: Path) -> None:
    data = data_of(tmp_path, [run for environment in TASKS for run in runs_of(environment)])
    frame = measured(data)
    assert list(frame["last_tenth"]) == [1000.0, 2000.0] * 3
    assert (frame["paper_higher"] > frame["paper_lower"]).all()
    shown = figure4_table(data).shown
    assert list(shown["Ours, each seed"]) == ["1000, 2000‡§", "1000, 2000‡", "1000, 2000‡"]  # § its task chose settings
    assert "figure4-tuning" in " ".join(figure4_table(data).notes)
    assert "figure4-tuning" in figure4(data).caption


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ("RoboschoolHumanoid-v0", (4144, 3966)),
        ("RoboschoolHumanoidFlagrun-v0", (2267, 2116)),
        ("RoboschoolHumanoidFlagrunHarder-v0", (2660, 2508)),
    ],
)
def test_the_papers_level_is_that_read_off_its_figure(environment: str, level: tuple[int, int]) -> None:
    assert sorted(paper_last_tenth(environment))[::-1] == pytest.approx(level, rel=0.005)


def test_the_lengths_that_are_counted_are_the_environments() -> None:
    assert (WHOLE, NEVER_UP) == (EPISODE_STEPS, DOWN_STEPS)


def test_how_many_episodes_last_is_told(tmp_path: Path) -> None:
    (run,) = runs_of("RoboschoolHumanoidFlagrunHarder-v0", seeds=(1,))
    episodes = episodes_of(run, 100.0, length=LENGTH)
    late = episodes["step"] > 90_000_000
    lengths = np.where(late, np.resize([1000, 1000, 170, 400, 1000], len(episodes)), 1000).astype(np.int32)
    returns = np.where(lengths == 1000, 2000.0, 150.0)
    rows = [episodes.assign(episodic_length=lengths, episodic_return=returns)]
    write(tmp_path, "figure4", [run], rows, "paper")
    made = figure4_table(gather(tmp_path, "figure4"))
    assert list(made.shown.iloc[:, -1]) == ["–", "–", "60% (2000)"]
    assert "Flagrun harder: 20% of these episodes end on the ground, where they began." in made.notes


def test_a_run_under_way_says_how_far_it_is(tmp_path: Path) -> None:
    data = data_of(tmp_path, runs_of("RoboschoolHumanoid-v0", seeds=(1,), part=0.5))
    assert figure4_table(data).shown["Ours, each seed"][0] == "(25.0M of 50M steps)"
    assert pd.isna(measured(data)["last_tenth"]).all()


def test_curves_are_drawn_in_the_panel_of_their_task(tmp_path: Path) -> None:
    data = data_of(tmp_path, runs_of("RoboschoolHumanoidFlagrun-v0"))
    panels = figure4(data).figure.axes
    solid = [[line for line in axes.lines if line.get_linestyle() == "-"] for axes in panels]
    assert [len(lines) for lines in solid] == [0, 2, 0]
    for seed, line in enumerate(solid[1], start=1):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert y[np.searchsorted(x, 50_000_000)] == pytest.approx(100 * seed)
        assert y[np.searchsorted(x, 91_000_000)] == pytest.approx(1000 * seed), "no older episode counts"
        assert y[-1] == pytest.approx(1000 * seed)
    assert [axes.get_xlim()[1] for axes in panels] == list(TASKS.values())
    assert [len(axes.lines) - len(lines) for axes, lines in zip(panels, solid, strict=True)] == [2, 2, 2]


def test_table_4_shows_what_the_runs_had(tmp_path: Path) -> None:
    data = data_of(tmp_path, [run for environment in TASKS for run in runs_of(environment, seeds=(1,))])
    ours = dict(zip(table4(data).shown["Hyperparameter"], table4(data).shown["Ours"], strict=True))
    assert ours["Horizon (T)"] == "512"
    assert ours["Number of actors"] == "32; 128"
    assert set(ours) == set(TABLE4)
    assert ours["Log stdev. of action distribution"] == "learned", "these runs have no schedule"
    assert ours["Adam stepsize"] == "0.001"


def test_table_4_shows_what_is_left_out_of_a_manifest(tmp_path: Path) -> None:
    shown = table4(gather(write_humanoids(tmp_path), "figure4")).shown
    ours = dict(zip(shown["Hyperparameter"], shown["Ours"], strict=True))
    assert ours["Log stdev. of action distribution"] == "-0.7 to -1.6"
    target = HUMANOID["RoboschoolHumanoid-v0"].lr_kl_target
    assert ours["Adam stepsize"] == f"0.0003 at first, then by a KL of {target}"
    assert (ours["Num. epochs"], ours["Minibatch size"], ours["Number of actors"]) == ("15", "4096", "32; 128")
    assert {name: getattr(PPOSettings(), name) for name in LEFT_OUT} == LEFT_OUT


def test_without_runs_the_papers_side_is_shown(tmp_path: Path) -> None:
    data = gather(tmp_path, "figure4")
    assert list(figure4_table(data).shown["Paper, its two runs"])[1].startswith("2264")
    assert [len(axes.lines) for axes in figure4(data).figure.axes] == [2, 2, 2]
    assert (table4(data).shown["Ours"] == "–").all()


def test_figure_5_shows_the_stills_that_were_filmed(tmp_path: Path) -> None:
    assert figure5(tmp_path) is None
    films = tmp_path / "films"
    films.mkdir()
    (films / "RoboschoolHumanoidFlagrun-v0(rules=1)_ppo_default_1.png").write_bytes(b"no picture")
    assert figure5(tmp_path) is None
    (films / "RoboschoolHumanoidFlagrun-v0(rules=1)_ppo_default_1.png").unlink()
    stills = np.random.default_rng(0).random((20, 60, 3))
    matplotlib.image.imsave(films / "RoboschoolHumanoidFlagrun-v0(rules=1)_ppo_default_2.png", stills / 2)
    assert figure5(tmp_path) is None, "another policy's"
    matplotlib.image.imsave(films / "RoboschoolHumanoidFlagrun-v0(rules=1)_ppo_default_1.png", stills)
    drawing = figure5(tmp_path)
    assert drawing is not None
    shown = np.asarray(drawing.figure.axes[0].images[0].get_array())[..., :3]
    np.testing.assert_allclose(shown, stills, atol=1 / 255)
