"""The settings that Figure 3 is trained with are those that the committed sweeps chose."""

from dataclasses import replace
from pathlib import Path

import pytest

import experiments
from analysis import ablation
from analysis.load import gather
from analysis.scores import scored
from analysis.tuning import judged, measured, values
from experiments.protocols import ABLATION_READINGS
from experiments.settings import FIGURE3, MUJOCO, TUNING, TUNING_WHOLE

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


def test_the_paper_preset_is_the_reading_that_the_ablation_chose():
    data = gather(RESULTS, "ablation")
    assert data.runs["complete"].all()
    frame = ablation.judged(ablation.measured(data))
    (reading,) = frame.loc[frame["chosen"], "reading"]
    assert replace(MUJOCO, **ABLATION_READINGS[reading]) == MUJOCO
