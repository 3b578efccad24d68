"""The replay memory against a list that forgets nothing, and its files against all that can befall files."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from scipy.stats import chisquare

from ppo import checkpoint, replay
from ppo.envs import make
from ppo.envs.base import Transition, VectorEnv
from ppo.process import available_memory
from ppo.replay import ReplayMemory, bytes_needed
from ppo.rollout import Collector
from ppo.seeding import environment_seeds

RUNS, ENVS, ACTIONS = 2, 3, 5
STEPS = 5
PIXELS = (2, 3)


class FramesEnv(VectorEnv):
    """Pictures of random bytes, stacked; row i's episodes last as many steps as ``lengths`` says, in turn."""

    def __init__(self, lengths, frames=4, seed=0):
        self.lengths, self.frames = lengths, frames
        self.rows = len(lengths)
        self.observation_shape = (*PIXELS, frames)
        self.observation_dtype = np.dtype(np.uint8)
        self.action_space = Discrete(ACTIONS)
        self.rng = np.random.default_rng(seed)

    stacks: np.ndarray

    def show(self):
        self.stacks = np.roll(self.stacks, -1, axis=-1)
        self.stacks[..., -1] = self.rng.integers(1, 256, (self.rows, *PIXELS), dtype=np.uint8)
        return self.stacks.copy()

    def reset(self):
        self.stacks = np.zeros((self.rows, *self.observation_shape), np.uint8)
        self.episode, self.time = np.zeros((2, self.rows), np.int64)
        return self.show()

    def step(self, actions):
        rewards = self.rng.standard_normal(self.rows)
        self.time += 1
        final = self.stacks
        ended = self.time >= [own[episode % len(own)] for own, episode in zip(self.lengths, self.episode, strict=True)]
        self.episode[ended] += 1
        self.time[ended] = 0
        self.stacks[ended] = 0
        return Transition(self.show(), rewards, ended, np.zeros_like(ended), final, rewards, ended)

    def get_state(self):
        raise NotImplementedError

    def set_state(self, state):
        raise NotImplementedError


EVERYWHERE = [[1], [2], [3], [7], [100], [1, 1, 9, 2, 4, 1]]
"""Episodes that end at every place in a segment, in runs of several ends, and not at all."""


class Recorded:
    """A memory that is filled from an environment, and beside it everything that it was given."""

    def __init__(self, capacity=3 * STEPS, frames=4, num_steps=STEPS, normalised=False, seed=0, env=None):
        self.env = env or FramesEnv(EVERYWHERE, frames, seed)
        self.memory = ReplayMemory(self.env, RUNS, num_steps, capacity, normalised)
        self.rng = np.random.default_rng(seed + 1)
        envs = self.env.rows // RUNS
        self.actions = int(self.env.action_space.n)
        self.collector = Collector(self.env, lambda *_: self.rng.integers(self.actions, size=(RUNS, envs)), RUNS, None)
        self.history: dict[str, list[Any]] = {
            name: [] for name in ("observations", "actions", "rewards", "ended", "probabilities")
        }
        self.last = None

    def collect(self, steps=STEPS):
        experience = self.collector.collect(np.zeros((steps, 1), np.float32), 0, keep_next=False)
        if self.memory.frames == 1 and self.env.frames > 1:
            experience = dataclasses.replace(  # as if normalised: no bytes
                experience,
                observations=0.1 * experience.observations,
                last_observations=0.1 * experience.last_observations,
            )
        size = (steps, RUNS, self.env.rows // RUNS)
        probabilities = torch.from_numpy(self.rng.dirichlet(np.ones(self.actions), size).astype(np.float32))
        self.memory.add(experience, probabilities)
        given = {
            "observations": experience.observations.clone(),
            "actions": experience.actions,
            "rewards": torch.from_numpy(experience.rewards).float(),
            "ended": torch.from_numpy(experience.ended),
            "probabilities": probabilities,
        }
        for name, values in given.items():
            self.history[name] += list(values)
        self.last = experience.last_observations.clone()
        return self

    def check(self, segment, starts, steps):
        """That it is what was given from those steps on."""
        for run, env in np.ndindex(*starts.shape):
            span = range(starts[run, env], starts[run, env] + steps)
            for name, given in self.history.items():
                found = getattr(segment, name)[run].unflatten(0, (steps, -1))[:, env]
                expected = torch.stack([given[step][run, env] for step in span])
                assert torch.equal(found.to(expected.dtype), expected), name
            following = [*self.history["observations"], self.last][span.stop][run, env]
            assert torch.equal(segment.last_observations[run, env].to(following.dtype), following)

    def check_all(self):
        """Every segment that the memory says it holds."""
        held = self.memory.segments
        size = self.memory.num_steps
        for number in held:
            starts = np.full((RUNS, self.env.rows // RUNS), number * size)
            self.check(self.memory.read(starts, size), starts, size)
        return len(held)


@pytest.mark.parametrize("frames", [1, 2, 4])
@pytest.mark.parametrize("num_steps", [1, 2, STEPS, 20])
def test_memory_returns_what_it_was_given(num_steps, frames):
    """What is read is what was given, to the bit, wherever episodes end and the ring closes."""
    recorded = Recorded(3 * num_steps, frames, num_steps)
    for count in range(1, 12):
        recorded.collect(num_steps)
        assert recorded.check_all() == min(count, 3)
        newest = recorded.memory.newest(num_steps)
        recorded.check(newest, np.full((RUNS, ENVS), (count - 1) * num_steps), num_steps)
        assert newest.observations.dtype == torch.uint8
    ended = torch.stack(recorded.history["ended"]).view(11, num_steps, -1)
    assert ended.any(0).any(1).all(), "at every place in a segment"


def test_the_frames_of_a_game_are_kept_once_and_read_to_the_bit():
    env = make("BreakoutNoFrameskip-v4", environment_seeds([1, 2], 2))
    recorded = Recorded(60, num_steps=20, env=env)
    assert recorded.memory._ring["frame"].shape == (64, RUNS, 2, 84 * 84)
    for count in range(1, 6):
        recorded.collect(20)
        assert recorded.check_all() == min(count, 3)
    env.close()
    assert torch.stack(recorded.history["ended"]).sum() > 4, "lives were lost"


def test_every_environment_can_have_a_segment_of_its_own():
    recorded = Recorded(8 * STEPS)
    for _ in range(11):
        recorded.collect()
    starts = STEPS * np.random.default_rng(0).integers(3, 11, (RUNS, ENVS))
    assert len(set(starts.ravel().tolist())) > 3
    recorded.check(recorded.memory.read(starts, STEPS), starts, STEPS)


def test_a_last_segment_cut_short_is_read_but_not_held():
    recorded = Recorded()
    for _ in range(5):
        recorded.collect()
    recorded.collect(2)
    recorded.check(recorded.memory.newest(2), np.full((RUNS, ENVS), 5 * STEPS), 2)
    assert recorded.memory.segments == range(3, 5), "of the third the ring holds but the end"
    assert recorded.check_all() == 2


def test_normalised_observations_are_kept_whole_and_as_they_are():
    recorded = Recorded(normalised=True)
    for _ in range(5):
        recorded.collect()
    assert recorded.check_all() == 3
    assert recorded.memory.newest(STEPS).observations.dtype == torch.float32


def test_segments_are_drawn_evenly():
    """Segments are drawn evenly among those that are held, and for each environment by itself."""
    recorded = Recorded(6 * STEPS)
    for _ in range(10):
        recorded.collect()
    rng = np.random.default_rng(0)
    drawn = np.array([recorded.memory.draw(rng) for _ in range(4000)])
    assert drawn.shape == (4000, ENVS)
    numbers, counts = np.unique(drawn, return_counts=True)
    assert numbers.tolist() == [STEPS * number for number in range(4, 10)]
    assert chisquare(counts).pvalue > 0.01
    together = np.unique(drawn[:, 0] * 1000 + drawn[:, 1], return_counts=True)[1]
    assert len(together) == 36, "one environment's says nothing of another's"
    assert chisquare(together).pvalue > 0.01


# --- What it takes ---------------------------------------------------------------------------------------------------


class Atari(FramesEnv):
    def __init__(self):
        super().__init__([[100]] * 16)
        self.observation_shape = (84, 84, 4)


def test_memory_of_16_games_needs_5_gigabytes():
    """A run of 16 games and 50,000 steps each needs 5 gigabytes and a half."""
    step = 84 * 84 + 8 + 4 + 1 + 4 * ACTIONS  # frame, action, reward, end, probabilities
    assert bytes_needed(Atari(), 20, 50_000, normalised=False) == 16 * (50_000 + 4) * step
    assert bytes_needed(Atari(), 20, 50_019, normalised=False) == 16 * (50_000 + 4) * step, "whole segments"
    whole = 4 * 84 * 84 * 4 + step - 84 * 84
    assert bytes_needed(Atari(), 20, 50_000, normalised=True) == 16 * (50_000 + 1) * whole


def test_what_it_needs_is_what_it_takes():
    recorded = Recorded()
    assert bytes_needed(recorded.env, STEPS, 3 * STEPS, normalised=False) == recorded.memory._ring.nbytes


@pytest.mark.skipif(available_memory() is None, reason="no /proc here")
def test_memory_is_taken_as_it_fills():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    memory = ReplayMemory(Atari(), 1, 20, 5_000)
    assert memory._ring.nbytes > 500e6
    assert resident() - before < 50e6


# --- States and files ------------------------------------------------------------------------------------------------


@pytest.fixture
def _small_files(monkeypatch):
    monkeypatch.setattr(replay, "CHUNK", 8)


def through_a_checkpoint(state, path):
    checkpoint.save(path, state)
    return checkpoint.load(path)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.usefixtures("_small_files")
@pytest.mark.parametrize("capacity", [2 * STEPS, 6 * STEPS, 40 * STEPS])
@pytest.mark.parametrize("in_files", [True, False])
def test_loaded_memory_goes_on(in_files, capacity, tmp_path):
    """A memory loaded at any time goes on as the one that was saved.

    States every other segment: with the smallest ring, steps are overwritten that no state has seen.
    """
    recorded = Recorded(capacity)
    folder = tmp_path / "replay" if in_files else None
    for count in range(1, 14):
        recorded.collect()
        if count % 2:
            continue
        state = through_a_checkpoint(recorded.memory.state(folder), tmp_path / "c.pt")
        assert bool(state["files"]) == in_files
        assert state["rest"].shape[2] <= (8 if in_files else capacity + 4) * recorded.memory._ring.itemsize
        fresh = ReplayMemory(recorded.env, RUNS, STEPS, capacity)
        fresh.load_state(state, folder)
        saved, recorded.memory = recorded.memory, fresh
        assert recorded.check_all() == min(count, capacity // STEPS)
        again = fresh.state(folder)
        assert again["files"] == state["files"]
        assert np.array_equal(again["rest"], state["rest"])
        recorded.memory = saved if count % 4 else fresh  # the loaded one goes on as well
    assert recorded.check_all() == min(13, capacity // STEPS)


def test_restarted_memory_is_empty():
    """A memory that goes back to the beginning shows nothing of what it has seen.

    As when a checkpoint turns out to be damaged half way through.
    """
    used, fresh = Recorded(seed=3), Recorded(seed=4)
    for _ in range(7):
        used.collect()
    used.memory.load_state(fresh.memory.state(None), None)
    fresh.memory = used.memory
    for count in range(1, 6):
        assert fresh.collect().check_all() == min(count, 3)


@pytest.mark.usefixtures("_small_files")
def test_files_are_written_once_and_deleted(tmp_path):
    """Files are written once, and deleted when two states have no use for them."""
    recorded = Recorded(6 * STEPS)
    written: dict[str, tuple[int, int]] = {}
    before: list[str] = []
    deleted: set[str] = set()
    for _ in range(16):
        recorded.collect()
        state = recorded.memory.state(tmp_path)
        assert names_in(tmp_path) == sorted({*before, *state["files"]})
        for name in names_in(tmp_path):
            about = (tmp_path / name).stat()
            assert written.setdefault(name, (about.st_ino, about.st_mtime_ns)) == (about.st_ino, about.st_mtime_ns)
            assert name.endswith(f"-{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}.zst")
        deleted |= set(written) - set(names_in(tmp_path))
        before = state["files"]
    assert len(deleted) >= 5
    assert [name[:10] for name in before] == ["0000000040", *(f"00000000{step}" for step in (48, 56, 64, 72))]


@pytest.mark.usefixtures("_small_files")
def test_empty_memory_deletes_nothing(tmp_path):
    """An empty memory deletes nothing that a checkpoint may yet ask for."""
    recorded = Recorded(6 * STEPS)
    for _ in range(10):
        recorded.collect()
    state = recorded.memory.state(tmp_path)
    before = names_in(tmp_path)
    (tmp_path / (before[0] + ".writing")).write_bytes(b"half")
    (tmp_path / "README.zst").write_text("somebody's own")
    fresh = ReplayMemory(recorded.env, RUNS, STEPS, 6 * STEPS)
    fresh.state(tmp_path)
    assert names_in(tmp_path) == sorted([*before, "README.zst"]), "what a crash left half written goes"
    fresh.load_state(state, tmp_path)
    recorded.memory = fresh
    assert recorded.check_all() == 6


def emptied(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def changed(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def exchanged(path):
    path.write_bytes(path.with_name(names_in(path.parent)[-1]).read_bytes())


def missing(path):
    path.unlink()


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.usefixtures("_small_files")
@pytest.mark.parametrize("damage", [emptied, cut, changed, exchanged, missing, a_folder])
def test_a_damaged_file_is_refused_by_name_in_one_line(damage, tmp_path):
    recorded = Recorded(6 * STEPS)
    for _ in range(6):
        recorded.collect()
    state = recorded.memory.state(tmp_path)
    damage(tmp_path / state["files"][1])
    fresh = ReplayMemory(recorded.env, RUNS, STEPS, 6 * STEPS)
    with pytest.raises(ValueError, match=state["files"][1]) as caught:
        fresh.load_state(state, tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


SHA = "0" * 64


@pytest.mark.parametrize(
    "name",
    [
        "../secret.zst",
        "/etc/passwd",
        f"../0000000000-0000000256-{SHA}.zst",
        f"0000000000-0000000256-{SHA}.zst\n",
        f"0000000000-0000000257-{SHA}.zst",
        f"0000000256-0000000000-{SHA}.zst",
        f"٠000000000-0000000256-{SHA}.zst",
        "",
    ],
)
def test_a_strangers_state_names_no_file_outside_and_none_too_large(name, tmp_path, monkeypatch):
    state = {"steps": 256, "files": [name], "rest": Recorded().memory.state(None)["rest"]}
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(ValueError, match="is not the name of a file of the replay memory"):
        Recorded().memory.load_state(state, tmp_path)


@pytest.mark.usefixtures("_small_files")
def test_states_that_do_not_fit_are_refused(tmp_path):
    recorded = Recorded(6 * STEPS)
    for _ in range(6):
        recorded.collect()
    state = recorded.memory.state(tmp_path)
    first, second, third = state["files"]

    def refused(match, folder=tmp_path, memory=recorded.memory, **changes):
        with pytest.raises(ValueError, match=match):
            memory.load_state({**state, **changes}, folder)

    refused("leave a gap", files=[first, third])
    refused("leave a gap", files=[second, third])
    refused("leave a gap", files=[first, third, second])
    refused("leave a gap", files=[])
    refused("leave a gap", steps=31)
    refused("leave a gap", rest=state["rest"][..., :0])
    refused("is not a number of records", rest=state["rest"][..., :-1])
    refused("is not a number of records", rest=state["rest"][:1])
    refused("is not a number of records", rest=state["rest"].astype(np.int64))
    refused("no folder was named", folder=None)
    refused("is not a number of records", memory=Recorded(6 * STEPS, frames=2).memory, rest=state["rest"][..., :-5])
    wider = ReplayMemory(FramesEnv(EVERYWHERE * 2), RUNS, STEPS, 6 * STEPS)
    rest = np.repeat(state["rest"], 2, axis=1)
    refused(f"{first} belongs to another training", memory=wider, rest=rest)
