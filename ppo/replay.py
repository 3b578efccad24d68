"""A replay memory of segments of experience. Every frame is stored once; all but the newest steps are saved to separate
files, since they are too large to repeat in every checkpoint."""

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

from ppo.envs.base import VectorEnv
from ppo.files import open_regular, remove_unfinished, write_atomically
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
    """mu(.|s): probabilities of all actions, of the policy that acted, ``[runs, batch, n]``"""
    last_observations: Tensor
    """``[runs, envs, ...]``: the observations after the last step."""


class ReplayMemory:
    """The last ``capacity`` steps of every environment, in a ring.

    A step's record holds only the newest frame of its observation: the older ones stand in the records of the steps
    before. The ring has a few more records than steps, for the frames before the oldest and after the newest step.
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
        """Allocate the ring; raises ``MemoryError`` if the machine refuses.

        ``env``: of discrete actions. ``num_steps``: of a segment. ``capacity``: steps of each environment, rounded
        down to whole segments. ``normalised``: whether observations are; consecutive ones then share no frames.
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
        """The files of the previous state, in order."""

    @property
    def segments(self) -> range:
        """The stored whole segments, numbered from the beginning of the training."""
        return range(-(-max(0, self.steps - self.capacity) // self.num_steps), self.steps // self.num_steps)

    def add(self, experience: Experience, probabilities: Tensor) -> None:
        """Store the steps of ``experience``; ``probabilities``: mu of all actions, ``[steps, runs, envs, n]``."""
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
        """Return the last ``steps`` steps."""
        return self.read(np.full(self._ring.shape[1:], self.steps - steps), steps)

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw a start step ``[envs]`` for each environment of a run, uniformly from the stored segments."""
        segments = self.segments
        numbers: NDArray[np.int64] = generator.integers(segments.start, segments.stop, size=self._ring.shape[2])
        return numbers * self.num_steps

    def read(self, starts: NDArray[np.int64], steps: int) -> Segment:
        """Return ``steps`` steps of each environment of each run, from ``starts`` ``[runs, envs]`` on."""
        runs, envs = starts.shape
        columns = (np.arange(runs)[:, None, None], np.arange(envs))
        numbers = starts[:, None] + np.arange(1 - self.frames, steps + 1)[:, None]  # [runs, frames + steps, envs]
        frames = self._ring["frame"][(self._places(numbers), *columns)]
        first = self._ring["ended"][(self._places(numbers - 1), *columns)] | (numbers == 0)
        observations = np.zeros((runs, steps + 1, envs, frames.shape[-1], self.frames), frames.dtype)
        visible = np.ones((runs, steps + 1, envs, 1), dtype=np.bool_)
        for age in range(self.frames):
            window = slice(self.frames - 1 - age, self.frames + steps - age)
            np.copyto(observations[..., self.frames - 1 - age], frames[:, window], where=visible)
            visible &= ~first[:, window, :, None]  # nothing is seen of what was before the episode's first frame
        taken = (self._places(numbers[:, self.frames - 1 : -1]), *columns)
        return Segment(
            observations=self._flat(observations[:, :-1], *self.observation_shape),
            actions=self._flat(self._ring["action"][taken]),
            rewards=self._flat(self._ring["reward"][taken]),
            ended=self._flat(self._ring["ended"][taken]),
            probabilities=self._flat(self._ring["probabilities"][taken], self._ring["probabilities"].shape[-1]),
            last_observations=self._flat(observations[:, -1:], *self.observation_shape),
        )

    def state(self, folder: Path | None) -> dict[str, Any]:
        """Return what a checkpoint holds. With a ``folder``, save all but the newest steps to its files: write those
        that are missing, delete those older than both this state and the previous one."""
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
        """Continue from ``state``; raises ``ValueError`` for one that does not fit, or a missing or damaged file."""
        steps, files, rest = state["steps"], state["files"], state["rest"]
        size = self._ring.itemsize
        if type(steps) is not int or not isinstance(files, list) or not isinstance(rest, np.ndarray):
            kinds = [type(value).__name__ for value in (steps, files, rest)]
            raise ValueError(f"replay memory: {', '.join(kinds)} stand where a number, a list and an array were saved")
        if rest.dtype != np.uint8 or rest.ndim != 3 or rest.shape[:2] != self._ring.shape[1:] or rest.shape[2] % size:
            raise ValueError(f"replay memory: {rest.dtype} {rest.shape} is not a number of records of {size} bytes")
        oldest, begin = max(0, steps - len(self._ring) + 1), steps + 1 - rest.shape[2] // size
        begins = [*(_span(name)[0] for name in files), begin]
        if begins[0] > oldest or begins[1:] != [_span(name)[1] for name in files] or begin > steps:
            raise ValueError(f"replay memory: files {files} and the steps from {begin} to {steps} leave a gap")
        for name in files:
            self._read(folder, name, oldest)
        records = np.ascontiguousarray(rest).view(self._ring.dtype)[..., -len(self._ring) :]
        self._ring[self._places(np.arange(steps + 1 - records.shape[2], steps + 1))] = np.moveaxis(records, 2, 0)
        self.steps, self._files = steps, list(files)

    def _write(self, folder: Path, begin: int, end: int) -> str:
        """Write these steps to a file; return its name."""
        data = _CODEC.compress(self._ring[self._places(np.arange(begin, end))].tobytes(), asbytes=True)
        name = f"{begin:010d}-{end:010d}-{hashlib.sha256(data).hexdigest()}.zst"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, lambda file: file.write(data))
        return name

    def _read(self, folder: Path | None, name: str, oldest: int) -> None:
        """Read a file's steps from ``oldest`` on into the ring."""
        begin, end = _span(name)
        if folder is None:
            raise ValueError(f"{name} is missing: the replay memory lies in files, and no folder was named")
        path, shape = folder / name, (end - begin, *self._ring.shape[1:])
        size = math.prod(shape) * self._ring.itemsize
        try:
            with open_regular(path, ValueError) as file:
                data = file.read(size + size // 100 + 4096)  # more than zstd makes of it
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        if f"{hashlib.sha256(data).hexdigest()}.zst" != name.rpartition("-")[2]:
            raise ValueError(f"{path} is damaged: its contents do not match its checksum (cut short, or bytes changed)")
        try:
            data = _CODEC.decompress(data, size, asbytes=True)
        except OSError as error:
            raise ValueError(f"{path} belongs to another training: {error}") from error
        skipped = max(0, oldest - begin)
        records = np.frombuffer(data, self._ring.dtype).reshape(shape)[skipped:]
        self._ring[self._places(np.arange(begin + skipped, end))] = records

    def _places(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        return steps % len(self._ring)

    def _newest_frames(self, observations: Tensor) -> NDArray[Any]:
        """Turn ``[..., *observation_shape]`` into ``[..., numbers of a frame]``."""
        leading = observations.shape[: observations.ndim - len(self.observation_shape)]
        return observations.reshape(*leading, -1, self.frames)[..., -1].cpu().numpy()

    def _flat(self, values: NDArray[Any], *shape: int) -> Tensor:
        """Turn ``[runs, steps, envs, ...]`` into ``[runs, steps x envs, *shape]`` on the device."""
        runs, steps, envs = values.shape[:3]
        return torch.from_numpy(values.reshape(runs, steps * envs, *shape)).to(self.device)


def make_memory(
    env: VectorEnv, runs: int, shared: Shared, total_timesteps: int, device: torch.device | str
) -> ReplayMemory:
    """Make a memory of replay_capacity steps, or of the whole budget if that is less. Raises ``SettingsError`` if the
    machine has too little memory for it."""
    steps, normalised = shared.num_steps, shared.norm_obs
    capacity = max(steps, min(shared.replay_capacity, total_timesteps // shared.num_envs))
    need, available = bytes_needed(env, steps, capacity, normalised), available_memory()
    try:
        if available is not None and need > available:
            raise MemoryError
        return ReplayMemory(env, runs, steps, capacity, normalised, device)
    except MemoryError:
        free = "an unknown amount" if available is None else f"{available / 2**30:.1f} GiB"
        raise SettingsError(
            f"replay_capacity = {shared.replay_capacity} is too large: {runs} runs of {shared.num_envs} environments "
            f"need {need / 2**30:.1f} GiB of memory, {free} is available; lower replay_capacity, or train fewer runs "
            "at a time"
        ) from None


def bytes_needed(env: VectorEnv, num_steps: int, capacity: int, normalised: bool) -> int:
    """Return the bytes of a full memory for all of the environment's rows."""
    return _records(env, num_steps, capacity, normalised) * env.rows * _record(env, normalised).itemsize


def _frames(env: VectorEnv, normalised: bool) -> int:
    return 1 if normalised else env.frames


def _records(env: VectorEnv, num_steps: int, capacity: int, normalised: bool) -> int:
    """Count the records: whole segments, the frames before the oldest one, and the one after the newest."""
    return capacity // num_steps * num_steps + _frames(env, normalised)


def _record(env: VectorEnv, normalised: bool) -> np.dtype[Any]:
    """Return the record type of a step of one environment. Images stay bytes unless they are normalised."""
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
    """Return the first step in the file of this name, and the one after its last. Raises ``ValueError`` for any other
    name, which might lead out of the folder."""
    match = _FILE_NAME.fullmatch(name)
    if not match or not 0 < int(match[2]) - int(match[1]) <= CHUNK:
        raise ValueError(f"{name!r} is not the name of a file of the replay memory")
    return int(match[1]), int(match[2])


def _delete_before(step: int, folder: Path) -> None:
    """Delete the files of steps before this one, and half-written files of a crash. Later files stay even if no state
    names them: a checkpoint that is yet to be loaded may need them."""
    remove_unfinished(folder)
    for path in folder.glob("*.zst"):
        match = _FILE_NAME.fullmatch(path.name)
        if match and int(match[1]) < step:
            path.unlink(missing_ok=True)
