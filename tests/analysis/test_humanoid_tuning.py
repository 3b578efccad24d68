"""The rule by which the short runs on RoboschoolHumanoid choose, on synthetic runs with choices worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.data.labels import values
from analysis.data.load import Data, gather
from analysis.sections.humanoid.tuning import chosen, judged, table
from experiments.paper.settings import HUMANOID
from experiments.run import Run
from tests.helpers.synthetic import write_humanoid_tuning

RESULTS = Path(__file__).parents[2] / "results"
REFERENCE = "lr_kl_target=0.01,norm_obs=True,norm_reward=reset"


def tuned(results: Path, means: dict[str, float], spread: float = 2.0, change: Any = lambda run: run) -> Data:
    """The two seeds of a setting return `spread` / 2 below and above its mean, by default 10.

    So the variance of each setting is spread^2 / 2, the error of a score spread / 2, and the standard error of a
    difference spread / sqrt 2.
    """

    def value(run: Run) -> float:
        return means.get(run.setting, 10.0) + (spread / 2 if run.seed == 202 else -spread / 2)

    return gather(write_humanoid_tuning(results, value, change), "figure4-tuning")


def test_scores_are_means_of_seeds_and_every_setting_is_judged(tmp_path: Path) -> None:
    frame = judged(tuned(tmp_path, {REFERENCE: 30.0})).set_index("setting")
    assert len(frame) == 13
    assert frame.loc[REFERENCE, "score"] == pytest.approx(30)
    assert sorted(frame["changes"].dropna()) == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3]
    assert (frame["seeds"] == 2).all()


@pytest.mark.parametrize(("better", "changed"), [(11.3, False), (11.5, True)])
def test_the_reference_stays_unless_it_is_told_apart(tmp_path: Path, better: float, changed: bool) -> None:
    """With a spread of 2 between the seeds a difference has the standard error 1.41."""
    other = "lr_kl_target=0.03,norm_obs=False,norm_reward=none"
    frame = judged(tuned(tmp_path, {other: better})).set_index("setting")
    assert list(frame.index[frame["chosen"]]) == [other if changed else REFERENCE]


def test_of_settings_that_change_as_much_the_better_is_chosen(tmp_path: Path) -> None:
    means = {
        "lr_kl_target=0.003,norm_obs=True,norm_reward=reset": 20.4,
        "lr_kl_target=0.01,norm_obs=True,norm_reward=none": 20.5,
        "lr_kl_target=0.03,norm_obs=False,norm_reward=none": 21.0,
    }
    data = tuned(tmp_path, means)
    assert chosen(data) == {"lr_kl_target": "0.01", "norm_obs": "True", "norm_reward": "none"}
    shown = table(data).shown
    assert shown["Verdict"].value_counts().to_dict() == {"–": 10, "admitted": 2, "chosen": 1}
    assert shown[shown["Verdict"] == "chosen"]["Rewards"].tolist() == ["as they are"]


def test_the_larger_network_is_not_chosen_however_good(tmp_path: Path) -> None:
    data = tuned(tmp_path, {"network=256-128,activation=relu": 1000.0})
    assert chosen(data) == {"lr_kl_target": "0.01", "norm_obs": "True", "norm_reward": "reset"}
    assert "256-128 relu" in set(table(data).shown["Network"])


def test_a_setting_with_a_diverged_run_is_not_chosen(tmp_path: Path) -> None:
    best = "lr_kl_target=0.03,norm_obs=True,norm_reward=reset"

    def diverge(run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "diverged_at": run["total_timesteps"]} if (run["setting"], run["seed"]) == (best, 201) else run

    data = tuned(tmp_path, {best: 1000.0}, change=diverge)
    frame = judged(data).set_index("setting")
    assert not frame.loc[best, "admitted"]
    assert frame.loc[REFERENCE, "chosen"]


def test_nothing_is_chosen_while_a_run_is_missing(tmp_path: Path) -> None:
    def miss(run: dict[str, Any]) -> dict[str, Any]:
        first = (run["setting"], run["seed"]) == (REFERENCE, 201)
        return {**run, "status": "missing", "steps_done": 0} if first else run

    data = tuned(tmp_path, {}, change=miss)
    assert chosen(data) is None
    assert not judged(data)["admitted"].any()


def test_the_settings_of_figure_4_are_those_that_were_chosen_but_for_the_rewards() -> None:
    """With ppo1's details rewards are as they are, which the rule admits."""
    data = gather(RESULTS, "figure4-tuning")
    found = chosen(data)
    assert found is not None
    rows = judged(data)
    admitted = [values(setting) for setting in rows.loc[rows["admitted"], "setting"]]
    for settings in HUMANOID.values():
        own = {name: str(getattr(settings, name)) for name in found}
        assert own == {**found, "norm_reward": "none"}
        assert own in admitted


def test_without_any_run_nothing_is_judged(tmp_path: Path) -> None:
    frame = judged(gather(tmp_path, "figure4-tuning"))
    assert isinstance(frame, pd.DataFrame)
    assert frame.empty
