"""A replay memory of segments of experience. Every frame is kept once; what is too much for every checkpoint lies in
files of its own."""

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from torch import Tensor

from ppo.checkpoint import to_disk
from ppo.envs.base import VectorEnv
from ppo.process import available_memory
from ppo.rollout import Experience
from ppo.settings import SettingsError, Shared

CHUNK = 256
"""Steps of each environment in a file."""

_FILE_NAME = re.compile(r"(\d{10})-(\d{10})-([0-9a-f]{64})\.zst", re.ASCII)
"""The file's first step, the step after its last one, and the checksum of its bytes."""

_CODEC = pyarrow.Codec("zstd")


@dataclass(frozen=True)
class Segment:
    """Consecutive steps of every environment; ``batch`` = steps x envs, and every tensor is ``[runs, batch, ...]``."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    ended: Tensor
    """Whether the step ended its episode."""
    probabilities: Tensor
    """mu(.|s): of all actions, under the policy that acted, ``[runs, batch, n]``"""
    last_observations: Tensor
    """``[runs, envs, ...]``: what follows the last step."""


class ReplayMemory:
    """The last ``capacity`` steps of every environment, in a ring over the steps since the beginning of the training.

    A step's record holds the newest frame of its observation alone: the older ones are those of the steps before, as
    far back as the episode goes. The ring has a few records more than steps, for what lies at the two ends.
    """

    def __init__(
        self,
        env: VectorEnv,
        runs: int,
        num_steps: int,
        capacity: int,
        normalised: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """``env``: of discrete actions. ``num_steps``: of a segment. ``capacity``: steps of each environment; whole
        segments of them are kept. ``normalised``: whether observations are; their frames have nothing in common then.

        Memory is taken as it fills. Where the machine refuses it: ``MemoryError``.
        """
        self.num_steps = num_steps
        self.capacity = capacity // num_steps * num_steps
        self.observation_shape = env.observation_shape
        self.frames = _frames(env, normalised)
        self.device = device
        self.steps = 0
        """Steps that every environment has done."""
        records = _records(env, num_steps, capacity, normalised)
        self._ring = np.zeros((records, runs, env.rows // runs), _record(env, normalised))
        self._files: list[str] = []
        """Of the state before, in their order."""

    @property
    def segments(self) -> range:
        """The whole segments that are held, counted from the beginning of the training."""
        return range(-(-max(0, self.steps - self.capacity) // self.num_steps), self.steps // self.num_steps)

    def add(self, experience: Experience, probabilities: Tensor) -> None:
        """``probabilities``: mu of all actions, ``[steps, runs, envs, n]``."""
        at = self._places(np.arange(self.steps, self.steps + len(experience.rewards)))
        self._ring["frame"][at] = self._newest_frames(experience.observations)
        self._ring["action"][at] = experience.actions.cpu().numpy()
        self._ring["reward"][at] = experience.rewards
        self._ring["ended"][at] = experience.ended
        self._ring["probabilities"][at] = probabilities.cpu().numpy()
        self.steps += len(at)
        following = self._ring[self.steps % len(self._ring)]
        following[...] = np.zeros((), self._ring.dtype)
        following["frame"] = self._newest_frames(experience.last_observations)

    def newest(self, steps: int) -> Segment:
        """The last ``steps`` steps."""
        return self.read(np.full(self._ring.shape[1:], self.steps - steps), steps)

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Where segments begin, one of those that are held for each environment of a run: ``[envs]``."""
        held = self.segments
        numbers: NDArray[np.int64] = generator.integers(held.start, held.stop, size=self._ring.shape[2])
        return numbers * self.num_steps

    def read(self, starts: NDArray[np.int64], steps: int) -> Segment:
        """``steps`` steps of each environment of each run, beginning with those in ``starts`` ``[runs, envs]``."""
        runs, envs = starts.shape
        own = (np.arange(runs)[:, None, None], np.arange(envs))
        wanted = starts[:, None] + np.arange(1 - self.frames, steps + 1)[:, None]  # [runs, frames + steps, envs]
        frames = self._ring["frame"][(self._places(wanted), *own)]
        first = self._ring["ended"][(self._places(wanted - 1), *own)] | (wanted == 0)
        observations = np.zeros((runs, steps + 1, envs, frames.shape[-1], self.frames), frames.dtype)
        visible = np.ones((runs, steps + 1, envs, 1), dtype=np.bool_)
        for age in range(self.frames):
            window = slice(self.frames - 1 - age, self.frames + steps - age)
            np.copyto(observations[..., self.frames - 1 - age], frames[:, window], where=visible)
            visible &= ~first[:, window, :, None]  # nothing is seen of what was before the episode's first frame
        taken = (self._places(wanted[:, self.frames - 1 : -1]), *own)
        return Segment(
            observations=self._flat(observations[:, :-1], *self.observation_shape),
            actions=self._flat(self._ring["action"][taken]),
            rewards=self._flat(self._ring["reward"][taken]),
            ended=self._flat(self._ring["ended"][taken]),
            probabilities=self._flat(self._ring["probabilities"][taken], self._ring["probabilities"].shape[-1]),
            last_observations=self._flat(observations[:, -1:], *self.observation_shape),
        )

    def state(self, folder: Path | None) -> dict[str, Any]:
        """What a checkpoint holds. With a ``folder``, all but the newest steps are in its files: those that are not
        there yet are written, and those deleted that neither this state nor the one before has a use for."""
        oldest = max(0, self.steps - len(self._ring) + 1)
        files = [] if folder is None else [name for name in self._files if _span(name)[1] > oldest]
        begin = _span(files[-1])[1] if files else oldest
        if folder is not None:
            while (end := (begin // CHUNK + 1) * CHUNK) <= self.steps:
                files.append(self._write(folder, begin, end))
                begin = end
            _delete_before(min((_span(name)[0] for name in self._files[:1] + files[:1]), default=0), folder)
            self._files = files
        rest = self._ring[self._places(np.arange(begin, self.steps + 1))]  # the last one is but the newest frame
        as_bytes = np.ascontiguousarray(np.moveaxis(rest, 0, 2)).view(np.uint8)
        return {"steps": self.steps, "files": list(files), "rest": as_bytes}

    def load_state(self, state: dict[str, Any], folder: Path | None) -> None:
        """Continue from ``state``. One that does not fit, or a file that is missing or damaged: ``ValueError``."""
        steps, files, rest = state["steps"], state["files"], state["rest"]
        size = self._ring.itemsize
        if rest.dtype != np.uint8 or rest.ndim != 3 or rest.shape[:2] != self._ring.shape[1:] or rest.shape[2] % size:
            raise ValueError(f"replay memory: {rest.dtype} {rest.shape} is not a number of records of {size} bytes")
        oldest, begin = max(0, steps - len(self._ring) + 1), steps + 1 - rest.shape[2] // size
        begins = [*(_span(name)[0] for name in files), begin]
        if begins[0] > oldest or begins[1:] != [_span(name)[1] for name in files] or begin > steps:
            raise ValueError(f"replay memory: files {files} and the steps from {begin} to {steps} leave a gap")
        for name in files:
            self._read(folder, name, oldest)
        kept = np.ascontiguousarray(rest).view(self._ring.dtype)[..., -len(self._ring) :]
        self._ring[self._places(np.arange(steps + 1 - kept.shape[2], steps + 1))] = np.moveaxis(kept, 2, 0)
        self.steps, self._files = steps, list(files)

    def _write(self, folder: Path, begin: int, end: int) -> str:
        """Those steps as a file; returns its name."""
        data = _CODEC.compress(self._ring[self._places(np.arange(begin, end))].tobytes(), asbytes=True)
        name = f"{begin:010d}-{end:010d}-{hashlib.sha256(data).hexdigest()}.zst"
        folder.mkdir(parents=True, exist_ok=True)
        to_disk(folder / (name + ".writing"), data)
        (folder / (name + ".writing")).replace(folder / name)
        return name

    def _read(self, folder: Path | None, name: str, oldest: int) -> None:
        """Put what a file holds of the steps from ``oldest`` on into the ring."""
        begin, end = _span(name)
        if folder is None:
            raise ValueError(f"{name} is missing: the replay memory lies in files, and no folder was named")
        path = folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        if f"{hashlib.sha256(data).hexdigest()}.zst" != name.rpartition("-")[2]:
            raise ValueError(f"{path} is damaged: its contents do not match its checksum (cut short, or bytes changed)")
        shape = (end - begin, *self._ring.shape[1:])
        try:
            data = _CODEC.decompress(data, math.prod(shape) * self._ring.itemsize, asbytes=True)
        except OSError as error:
            raise ValueError(f"{path} belongs to another training: {error}") from error
        skipped = max(0, oldest - begin)
        kept = np.frombuffer(data, self._ring.dtype).reshape(shape)[skipped:]
        self._ring[self._places(np.arange(begin + skipped, end))] = kept

    def _places(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        return steps % len(self._ring)

    def _newest_frames(self, observations: Tensor) -> NDArray[Any]:
        """``[..., *observation_shape]`` to ``[..., numbers of a frame]``."""
        leading = observations.shape[: observations.ndim - len(self.observation_shape)]
        return observations.reshape(*leading, -1, self.frames)[..., -1].cpu().numpy()

    def _flat(self, values: NDArray[Any], *shape: int) -> Tensor:
        """``[runs, steps, envs, ...]`` to ``[runs, steps x envs, *shape]`` on the device."""
        runs, steps, envs = values.shape[:3]
        return torch.from_numpy(values.reshape(runs, steps * envs, *shape)).to(self.device)


def make_memory(
    env: VectorEnv, runs: int, shared: Shared, total_timesteps: int, device: torch.device | str
) -> ReplayMemory:
    """Make a memory for what the settings ask for, or for all that the budget can fill it with. ``SettingsError`` where
    the machine has not enough for it."""
    steps, normalised = shared.num_steps, shared.norm_obs
    capacity = max(steps, min(shared.replay_capacity, total_timesteps // shared.num_envs))
    need, available = bytes_needed(env, steps, capacity, normalised), available_memory()
    try:
        if available is not None and need > available:
            raise MemoryError
        return ReplayMemory(env, runs, steps, capacity, normalised, device)
    except MemoryError:
        found = "an unknown amount" if available is None else f"{available / 2**30:.1f} GiB"
        raise SettingsError(
            f"replay_capacity = {shared.replay_capacity} cannot be held: {runs} runs of {shared.num_envs} environments "
            f"need {need / 2**30:.1f} GiB of memory, {found} is available; lower replay_capacity, or train fewer runs "
            "at a time"
        ) from None


def bytes_needed(env: VectorEnv, num_steps: int, capacity: int, normalised: bool) -> int:
    """What a memory for all of the environment's rows takes once it is full."""
    return _records(env, num_steps, capacity, normalised) * env.rows * _record(env, normalised).itemsize


def _frames(env: VectorEnv, normalised: bool) -> int:
    return 1 if normalised else env.frames


def _records(env: VectorEnv, num_steps: int, capacity: int, normalised: bool) -> int:
    """Whole segments, and beside them the frames before the oldest one and the one after the newest."""
    return capacity // num_steps * num_steps + _frames(env, normalised)


def _record(env: VectorEnv, normalised: bool) -> np.dtype[Any]:
    """What is kept of a step of one environment. Pictures stay bytes unless they are normalised."""
    frame = np.uint8 if env.observation_dtype == np.uint8 and not normalised else np.float32
    numbers = math.prod(env.observation_shape) // _frames(env, normalised)
    assert isinstance(env.action_space, Discrete)
    return np.dtype(
        [
            ("frame", frame, (numbers,)),
            ("action", np.int64),
            ("reward", np.float32),
            ("ended", np.bool_),
            ("probabilities", np.float32, (int(env.action_space.n),)),
        ]
    )


def _span(name: str) -> tuple[int, int]:
    """The first step in a file of this name, and the one after its last. Another name, which might lead out of the
    folder: ``ValueError``."""
    match = _FILE_NAME.fullmatch(name)
    if not match or not 0 < int(match[2]) - int(match[1]) <= CHUNK:
        raise ValueError(f"{name!r} is not the name of a file of the replay memory")
    return int(match[1]), int(match[2])


def _delete_before(step: int, folder: Path) -> None:
    """Delete the files of steps before this one, and what a crash left half written. Later ones stay even if no state
    names them: they may be those of a checkpoint that is yet to be loaded."""
    for path in folder.glob("*.zst*"):
        name, _, writing = path.name.partition(".zst")
        match = _FILE_NAME.fullmatch(name + ".zst")
        if match and (writing or int(match[1]) < step):
            path.unlink(missing_ok=True)
