"""The compiled engine beside its plain twins: gradients, whole updates, bits of a run in any stack, collecting.

Whole iterations of both engines are also held to independent references (tests/reference).
"""

import dataclasses
import math
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from ppo.normalizers import BatchObservationNormalizer, ObservationNormalizer, RewardNormalizer
from ppo.policies import ActorCritic
from ppo.ppo import PPO, PPOSettings
from ppo.rollout import Collector
from ppo.settings import SettingsError
from ppo.stacked import collecting, descent, kernels
from ppo.stacked.optimizers import Adam
from ppo.stacked.ppo_gradient import ACTION, BLOCK, loss_gradient
from tests.helpers.batches import made_up_batch, perturbed
from tests.helpers.environments import CONTINUOUS_3, DISCRETE_4, ScriptedEnv

INF = math.inf
TABLE1 = [  # the eleven rows
    {"clip_coef": INF},
    *({"clip_coef": epsilon} for epsilon in (0.1, 0.2, 0.3)),
    *({"clip_coef": INF, "kl_coef": 1.0, "kl_target": target} for target in (0.003, 0.01, 0.03)),
    *({"clip_coef": INF, "kl_coef": beta} for beta in (0.3, 1.0, 3.0, 10.0)),
]
BRANCHES = [
    {"ent_coef": 0.1},
    {"vf_clip_range": 0.02, "vf_coef": 1.0},
    {"vf_clip_range": 0.2, "ent_coef": 0.01, "kl_coef": 2.0},
]
SHAPES: dict[str, dict[str, Any]] = {
    "64-64": {},
    "large minibatches": {"minibatch_size": 2 * BLOCK + 77, "num_steps": 3 * BLOCK},
    "relu": {"network": "48-20", "activation": "relu"},
    "one layer": {"network": "16"},
    "three layers": {"network": "12-9-7"},
    "no hidden layer": {"network": "linear"},
}


def ppo_of(settings, space=CONTINUOUS_3, engine="numba", seeds=None):
    """A stack whose weights are off their special first values."""
    seeds = list(seeds or range(1, len(settings) + 1))
    ppo = PPO(ScriptedEnv([7] * len(settings), space), settings, seeds, 100_000, engine=engine)
    rows = [perturbed(ppo.policy.parameters[row : row + 1], 0.1, seed=seed) for row, seed in enumerate(seeds)]
    with torch.no_grad():
        ppo.policy.parameters.copy_(torch.cat(rows))
    return ppo


def written_out(ppo, batch):
    """The compiled gradient of the loss on the whole batch: ``[runs, columns]``."""
    taken = []

    def keep(parameters, samples, index, old_log_std, terms, shape, work, gradient):
        loss_gradient(parameters, samples, index, old_log_std, terms, shape, work, gradient)
        taken.append(gradient.copy())

    order = np.arange(batch.log_probs.shape[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "loss_gradient", keep)
        patch.setattr(descent, "ppo_epochs", descent.ppo_epochs.py_func)
        patch.setattr(ppo, "orders", lambda batch, epochs: np.tile(order, (ppo.runs, 1, 1)))
        descent.descend(ppo, batch, ppo.clip_coef)
    return torch.from_numpy(np.stack(taken))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("space", [CONTINUOUS_3, DISCRETE_4], ids=["continuous", "discrete"])
def test_the_gradient_is_the_losss_by_autograd(shape, space):
    """To 1e-5 of its norm, of every run: the settings of Table 1, and every other branch."""
    common = {"num_steps": 200, "minibatch_size": 200, "norm_adv": "none", **SHAPES[shape]}
    common["minibatch_size"] = common["num_steps"]
    for norm_adv in ("none", "minibatch"):
        settings = [PPOSettings(**{**common, "norm_adv": norm_adv, **own}) for own in (*TABLE1, *BRANCHES)]
        ppo = ppo_of(settings, space)
        batch = made_up_batch(ppo.policy, common["num_steps"], move=0.05)
        (expected,) = torch.autograd.grad(ppo.loss(batch, ppo.clip_coef).sum(), ppo.policy.parameters)
        found = written_out(ppo, batch)
        distance = (found - expected).norm(dim=1) / expected.norm(dim=1)
        assert distance.max() < 1e-5, distance
        assert (expected[0] - expected[-1]).abs().max() > 1e-4, "the settings differ"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm_adv", ["batch", "minibatch", "none"])
def test_an_update_is_the_plain_ones(shape, norm_adv):
    """Several epochs of minibatches, the last of them smaller, Adam's moments and steps, gradients clipped or not."""
    common = {"num_steps": 230, "minibatch_size": 64, "update_epochs": 3, "norm_adv": norm_adv, **SHAPES[shape]}
    settings = [
        PPOSettings(**{**common, **own, "max_grad_norm": norm})
        for own, norm in zip(TABLE1 + BRANCHES, [0.5, INF] * 7, strict=True)
    ]
    sides = [ppo_of(settings, engine=engine) for engine in ("torch", "numba")]
    batch = made_up_batch(sides[0].policy, common["num_steps"], move=0.03)
    start = sides[0].policy.parameters.detach().clone()
    plain, compiled = (side.update(batch) for side in sides)
    moved = (sides[0].policy.parameters - start).norm(dim=1)
    assert ((sides[1].policy.parameters - sides[0].policy.parameters).norm(dim=1) / moved).max() < 5e-5
    assert torch.equal(sides[0].optimizer.steps, sides[1].optimizer.steps)
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-6, msg=name)


def test_an_update_with_the_details_of_each_actor_is_the_plain_one():
    """Advantages standardised over each environment's own steps, minibatches with as many of each."""
    common: dict[str, Any] = {"norm_adv": "actor", "minibatch_per_actor": True}
    settings = [PPOSettings(num_envs=5, num_steps=40, minibatch_size=60, update_epochs=3, **common)] * 2
    sides = [
        PPO(ScriptedEnv([7] * 10, CONTINUOUS_3), settings, [1, 2], 100_000, engine=engine)
        for engine in ("torch", "numba")
    ]
    batch = made_up_batch(sides[0].policy, 200)
    start = sides[0].policy.parameters.detach().clone()
    for side in sides:
        side.update(batch)
    moved = (sides[0].policy.parameters - start).norm(dim=1)
    assert moved.min() > 0.01
    assert ((sides[1].policy.parameters - sides[0].policy.parameters).norm(dim=1) / moved).max() < 5e-5


class HalfValueLoss(PPO):
    def value_loss(self, batch, values):
        return 0.5 * super().value_loss(batch, values)


class PositiveAdvantages(PPO):
    def minibatch_advantages(self, batch):
        return super().minibatch_advantages(batch).clamp(min=0)


class FirstMinibatch(PPO):
    def minibatches(self, batch, epochs, size):
        yield next(iter(super().minibatches(batch, epochs, size)))


class PlainDescent(PPO):
    def setup(self):
        super().setup()
        self.optimizer = SGD(self.policy.parameters, self.per_run.learning_rate, self.per_run.max_grad_norm)


class SGD(Adam):
    def change(self, gradient, where):
        return gradient.neg()


@pytest.mark.parametrize("kind", [HalfValueLoss, PositiveAdvantages, FirstMinibatch, PlainDescent])
def test_what_a_class_overrides_is_what_it_trains_with(kind):
    """A rule that the kernels do not know is not passed over, whatever the engine."""
    settings = [PPOSettings(num_steps=128, minibatch_size=32, update_epochs=2)] * 2
    parameters = []
    for own, engine in ((PPO, "torch"), (kind, "torch"), (kind, "numba")):
        ppo = own(ScriptedEnv([7, 7], CONTINUOUS_3), settings, [1, 2], 100_000, engine=engine)
        ppo.update(made_up_batch(ppo.policy, 128))
        parameters.append(ppo.policy.parameters.detach())
    usual, plain, found = parameters
    assert (plain - usual).abs().max() > 1e-4
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_log_std_that_is_not_learned_has_no_gradient(activation):
    common = {"num_steps": 200, "minibatch_size": 200, "norm_adv": "none", "anneal_log_std": True}
    ppo = ppo_of([PPOSettings(**common, activation=activation, **own) for own in (*TABLE1, *BRANCHES)])
    batch = made_up_batch(ppo.policy, 200, move=0.05)
    (expected,) = torch.autograd.grad(ppo.loss(batch, ppo.clip_coef).sum(), ppo.policy.parameters)
    found = written_out(ppo, batch)
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 1e-5
    for gradient in (found, expected):
        assert (gradient[:, ppo.policy.log_std_columns] == 0).all()
        assert (gradient[:, : ppo.policy.log_std_columns.start] != 0).any(dim=1).all()


def test_large_update_is_the_plain_one():
    """An update of 256 and 128 rectified units in minibatches of 4096 is the plain one.

    Table 4's minibatch, and the network that OpenAI's own policies for its tasks have.
    """
    settings = [
        PPOSettings(
            network="256-128", activation="relu", num_steps=5000, minibatch_size=4096, update_epochs=2,
            anneal_log_std=True, clip_coef=clip_coef, lr_kl_target=0.01,
        )
        for clip_coef in (0.2, 0.1)
    ]  # fmt: skip
    sides = [ppo_of(settings, engine=engine) for engine in ("torch", "numba")]
    batch = made_up_batch(sides[0].policy, 5000, move=0.01)
    start = sides[0].policy.parameters.detach().clone()
    plain, compiled = (side.update(batch) for side in sides)
    moved = (sides[0].policy.parameters - start).norm(dim=1)
    assert (moved > 0.01).all()
    assert ((sides[1].policy.parameters - sides[0].policy.parameters).norm(dim=1) / moved).max() < 1e-4
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-6, msg=name)
    assert torch.equal(*(side.learning_rate for side in sides))


def test_a_run_has_the_same_bits_alone_and_in_stacks_of_2_to_33():
    settings = [
        PPOSettings(**{"num_steps": 100, "minibatch_size": 48, "update_epochs": 2, **own}) for own in TABLE1 * 3
    ]

    def updated(runs):
        ppo = ppo_of([settings[run] for run in runs], seeds=[run + 1 for run in runs])
        batch = made_up_batch(whole.policy, 100, move=0.03)
        own = {
            field.name: getattr(batch, field.name)[list(runs)]
            for field in dataclasses.fields(batch)
            if field.name != "distribution"
        }
        every: Any = batch.distribution
        old = dataclasses.replace(every, mean=every.mean[list(runs)], log_std=every.log_std[list(runs)])
        ppo.update(dataclasses.replace(batch, **own, distribution=old))
        return ppo.policy.parameters.detach()

    whole = ppo_of(settings)
    expected = updated(range(33))
    for runs in ([0], [32], [5, 20], [32, 0, 7], list(range(32, -1, -1)), list(range(1, 17))):
        assert torch.equal(updated(runs), expected[runs]), runs


def test_numbers_that_are_none_stay_in_their_run():
    settings = [PPOSettings(num_steps=100, minibatch_size=48, update_epochs=2, kl_coef=beta) for beta in (0, 1, 0)]
    healthy, sick = ppo_of(settings), ppo_of(settings)
    batch = made_up_batch(healthy.policy, 100, move=0.03)
    with torch.no_grad():
        sick.policy.parameters[1, 5] = math.nan
    healthy.update(batch)
    sick.update(batch)
    assert torch.equal(sick.policy.parameters[[0, 2]], healthy.policy.parameters[[0, 2]])
    assert not torch.isfinite(sick.policy.parameters[1]).all()


def test_random_shapes_give_the_plain_gradient():
    rng = np.random.default_rng(0)
    for _ in range(12):
        hidden = "-".join(str(units) for units in rng.integers(1, 40, size=rng.integers(1, 4)))
        size = int(rng.integers(1, 6))
        space = gymnasium.spaces.Box(-1, 1, (size,)) if rng.random() < 0.5 else gymnasium.spaces.Discrete(size + 1)
        steps = int(rng.integers(2, 700))
        own = {"clip_coef": float(rng.uniform(0.01, 0.5)), "kl_coef": float(rng.uniform(0, 3)), "ent_coef": 0.05}
        activation = "relu" if rng.random() < 0.5 else "tanh"
        settings = [PPOSettings(num_steps=steps, minibatch_size=steps, network=hidden, activation=activation, **own)]
        ppo = ppo_of(settings, space)
        batch = made_up_batch(ppo.policy, steps, move=0.05)
        (expected,) = torch.autograd.grad(ppo.loss(batch, ppo.clip_coef).sum(), ppo.policy.parameters)
        distance = (written_out(ppo, batch) - expected).norm() / expected.norm()
        assert distance < 1e-5, (hidden, size, steps, activation, float(distance))


def test_tanh_is_tanh():
    x = np.concatenate([np.linspace(-12, 12, 20_001), [0.0, 1e-8, -1e-30, INF, -INF]]).astype(np.float32)
    found = np.array([kernels.tanh(value) for value in x])
    np.testing.assert_allclose(found, np.tanh(x.astype(np.float64)), rtol=0, atol=4e-7)
    assert np.isnan(kernels.tanh(np.float32(math.nan)))


# --- Collecting


@pytest.mark.parametrize("space", [CONTINUOUS_3, DISCRETE_4], ids=["continuous", "discrete"])
@pytest.mark.parametrize("network", [(64, 64), (5,), ()])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_actions_are_the_plain_ones(space, network, activation):
    plain, compiled = (
        ActorCritic((11,), space, [1, 2, 3], network, activation=activation, engine=engine)
        for engine in ("torch", "numba")
    )
    with torch.no_grad():
        for policy in (plain, compiled):
            policy.parameters.copy_(perturbed(policy.parameters, 0.2, seed=3))
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(3, 4, 11)).astype(np.float32)
    noise = plain.draw_noise([1, 2, 3], 0, 1, 4)[0]
    found, expected = compiled.act(observations, noise), plain.act(observations, noise)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        plain.parameters[1] = math.nan
        compiled.parameters[1] = math.nan
    found = compiled.act(observations, noise)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-4, atol=1e-5)


class Messy(ScriptedEnv):
    """Numbers of all sizes, in the given type, and from some step on none in one run."""

    def __init__(self, *arguments, poison=None, **more):
        super().__init__(*arguments, **more)
        self.rng, self.poison, self.count = np.random.default_rng(5), poison, 0

    def step(self, actions):
        self.count += 1
        transition = super().step(actions)
        observations = self.rng.normal(size=transition.observations.shape) * np.array([1e-3, 1.0, 1e4])
        rewards = self.rng.normal(size=transition.rewards.shape) * 3
        if self.poison and self.count >= self.poison:
            observations[0, 1], rewards[1] = math.nan, INF
        return transition._replace(
            observations=observations.astype(self.observation_dtype), rewards=rewards, raw_rewards=rewards
        )


@pytest.mark.parametrize("poison", [None, 9])
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("kind", [ObservationNormalizer, BatchObservationNormalizer, None])
@pytest.mark.parametrize(("rows", "dtype"), [(3, np.float64), (6, np.float64), (3, np.float32)])
def test_a_compiled_collector_gives_the_plain_ones_bits(rows, dtype, kind, reset, poison):
    """With one environment a run to the bit; with several, means are added up in another order."""
    experiences = []
    for collector in (Collector, collecting.CompiledCollector):
        env = Messy([5, 7, 4, 9, 3, 6][:rows], CONTINUOUS_3, dtype=dtype, poison=poison)
        scales = RewardNormalizer(np.array([[0.9], [0.99], [0.5]]), rows // 3, reset)
        act = lambda inputs, noise: np.tanh(inputs).astype(np.float32)  # noqa: E731
        own = collector(env, act, 3, kind and kind(3, (3,), np.array([1.0, 10.0, 5.0])), scales)
        experiences.append((own.collect(np.zeros((30, 3, rows // 3, 3), np.float32), 0, True), own))
    (expected, plain), (found, compiled) = experiences
    exact = rows == 3
    for name in ("observations", "rewards", "ended", "terminated", "next_observations", "last_observations"):
        one, other = np.asarray(getattr(found, name)), np.asarray(getattr(expected, name))
        if exact:
            np.testing.assert_array_equal(one, other, err_msg=name)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=name)
    assert [episode[:2] for episode in found.episodes] == [episode[:2] for episode in expected.episodes]
    np.testing.assert_array_equal(compiled.diverged, plain.diverged)
    assert compiled.diverged.any() == (poison is not None)
    np.testing.assert_array_equal(compiled.episodic_lengths, plain.episodic_lengths)
    assert len(found.episodes) > 5


# --- The engine


def test_an_algorithm_with_a_loss_of_its_own_is_trained_by_that():
    class Halved(PPO):
        def loss(self, batch, clip_coef):
            return 0.5 * super().loss(batch, clip_coef)

    settings = [PPOSettings(num_steps=100, minibatch_size=50, update_epochs=1, max_grad_norm=INF)]
    batch = None
    norms = []
    for kind in (PPO, Halved):
        ppo = kind(ScriptedEnv([7]), settings, [1], 1000, engine="numba")
        batch = batch or made_up_batch(ppo.policy, 100)
        ppo.optimizer.learning_rate = ppo.learning_rate = torch.zeros(1, 1)
        norms.append(ppo.update(batch)["losses/grad_norm"].item())
    assert norms[1] == pytest.approx(norms[0] / 2, rel=1e-4)


@pytest.mark.parametrize(("network", "reason"), [("nature", "for networks for vectors")])
def test_numba_where_it_cannot_be_used_is_refused_in_one_line(network, reason):
    with pytest.raises(SettingsError, match=f"engine = numba cannot be used: it is {reason}") as error:
        PPO(ScriptedEnv([7]), [PPOSettings(network=network)], [1], 10_000, engine="numba")
    assert "\n" not in str(error.value)


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "numba" else find_spec(name, *more)
from ppo.envs import make
from ppo.ppo import PPO, PPOSettings
ppo = PPO(make("InvertedPendulum-v4", [1]), [PPOSettings(num_steps=64)], [1], 128)
ppo.iterate()
print(ppo.engine, "numba" in [name.split(".")[0] for name in sys.modules if sys.modules[name]])
"""


def test_without_numba_the_torch_engine_runs():
    found = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["torch", "False"]


def test_the_columns_of_a_sample_are_as_many_as_its_numbers():
    assert ACTION == 4
