"""Film an episode of a trained policy."""

import ctypes.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from experiments.store.files import StoreError
from ppo.envs import make
from ppo.envs.atari import ATARI_ROMS
from ppo.envs.emulator import FRAME_SKIP

Act = Callable[[NDArray[Any], int], NDArray[Any]]
"""A function that returns actions ``[1, ...]`` at observations ``[1, ...]`` in a step of the episode."""
Scenes = Iterator[tuple[NDArray[np.uint8], float]]
"""The image of each step, and the raw reward of the action taken there."""

FRAMES_PER_SECOND = 60
"""of an Atari console"""
ENLARGED = 4
"""times as wide and high"""


def film(environment: str, act: Act, path: Path, seed: int) -> float:
    """Film one episode as ``path`` (.mp4 or .gif); return its raw return. ``seed``: of the environment."""
    import imageio.v2 as imageio  # slow to import

    if environment in ATARI_ROMS:
        fps, scenes = FRAMES_PER_SECOND / FRAME_SKIP, _game(environment, act, seed)
    else:
        env = _rendering_environment(environment)
        fps, scenes = env.metadata.get("render_fps", 30), _episode(env, act, seed)
    total = 0.0
    timing: Any = {"duration": 1000 / fps} if path.suffix == ".gif" else {"fps": fps}
    writer: Any
    with imageio.get_writer(path, **timing) as writer:
        for picture, reward in scenes:
            writer.append_data(picture)
            total += reward
    return total


def _game(environment: str, act: Act, seed: int) -> Scenes:
    """Play a whole game; yield the newest frame of each observation, as the network sees it."""
    env = make(environment, [seed])
    observations, step, over = env.reset(), 0, False
    while not over:
        picture = observations[0, ..., -1].repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
        transition = env.step(act(observations, step))
        yield picture, float(transition.raw_rewards[0])
        observations, step, over = transition.observations, step + 1, bool(transition.game_over[0])
    env.close()


def _episode(env: gymnasium.Env[Any, Any], act: Act, seed: int) -> Scenes:
    observation, _ = env.reset(seed=seed)
    step, ended = 0, False
    while not ended:
        picture: Any = env.render()
        observation, reward, terminated, truncated, _ = env.step(act(np.asarray(observation)[None], step)[0])
        yield picture, float(reward)
        step, ended = step + 1, terminated or truncated
    env.close()


def _rendering_environment(name: str) -> gymnasium.Env[Any, Any]:
    """Make the environment so that it renders without a screen: by EGL, or by OSMesa if there is no EGL."""
    if "MUJOCO_GL" not in os.environ and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "osmesa"
    try:
        env: gymnasium.Env[Any, Any] = gymnasium.make(name, render_mode="rgb_array")
        env.reset(seed=0)
        env.render()
    except Exception as error:  # the GL libraries raise many kinds when they find no driver
        backend = os.environ.get("MUJOCO_GL", "the screen")
        raise StoreError(
            f"cannot draw {name} with {backend}: {str(error).splitlines()[0] if str(error) else type(error).__name__}; "
            "install EGL or OSMesa (Debian: libegl1 libgl1-mesa-dri, or libosmesa6) or set MUJOCO_GL=egl|osmesa|glfw"
        ) from error
    return env
