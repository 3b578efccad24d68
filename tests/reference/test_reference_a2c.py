"""Dozens of updates of A2C, without and with its trust region, compared with the referee's."""

import math

import pytest

from baselines.a2c import A2CSettings
from baselines.a2c_trust_region import A2CTrustRegionSettings
from tests.reference.referee.a2c import A2C, A2CTrustRegion
from tests.reference.referee.comparing import compare

BOOTSTRAPPED = {"num_steps": 7, "bootstrap_truncation": True, "norm_reward": "reset"}

# High learning rates: every update rounds the parameters to float32, which must stay small beside A2C's small steps.
A2C_CASES = {  # environment, runs, budget
    "defaults": (
        "Hopper-v4",
        [A2CSettings(learning_rate=4e-2), A2CSettings(learning_rate=2e-2, vf_coef=0.5, ent_coef=0.01)],
        800,
    ),
    "no schedule, no clipping": (
        "InvertedPendulum-v4",
        [
            A2CSettings(learning_rate=1e-2, anneal_lr=False, max_grad_norm=math.inf, rms_decay=0.9),
            A2CSettings(learning_rate=3e-2, anneal_lr=False, max_grad_norm=0.5, rms_eps=0.1),
        ],
        600,
    ),
    "discrete actions": (
        "CartPole-v1",
        [A2CSettings(learning_rate=4e-2, ent_coef=0.01), A2CSettings(learning_rate=2e-2, gamma=0.9)],
        600,
    ),
    "time limits bootstrapped": (
        "Reacher-v4",
        [
            A2CSettings(**BOOTSTRAPPED, learning_rate=4e-2),
            A2CSettings(**BOOTSTRAPPED, learning_rate=2e-2, gae_lambda=0.9, gamma=0.9),
        ],
        1000,
    ),
}


@pytest.mark.parametrize("case", A2C_CASES)
def test_dozens_of_updates_of_a2c_are_the_referees(case):
    result = compare("a2c", A2C, *A2C_CASES[case])
    assert result.algorithm.iteration >= 30
    assert result.episodes() > 0


@pytest.mark.parametrize(("env_id", "norm_reward"), [("Hopper-v4", "none"), ("CartPole-v1", "reset")])
def test_dozens_of_updates_with_the_trust_region_are_the_referees(env_id, norm_reward):
    settings = [
        A2CTrustRegionSettings(learning_rate=2e-2, trust_region_delta=0.01, ema_decay=0.9, norm_reward=norm_reward),
        A2CTrustRegionSettings(learning_rate=3e-2, trust_region_delta=0.02, ent_coef=0.01, norm_reward=norm_reward),
        A2CTrustRegionSettings(learning_rate=2e-2, trust_region_delta=1e6, norm_reward=norm_reward),
    ]
    result = compare("a2c-trust-region", A2CTrustRegion, env_id, settings, 800)
    regions = [referee.trust_region for referee in result.referees]
    assert min(region.free for region in regions) > 100, "states whose gradient is left as it was"
    assert min(region.bound for region in regions[:2]) > 30, "states whose gradient is projected"
    assert regions[2].bound == 0
    assert result.episodes() > 0
