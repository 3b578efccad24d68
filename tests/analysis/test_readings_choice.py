"""The settings that Figure 3 is trained with are those that the committed sweeps chose."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import experiments
from analysis.data.labels import values
from analysis.data.load import gather, gather_updates
from analysis.data.scores import scored
from analysis.sections.readings import choice, nearest, report
from analysis.sections.tuning import judged, measured
from experiments.paper.profiles import PROFILES
from experiments.paper.protocols import select
from experiments.paper.readings import BEST, CHOSEN, DETAILS, TRIED, settings_of
from experiments.paper.settings import FIGURE3, MUJOCO
from experiments.paper.sweeps import SWEEPS
from experiments.run import known_settings
from experiments.store.files import read_json
from experiments.store.records import completed, records_from_json

RESULTS = Path(experiments.__file__).parents[1] / "results"


@pytest.fixture(scope="module")
def chosen():
    data = gather(RESULTS, "tuning")
    frame = judged(data, measured(data, scored(data)))
    return frame[frame["chosen"]].set_index("algorithm")["setting"].to_dict()


TUNED = tuple(dict.fromkeys(sweep.algorithm for sweep in SWEEPS))


@pytest.mark.parametrize("algorithm", TUNED)
def test_an_algorithms_settings_are_the_chosen_ones(algorithm, chosen):
    if algorithm not in chosen:
        pytest.skip(f"no sweep of {algorithm} is trained yet")
    tried = {name: own for sweep in SWEEPS if sweep.algorithm == algorithm for name, own in sweep.settings.items()}
    assert tried[chosen[algorithm]] == FIGURE3[algorithm], values(chosen[algorithm])


@pytest.mark.parametrize("algorithm", TUNED)
def test_no_chosen_fraction_is_at_the_edge_of_its_sweep(algorithm):
    sweep = max((sweep for sweep in SWEEPS if sweep.algorithm == algorithm), key=lambda sweep: sweep.fraction)
    settings = [dataclasses.asdict(own) for own in sweep.settings.values()]
    for name, chosen in dataclasses.asdict(FIGURE3[algorithm]).items():
        tried = {own[name] for own in settings}
        if isinstance(chosen, float) and len(tried) > 1:
            assert min(tried) < chosen < max(tried), name


def test_what_was_recorded_of_the_sweeps_is_still_part_of_them():
    path = RESULTS / "tuning" / "manifest.json"
    runs = completed(path, records_from_json(path, read_json(path)["runs"]), known_settings())
    recorded = {run.key for run in runs if run.algorithm in TUNED}
    assert recorded <= {run.key for run in select(["tuning"], PROFILES["paper"])[0].runs}


@pytest.mark.parametrize("algorithm", FIGURE3)
def test_the_classes_defaults_are_the_same(algorithm):
    assert type(FIGURE3[algorithm])() == FIGURE3[algorithm]


def test_best_readings_follow_the_rule():
    """The best readings are those that the rule chooses from the study."""
    data, (updates, _) = gather(RESULTS, "readings"), gather_updates(RESULTS, "readings")
    study = report.study(data, updates) if len(data.trained) else None
    chosen = choice.best(study.fitted, study.values, study.levels) if study else pd.DataFrame()
    assert chosen.reindex(columns=list(DETAILS)).to_dict("records") == list(BEST.values())


def test_the_preset_is_the_nearest_reading_that_was_measured():
    designed, best = (
        (gather(RESULTS, name), gather_updates(RESULTS, name)[0]) for name in ("readings", "readings-best")
    )
    frame = choice.decided(nearest.competing(report.study(*designed), *best))
    (reading,) = frame.loc[frame["chosen"], "reading"]
    assert reading == CHOSEN
    assert replace(MUJOCO, **settings_of(TRIED[reading])) == MUJOCO
