"""The readings of what the text leaves open, and the designed experiment over them, against properties worked out
here."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from analysis.data.load import gather_updates
from experiments.cli.commands import main
from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import PROTOCOLS, select
from experiments.paper.readings import BEST, CROSSED, DESIGN, DETAILS, OTHERS, READINGS, TRIED
from experiments.paper.settings import MUJOCO, TABLE1, usual_settings
from experiments.store.files import read_json
from experiments.training.first_update import measure
from ppo.ppo import PPOSettings

PAPER = PROFILES["paper"]
POINTS = list(DESIGN.values())


def contrasts(detail):
    """Centred columns ``[points, levels - 1]`` that tell the detail's levels apart."""
    levels = list(DETAILS[detail])
    dummies = np.array([[point[detail] == level for level in levels[1:]] for point in POINTS], float)
    return dummies - dummies.mean(axis=0)


def products(*columns):
    """Every product of one column of each."""
    return np.array([np.prod(chosen, axis=0) for chosen in itertools.product(*(c.T for c in columns))]).T


def orthogonal(one, other):
    return np.allclose(one.T @ other, 0)


def test_design_has_24_readings():
    """24 readings, with the three details crossed in full and each combination twice."""
    assert len(POINTS) == 24 == len({tuple(point.items()) for point in POINTS})
    crossed = [tuple(point[detail] for detail in CROSSED) for point in POINTS]
    assert {crossed.count(cell) for cell in itertools.product(*(DETAILS[detail] for detail in CROSSED))} == {2}


@pytest.mark.parametrize("detail", DETAILS)
def test_a_detail_has_each_level_equally_often(detail):
    counts = [sum(point[detail] == level for point in POINTS) for level in DETAILS[detail]]
    assert counts == [24 // len(counts)] * len(counts)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(DETAILS, 2)))
def test_main_effects_are_clear_of_each_other(one, other):
    assert orthogonal(contrasts(one), contrasts(other))


@pytest.mark.parametrize("detail", OTHERS)
def test_the_others_main_effects_are_clear_of_all_that_the_three_do(detail):
    for count in (2, 3):
        for several in itertools.combinations(CROSSED, count):
            assert orthogonal(contrasts(detail), products(*map(contrasts, several))), several


def test_main_effects_are_clear_of_pairs():
    """The others' main effects are clear of their interactions in pairs."""
    for one, (two, three) in itertools.product(OTHERS, itertools.combinations(OTHERS, 2)):
        assert orthogonal(contrasts(one), products(contrasts(two), contrasts(three)))


def test_all_effects_are_estimable_together():
    """All main effects and what the three do can be told apart at once.

    Their columns are independent, with three points to spare.
    """
    three = [products(*map(contrasts, some)) for count in (1, 2, 3) for some in itertools.combinations(CROSSED, count)]
    model = np.hstack([np.ones((24, 1)), *three, *map(contrasts, OTHERS)])
    assert np.linalg.matrix_rank(model) == model.shape[1] == 21


def test_released_programs_are_in_the_design():
    """The two programs that were released are points of the design."""

    def settings_at(point):
        (run,) = (
            run
            for run in PROTOCOLS["readings"](PAPER).runs
            if run.setting == f"clip-0.2+{point}" and run.environment == "HalfCheetah-v4" and run.seed == 101
        )
        return run.settings

    assert settings_at("p09") == dataclasses.replace(MUJOCO, **READINGS["ppo2"])
    but_for_its_clip_range = {**READINGS["ppo1"], "anneal_clip": False}
    assert settings_at("p16") == dataclasses.replace(MUJOCO, **but_for_its_clip_range)


def test_study_trains_every_point():
    """The study trains each point on its tasks, and measures its first update."""
    protocol = PROTOCOLS["readings"](PAPER)
    assert len(protocol.runs) == 24 * 3 * 4
    assert len(protocol.first_updates) == 24 * 20
    for point, levels in DESIGN.items():
        own = [run for run in protocol.runs if run.setting.endswith(f"+{point}")]
        pendulum = "InvertedPendulum" + {"unclamped": "Unclamped", "clamped": ""}[levels["pendulum-force"]] + "-v4"
        assert {(run.environment, run.setting.split("+")[0]) for run in own} == {
            ("HalfCheetah-v4", "clip-0.2"),
            ("HalfCheetah-v4", "none"),
            (pendulum, "clip-0.2"),
        }
        assert {run.seed for run in own} == {101, 102, 103, 104}
        assert {run.total_timesteps for run in own} == {1_000_000}
        updates = [run for run in protocol.first_updates if run.setting == f"clip-0.2+{point}"]
        assert {run.settings for run in updates} == {run.settings for run in own if "clip" in run.setting}
        assert {(run.environment, run.total_timesteps) for run in updates} == {("Hopper-v4", 2048)}


def test_points_differ_in_what_is_said_to_differ_and_in_nothing_else():
    of_details = {name for levels in DETAILS.values() for changes in levels.values() for name in changes}
    protocol = PROTOCOLS["readings"](PAPER)
    assert len({run.settings for run in protocol.runs if run.setting.startswith("clip")}) == 24
    for run in protocol.runs:
        row = dataclasses.asdict(TABLE1[run.setting.split("+")[0]])
        own = dataclasses.asdict(run.settings)
        assert {name for name in own if own[name] != row[name]} <= of_details


def test_every_named_reading_says_all_that_is_open():
    of_details = {name for levels in DETAILS.values() for changes in levels.values() for name in changes}
    for reading in READINGS.values():
        assert set(reading) == of_details | {"anneal_clip"}


def test_the_preset_is_the_papers_reading_and_the_classs_defaults():
    assert dataclasses.replace(MUJOCO, **READINGS["paper"]) == MUJOCO == PPOSettings()


def test_ppo1_is_what_was_released_in_2017_08():
    own = usual_settings("Hopper-v4", "ppo", "ppo1")
    assert isinstance(own, PPOSettings)
    assert (own.initialisation, own.obs_filter, own.clip_obs, own.vf_coef) == ("column-norm", "batch", 5.0, 1.0)
    assert (own.max_grad_norm, own.norm_reward, own.norm_adv) == (math.inf, "none", "batch")
    assert own.anneal_lr
    assert own.anneal_clip


def test_the_best_are_trained_on_all_seven_tasks_once_they_are_known():
    protocol = PROTOCOLS["readings-best"](PAPER)
    assert len(protocol.runs) == len(TRIED) * 8 * 4
    assert len(protocol.first_updates) == len(TRIED) * 20
    assert len(BEST) == 3


def test_first_updates_are_recorded_by_their_reading(tmp_path):
    runs = [run for run in PROTOCOLS["readings"](PAPER).first_updates if run.seed == PAPER.first_update_seeds[0]][:2]
    measure(tmp_path / "readings" / "figure2", {"protocol": "readings"}, runs)
    updates, problem = gather_updates(tmp_path, "readings")
    assert problem is None
    at_end = updates[updates["interpolation"] == 1.0]
    assert at_end["setting"].tolist() == ["clip-0.2+p01", "clip-0.2+p02"]
    assert at_end["kl"].nunique() == 2


@pytest.mark.parametrize("name", ["table1", "figure2", "figure3"])
def test_another_reading_changes_ppo_and_nothing_else(name):
    (usual,), (other,) = select([name], PAPER), select([name], PAPER, "ppo1")
    for before, after in zip((*usual.runs, *usual.first_updates), (*other.runs, *other.first_updates), strict=True):
        if before.algorithm == "ppo" and before.setting != "untrained":
            assert after.settings == dataclasses.replace(before.settings, **READINGS["ppo1"])
            assert dataclasses.replace(after, settings=before.settings) == before
        else:
            assert after == before


def test_all_in_another_reading_is_what_that_changes():
    assert [protocol.name for protocol in select(["all"], PAPER, "ppo2")] == ["table1", "figure2", "figure3", "atari"]
    assert [protocol.name for protocol in select(["all"], PAPER, "a3c")] == ["atari"]
    with pytest.raises(ValueError, match="the a3c reading changes nothing in table1"):
        select(["all", "table1"], PAPER, "a3c")


def test_another_reading_has_its_own_folder(tmp_path, capsys):
    """Another reading has a folder of its own, whose manifest names it."""
    run = ["run", "figure2", "--profile", "quick", "--results", str(tmp_path)]
    assert main([*run, "--reading", "ppo1"]) == 0
    manifest = read_json(tmp_path / "figure2" / "manifest.json")
    assert manifest["reading"] == "ppo1"
    assert {own["settings"]["initialisation"] for own in manifest["runs"]} == {"column-norm"}
    capsys.readouterr()
    for other in ([], ["--reading", "ppo2"]):
        assert main([*run, *other]) == 2
        said = capsys.readouterr().err
        assert "holds results of the ppo1 reading" in said
        assert said.count("\n") == 1
    assert read_json(tmp_path / "figure2" / "manifest.json") == manifest
    assert main([*run, "--reading", "ppo1"]) == 0
