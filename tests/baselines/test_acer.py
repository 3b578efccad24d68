"""ACER: its gradient written out state by state, its estimator enumerated on a small problem, and what it remembers."""

import contextlib
import dataclasses
import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from scipy.stats import chisquare

from baselines.acer import ACER, ACERSettings
from experiments.run import Run
from experiments.training.build import build
from ppo import replay
from ppo.checkpoint import CheckpointError
from ppo.process import prepare_process
from ppo.replay import Segment
from ppo.seeding import generator
from ppo.settings import SettingsError
from ppo.training import Training
from tests.helpers.batches import perturbed
from tests.helpers.environments import CONTINUOUS_1, DISCRETE_4, ScriptedEnv
from tests.helpers.stacks import clipped_gradients, perturbed_stack
from tests.helpers.torch_networks import references

INF, NAN = math.inf, math.nan
STEPS, ENVS = 6, 3


def algorithm_of(settings, noise=0.5, kind=ACER, env=None, **common):
    """A stack with weights moved off their special first values; ``settings``: what the runs differ in."""
    settings = [kind.Settings(**{"num_envs": ENVS, "num_steps": STEPS, **common, **own}) for own in settings]
    return perturbed_stack(kind, settings, DISCRETE_4, noise=noise, env=env, total_timesteps=6000)


def made_up_segment(runs, inputs=3, actions=4, seed=0):
    """Random experience of some other policy."""
    rng = np.random.default_rng(seed)
    size = STEPS * ENVS
    probabilities = rng.dirichlet(np.ones(actions), (runs, size))
    return Segment(
        observations=torch.from_numpy(rng.standard_normal((runs, size, inputs), dtype=np.float32)),
        actions=torch.from_numpy(rng.integers(0, actions, (runs, size))),
        rewards=torch.from_numpy(rng.standard_normal((runs, size), dtype=np.float32)),
        ended=torch.from_numpy(rng.random((runs, size)) < 0.15),
        probabilities=torch.from_numpy(probabilities.astype(np.float32)),
        last_observations=torch.from_numpy(rng.standard_normal((runs, ENVS, inputs), dtype=np.float32)),
    )


# --- The gradient ----------------------------------------------------------------------------------------------------


def loss_written_out(network, average, segment, run, own):
    """Of one run, state by state as in the paper's Algorithm 2, in float64; and how often each of its bounds binds."""
    observations, last = segment.observations[run].double(), segment.last_observations[run].double()
    count = len(observations)
    loss, held, truncated, corrected = torch.zeros(()), 0, 0, 0
    for env in range(ENVS):
        f, q = network.actor(last[env]).softmax(-1), network.critic(last[env])
        q_ret = (f * q).sum().item()
        for step in reversed(range(STEPS)):
            sample = step * ENVS + env
            action, mu = segment.actions[run, sample].item(), segment.probabilities[run, sample].double()
            f, q = network.actor(observations[sample]).softmax(-1), network.critic(observations[sample])
            q_ret = segment.rewards[run, sample].item() + own.gamma * q_ret * (not segment.ended[run, sample])
            value = (f * q).sum().item()
            rho = (f / mu).tolist()
            phi = f.detach().requires_grad_()
            gain = min(own.importance_clip, rho[action]) * phi[action].log() * (q_ret - value)
            for other in range(4):
                beyond = max(0.0, 1 - own.importance_clip / rho[other])
                gain = gain + f[other].item() * beyond * phi[other].log() * (q[other].item() - value)
                corrected += beyond > 0
            gain = gain - own.ent_coef * (phi * phi.log()).sum()
            (g,) = torch.autograd.grad(gain, phi)
            k = -average.actor(observations[sample]).softmax(-1).detach() / f.detach()
            excess = max(0.0, (k @ g).item() - own.trust_region_delta)
            z = g - excess / (k @ k).item() * k
            loss = loss - (f * z).sum() / count + own.q_coef * 0.5 * (q_ret - q[action]) ** 2 / count
            held += excess > 0
            truncated += rho[action] > own.importance_clip
            q_ret = min(1.0, rho[action]) * (q_ret - q[action].item()) + value
    return loss, held, truncated, corrected


def test_the_gradient_is_the_papers_written_out_state_by_state():
    settings = [
        {"importance_clip": 1.0, "trust_region_delta": 0.01, "ent_coef": 0.1, "q_coef": 1.0, "gamma": 0.9},
        {"importance_clip": 0.5, "trust_region_delta": INF},
        {"importance_clip": 1e9, "trust_region_delta": 0.1, "q_coef": 0.0, "gamma": 1.0},
    ]
    algorithm = algorithm_of(settings, max_grad_norm=INF)
    algorithm.average.copy_(perturbed(algorithm.policy.parameters, 0.3, seed=5))
    segment = made_up_segment(3)
    networks = references(algorithm.policy)
    averages = references(algorithm.policy, algorithm.average)
    gradients = clipped_gradients(algorithm)
    metrics = algorithm.update(segment)
    counts = []
    for run, (network, average) in enumerate(zip(networks, averages, strict=True)):
        loss, *bound = loss_written_out(network, average, segment, run, algorithm.settings[run])
        counts.append(bound)
        loss.backward()
        expected = network.gradient()
        used = algorithm.policy.critic_columns.stop
        scale = expected.abs().max().item()
        torch.testing.assert_close(gradients[0][run, :used].double(), expected[:used], rtol=1e-3, atol=2e-5 * scale)
        assert metrics["losses/grad_norm"][run].item() == pytest.approx(expected.norm().item(), rel=1e-3)
    assert 3 < counts[0][0] < STEPS * ENVS, "the trust region binds in some states"
    assert 3 < counts[0][1] < STEPS * ENVS, "and so does the truncation"
    assert counts[1][0] == 0
    assert counts[1][2] > 3
    assert counts[2][1:] == [0, 0]
    assert segment.ended.sum() > 3


# --- The estimator ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TabularSettings(ACERSettings):
    networks = ("linear",)
    network: str = "linear"


class Tabular(ACER):
    """With one number for each state and action, in the policy and in the critic."""

    Settings = TabularSettings


class TwoStates(ScriptedEnv):
    """The shapes of the problem below; it is enumerated, not played."""

    def __init__(self, rows):
        super().__init__([7] * rows, Discrete(3))
        self.observation_shape = (2,)

    def observe(self):
        return np.zeros((self.rows, 2))


GAMMA = 0.9
FIRST = np.array([0.25, 0.75])
NEXT = np.array([[[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]], [[0.9, 0.1], [0.4, 0.6], [1.0, 0.0]]])
"""Of each state and action; the episode ends with action 2 in state 1, and the next one begins in state 0."""
REWARDS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
ENDS = np.array([[False, False, False], [False, False, True]])
LOGITS = np.array([[0.5, -1.0, 0.3], [-0.7, 0.2, 1.1]])
PI = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
MU = np.array([[0.1, 0.6, 0.3], [0.5, 0.4, 0.1]])
"""Ratios from 0.17 to 6.0."""


def exact_q():
    """Q = r + gamma P V, solved."""
    transitions = NEXT * (GAMMA * ~ENDS)[..., None]
    system = np.eye(6) - np.einsum("sat,tb->satb", transitions, PI).reshape(6, 6)
    return np.linalg.solve(system, REWARDS.ravel()).reshape(2, 3)


def policy_gradient(weights):
    """Of sum_s weights(s) sum_a pi(a|s) Q(s, a) with respect to the logits, Q held fixed."""
    q = exact_q()
    return weights[:, None] * PI * (q - (PI * q).sum(1, keepdims=True))


def trajectories():
    """Every one of two steps, as (its probability under mu, states of three, actions of two)."""
    for (s0, s1, s2), (a0, a1) in itertools.product(
        itertools.product((0, 1), repeat=3), itertools.product(range(3), repeat=2)
    ):
        probability = FIRST[s0] * MU[s0, a0] * NEXT[s0, a0, s1] * MU[s1, a1] * NEXT[s1, a1, s2]
        if probability > 0:
            yield probability, (s0, s1, s2), (a0, a1)


@pytest.mark.parametrize("importance_clip", [0.01, 0.5, 2.0, 100.0])
def test_truncation_and_correction_are_unbiased(importance_clip):
    """Truncation and correction together give the exact policy gradient, whatever c is.

    With a critic that knows Q, in expectation over all that mu does: one run of the stack for each trajectory.
    """
    every = list(trajectories())
    assert sum(probability for probability, _, _ in every) == pytest.approx(1)
    common = {
        "num_envs": 1,
        "num_steps": 2,
        "gamma": GAMMA,
        "importance_clip": importance_clip,
        "trust_region_delta": INF,
    }
    exact = {"ent_coef": 0.0, "q_coef": 0.0, "max_grad_norm": INF, "norm_obs": False}
    algorithm = algorithm_of([{}] * len(every), kind=Tabular, env=TwoStates(len(every)), **common, **exact)
    with torch.no_grad():
        for name, table in (("actor", LOGITS), ("critic", exact_q())):
            ((weights, bias),) = algorithm.policy.layers[name]
            weights.copy_(torch.from_numpy(table))
            bias.zero_()
    states, actions = (np.array([own[place] for own in every]) for place in (1, 2))
    one_hot = torch.eye(2)[torch.from_numpy(states)]
    segment = Segment(
        observations=one_hot[:, :2],
        actions=torch.from_numpy(actions),
        rewards=torch.from_numpy(REWARDS[states[:, :2], actions]).float(),
        ended=torch.from_numpy(ENDS[states[:, :2], actions]),
        probabilities=torch.from_numpy(MU[states[:, :2]]).float(),
        last_observations=one_hot[:, 2:],
    )
    gradients = clipped_gradients(algorithm)
    algorithm.update(segment)
    ((weights, _),) = algorithm.policy.networks["actor"].layers(gradients[0])
    chances = torch.tensor([probability for probability, _, _ in every])
    found = -(chances[:, None, None] * weights).sum(0).numpy()
    visited = (FIRST + np.einsum("s,sa,sat->t", FIRST, MU, NEXT)) / 2
    np.testing.assert_allclose(found, policy_gradient(visited), rtol=1e-4, atol=1e-6)

    # And without the correction it would not be: sum_a mu min(c, rho) d log pi (Q - V), in closed form.
    q = exact_q()
    kept = MU * np.minimum(importance_clip, PI / MU) * (q - (PI * q).sum(1, keepdims=True))
    uncorrected = visited[:, None] * (kept - PI * kept.sum(1, keepdims=True))
    off = np.abs(uncorrected - policy_gradient(visited)).max()
    assert off < 1e-9 if importance_clip == 100 else off > 0.01


# --- Updates from the past -------------------------------------------------------------------------------------------


def test_replayed_updates_are_poisson():
    """Updates from the memory begin when it is filled, and their number is Poisson."""
    settings = [{"replay_ratio": 4.0}, {"replay_ratio": 0.5}, {"replay_ratio": 0.0}]
    algorithm = algorithm_of(settings, replay_start=5 * STEPS, replay_capacity=8 * STEPS)
    changes = clipped_gradients(algorithm)
    for iteration in range(60):
        before = len(changes)
        _, metrics = algorithm.iterate()
        found = metrics["charts/replay_updates"].tolist()
        if iteration < 4:
            assert found == [0, 0, 0]
        else:
            streams = [generator(seed, "algorithm", iteration) for seed in (1, 2, 3)]
            assert found == [own.poisson(ratio) for own, ratio in zip(streams, (4.0, 0.5, 0.0), strict=True)]
        assert len(changes) - before == 1 + max(found)


def test_average_policy_follows_its_own_run():
    """The average policy follows every step of its own run and of no other.

    Weighted sums of the parameters after each of a run's own updates, from the present and from the past.
    """
    decays = [0.99, 0.5]
    algorithm = algorithm_of(
        [{"ema_decay": own} for own in decays], replay_start=0, replay_capacity=8 * STEPS, learning_rate=0.05
    )
    algorithm.average.copy_(algorithm.policy.parameters.detach())
    visited = [algorithm.policy.parameters.detach().clone().double()]
    update = algorithm.update

    def watched(segment, *where):
        metrics = update(segment, *where)
        visited.append(algorithm.policy.parameters.detach().clone().double())
        return metrics

    algorithm.update = watched
    updates = torch.zeros(2, dtype=torch.int64)
    expected = visited[0].clone()
    for _ in range(6):
        first = len(visited)
        _, metrics = algorithm.iterate()
        updates = metrics["charts/replay_updates"].tolist()
        for run, decay in enumerate(decays):
            for parameters in visited[first : first + 1 + updates[run]]:
                expected[run] = decay * expected[run] + (1 - decay) * parameters[run]
            assert torch.equal(algorithm.policy.parameters[run].double(), visited[first + updates[run]][run])
    torch.testing.assert_close(algorithm.average.double(), expected, rtol=1e-4, atol=1e-6)
    assert (visited[-1] - visited[0]).abs().amax(dim=1).min() > 0.03


def test_replayed_update_uses_the_old_experience():
    """An update from the memory is one with what was collected then.

    The memory's segment of that time, and mu as it was, though the policy has moved on.
    """
    algorithm = algorithm_of([{}, {}], replay_ratio=0.0, replay_start=0, replay_capacity=10 * STEPS, learning_rate=0.01)
    seen, update = [], algorithm.update
    algorithm.update = lambda segment: seen.append(segment) or update(segment)
    for _ in range(5):
        algorithm.iterate()
    for number, segment in enumerate(seen):
        again = algorithm.memory.read(np.full((2, ENVS), number * STEPS), STEPS)
        for field in dataclasses.fields(Segment):
            assert torch.equal(getattr(again, field.name), getattr(segment, field.name)), field.name
    moved = algorithm.policy.distribution(seen[0].observations).statistics() - seen[0].probabilities
    assert moved.abs().max() > 0.01
    assert (seen[0].probabilities.sum(-1) - 1).abs().max() < 1e-5


def test_segments_are_drawn_evenly():
    """Segments are drawn evenly from all that the memory holds, for each environment by itself."""
    algorithm = algorithm_of([{}], replay_ratio=4.0, replay_start=4 * STEPS, replay_capacity=4 * STEPS)
    memory, ages = algorithm.memory, []
    read = memory.read

    def watched(starts, steps):
        ages.append((memory.steps - starts[0]) // STEPS)
        return read(starts, steps)

    memory.read = watched
    for iteration in range(60):
        before = len(ages)
        algorithm.iterate()
        assert (ages.pop(before) == 1).all(), "the update from the present"
        assert iteration > 2 or len(ages) == 0
    counts = [np.bincount(column, minlength=5).tolist() for column in np.array(ages).T]
    assert all(own[0] == 0 and len(own) == 5 for own in counts), "nothing but the four segments that are held"
    for own in counts:
        assert chisquare(own[1:]).pvalue > 0.01
    alike = np.mean([own[0] == own[1] for own in ages])
    assert 0.15 < alike < 0.35, "two environments have the same segment a quarter of the time"


# --- Settings and memory ---------------------------------------------------------------------------------------------


REFUSED = [
    *(("importance_clip", value) for value in (0.0, INF, NAN)),
    *(("trust_region_delta", value) for value in (0.0, NAN)),
    *(("ema_decay", value) for value in (-0.1, 1.0, NAN)),
    *(("replay_ratio", value) for value in (-1.0, INF, NAN)),
    *(("gamma", value) for value in (-0.1, 1.1, NAN)),
    *(("learning_rate", value) for value in (-1.0, INF, NAN)),
    *(("rms_eps", value) for value in (0.0, NAN)),
    ("max_grad_norm", 0.0),
    ("replay_capacity", 19),
    ("replay_start", 50_001),
    ("replay_start", -1),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_settings_that_cannot_be_trained_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"^{name} = {value}"):
        dataclasses.replace(ACERSettings(), **{name: value}).check()


def test_continuous_actions_are_refused_in_one_line():
    with pytest.raises(SettingsError, match=r"^ACER needs discrete actions") as caught:
        ACER(ScriptedEnv([7] * 16, CONTINUOUS_1), [ACERSettings()], [1], 1600)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("available", "named"), [(2**20, "0.0 GiB is available"), (None, "an unknown amount is")])
def test_memory_beyond_the_machine_is_refused(available, named, monkeypatch):
    """A memory that the machine has no room for is refused at once."""

    def refuse(*arguments):
        raise MemoryError

    monkeypatch.setattr(replay, "available_memory", lambda: available)
    if available is None:
        monkeypatch.setattr(np, "zeros", refuse)
    env = ScriptedEnv([7] * 32, DISCRETE_4)
    with pytest.raises(SettingsError, match=r"^replay_capacity = 50000 is too large: 2 runs of 16") as caught:
        ACER(env, [ACERSettings(), ACERSettings()], [1, 2], 16 * 100_000)
    size = 32 * 50_001 * (3 * 4 + 8 + 4 + 1 + 4 * 4) / 2**30
    assert f"need {size:.1f} GiB of memory, {named}" in str(caught.value)
    assert "lower replay_capacity" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("short_of", "fits"), [(0, True), (1, False)])
def test_a_memory_is_taken_if_the_machine_has_just_the_room_for_it(short_of, fits, monkeypatch):
    """A record for each of 100 steps and the one after: 3 float32, an int64, a float32, a byte and 4 float32."""
    need = 16 * 101 * (3 * 4 + 8 + 4 + 1 + 4 * 4)
    monkeypatch.setattr(replay, "available_memory", lambda: need - short_of)
    with contextlib.nullcontext() if fits else pytest.raises(SettingsError, match=r"^replay_capacity"):
        ACER(ScriptedEnv([7] * 16, DISCRETE_4), [ACERSettings()], [1], 16 * 100)


def test_the_memory_is_no_larger_than_the_budget_can_fill(monkeypatch):
    monkeypatch.setattr(replay, "available_memory", lambda: 2**20)
    algorithm = ACER(ScriptedEnv([7] * 16, DISCRETE_4), [ACERSettings()], [1], 16 * 105)
    assert algorithm.memory.capacity == 100


# --- Files -----------------------------------------------------------------------------------------------------------


def training_of(folder):
    settings = ACERSettings(num_envs=2, num_steps=10, replay_start=50, replay_capacity=600, replay_ratio=1.0)
    runs = [Run("CartPole-v1", "acer", "a", seed, 2400, settings) for seed in (1, 2)]
    return Training(build(runs, storage_dir=folder / "replay"))


def train_and_save(folder):
    """After every iteration, for a process that is to be killed."""
    prepare_process()
    training = training_of(folder)
    while not training.done:
        training.iterate()
        training.save(folder / "checkpoint.pt", {})
        print(training.algorithm.iteration, flush=True)


def test_training_killed_with_files_ends_the_same(tmp_path):
    """A training killed with its memory in files ends as an undisturbed one."""
    code = (
        "import pathlib, sys; from tests.baselines.test_acer import train_and_save; "
        "train_and_save(pathlib.Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], env=environment, stdout=subprocess.PIPE, text=True
    )
    while process.poll() is None and process.stdout.readline() != "60\n":
        pass
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    resumed, whole = training_of(tmp_path), training_of(tmp_path)
    whole.algorithm.storage_dir = None
    resumed.load(tmp_path / "checkpoint.pt", {})
    assert resumed.algorithm.iteration >= 60
    assert len(list((tmp_path / "replay").iterdir())) >= 2, "600 steps and more are files of 256"
    assert (tmp_path / "checkpoint.pt").stat().st_size < 300_000
    for training in (resumed, whole):
        while not training.done:
            training.iterate()
    assert torch.equal(resumed.algorithm.policy.parameters, whole.algorithm.policy.parameters)
    assert torch.equal(resumed.algorithm.average, whole.algorithm.average)
    for name, column in whole.episodes().items():
        np.testing.assert_array_equal(resumed.episodes()[name], column)


def test_at_the_end_of_the_budget_nothing_of_the_memory_is_asked_for(tmp_path):
    training = training_of(tmp_path)
    while not training.done:
        training.save(tmp_path / "checkpoint.pt", {})
        training.iterate()
    training.save(tmp_path / "checkpoint.pt", {})
    shutil.rmtree(tmp_path / "replay")
    loaded = training_of(tmp_path)
    loaded.load(tmp_path / "checkpoint.pt", {})
    assert loaded.done
    assert torch.equal(loaded.algorithm.policy.parameters, training.algorithm.policy.parameters)


@pytest.fixture
def _small_files(monkeypatch):
    monkeypatch.setattr(replay, "CHUNK", 32)


@pytest.mark.usefixtures("_small_files")
def test_damaged_memory_file_is_refused(tmp_path):
    """A checkpoint whose file is damaged is refused by name, and the one before is as good."""
    whole = training_of(tmp_path)
    while not whole.done:
        whole.iterate()
        if whole.algorithm.iteration in (10, 20):
            whole.save(tmp_path / "checkpoint.pt", {})
    newest = sorted((tmp_path / "replay").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    resumed = training_of(tmp_path)
    with pytest.raises(CheckpointError, match=f"checkpoint.pt does not fit this training: .*{newest.name} is damaged"):
        resumed.load(tmp_path / "checkpoint.pt", {})
    resumed.load(tmp_path / "checkpoint.pt.previous", {})
    assert resumed.algorithm.iteration == 10
    while not resumed.done:
        resumed.iterate()
        resumed.save(tmp_path / "checkpoint.pt", {})
    assert torch.equal(resumed.algorithm.policy.parameters, whole.algorithm.policy.parameters)


# --- It learns -------------------------------------------------------------------------------------------------------


def test_it_learns_and_with_its_past_more_than_without():
    common = {"num_envs": 4, "replay_start": 200, "learning_rate": 3e-3}
    settings = [ACERSettings(**common, replay_ratio=ratio) for ratio in (2.0, 2.0, 0.0, 0.0)]
    runs = [
        Run("CartPole-v1", "acer", "a", seed, 20_000, own) for seed, own in zip((1, 2, 1, 2), settings, strict=True)
    ]
    training = Training(build(runs))
    while not training.done:
        training.iterate()
    replaying, not_replaying = training.scores().reshape(2, 2)
    assert (replaying > 140).all()
    assert replaying.min() > 1.2 * not_replaying.max()
