"""The paper's experiments as data, against the paper's own lists."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from baselines import ALGORITHMS
from experiments.paper import about
from experiments.paper.profiles import ENVIRONMENTS, PROFILES
from experiments.paper.protocols import PROTOCOLS, atari, figure2, figure3, select, table1
from experiments.paper.settings import MUJOCO, TABLE1
from experiments.run import Run, settings_from_json, settings_to_json
from ppo.algorithm import check_budget
from ppo.ppo import PPOSettings

PAPER = PROFILES["paper"]

TABLE1_IN_PRINT = {  # the printed rows as (epsilon, first beta, d_targ); sec. 6.1: "beta was initialized at 1"
    "none": (math.inf, 0, 0),
    "clip-0.1": (0.1, 0, 0),
    "clip-0.2": (0.2, 0, 0),
    "clip-0.3": (0.3, 0, 0),
    "adaptive-kl-0.003": (math.inf, 1, 0.003),
    "adaptive-kl-0.01": (math.inf, 1, 0.01),
    "adaptive-kl-0.03": (math.inf, 1, 0.03),
    "fixed-kl-0.3": (math.inf, 0.3, 0),
    "fixed-kl-1": (math.inf, 1, 0),
    "fixed-kl-3": (math.inf, 3, 0),
    "fixed-kl-10": (math.inf, 10, 0),
}


def test_table_1_is_11_settings_on_7_tasks_of_a_million_steps():
    runs = table1(PAPER).trained
    assert len(runs) == len({(run.environment, run.setting, run.seed) for run in runs})
    assert len({run.setting for run in runs}) == 11
    assert {run.total_timesteps for run in runs} == {1_000_000}
    tasks = {"HalfCheetah", "Hopper", "InvertedDoublePendulum", "InvertedPendulum", "Reacher", "Swimmer", "Walker2d"}
    assert {run.environment for run in runs} == {f"{task}-v4" for task in tasks}


def seeds_by(field, runs):
    """The seeds of each row or algorithm, which must be the same on every task."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for run in runs:
        seeds.setdefault((getattr(run, field), run.environment), set()).add(run.seed)
    by_name = {name: found for (name, _), found in seeds.items()}
    assert all(by_name[name] == found for (name, _), found in seeds.items())
    return by_name


def test_rows_and_algorithms_have_the_seeds_that_they_need():
    """The paper's three first; ten where the comparison is close or the row is the one that fails, five elsewhere."""
    ten = {"none", "clip-0.1", "clip-0.2", "clip-0.3"}
    rows, algorithms = seeds_by("setting", table1(PAPER).trained), seeds_by("algorithm", figure3(PAPER).trained)
    assert rows == {name: set(range(1, 11 if name in ten else 6)) for name in TABLE1_IN_PRINT}
    assert algorithms == {name: set(range(1, 11 if name in {"ppo", "trpo"} else 6)) for name in algorithms}
    for protocol in (table1(PAPER), figure3(PAPER)):
        assert set(seeds_by("environment", protocol.untrained)) == set(ENVIRONMENTS)
        assert {run.seed for run in protocol.untrained} == set(range(1, 11))
    assert {run.seed for run in figure2(PAPER).first_updates} == set(range(1, 21))


def settings_of(runs) -> list[Any]:
    """The settings of runs, which may be of any algorithm."""
    return [run.settings for run in runs]


def test_random_level_learns_nothing():
    """The random level is measured on every task, and learns nothing."""
    untrained = table1(PAPER).untrained
    assert {run.environment for run in untrained} == set(ENVIRONMENTS)
    assert {own.learning_rate for own in settings_of(untrained)} == {0.0}
    assert {run.setting for run in untrained} == {"untrained"}


def test_a_profile_says_which_environments_and_algorithms_are_run():
    small = dataclasses.replace(
        PROFILES["quick"], environments=("Reacher-v4",), figure3_algorithms=("cem",), atari_algorithms=("a2c",)
    )
    assert {(run.environment, run.algorithm) for run in figure3(small).trained} == {("Reacher-v4", "cem")}
    assert {run.environment for run in table1(small).runs} == {"Reacher-v4"}
    assert {run.algorithm for run in atari(small).runs} == {"a2c"}


def test_every_protocol_is_described_and_all_are_the_papers():
    assert list(PROTOCOLS) == list(about.PROTOCOLS)
    assert {name: make(PROFILES["quick"]).name for name, make in PROTOCOLS.items()} == {
        name: name for name in PROTOCOLS
    }


@pytest.mark.parametrize("setting", TABLE1_IN_PRINT)
def test_each_row_of_table_1_has_the_numbers_in_print(setting):
    own = TABLE1[setting]
    assert (own.clip_coef, own.kl_coef, own.kl_target) == TABLE1_IN_PRINT[setting]


def test_table_1_has_no_other_rows():
    assert list(TABLE1) == list(TABLE1_IN_PRINT)


@pytest.mark.parametrize("setting", TABLE1_IN_PRINT)
def test_every_row_has_the_numbers_of_table_3(setting):
    own = TABLE1[setting]
    assert own.num_envs * own.num_steps == 2048  # horizon T
    assert own.learning_rate == 3e-4  # Adam stepsize
    assert own.update_epochs == 10
    assert own.minibatch_size == 64
    assert own.gamma == 0.99
    assert own.gae_lambda == 0.95
    assert own.ent_coef == 0  # sec. 6.1: "we don't use an entropy bonus"
    assert not own.anneal_lr
    assert not own.anneal_clip


def test_figure_3_is_the_clipped_runs_of_table_1():
    of_table1 = {run.key for run in table1(PAPER).runs if run.setting == "clip-0.2"}
    (figure3,) = select(["figure3"], PAPER)
    mine = [run for run in figure3.runs if run.algorithm == "ppo" and run.setting != "untrained"]
    assert {run.key for run in mine} == of_table1


def test_figure_3_has_every_algorithm_that_it_compares_on_every_task():
    (figure3,) = select(["figure3"], PAPER)
    trained = [run for run in figure3.runs if run.setting != "untrained"]
    counts = Counter((run.algorithm, run.environment) for run in trained)
    compared = set(ALGORITHMS) - {"acer", "per-sample-kl"}  # of Atari alone, and not the paper's
    assert {algorithm for algorithm, _ in counts} == compared
    assert len(counts) == len(compared) * 7
    assert {run.total_timesteps for run in trained} == {1_000_000}
    random_level = {run.key for run in table1(PAPER).runs if run.setting == "untrained"}
    assert random_level == {run.key for run in figure3.runs if run.setting == "untrained"}


def test_figure_2_is_the_first_update_on_hopper():
    (figure2,) = select(["figure2"], PAPER)
    assert not figure2.runs
    assert {(run.environment, run.total_timesteps) for run in figure2.first_updates} == {("Hopper-v4", 2048)}
    assert {run.settings for run in figure2.first_updates} == {MUJOCO}


@pytest.mark.parametrize("profile", PROFILES)
def test_keys_are_unique_within_a_protocol(profile):
    for protocol in select(PROTOCOLS, PROFILES[profile]):
        runs = [*protocol.runs, *protocol.first_updates]
        assert len({run.key for run in runs}) == len(runs)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_planned_run_can_be_trained_to_its_budget(profile):
    for protocol in select(PROTOCOLS, PROFILES[profile]):
        for run in (*protocol.runs, *protocol.first_updates):
            assert isinstance(run.settings, ALGORITHMS[run.algorithm].load().Settings)
            run.settings.check()
            check_budget(run.total_timesteps, run.settings.num_envs)


def test_nothing_is_tuned_on_the_seeds_that_are_reported():
    reported = {run.seed for one in select(["all"], PAPER) for run in (*one.runs, *one.first_updates)}
    for protocol in select(["readings", "readings-best", "tuning", "figure4-tuning"], PAPER):
        assert not reported & {run.seed for run in (*protocol.runs, *protocol.first_updates)}, protocol.name


def test_tuning_sees_two_tasks_at_most():
    """Tuning sees two tasks at most, and a sweep of 32 learning rates."""
    (tuning,) = select(["tuning"], PAPER)
    assert len({run.environment for run in tuning.runs}) == 2
    a2c = [run for run in tuning.runs if run.algorithm == "a2c" and run.total_timesteps == 200_000]
    assert len({own.learning_rate for own in settings_of(a2c)}) == 32
    assert {run.setting for run in tuning.runs if run.algorithm == "ppo"} == {"untrained"}


def swept(algorithm, scaling, *names, steps=200_000):
    """The values of the settings ``names`` that are tried under a reward scaling, in all their combinations."""
    (tuning,) = select(["tuning"], PAPER)
    runs = [run for run in tuning.runs if run.algorithm == algorithm and run.total_timesteps == steps]
    return {tuple(getattr(own, name) for name in names) for own in settings_of(runs) if own.norm_reward == scaling}


def test_sweeps_are_crossed_with_reward_scaling():
    none, reset, never = (
        swept("vpg", scaling, "desired_kl", "gae_lambda") for scaling in ("none", "reset", "never-reset")
    )
    assert len(none) == 80
    assert none == reset == never
    names = "learning_rate", "trust_region_delta"
    none, reset, never = (swept("a2c-trust-region", scaling, *names) for scaling in ("none", "reset", "never-reset"))
    assert len(none) == 56
    assert none == reset == never
    none, reset, never = (
        swept("a2c", scaling, "learning_rate", "anneal_lr", steps=PAPER.total_timesteps)
        for scaling in ("none", "reset", "never-reset")
    )
    assert len(reset) == 20
    lowest = sorted({rate for rate, _ in reset})[:2]
    assert none == never == {(rate, anneal) for rate, anneal in reset if rate not in lowest}


def test_vpg_sweep_goes_past_its_choice():
    """The vanilla policy gradient is swept two steps past what was chosen at the edge, twice."""
    kls, lambdas = (sorted({value[0] for value in swept("vpg", "none", name)}) for name in ("desired_kl", "gae_lambda"))
    assert kls.index(0.128) == len(kls) - 3
    assert lambdas.index(0.6) == 2


@pytest.mark.parametrize("algorithm", ["trpo", "npg"])
def test_without_a_sweep_reward_scaling_alone_is_tried(algorithm):
    """What has no sweep tries reward scaling alone, with three seeds over the whole budget."""
    (tuning,) = select(["tuning"], PAPER)
    runs = [run for run in tuning.runs if run.algorithm == algorithm]
    assert {run.total_timesteps for run in runs} == {PAPER.total_timesteps}
    usual = ALGORITHMS[algorithm].load().Settings()
    scalings = ("none", "reset", "never-reset")
    assert set(settings_of(runs)) == {dataclasses.replace(usual, norm_reward=scaling) for scaling in scalings}
    assert len({run.seed for run in runs}) == 3


def test_tried_settings_have_distinct_names():
    """A tried setting's name tells it from every other of its algorithm."""
    (tuning,) = select(["tuning"], PAPER)
    named = {(run.algorithm, run.setting, run.total_timesteps, run.settings) for run in tuning.runs}
    assert len({(algorithm, setting) for algorithm, setting, *_ in named}) == len(named)
    for _, setting, _, settings in named:
        parts = [part.partition("=") for part in setting.split(",") if "=" in part]
        assert all(str(getattr(settings, name)) == value for name, _, value in parts), setting


def test_a_key_tells_every_difference_in_what_is_trained():
    run = Run("Hopper-v4", "ppo", "x", 1, 2048, MUJOCO)
    others = [
        dataclasses.replace(run, environment="Hopper-v5"),
        dataclasses.replace(run, seed=2),
        dataclasses.replace(run, total_timesteps=4096),
        *(
            dataclasses.replace(run, settings=dataclasses.replace(MUJOCO, **change))
            for change in ({"clip_coef": 0.3}, {"norm_obs": False}, {"norm_adv": "minibatch"}, {"minibatch_size": 32})
        ),
    ]
    assert len({run.key, *(other.key for other in others)}) == 1 + len(others)


def test_newer_settings_leave_recorded_keys_alone():
    """A setting that runs were recorded without leaves their keys as they are.

    Table 4's schedules came after runs that never heard of them: off, nothing of a run tells that they exist.
    """
    run = Run("Hopper-v4", "ppo", "x", 1, 2048, PPOSettings())
    off = json.dumps(run.record.to_json())
    assert not [name for name in ("anneal_log_std", "log_std_start", "log_std_end", "lr_kl_target") if name in off]
    on = dataclasses.replace(run, settings=PPOSettings(anneal_log_std=True, lr_kl_target=0.01))
    assert {"anneal_log_std": True, "lr_kl_target": 0.01}.items() <= on.record.to_json()["settings"].items()
    assert on.key != run.key
    for own in (run, on):
        assert settings_from_json(PPOSettings, own.record.to_json()["settings"]) == own.settings


def test_one_detail_at_a_time_is_changed_in_the_row_that_falls_on_reacher():
    (protocol,) = select(["none-on-reacher"], PAPER)
    settings = {run.setting.partition("+")[2]: run.settings for run in protocol.trained}
    assert settings["paper"] == TABLE1["none"]
    assert len(settings) == 1 + 12, "eleven details, one of them with two other levels"
    for name, own in settings.items():
        changed = {
            field.name
            for field in dataclasses.fields(own)
            if getattr(own, field.name) != getattr(TABLE1["none"], field.name)
        }
        assert len(changed) == {"paper": 0, "observation-filter=per-batch-5": 2}.get(name, 1), name
    assert {(run.environment, run.total_timesteps) for run in protocol.trained} == {("Reacher-v4", 1_000_000)}
    reported = {run.seed for name in ("table1", "figure3") for run in select([name], PAPER)[0].runs}
    assert not reported & {run.seed for run in protocol.trained}


def test_one_stated_setting_at_a_time_is_changed_in_figure_2s_update():
    (changed,), (usual,) = select(["figure2-settings"], PAPER), select(["figure2"], PAPER)
    assert not changed.runs
    settings = {run.setting.partition("+")[2]: run.settings for run in changed.first_updates}
    for name, own in settings.items():
        field, value = name.split("=")
        assert str(getattr(own, field)) == value != str(getattr(MUJOCO, field))
        assert dataclasses.replace(own, **{field: getattr(MUJOCO, field)}) == MUJOCO
    assert {run.seed for run in changed.first_updates} == {run.seed for run in usual.first_updates}
    assert all(run.total_timesteps == run.settings.num_steps for run in changed.first_updates)


def test_keys_are_the_same_in_another_process():
    code = (
        "from experiments.paper.protocols import table1; from experiments.paper.profiles import PROFILES;"
        "print('\\n'.join(run.key for run in table1(PROFILES['quick']).runs))"
    )
    command = [sys.executable, "-c", code]
    elsewhere = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert elsewhere.stdout.split() == [run.key for run in table1(PROFILES["quick"]).runs]


@pytest.mark.parametrize("setting", TABLE1)
def test_settings_survive_strict_json(setting):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = json.dumps(settings_to_json(TABLE1[setting]), allow_nan=False)
    back = settings_from_json(PPOSettings, json.loads(text, parse_constant=refuse))
    assert back == TABLE1[setting]
    assert {type(value) for value in dataclasses.asdict(back).values()} <= {int, float, bool, str}


def test_a_setting_that_the_algorithm_does_not_have_is_refused():
    data = {**settings_to_json(MUJOCO), "clip_coff": 0.2}
    with pytest.raises(ValueError, match="PPOSettings has no setting 'clip_coff'"):
        settings_from_json(PPOSettings, data)


@pytest.mark.parametrize(
    ("name", "near"), [("tabel1", "table1"), ("figure", "figure3"), ("al", "all"), ("Table1", "table1")]
)
def test_an_unknown_protocol_gets_its_nearest(name, near):
    with pytest.raises(ValueError, match=f"unknown protocol '{name}'; did you mean .*{near}") as error:
        select([name], PAPER)
    assert "\n" not in str(error.value)


def test_a_name_like_no_protocol_gets_them_all():
    with pytest.raises(ValueError, match=f"valid: {', '.join(PROTOCOLS)}, all"):
        select(["zzz"], PAPER)


def test_all_is_every_table_and_figure_of_the_paper_once():
    assert [protocol.name for protocol in select(["figure3", "all"], PAPER)].count("figure3") == 1
    assert {protocol.name for protocol in select(["all"], PAPER)} == {
        "table1",
        "figure1",
        "figure2",
        "figure3",
        "figure4",
        "atari",
    }
