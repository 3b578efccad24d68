"""The settings that Figure 3 is trained with are those that the committed sweeps chose."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import experiments
from analysis.data.load import gather, gather_updates
from analysis.data.scores import scored
from analysis.sections import readings_choice, readings_report
from analysis.sections.readings import measured as measured_readings
from analysis.sections.tuning import judged, measured, values
from experiments.paper.readings import BEST, DETAILS, settings_of
from experiments.paper.settings import FIGURE3, MUJOCO, TUNING, TUNING_WHOLE

RESULTS = Path(experiments.__file__).parents[1] / "results"


@pytest.fixture(scope="module")
def chosen():
    data = gather(RESULTS, "tuning")
    frame = judged(data, measured(data, scored(data)))
    return frame[frame["chosen"]].set_index("algorithm")["setting"].to_dict()


@pytest.mark.parametrize("algorithm", TUNING)
def test_an_algorithms_settings_are_the_chosen_ones(algorithm, chosen):
    tried = {**TUNING[algorithm], **TUNING_WHOLE.get(algorithm, {})}
    assert tried[chosen[algorithm]] == FIGURE3[algorithm], values(chosen[algorithm])


@pytest.mark.parametrize("algorithm", FIGURE3)
def test_the_classes_defaults_are_the_same(algorithm):
    assert type(FIGURE3[algorithm])() == FIGURE3[algorithm]


def test_the_best_readings_are_those_that_the_rule_chooses_from_the_study():
    data, (updates, _) = gather(RESULTS, "readings"), gather_updates(RESULTS, "readings")
    study = readings_report.study(data, updates) if len(data.trained) else None
    chosen = readings_choice.best(study.fitted, study.values, study.levels) if study else pd.DataFrame()
    assert chosen.reindex(columns=list(DETAILS)).to_dict("records") == list(BEST.values())


@pytest.mark.skipif(not BEST, reason="the study has not been run yet: the preset was chosen before it")
def test_the_preset_is_the_best_reading_that_was_measured():
    data, (updates, _) = gather(RESULTS, "readings-best"), gather_updates(RESULTS, "readings-best")
    frame = readings_choice.decided(measured_readings(data, updates))
    (reading,) = frame.loc[frame["chosen"], "reading"]
    assert replace(MUJOCO, **settings_of(BEST[reading])) == MUJOCO
