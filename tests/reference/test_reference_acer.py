"""ACER with replay, compared with the referee's."""

import math

import pytest

from baselines.acer import ACERSettings
from tests.reference.referee.acer import ACER
from tests.reference.referee.comparing import compare

COMMON = {"num_envs": 3, "num_steps": 10, "replay_capacity": 65, "replay_start": 20}


def test_acer_is_the_referees():
    """ACER is the referee's, through replay, correction and trust region."""
    settings = [
        ACERSettings(**COMMON, replay_ratio=4.0, importance_clip=1.0, trust_region_delta=0.01, learning_rate=2e-2),
        ACERSettings(
            **COMMON,
            replay_ratio=2.0,
            importance_clip=1.02,
            trust_region_delta=0.001,
            learning_rate=2e-2,
            ema_decay=0.9,
        ),
        ACERSettings(**COMMON, replay_ratio=0.0, gamma=0.9, ent_coef=0.1, q_coef=1.0),
    ]
    result = compare("acer", ACER, "CartPole-v1", settings, 375)  # 12 segments and half of one
    many, some, none = result.referees
    assert sum(many.replayed) > sum(some.replayed) > 0 == sum(none.replayed)
    for referee in (many, some):
        assert referee.corrections > 0
        assert referee.truncations > 0
        assert min(referee.trust_region.bound, referee.trust_region.free) > 30
        assert referee.dropped == 7, "segments that began more than 60 steps ago"
    assert result.episodes() > 0


@pytest.mark.parametrize("anneal_lr", [False, True])
def test_acer_without_bounds_is_the_referees(anneal_lr):
    common = {**COMMON, "trust_region_delta": math.inf, "norm_obs": False, "anneal_lr": anneal_lr}
    settings = [
        ACERSettings(**common, learning_rate=5e-3, max_grad_norm=math.inf),
        ACERSettings(**common, learning_rate=5e-2, max_grad_norm=0.1, rms_decay=0.9, rms_eps=0.01),
    ]
    result = compare("acer", ACER, "CartPole-v1", settings, 240)
    assert all(sum(referee.replayed) > 0 for referee in result.referees)
