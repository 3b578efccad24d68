"""The study of readings on made-up results whose effects are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.data.load import gather, gather_updates
from analysis.sections.readings import choice, report
from analysis.sections.readings.model import CROSSED, DETAILS, OTHERS, RESPONSES, aliases, signed_exp, signed_log
from experiments.paper.readings import DESIGN, READINGS, settings_of
from experiments.paper.readings import DETAILS as OPEN
from experiments.run import Run
from tests.helpers.synthetic import write_readings

Levels = Mapping[str, str]


def noise(run: Run, size: float) -> float:
    """Another number for every run."""
    return size * float(np.random.default_rng([run.seed, int(run.key[-8:], 16)]).normal())


def returns(run: Run, levels: Levels) -> float:
    """HalfCheetah 1810 for unscaled rewards and 100 more for c1 = 1; "none" falls to -15,000 if gradients are clipped
    and actions are raw; the pendulum has 955 unclamped."""
    if run.setting.startswith("none"):
        return -15_000.0 if levels["gradient-clip"] == "0.5" and levels["actions"] == "raw" else 800.0
    if run.environment.startswith("InvertedPendulum"):
        return 955.0 - 50 * (levels["pendulum-force"] == "clamped") + noise(run, 5)
    return 1810.0 - 900 * (levels["reward-scaling"] != "none") + 100 * (levels["c1"] == "1") + noise(run, 50)


def curves(run: Run, levels: Levels) -> float:
    return 0.035 - 0.01 * (levels["reward-scaling"] == "never-reset") + noise(run, 0.001)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_readings(tmp_path_factory.mktemp("results"), returns, curves)


@pytest.fixture(scope="module")
def study(results: Path) -> report.Study:
    return report.study(gather(results, "readings"), gather_updates(results, "readings")[0])


def test_details_and_levels_are_those_that_are_run() -> None:
    assert {name: set(detail.levels.values()) for name, detail in DETAILS.items()} == {
        name: set(levels) for name, levels in OPEN.items()
    }
    assert settings_of({name: next(iter(own.levels.values())) for name, own in DETAILS.items()}).items() <= (
        READINGS["ppo2"].items()
    )


def test_every_points_levels_are_read_from_the_manifest(study: report.Study) -> None:
    assert study.levels.to_dict("index") == DESIGN


def test_effects_and_intervals_are_least_squares(
    study: report.Study,
) -> None:
    """Effects are differences of means, and their intervals those of least squares.

    In a design whose columns are orthogonal; the residual by another parametrisation of the same model.
    """
    for name, model in study.fitted.items():
        values = study.values[study.values["response"] == name].reset_index(drop=True)
        levels = study.levels.loc[values["point"]].reset_index(drop=True)
        cells = pd.get_dummies(levels[list(CROSSED)].agg("/".join, axis=1)).astype(float)
        others = pd.get_dummies(levels[list(OTHERS)], drop_first=True).astype(float)
        seeds = pd.get_dummies(values["seed"], drop_first=True).astype(float)
        matrix = np.hstack([cells, others, seeds])
        residual = values["value"] - matrix @ np.linalg.lstsq(matrix, values["value"])[0]
        freedom = len(values) - np.linalg.matrix_rank(matrix)
        deviation = np.sqrt((residual**2).sum() / freedom)
        for row in model.effects().to_dict("records"):
            first = next(iter(DETAILS[row["detail"]].levels.values()))
            means = values["value"].groupby(levels[row["detail"]]).agg(["mean", "size"])
            assert row["effect"] == pytest.approx(means["mean"][row["level"]] - means["mean"][first], abs=1e-9)
            half = (
                stats.t.ppf(0.975, freedom) * deviation * np.sqrt(1 / means["size"][[row["level"], first]]).sum() ** 0
            )
            half *= np.sqrt(1 / means["size"][row["level"]] + 1 / means["size"][first])
            assert row["high"] - row["effect"] == pytest.approx(half)


def test_what_was_planted_is_found_and_nothing_else(study: report.Study) -> None:
    def told(response: str) -> set[tuple[str, str]]:
        effects = study.fitted[response].effects(0.9999)
        shown = effects[(effects["low"] > 0) | (effects["high"] < 0)]
        return set(zip(shown["detail"], shown["level"], strict=True))

    assert told("clip") == {("reward-scaling", "none"), ("c1", "1")}
    assert told("pendulum") == {("pendulum-force", "clamped")}
    assert told("kl") == {("reward-scaling", "reset"), ("reward-scaling", "none")}
    assert set(choice.matters(study.fitted)) >= {"c1", "pendulum-force"}


def test_a_prediction_is_the_mean_where_the_model_is_true(study: report.Study) -> None:
    wanted = pd.DataFrame([{**READING, "c1": level} for level in ("0.25", "1")])
    means, errors = study.fitted["clip"].predicted(wanted)
    np.testing.assert_allclose(means, [1810, 1910], atol=4 * errors.max())
    assert (errors < 40).all()


READING = {name: detail.usual for name, detail in DETAILS.items()} | {"reward-scaling": "none"}


def test_the_signed_logarithm_tames_a_single_fall_and_can_be_undone() -> None:
    falls = np.array([-44_324.0, -3_524, -600, 0, 800])
    np.testing.assert_allclose(signed_exp(signed_log(falls)), falls)
    assert signed_log(-44_324) / signed_log(-3_524) < 2.5


def test_the_best_readings_are_near_the_paper_and_sink(study: report.Study) -> None:
    best = choice.best(study.fitted, study.values, study.levels)
    assert len(best) == 3
    assert best["distance"].is_monotonic_increasing
    assert set(best["gradient-clip"]) == {"0.5"}, "without it `none` does not sink"
    assert set(best["actions"]) == {"raw"}
    assert (best.loc[0, "reward-scaling"], best.loc[0, "pendulum-force"]) == ("none", "unclamped")
    assert best.loc[0, "adam-eps"] == DETAILS["adam-eps"].usual


def test_the_distance_by_hand() -> None:
    """The paper: HalfCheetah 1810 +- 308, InvertedPendulum 955 +- 21; Figure 2 0.0165, 0.0501, 0.0377, 0.0341."""
    paper = {"clip": 1810, "pendulum": 955}
    values = {name: np.array([target]) for name, (target, _) in choice.targets().items()}
    assert values["clip"][0] == pytest.approx(paper["clip"], abs=0.5)
    assert values["pendulum"][0] == pytest.approx(paper["pendulum"], abs=0.5)
    assert [round(float(values[name][0]), 4) for name in ("surrogate_cpi", "surrogate_clip")] == [0.0501, 0.0341]
    none = {name: np.array([0.0]) for name in values}
    seeds = dict.fromkeys(values, 0.002)
    assert choice.distance(values, none, seeds)[0] == 0
    band = choice.targets()["clip"][1]
    away = values | {"clip": values["clip"] + 2 * band, "kl": values["kl"] - 3 * 0.002}
    assert choice.distance(away, none, seeds)[0] == pytest.approx((2**2 + 0 + 3**2 / 4) / 3)
    unsure = none | {"clip": np.array([band])}
    assert choice.distance(away, unsure, seeds)[0] == pytest.approx((2**2 / 2 + 0 + 3**2 / 4) / 3)


def test_nearest_that_sinks_with_every_seed_is_chosen() -> None:
    """Of what was measured, the nearest that sinks with every seed is chosen."""
    rng, rows = np.random.default_rng(0), []
    for reading, shift, fall in (("near", 0.0, 800.0), ("middle", 300.0, -5000.0), ("far", 900.0, -5000.0)):
        for seed in range(4):
            for name in RESPONSES:
                if name == "none":
                    value = float(signed_log(-5000.0 if seed else fall))
                else:
                    target = choice.targets()[name][0]
                    value = target * (1 + 0.02 * rng.normal()) - (shift if name == "clip" else 0)
                rows.append({"response": name, "point": reading, "seed": seed, "value": value})
    frame = choice.decided(pd.DataFrame(rows)).set_index("reading")
    assert frame["sinks"].to_dict() == {"near": False, "middle": True, "far": True}
    assert frame["distance"]["near"] < frame["distance"]["middle"] < frame["distance"]["far"]
    assert frame.index[frame["chosen"]].tolist() == ["middle"]


def test_alias_chains_are_those_of_a_folded_plackett_burman_design(study: report.Study) -> None:
    """Every product of two of its columns has a third of each other column."""
    chains = aliases(study.levels)
    clip = chains[chains["detail"] == "gradient-clip"]
    assert len(clip) == len(OTHERS) * (len(OTHERS) - 1) / 2
    np.testing.assert_allclose(clip["correlation"].abs(), 1 / 3)
    for detail in OTHERS:  # clear of the interactions among themselves: what is left has one of the three
        pairs = chains[chains["detail"] == detail]["interaction"]
        assert pairs.str.contains("|".join(CROSSED)).all()


def test_cells_are_means_over_both_points_and_all_seeds(study: report.Study) -> None:
    frame = report.cells(study).data.set_index(list(CROSSED))
    assert len(frame) == 12
    assert frame["none_runs"].tolist() == [8] * 12
    for (_, clip, _), sinks in zip(frame.index, frame["none_sinks"], strict=True):
        assert sinks == (4 if clip == "0.5" else 0)  # one of its two points has raw actions


def test_what_is_not_measured_yet_is_left_out(tmp_path: Path) -> None:
    study = report.study(gather(write_readings(tmp_path, returns, curves), "readings"), None)
    assert set(study.fitted) == {"clip", "none", "pendulum"}
    assert choice.best(study.fitted, study.values, study.levels).empty
    shown = {table.name: table.shown for table in report.tables(study)}
    assert set(shown["readings_effects"]["Figure 2: L_CPI"]) == {"–"}
    assert report.figure(study).name == "readings"
