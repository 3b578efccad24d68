"""A2C against Stable-Baselines3's: returns, losses, gradients and weights; n-step returns and annealing by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C as SB3A2C
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from baselines.a2c import A2C, A2CSettings
from ppo.rollout import Experience
from ppo.settings import SettingsError
from tests.helpers import stable_baselines
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4
from tests.helpers.stacks import perturbed_stack
from tests.helpers.torch_networks import references

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
INF, NAN = math.inf, math.nan


def a2c_of(settings, space=CONTINUOUS_3, total_timesteps=12_000):
    """A stack whose environments end episodes now and then."""
    return perturbed_stack(A2C, settings, space, lengths=(3, 7, 4, 11), total_timesteps=total_timesteps)


def watched(owner, name):
    """The arguments and the result of every call of a method from now on."""
    calls, method = [], getattr(owner, name)

    def watching(*arguments):
        before = [value.clone() if isinstance(value, torch.Tensor) else value for value in arguments]
        result = method(*arguments)
        calls.append((*before, result))
        return result

    setattr(owner, name, watching)
    return calls


# --- Stable-Baselines3 -----------------------------------------------------------------------------------------------


def twin_of(algorithm, own, reference):
    """Stable-Baselines3's A2C with a run's settings and weights, and TensorFlow's RMSProp as its optimiser."""
    return stable_baselines.twin(
        SB3A2C,
        algorithm.env.action_space,
        reference,
        num_envs=own.num_envs,
        n_steps=own.num_steps,
        gamma=own.gamma,
        gae_lambda=own.gae_lambda,
        learning_rate=own.learning_rate,
        ent_coef=own.ent_coef,
        vf_coef=own.vf_coef,
        max_grad_norm=own.max_grad_norm,
        normalize_advantage=False,
        optimizer={
            "optimizer_class": RMSpropTFLike,
            "optimizer_kwargs": {"alpha": own.rms_decay, "eps": own.rms_eps},
        },
    )


def feed(model, experience, run):
    """The run's experience into SB3's buffer; values, log-probabilities, returns and advantages are its own work."""
    buffer = model.rollout_buffer
    buffer.reset()
    begins = np.ones(model.n_envs)
    with torch.no_grad():
        for step in range(model.n_steps):
            observations, actions = experience.observations[step, run], experience.actions[step, run]
            values, log_probs, _ = model.policy.evaluate_actions(observations, actions)
            rewards = experience.rewards[step, run]
            buffer.add(observations.numpy(), actions.numpy(), rewards, begins, values, log_probs)
            begins = experience.ended[step, run]
        last_values = model.policy.predict_values(experience.last_observations[run])
    buffer.compute_returns_and_advantage(last_values, begins)


STACK = [
    {"learning_rate": 7e-4, "ent_coef": 0.01, "vf_coef": 0.25, "max_grad_norm": 0.5},
    {"learning_rate": 3e-3, "ent_coef": 0.1, "vf_coef": 0.5, "max_grad_norm": 0.05, "rms_decay": 0.9, "gamma": 0.9},
    {"learning_rate": 1e-2, "ent_coef": 0.05, "vf_coef": 1.0, "max_grad_norm": INF, "rms_decay": 0.5, "rms_eps": 0.1},
    {"learning_rate": 1e-3, "ent_coef": 0.2, "vf_coef": 0.1, "max_grad_norm": 0.2, "rms_eps": 0.5, "gae_lambda": 0.9},
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_three_updates_equal_stable_baselines3(space):
    """Returns, losses, gradients and next weights are those of Stable-Baselines3.

    Three updates in a row, each on experience that our stack has just collected, one instance of SB3's for each
    run: after the first the optimisers have a past.
    """
    settings = [A2CSettings(num_envs=4, num_steps=5, anneal_lr=False, **own) for own in STACK]
    algorithm = a2c_of(settings, space)
    twins = [
        twin_of(algorithm, own, reference)
        for own, reference in zip(settings, references(algorithm.policy), strict=True)
    ]
    prepared, changes = watched(algorithm, "prepare"), watched(algorithm.optimizer, "change")
    ended = 0
    for _ in range(3):
        before = algorithm.policy.parameters.detach().clone()
        _, metrics = algorithm.iterate()
        experience, batch = prepared[-1]
        clipped, *_ = changes[-1]
        ended += experience.ended.sum()
        for run, (own, twin) in enumerate(zip(settings, twins, strict=True)):
            reference = references(algorithm.policy)[run]
            before_theirs = stable_baselines.as_row(reference, twin.policy, lambda parameter: parameter)
            feed(twin, experience, run)
            for name in ("advantages", "returns", "values", "log_probs"):
                expected = torch.from_numpy(getattr(twin.rollout_buffer, name)).flatten()
                torch.testing.assert_close(getattr(batch, name)[run], expected, rtol=1e-4, atol=1e-4, msg=name)
            twin.train()

            theirs = {name.removeprefix("train/"): value for name, value in twin.logger.name_to_value.items()}
            loss = theirs["policy_loss"] + own.ent_coef * theirs["entropy_loss"]
            assert metrics["losses/policy_loss"][run].item() == pytest.approx(loss, rel=1e-3, abs=1e-4)
            assert metrics["losses/value_loss"][run].item() == pytest.approx(theirs["value_loss"], rel=1e-3)
            assert metrics["losses/entropy"][run].item() == pytest.approx(-theirs["entropy_loss"], rel=1e-4)

            gradient = stable_baselines.as_row(reference, twin.policy, lambda parameter: parameter.grad)
            torch.testing.assert_close(clipped[run], gradient, rtol=1e-3, atol=1e-5 * gradient.abs().max().item())
            norm = metrics["losses/grad_norm"][run].item()
            assert min(norm, own.max_grad_norm) == pytest.approx(gradient.norm().item(), rel=1e-3)
            if own.max_grad_norm < 0.5:
                assert norm > own.max_grad_norm

            after = stable_baselines.as_row(reference, twin.policy, lambda parameter: parameter)
            change = (algorithm.policy.parameters.detach() - before)[run]
            their_change = after - before_theirs
            rounding = torch.finfo(after.dtype).eps * after.abs().max().item()  # of what the change is a difference of
            atol = 1e-3 * their_change.abs().max().item() + rounding
            torch.testing.assert_close(change, their_change, rtol=1e-3, atol=atol)
            used = algorithm.policy.critic_columns.stop  # the rest is padding
            weights = algorithm.policy.parameters.detach()[run, :used]
            torch.testing.assert_close(weights, after[:used], rtol=1e-5, atol=1e-6)
            assert their_change.abs().max() > 1e-5
    assert ended > 0, "some episodes end"


# --- By hand ---------------------------------------------------------------------------------------------------------


def test_advantages_by_hand():
    """Advantages are the rewards to come and the last value, less the value.

    Lambda 1: five rewards 1, 2, 4, 8, 16 and V of what follows them, discounted; nothing beyond an episode's end.
    """
    settings = [A2CSettings(num_envs=3, gamma=gamma) for gamma in (0.5, 1.0)]
    algorithm = a2c_of(settings)
    rng = torch.Generator().manual_seed(0)
    observations = torch.randn((6, 2, 3, 3), generator=rng)
    terminated, ended = np.zeros((2, 5, 2, 3), np.bool_)
    terminated[1, :, 1] = True  # of the second environment, after the second reward
    ended[1, :, 1] = True
    ended[4, :, 2] = True  # of the third after the last, by a time limit: counted as an end, as openai/baselines does
    experience = Experience(
        observations=observations[:5],
        raw_observations=None,
        actions=torch.zeros(5, 2, 3, 3),
        rewards=np.array([1.0, 2.0, 4.0, 8.0, 16.0])[:, None, None].repeat(2, 1).repeat(3, 2),
        terminated=terminated,
        ended=ended,
        next_observations=None,
        last_observations=observations[5],
        episodes=[],
    )
    batch = algorithm.prepare(experience)
    rewards = {  # gamma -> environment -> what the five steps' rewards to come add up to, the last value's weights
        0.5: [
            ([5.0, 8.0, 12.0, 16.0, 16.0], [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]),
            ([2.0, 2.0, 12.0, 16.0, 16.0], [0.0, 0.0, 1 / 8, 1 / 4, 1 / 2]),
            ([5.0, 8.0, 12.0, 16.0, 16.0], [0.0] * 5),
        ],
        1.0: [
            ([31.0, 30.0, 28.0, 24.0, 16.0], [1.0] * 5),
            ([3.0, 2.0, 28.0, 24.0, 16.0], [0.0, 0.0, 1.0, 1.0, 1.0]),
            ([31.0, 30.0, 28.0, 24.0, 16.0], [0.0] * 5),
        ],
    }
    for run, network in enumerate(references(algorithm.policy)):
        values = network.critic(observations[:, run].double())[..., 0].detach().float()
        for env, (sums, weights) in enumerate(rewards[settings[run].gamma]):
            returns = torch.tensor(sums) + torch.tensor(weights) * values[5, env]
            torch.testing.assert_close(batch.returns[run].view(5, 3)[:, env], returns)
            torch.testing.assert_close(batch.advantages[run].view(5, 3)[:, env], returns - values[:5, env])
        assert values[5].abs().min() > 0.01, "a bootstrap that shows"


@pytest.mark.parametrize("anneal", [True, False])
def test_learning_rate_falls_linearly(anneal):
    """The learning rate falls linearly with the steps of the declared budget.

    Eight updates and a last, shorter one; each run's weights move by its rate times what RMSProp says.
    """
    rates = torch.tensor([0.02, 0.3])
    settings = [A2CSettings(num_envs=2, learning_rate=rate, anneal_lr=anneal) for rate in rates.tolist()]
    algorithm = a2c_of(settings, total_timesteps=88)
    changes = watched(algorithm.optimizer, "change")
    for steps_done in (0, 10, 20, 30, 40, 50, 60, 70, 80):
        assert algorithm.steps_done == steps_done
        before = algorithm.policy.parameters.detach().clone()
        _, metrics = algorithm.iterate()
        expected = rates * (1 - steps_done / 88 if anneal else 1.0)
        torch.testing.assert_close(metrics["charts/learning_rate"], expected, rtol=1e-6, atol=0)
        moved = algorithm.policy.parameters.detach() - before
        torch.testing.assert_close(moved, changes[-1][-1] * expected[:, None], rtol=1e-3, atol=1e-6)
        assert (moved.abs().amax(dim=1) > 1e-4).all()
    assert algorithm.steps_done == 88


def test_an_update_uses_the_whole_batch_once():
    algorithm = a2c_of([A2CSettings(num_envs=4)] * 2)
    applied = watched(algorithm.optimizer, "apply")
    prepared = watched(algorithm, "prepare")
    algorithm.iterate()
    ((_, batch),) = prepared
    assert batch.log_probs.shape == (2, 20)
    assert len(applied) == 1


REFUSED = [
    *((name, value) for name in ("learning_rate", "vf_coef", "ent_coef") for value in (-1e-3, INF, NAN)),
    *(("rms_decay", value) for value in (-0.1, 1.0, NAN)),
    *(("rms_eps", value) for value in (0.0, -1e-5, INF, NAN)),
    *(("max_grad_norm", value) for value in (0.0, -1.0, NAN)),
    ("gae_lambda", 1.01),
    ("num_envs", 0),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}"):
        dataclasses.replace(A2CSettings(), **{name: value}).check()
