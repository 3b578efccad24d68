"""Film an episode of a trained policy, with its step and its return so far in every picture."""

import contextlib
import ctypes.util
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np
from numpy.typing import NDArray

from experiments.store.files import StoreError
from ppo.envs import answers, make
from ppo.envs.atari import ATARI_ROMS
from ppo.envs.emulator import FRAME_SKIP
from ppo.envs.making import make_one

Picture = NDArray[np.uint8]
Act = Callable[[NDArray[Any], int], NDArray[Any]]
"""A function that returns actions ``[1, ...]`` at observations ``[1, ...]`` in a step of the episode."""
Scenes = Generator[tuple[Picture | None, float]]
"""The image of each step (None if it is not filmed), and the raw reward of the action taken there."""

MAX_STEPS = 100_000
"""of an episode that is played or filmed, unless another limit is asked for: not every environment has one"""
FRAMES_PER_SECOND = 60
"""of an Atari console"""
ENLARGED = 4
"""times as wide and high"""
FASTEST = 30
"""pictures a second at most, about: of faster tasks not every step is filmed"""


def film(
    environment: str, act: Act, path: Path, seed: int, stills: int = 0, max_steps: int = MAX_STEPS
) -> tuple[float, bool]:
    """Film one episode as ``path`` (.mp4 or .gif); return its raw return, and whether it was cut after ``max_steps``.

    ``seed``: of the environment. ``stills``: how many images of the film to put into one .png of the same name.
    """
    import imageio.v2 as imageio  # slow to import

    if environment in ATARI_ROMS:
        fps, scenes = FRAMES_PER_SECOND / FRAME_SKIP, _game(environment, act, seed)
    else:
        env = _rendering_environment(environment)
        fps = env.metadata.get("render_fps", FASTEST)
        every = max(round(fps / FASTEST), 1)
        fps, scenes = fps / every, _episode(env, act, seed, every)
    total, cut, kept = 0.0, False, Kept(stills)
    timing: Any = {"duration": 1000 / fps} if path.suffix == ".gif" else {"fps": fps, "macro_block_size": 2}
    writer: Any
    with contextlib.closing(scenes), imageio.get_writer(path, **timing) as writer:
        for step, (picture, reward) in enumerate(scenes):
            if cut := step == max_steps:
                break
            if picture is not None:
                captioned = _captioned(picture, f"step {step}  return {total:,.0f}")
                writer.append_data(_even(captioned))
                kept.add(captioned)
            total += reward
    if stills:
        imageio.imwrite(path.with_suffix(".png"), _side_by_side(kept.pictures(), stills))
    return total, cut


class Kept:
    """Pictures evenly spread over a film of any length, and its last one; a long film does not fit into memory."""

    def __init__(self, stills: int) -> None:
        self._most = 16 * stills
        self._kept: list[Picture] = []
        self._last: list[Picture] = []
        self._every, self._seen = 1, 0

    def add(self, picture: Picture) -> None:
        """Look at the film's next picture."""
        if self._most and self._seen % self._every == 0:
            self._kept.append(picture)
        if len(self._kept) > self._most:
            self._kept, self._every = self._kept[::2], 2 * self._every
        self._last, self._seen = [picture], self._seen + 1

    def pictures(self) -> list[Picture]:
        """Return those that are kept, in their order; the last one is the film's last."""
        return self._kept + ([] if (self._seen - 1) % self._every == 0 else self._last)


def _captioned(picture: Picture, text: str) -> Picture:
    """Return a copy of ``picture`` ``[height, width(, 3)]`` with ``text`` in its upper left corner."""
    captioned, size = picture.copy(), picture.shape[0] / 600
    for grey, shift in ((0, 1), (255, 0)):  # a black shadow, so that white is legible on any ground
        place, colour = (8 + shift, round(8 + 26 * size) + shift), (grey, grey, grey)
        cv2.putText(captioned, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
    return captioned


def _even(picture: Picture) -> Picture:
    """Return ``picture`` with sides of even length, as a film needs: a black line is added where one is odd."""
    height, width = picture.shape[:2]
    margins = [(0, height % 2), (0, width % 2), (0, 0)][: picture.ndim]
    return np.pad(picture, margins) if height % 2 or width % 2 else picture


def _side_by_side(pictures: list[Picture], count: int) -> Picture:
    """Join ``count`` of the pictures, evenly spread from the first to the last, in two rows."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int))
    columns = -(-len(chosen) // 2)
    tiles = [pictures[index] for index in chosen]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def _game(environment: str, act: Act, seed: int) -> Scenes:
    """Play a whole game; yield the newest frame of each observation, as the network sees it."""
    env = make(environment, [seed])
    with contextlib.closing(env):
        observations, step, over = env.reset(), 0, False
        while not over:
            picture = observations[0, ..., -1].repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
            transition = env.step(act(observations, step))
            yield picture, float(transition.raw_rewards[0])
            observations, step, over = transition.observations, step + 1, bool(transition.game_over[0])


def _episode(env: gymnasium.Env[Any, Any], act: Act, seed: int, every: int) -> Scenes:
    """Play an episode and draw one step in ``every``."""
    step, ended = 0, False
    try:
        observation, _ = answers.begin(env, seed)
        while not ended:
            picture: Any = env.render() if step % every == 0 else None
            given = observation.astype(env.observation_space.dtype)[None]
            observation, reward, terminated, truncated = answers.step(env, act(given, step)[0])
            yield picture, reward
            step, ended = step + 1, terminated or truncated
    finally:
        with contextlib.suppress(Exception):  # what was filmed counts, however the environment ends
            env.close()


def _rendering_environment(name: str) -> gymnasium.Env[Any, Any]:
    """Make the environment so that it renders without a screen: by EGL, or by OSMesa if there is no EGL."""
    plain = make_one(name)
    modes = list(plain.metadata.get("render_modes", ()))
    plain.close()
    if "rgb_array" not in modes:
        raise StoreError(f"{name} draws no pictures: its render_modes are {modes}, and rgb_array is needed")
    if "MUJOCO_GL" not in os.environ and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "osmesa"
    try:
        env = make_one(name, render_mode="rgb_array")
        env.reset(seed=0)
        env.render()
    except gymnasium.error.DependencyNotInstalled as error:
        raise StoreError(f"cannot draw {name}: {error}") from error
    except Exception as error:  # the GL libraries raise many kinds when they find no driver
        backend = os.environ.get("MUJOCO_GL", "the screen")
        raise StoreError(
            f"cannot draw {name} with {backend}: {str(error).splitlines()[0] if str(error) else type(error).__name__}; "
            "install EGL or OSMesa (Debian: libegl1 libgl1-mesa-dri, or libosmesa6) or set MUJOCO_GL=egl|osmesa|glfw"
        ) from error
    return env
