"""VPG over changes of its step size, compared with the referee's."""

import pytest

from baselines.vpg import VPGSettings
from tests.reference.referee.comparing import compare
from tests.reference.referee.vpg import VPG


@pytest.mark.parametrize("engine", ["torch", "numba"])
@pytest.mark.parametrize("env_id", ["Hopper-v4", "CartPole-v1"])
def test_vpg_is_the_referees(env_id, engine):
    """VPG is the referee's, while its step size grows, shrinks and stays."""
    common = {"num_steps": 100, "num_envs": 2, "vf_epochs": 2}
    settings = [
        VPGSettings(**common, desired_kl=1.0),
        VPGSettings(**common, desired_kl=1e-6, gae_lambda=1.0),
        VPGSettings(**common, desired_kl=0.002, vf_learning_rate=1e-2),
    ]
    result = compare("vpg", VPG, env_id, settings, 1200, engine=engine)
    grows, shrinks, settles = (referee.rates for referee in result.referees)
    assert grows == pytest.approx([1e-3 * 1.5**n for n in range(6)])
    assert shrinks == pytest.approx([1e-3 / 1.5**n for n in range(6)])
    assert len(set(settles)) < len(settles), "left as it was"
    assert result.episodes() > 0
