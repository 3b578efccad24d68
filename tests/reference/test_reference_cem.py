"""Generations of CEM, compared with the referee's."""

import numpy as np
import pytest

from baselines.cem import CEMSettings
from tests.reference.referee.cem import CEM
from tests.reference.referee.comparing import compare


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("env_id", ["InvertedPendulum-v4", "CartPole-v1"])
def test_generations_of_cem_are_the_referees(env_id, deterministic):
    common = {"num_envs": 3, "num_steps": 100, "population": 5, "deterministic": deterministic}
    settings = [
        CEMSettings(**common, elite_frac=0.4),
        CEMSettings(**common, elite_frac=0.6, initial_std=0.3, extra_std=0.1),
    ]
    # The pendulum amplifies rounding: at 1500 steps, processors differ by a step in when an episode ends.
    result = compare("cem", CEM, env_id, settings, 1200)
    for run, referee in enumerate(result.referees):
        assert referee.generations >= 5
        deviation = result.algorithm.std[run].numpy()
        assert np.linalg.norm(deviation - referee.deviation) < 1e-4 * np.linalg.norm(referee.deviation)
