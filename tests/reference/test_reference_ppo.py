"""Whole iterations of PPO, in every branch, compared with the referee's."""

import math
from itertools import pairwise

import pytest

from ppo.ppo import PPOSettings
from tests.reference.referee.comparing import compare
from tests.reference.referee.ppo import PPO

INF = math.inf


def stack(*runs, **common):
    """Return the settings of a stack: ``common``, and those of each run."""
    return [
        PPOSettings(**{"num_steps": 128, "minibatch_size": 32, "update_epochs": 4, **common, **run}) for run in runs
    ]


TWO = ({"clip_coef": 0.2}, {"clip_coef": 0.1, "learning_rate": 1e-3})
HOPPER, PENDULUM, REACHER, CARTPOLE = "Hopper-v4", "InvertedPendulum-v4", "Reacher-v4", "CartPole-v1"

CASES = {  # environment, runs, budget
    "clipping": (HOPPER, stack({"clip_coef": 0.2}, {"clip_coef": 0.05, "learning_rate": 1e-3}), 256),
    "neither clipping nor penalty": (HOPPER, stack({}, {"learning_rate": 1e-3}, clip_coef=INF), 256),
    "a fixed penalty": (HOPPER, stack({"kl_coef": 1.0}, {"kl_coef": 10.0}, clip_coef=INF, learning_rate=1e-3), 384),
    "a penalty beside a clip": (HOPPER, stack({"clip_coef": 0.1}, {"clip_coef": INF, "kl_coef": 3.0}), 256),
    "an entropy bonus": (HOPPER, stack({"ent_coef": 0.01}, {"ent_coef": 0.3}, {"ent_coef": 0.0}), 256),
    "advantages standardised over minibatches": (HOPPER, stack(*TWO, norm_adv="minibatch", minibatch_size=8), 256),
    "advantages as they are": (HOPPER, stack(*TWO, norm_adv="none"), 256),
    "value clipping": (HOPPER, stack({"vf_clip_range": 0.02}, {"vf_clip_range": 0.2}, {}, learning_rate=1e-3), 256),
    "an annealed rate": (HOPPER, stack(*TWO, anneal_lr=True), 384),
    "an annealed clip": (HOPPER, stack(*TWO, anneal_clip=True), 384),
    "an annealed clip of values too": (
        HOPPER,
        stack({"vf_clip_range": 0.02}, {"vf_clip_range": 0.1}, {}, anneal_clip=True, learning_rate=1e-3),
        384,
    ),
    "several environments": (HOPPER, stack(*TWO, num_envs=3, num_steps=50), 300),
    "an odd last iteration": (PENDULUM, stack(*TWO, minibatch_size=48, anneal_lr=True), 301),
    "discrete actions": (CARTPOLE, stack({"ent_coef": 0.01}, {"kl_coef": 1.0, "clip_coef": INF}, num_envs=2), 512),
    "time limits as the end": (REACHER, stack(*TWO, gamma=0.9), 256),
    "time limits bootstrapped": (REACHER, stack(*TWO, gamma=0.9, bootstrap_truncation=True, num_envs=2), 512),
    "terminations where time limits are bootstrapped": (PENDULUM, stack(*TWO, bootstrap_truncation=True), 256),
    "rewards as they are": (PENDULUM, stack(*TWO, norm_reward="none", learning_rate=1e-3), 256),
    "a return that never starts afresh": (PENDULUM, stack(*TWO, norm_reward="never-reset", num_envs=2), 512),
    "no gradient clipping": (
        HOPPER,
        stack({"max_grad_norm": INF}, {"max_grad_norm": 0.5}, {"max_grad_norm": 0.05}),
        256,
    ),
    "observations as they are": (REACHER, stack(*TWO, norm_obs=False), 256),
    "the first release's filter and weights": (
        HOPPER,
        stack(*TWO, obs_filter="batch", clip_obs=5.0, initialisation="column-norm", network="32-32"),
        384,
    ),
    "narrow bounds": (HOPPER, stack({"clip_obs": 1.0}, {"clip_obs": 0.5}, obs_filter="batch", vf_clip_range=0.05), 384),
    "an annealed log-std": (HOPPER, stack(*TWO, {"log_std_start": 0.0}, anneal_log_std=True, ent_coef=0.01), 384),
    "other discounts": (HOPPER, stack({"gamma": 1.0, "gae_lambda": 1.0}, {"gamma": 0.5}), 256),
}


@pytest.mark.parametrize("engine", ["torch", "numba"])
@pytest.mark.parametrize("case", CASES)
def test_whole_iterations_are_the_referees(case, engine):
    env_id, settings, total_timesteps = CASES[case]
    result = compare("ppo", PPO, env_id, settings, total_timesteps, engine=engine)
    assert result.episodes() > 0


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_an_adaptive_beta_is_the_referees_over_many_updates(engine):
    settings = stack(
        *({"kl_target": target} for target in (2e-5, 2e-4, 0.1)), {}, clip_coef=INF, kl_coef=1.0, num_steps=64
    )
    result = compare("ppo", PPO, HOPPER, settings, 8 * 64, engine=engine)
    betas = [referee.betas for referee in result.referees]
    assert betas[0][-1] > 1, "doubled"
    assert betas[2][-1] < 1, "halved"
    assert any(before == after for before, after in pairwise(betas[1])), "left as it was"
    assert set(betas[3]) == {1.0}, "not adapted"
    assert result.algorithm.kl_coef.squeeze(1).tolist() == [referee.beta for referee in result.referees]


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_table_4s_schedules_are_the_referees_over_many_updates(engine):
    targets: tuple[dict[str, float], ...] = ({"lr_kl_target": 1e-6}, {"lr_kl_target": 2e-4}, {"lr_kl_target": 1.0}, {})
    settings = stack(*targets, anneal_log_std=True, num_steps=64, num_envs=2, learning_rate=1e-4)
    result = compare("ppo", PPO, HOPPER, settings, 8 * 128 - 60, engine=engine)
    rates = [referee.rates for referee in result.referees]
    assert rates[0][-1] < 1e-4 / 1.5, "divided"
    assert rates[2][-1] > 1e-4 * 1.5, "multiplied"
    assert any(before == after for before, after in pairwise(rates[1])), "left as it was"
    assert set(rates[3]) == {1e-4}, "not adapted"
    found = result.algorithm.learning_rate.squeeze(1).tolist()
    assert found == pytest.approx([referee.rate for referee in result.referees], rel=1e-5)
