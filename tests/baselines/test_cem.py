"""The cross-entropy method against numpy by hand: its distribution, its bookkeeping, and an optimum that is known."""

import dataclasses
import math
from itertools import count, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import baselines.cem
from baselines.cem import CEM, CEMSettings, refit
from ppo.envs.base import Transition, VectorEnv
from ppo.policies import ActorCritic
from ppo.seeding import generator
from ppo.settings import SettingsError
from tests.helpers.environments import CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4, ScriptedEnv

SPACES = [CONTINUOUS_1, CONTINUOUS_3, DISCRETE_4]
NAN, INF = math.nan, math.inf


class Quadratic(VectorEnv):
    """Reward -|action - target|^2 for each of a row's so many steps; the observation is always (1, -1)."""

    def __init__(self, lengths, target):
        self.rows, self.lengths, self.target = len(lengths), np.array(lengths), np.array(target)
        self.observation_shape, self.observation_dtype = (2,), np.dtype(np.float64)
        self.action_space = {1: CONTINUOUS_1, 3: CONTINUOUS_3}[len(target)]

    def observe(self):
        return np.tile([1.0, -1.0], (self.rows, 1))

    def reset(self):
        self.time = np.zeros(self.rows, np.int64)
        return self.observe()

    def step(self, actions):
        self.time += 1
        ended = self.time >= self.lengths
        self.time[ended] = 0
        rewards = -((actions.astype(np.float64) - self.target) ** 2).sum(axis=1)
        return Transition(self.observe(), rewards, ended, np.zeros_like(ended), self.observe(), rewards, ended)

    def get_state(self):
        return {"time": self.time.copy()}

    def set_state(self, state):
        self.time = state["time"].copy()
        return self.observe()


def finish(cem):
    """Train to the end; returns the episodes and the metrics of every iteration."""
    episodes, metrics = [], []
    while cem.steps_done < cem.total_timesteps:
        found, reported = cem.iterate()
        episodes += found
        metrics.append(reported)
    return episodes, metrics


def mlp(rows, sizes, inputs):
    """The output of a tanh network for each of ``rows`` of parameters, at its own one of ``inputs``, in float64."""
    values, position = np.asarray(inputs, np.float64)[:, None], 0
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        weights = rows[:, position : position + n_in * n_out].reshape(-1, n_in, n_out).astype(np.float64)
        position += n_in * n_out
        values = values @ weights + rows[:, None, position : position + n_out]
        position += n_out
        if index < len(sizes) - 2:
            values = np.tanh(values)
    return values[:, 0]


# --- The distribution ------------------------------------------------------------------------------------------------


def assert_refitted(candidates, returns, elite, extra_std, chosen):
    """To the mean and deviation of the rows that are ``chosen`` by hand."""
    mean, std = refit(torch.from_numpy(candidates), np.array(returns), elite, extra_std)
    best = candidates[chosen].astype(np.float64)
    np.testing.assert_allclose(mean.numpy(), best.sum(0) / len(best), rtol=1e-5, atol=1e-6)
    variance = ((best - best.sum(0) / len(best)) ** 2).sum(0) / len(best)
    np.testing.assert_allclose(std.numpy(), np.sqrt(variance + extra_std**2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("extra_std", [0.0, 0.3])
@pytest.mark.parametrize(
    ("returns", "elite", "chosen"),
    [
        ([1.0, 5.0, -2.0, 4.0, 3.0, 0.0], 3, [1, 3, 4]),
        ([-1.0, -5.0, -2.0, -4.0, -3.0, -9.0], 2, [0, 2]),
        ([1.0, 5.0, -2.0, 4.0, 3.0, 0.0], 1, [1]),
        ([1.0, 5.0, -2.0, 4.0, 3.0, 0.0], 6, [0, 1, 2, 3, 4, 5]),
        ([2.0, 7.0, 2.0, 2.0, 2.0, 1.0], 3, [1, 0, 2]),  # of equals those that were tried first
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 2, [0, 1]),
        ([NAN, 1.0, NAN, 0.0, INF, -INF], 3, [4, 1, 3]),  # what is no number is no good
    ],
)
def test_the_distribution_is_refitted_to_the_best(returns, elite, chosen, extra_std):
    candidates = np.random.default_rng(0).standard_normal((6, 5), dtype=np.float32) * 3 + 1
    assert_refitted(candidates, returns, elite, extra_std, chosen)


def test_a_single_best_candidate_leaves_the_extra_deviation_alone():
    candidates = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    mean, std = refit(candidates, np.array([0.0, 1.0, 3.0, 2.0]), 1, 0.25)
    assert torch.equal(mean, candidates[2])
    assert std.tolist() == [0.25] * 3


def test_refitting_leaves_its_arguments_alone():
    candidates, returns = torch.ones(3, 2), np.array([1.0, 2.0, 0.0])
    refit(candidates, returns, 2, 0.1)
    assert torch.equal(candidates, torch.ones(3, 2))
    assert returns.tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("population", "elite_frac", "elite"), [(200, 0.2, 40), (10, 0.25, 2), (10, 0.01, 1), (10, 1.0, 10), (7, 0.4, 3)]
)
def test_the_elite_is_a_fraction_of_the_population_and_never_empty(population, elite_frac, elite):
    assert CEMSettings(population=population, elite_frac=elite_frac).elite == elite


def test_default_network_is_small():
    """The default network has few parameters, and the paper's can be asked for."""
    for network, hidden in (("10-5", (10, 5)), ("64-64", (64, 64))):
        cem = CEM(ScriptedEnv([3] * 2), [CEMSettings(num_envs=2, population=2, network=network)], [1], 100)
        assert isinstance(cem.policy, ActorCritic)
        assert isinstance(cem.members, ActorCritic)
        assert cem.policy.networks["actor"].sizes == cem.members.networks["actor"].sizes == (3, *hidden, 1)
    assert CEMSettings().network == "10-5"


# --- An optimum that is known ----------------------------------------------------------------------------------------


def quadratic_cem(settings, target, generations, seeds=None):
    """Episodes of one step, and a budget of so many generations."""
    own = settings[0]
    env = Quadratic([1] * own.num_envs * len(settings), target)
    return CEM(env, settings, seeds or range(1, len(settings) + 1), generations * own.population)


def action_of_mean(cem):
    """What the means of the runs' distributions do: ``[runs, size]``."""
    rows = cem.policy.parameters.detach().numpy()
    return mlp(rows, cem.policy.networks["actor"].sizes, np.tile([1.0, -1.0], (cem.runs, 1)))


TARGET = [2.0, -1.0, 0.5]


@pytest.mark.parametrize(("network", "generations"), [("linear", 15), ("10-5", 25)])
def test_it_finds_the_optimum_of_a_quadratic_in_so_many_generations(network, generations):
    """Each of three runs, with other seeds and other extra deviations; the first candidates are far off. Without a
    hidden layer the return is a quadratic of the parameters."""
    common = {"network": network, "num_envs": 4, "population": 60, "initial_std": 1.0, "norm_obs": False}
    settings = [CEMSettings(**common, extra_std=extra_std) for extra_std in (0.0, 0.02, 0.1)]
    cem = quadratic_cem(settings, TARGET, generations)
    before = np.abs(action_of_mean(cem) - TARGET).max(1)
    episodes, _ = finish(cem)
    assert cem.generation.tolist() == [generations] * 3
    assert (before > 1.9).all()
    assert (np.abs(action_of_mean(cem) - TARGET).max(1) < 0.2).all()
    for run in range(3):
        returns = [episode.episodic_return for episode in episodes if episode.run == run]
        assert np.mean(returns[:60]) < -4
        assert np.mean(returns[-60:]) > -0.4, "the whole last generation is near"


def test_freezes_without_extra_deviation():
    """It freezes on the way to a far optimum unless the deviation is kept up.

    What the noise is for [Szita and Lorincz]: the distribution narrows faster than it moves.
    """
    common = {"num_envs": 20, "population": 40, "elite_frac": 0.1, "initial_std": 0.3, "norm_obs": False}
    settings = [CEMSettings(**common, network="linear", extra_std=extra_std) for extra_std in (0.0, 0.3)]
    cem = quadratic_cem(settings, [6.0], generations=50)
    finish(cem)
    without, kept_up = np.abs(action_of_mean(cem) - 6.0)[:, 0]
    assert without > 1
    assert kept_up < 0.05
    assert cem.std[0].max() < 1e-3, "frozen"


# --- Bookkeeping -----------------------------------------------------------------------------------------------------

LENGTHS = [1, 4, 2, 3, 3, 6, 1, 5, 2]
RETURN_OF = [  # ScriptedEnv's, of a row's episode
    lambda episode, row=row, length=length: sum(100 * row + 10 * episode + time for time in range(length))
    for row, length in enumerate(LENGTHS)
]
STACK = [
    CEMSettings(num_envs=3, num_steps=7, population=5, elite_frac=0.4, initial_std=0.7, extra_std=0.5),
    CEMSettings(num_envs=3, num_steps=7, population=5, elite_frac=0.6, initial_std=0.1, extra_std=0.0),
    CEMSettings(num_envs=3, num_steps=7, population=5, elite_frac=0.8, initial_std=1.0, extra_std=2.0),
]
SEEDS = [11, 12, 13]
BUDGET = 3 * 50  # eight iterations, the last one cut short


def cem_of(settings=STACK, space=CONTINUOUS_3, seeds=SEEDS, lengths=LENGTHS, total_timesteps=BUDGET, **changes):
    settings = [dataclasses.replace(own, **changes) for own in settings]
    return CEM(ScriptedEnv(lengths, space), settings, seeds, total_timesteps)


def observed(cem):
    """What happens in every step while ``cem`` trains: the candidates' parameters, their inputs and their noise."""
    seen, act = [], cem.collector.act

    def recording(observations, noise):
        candidates = cem.members.parameters.detach().numpy()[:, : cem.mean.shape[1]].copy()
        seen.append(SimpleNamespace(candidates=candidates, inputs=observations.copy(), noise=noise.copy()))
        return act(observations, noise)

    cem.collector.act = recording
    return seen


def by_hand(own, seed, start, first_row, total_timesteps=BUDGET, lengths=LENGTHS):
    """One run of CEM as one would write it alone, of environments whose returns are known beforehand.

    Returns the parameters that act in each step, the refits, and how many candidates were drawn.
    """
    mean, std, numbers = start.astype(np.float64), np.full(len(start), own.initial_std), count()

    def draw():
        return mean + std * generator(seed, "algorithm", next(numbers)).standard_normal(len(mean), dtype=np.float32)

    rows = [(draw(), 0, 0) for _ in range(own.num_envs)]  # candidate, episode, time
    tried, acting, refits = [], [], []
    for step in range(1, total_timesteps // own.num_envs + 1):
        acting.append(np.stack([candidate for candidate, _, _ in rows]))
        for env, (candidate, episode, time) in enumerate(rows):
            length = lengths[first_row + env]
            if time + 1 < length:
                rows[env] = (candidate, episode, time + 1)
                continue
            tried.append((candidate, RETURN_OF[first_row + env](episode)))
            if len(tried) == own.population:
                chosen = sorted(tried, key=lambda one: one[1], reverse=True)[: round(own.elite_frac * own.population)]
                best = np.stack([candidate for candidate, _ in chosen])
                share = max(1 - 2 * step * own.num_envs / total_timesteps, 0)
                mean, std = best.mean(0), np.sqrt(best.var(0) + own.extra_std**2 * share)
                refits.append(SimpleNamespace(step=step, tried=tried, mean=mean, std=std, share=share))
                tried = []
            rows[env] = (draw(), episode + 1, 0)
    return SimpleNamespace(acting=acting, refits=refits, drawn=next(numbers), tried=tried)


def hands(cem):
    """Every run of the stack, by hand from where it starts."""
    starts = cem.policy.parameters.detach().numpy()[:, : cem.mean.shape[1]].copy()
    envs = cem.shared.num_envs
    return [
        by_hand(own, seed, start, run * envs)
        for run, (own, seed, start) in enumerate(zip(cem.settings, cem.seeds, starts, strict=True))
    ]


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_step_is_that_of_a_run_by_hand(space, deterministic, monkeypatch):
    """Who acts in every step, and what comes of it, is that of a run by hand.

    Episodes of all lengths: a row goes on with the run's next candidate at once, its return counts for the one that
    earned it, and after ``population`` of them the distribution is fitted to the best.
    """
    refits = []

    def recording(candidates, returns, elite, extra_std):
        result = refit(candidates, returns, elite, extra_std)
        refits.append((candidates.numpy().copy(), returns.copy(), elite, extra_std, *(own.numpy() for own in result)))
        return result

    monkeypatch.setattr(baselines.cem, "refit", recording)
    cem = cem_of(space=space, deterministic=deterministic)
    seen, expected = observed(cem), hands(cem)
    finish(cem)
    assert len(seen) == 50
    for step, happened in enumerate(seen):
        acting = np.concatenate([run.acting[step] for run in expected])
        np.testing.assert_allclose(happened.candidates, acting, rtol=1e-4, atol=1e-5, err_msg=f"step {step}")
    in_order = sorted(
        (one.step, run, one) for run, own in enumerate(expected) for one in own.refits
    )  # of one step, by run
    assert len(refits) == len(in_order) >= 9
    for (candidates, returns, elite, extra_std, mean, std), (_, run, one) in zip(refits, in_order, strict=True):
        own = cem.settings[run]
        assert returns.tolist() == [value for _, value in one.tried]
        np.testing.assert_allclose(candidates, np.stack([own for own, _ in one.tried]), rtol=1e-4, atol=1e-5)
        assert elite == round(own.elite_frac * 5)
        assert extra_std == pytest.approx(own.extra_std * math.sqrt(one.share), abs=1e-12)
        np.testing.assert_allclose(mean, one.mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(std, one.std, rtol=1e-3, atol=1e-5)
    assert cem.generation.tolist() == [len(run.refits) for run in expected]
    assert cem.finished.tolist() == [len(run.tried) for run in expected]
    assert cem.drawn.tolist() == [run.drawn for run in expected]


def test_policy_is_the_distributions_mean():
    """The policy is the mean of the distribution, and the rest of it is left alone."""
    for deterministic in (True, False):
        cem = cem_of(deterministic=deterministic)
        expected, first = hands(cem), cem.policy.parameters.detach().clone()
        _, metrics = finish(cem)
        for run, own in enumerate(expected):
            row = cem.policy.parameters.detach().numpy()[run, : cem.mean.shape[1]]
            np.testing.assert_allclose(row, own.refits[-1].mean, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(cem.std[run], own.refits[-1].std, rtol=1e-3, atol=1e-5)
            assert metrics[-1]["losses/std"][run].item() == pytest.approx(own.refits[-1].std.mean(), rel=1e-3)
        assert cem.mean.shape[1] == cem.policy.networks["actor"].size + (0 if deterministic else 3)
        assert torch.equal(cem.policy.parameters[:, cem.mean.shape[1] :], first[:, cem.mean.shape[1] :])


def test_a_return_is_credited_to_the_candidate_that_earned_it(monkeypatch):
    """With returns that say whose they are: each refit's are those of its candidates, worked out from them alone."""
    fitted = []

    def recording(candidates, returns, elite, extra_std):
        fitted.append((candidates.numpy().copy(), returns.copy()))
        return refit(candidates, returns, elite, extra_std)

    monkeypatch.setattr(baselines.cem, "refit", recording)
    own = CEMSettings(num_envs=4, num_steps=6, population=6, elite_frac=0.5, extra_std=0.5, norm_obs=False)
    lengths = [1, 1, 1, 1, 3, 3, 3, 3]
    cem = CEM(Quadratic(lengths, TARGET), [own, own], [1, 2], 4 * 40)
    finish(cem)
    assert isinstance(cem.policy, ActorCritic)
    kinds = []
    for candidates, returns in fitted:
        actions = mlp(candidates, cem.policy.networks["actor"].sizes, np.tile([1.0, -1.0], (6, 1)))
        per_step = -((actions - TARGET) ** 2).sum(1)
        length = round((returns / per_step)[0])
        np.testing.assert_allclose(returns, length * per_step, rtol=1e-4)
        kinds.append(length)
        assert len(np.unique(returns)) == 6
    assert kinds.count(1) == 40 * 4 // 6
    assert kinds.count(3) == (40 // 3) * 4 // 6


def test_every_episode_counts_once():
    """Every episode counts once, and a generation is closed after `population` of them."""
    cem = cem_of()
    steps = []
    while cem.steps_done < cem.total_timesteps:
        mean, generation = cem.mean.clone(), cem.generation.copy()
        steps += [(episode.run, episode.step, episode.episodic_return) for episode in cem.iterate()[0]]
        ended = np.bincount([run for run, _, _ in steps], minlength=3)
        assert (cem.generation == ended // 5).all()
        assert (cem.finished == ended % 5).all()
        assert (cem.drawn == 3 + ended).all()
        changed = (cem.mean != mean).any(1).numpy()
        assert (changed == (cem.generation > generation)).all()
    for run in range(3):
        expected = []
        for row in range(3 * run, 3 * run + 3):
            expected += [
                (run, 3 * LENGTHS[row] * (episode + 1), RETURN_OF[row](episode))
                for episode in range(50 // LENGTHS[row])
            ]
        assert sorted(own for own in steps if own[0] == run) == sorted(expected)


def test_a_candidate_acts_through_its_whole_episode_and_then_no_more():
    cem = cem_of()
    seen = observed(cem)
    finish(cem)
    for row, length in enumerate(LENGTHS):
        own = [happened.candidates[row] for happened in seen]
        episodes = [own[start : start + length] for start in range(0, 50, length)]
        for episode in episodes:
            assert all(np.array_equal(episode[0], candidate) for candidate in episode)
        for one, other in pairwise(episodes):
            assert not np.array_equal(one[0], other[0])
    everyone = {happened.candidates[row].tobytes() for happened in seen for row in range(9)}
    assert len(everyone) == sum(-(-50 // length) for length in LENGTHS), "no one acts in two places"


def test_first_candidates_are_addressed():
    """The first candidates are drawn around the initial policy, from addressed streams.

    Candidate k of a seed is the same whatever its neighbours, the settings aside.
    """
    cem = cem_of()
    own_policy = ActorCritic((3,), CONTINUOUS_3, SEEDS, (10, 5))
    assert torch.equal(cem.policy.parameters, own_policy.parameters), "the mean at first"
    for run, seed in enumerate(SEEDS):
        for env in range(3):
            noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4, env)))
            row = cem.policy.parameters.detach().numpy()[run, : cem.mean.shape[1]]
            expected = row + STACK[run].initial_std * noise.standard_normal(len(row), dtype=np.float32)
            np.testing.assert_allclose(cem.trying[run, env].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_same_bits_whatever_the_neighbours():
    """Candidates and outcome are the same to the bit, whatever the neighbours.

    In rows that do not know their place; each run's episodes have lengths of their own.
    """

    def trained(runs):
        lengths = [length for run in runs for length in LENGTHS[3 * run : 3 * run + 3]]
        settings = [STACK[run] for run in runs]
        cem = CEM(Quadratic(lengths, TARGET), settings, [SEEDS[run] for run in runs], BUDGET)
        seen = observed(cem)
        finish(cem)
        acting = np.stack([happened.candidates.reshape(len(runs), 3, -1) for happened in seen], axis=1)
        return acting, cem.mean, cem.std

    whole = trained([0, 1, 2])
    for runs in ([0], [1], [2, 0]):
        for one, other in zip(trained(runs), whole, strict=True):
            np.testing.assert_array_equal(one, other[runs])


def test_extra_deviation_falls_to_nothing(monkeypatch):
    """The extra deviation falls to nothing at half the budget, linearly in variance.

    One episode a step and two a generation, so that a generation is closed at every second step.
    """
    added = []

    def recording(candidates, returns, elite, extra_std):
        added.append(extra_std)
        return refit(candidates, returns, elite, extra_std)

    monkeypatch.setattr(baselines.cem, "refit", recording)
    own = CEMSettings(num_envs=1, num_steps=3, population=2, elite_frac=0.5, extra_std=0.8)
    cem = CEM(ScriptedEnv([1]), [own], [1], 40)
    finish(cem)
    at = np.arange(2, 41, 2) / 40
    np.testing.assert_allclose(np.square(added), 0.64 * np.maximum(1 - 2 * at, 0), atol=1e-12)
    assert added[9:] == [0.0] * 11
    assert added[8] > 0
    assert (cem.std == 0).all(), "an elite of one has no deviation of its own"


# --- Acting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_each_environment_is_given_the_action_of_its_own_candidate(space, deterministic):
    """The most likely one, or one drawn with the candidate's own deviation and the run's own noise."""
    cem = cem_of(space=space, deterministic=deterministic, initial_std=1.0)
    seen = observed(cem)
    finish(cem)
    network, discrete = cem.policy.networks["actor"], space == DISCRETE_4
    drawn = [cem.policy.draw_noise(SEEDS, iteration, 7 if iteration < 7 else 1, 3) for iteration in range(8)]
    noise = np.concatenate(drawn).reshape(50, 9, -1)
    for step, (happened, actions) in enumerate(zip(seen, cem.env.actions, strict=True)):
        outputs = mlp(happened.candidates, network.sizes, happened.inputs.reshape(9, 3))
        if deterministic:
            assert happened.candidates.shape[1] == network.size
            assert (happened.noise == 0).all()
        elif discrete:
            outputs = outputs + noise[step]
        else:
            log_std = happened.candidates[:, network.size :]
            assert log_std.shape[1] == space.shape[0]
            assert (log_std[0] != log_std[1]).all(), "searched for as the rest is"
            outputs = outputs + np.exp(log_std.astype(np.float64)) * noise[step]
        if discrete:
            assert (actions == outputs.argmax(1)).all()
        else:
            np.testing.assert_allclose(actions, outputs, rtol=1e-4, atol=1e-4)
    assert len({actions.tobytes() for actions in cem.env.actions}) > 20


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_deterministic_search_asks_nothing_of_the_noise(space, monkeypatch):
    """The same whatever it is; while without ``deterministic`` it is not."""

    def trained(deterministic, scale):
        plain = ActorCritic.draw_noise
        with monkeypatch.context() as patch:
            patch.setattr(ActorCritic, "draw_noise", lambda *given: scale * plain(*given))
            cem = cem_of(space=space, deterministic=deterministic)
            finish(cem)
        return np.concatenate(cem.env.actions)

    assert np.array_equal(trained(True, 1), trained(True, 5))
    assert not np.array_equal(trained(False, 1), trained(False, 5))


def test_a_deterministic_search_leaves_the_log_std_alone():
    cem = cem_of()
    finish(cem)
    for policy in (cem.policy, cem.members):
        assert (policy.log_std == 0).all()
    searching = cem_of(deterministic=False)
    finish(searching)
    for policy in (searching.policy, searching.members):
        assert (policy.log_std != 0).all()


def test_observations_are_normalised_per_run():
    """Observations are normalised by what all candidates of the run have seen.

    And by what other runs have seen not at all; a new candidate does not begin afresh.
    """
    cem = cem_of()
    seen, raw, observe = observed(cem), [], cem.env.observe
    raw.append(observe())
    step = cem.env.step

    def recording(actions):
        transition = step(actions)
        raw.append(transition.observations.copy())
        return transition

    cem.env.step = recording
    finish(cem)
    for index, happened in enumerate(seen):
        history = np.stack(raw[: index + 1]).reshape(index + 1, 3, 3, 3)
        for run in range(3):
            samples = history[:, run].reshape(-1, 3)
            weight = 1e-4 / (1e-4 + len(samples))  # of the mean 0 and variance 1 that it begins with
            mean = (1 - weight) * samples.mean(0)
            second = (1 - weight) * np.square(samples).mean(0) + weight
            expected = (raw[index].reshape(3, 3, 3)[run] - mean) / np.sqrt(second - mean**2 + 1e-8)
            np.testing.assert_allclose(happened.inputs[run], expected.clip(-10, 10), rtol=1e-4, atol=1e-4)
    plain = cem_of(norm_obs=False)
    seen = observed(plain)
    finish(plain)
    for happened, expected in zip(seen, raw, strict=False):
        np.testing.assert_array_equal(happened.inputs.reshape(9, 3), expected)


# --- Budget ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_envs", "num_steps", "total_timesteps"), [(3, 7, 150), (3, 7, 147), (1, 200, 5), (9, 1, 9)]
)
def test_budget_is_exact(num_envs, num_steps, total_timesteps):
    """The budget is exact, and every step of every environment is counted."""
    own = dataclasses.replace(STACK[0], num_envs=num_envs, num_steps=num_steps)
    env = ScriptedEnv((LENGTHS * 2)[: 2 * num_envs])
    cem = CEM(env, [own, own], [1, 2], total_timesteps)
    before, episodes = 0, []
    while cem.steps_done < total_timesteps:
        episodes += cem.iterate()[0]
        assert cem.steps_done - before == min(num_steps * num_envs, total_timesteps - before)
        assert len(env.actions) * num_envs == cem.steps_done, "whatever generation it is in"
        before = cem.steps_done
    assert cem.steps_done == total_timesteps
    for run in range(2):
        lengths = [episode.episodic_length for episode in episodes if episode.run == run]
        unfinished = cem.collector.episodic_lengths[run].sum()
        assert sum(lengths) + unfinished == total_timesteps


REFUSED = [
    *(("num_steps", value) for value in (0, -1)),
    *(("num_envs", value) for value in (0, -1)),
    *(("population", value) for value in (0, 1)),
    *(("elite_frac", value) for value in (0.0, -0.1, 1.1, NAN)),
    *(("initial_std", value) for value in (0.0, -1.0, INF, NAN)),
    *(("extra_std", value) for value in (-0.1, INF, NAN)),
    ("network", "nature"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}") as error:
        CEMSettings(**{name: value}).check()
    assert "\n" not in str(error.value)
