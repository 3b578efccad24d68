"""TRPO, correct and as released in 2017, and NPG, compared with the referee's.

Conjugate gradient and line search amplify rounding. So the first iteration is compared in full, and for each later one
the referee starts from the project's parameters; it still collects, estimates and updates by itself. The damping is two
or three times the default for the same reason: with 0.1, float32 moves the direction by up to 1e-4 of its length, where
the same code in float64 agrees with the referee to 1e-8.
"""

import pytest

from baselines.trpo import NPGSettings, TRPO2017Settings, TRPOSettings
from tests.reference.referee.comparing import compare
from tests.reference.referee.trpo import TRPO

SHORT = {"num_steps": 200, "vf_epochs": 2}


def replayed(name, env_id, settings, iterations=3):
    total = iterations * settings[0].num_steps * settings[0].num_envs
    result = compare(name, TRPO, env_id, settings, total, replayed=True)
    assert result.episodes() > 0
    return [referee.sizes for referee in result.referees]


@pytest.mark.parametrize("env_id", ["Hopper-v4", "CartPole-v1"])
def test_trpo_is_the_referees(env_id):
    """TRPO is the referee's, with full, shortened and rejected steps."""
    settings = [
        TRPOSettings(**SHORT, cg_damping=0.2),
        TRPOSettings(**SHORT, kl_margin=0.3, max_kl=0.03, cg_damping=0.3),
        TRPOSettings(**SHORT, kl_margin=1e-7),
    ]
    whole, shortened, none = replayed("trpo", env_id, settings)
    assert 1.0 in whole
    assert any(0 < size < 1 for size in shortened)
    assert set(none) == {0.0}


def test_trpo_with_other_choices_is_the_referees():
    common = {
        "num_envs": 2,
        "num_steps": 100,
        "norm_adv": "none",
        "norm_reward": "never-reset",
        "sub_sampling_factor": 1,
        "cg_iters": 4,
        "bootstrap_truncation": True,
    }
    replayed("trpo", "Reacher-v4", [TRPOSettings(**common), TRPOSettings(**common, max_kl=0.001)])


def test_trpo_as_released_is_the_referees():
    settings = [TRPO2017Settings(**SHORT), TRPO2017Settings(**SHORT, max_kl=0.03, vf_learning_rate=1e-2)]
    replayed("trpo-2017", "Hopper-v4", settings)


def test_npg_is_the_referees():
    settings = [NPGSettings(**SHORT, cg_damping=0.2), NPGSettings(**SHORT, max_kl=0.05, cg_damping=0.3)]
    sizes = replayed("npg", "Hopper-v4", settings)
    assert sizes == [[1.0] * 3] * 2
