"""Roboschool's humanoid tasks for Gymnasium: one row of :class:`RoboschoolVectorEnv`, and pictures of it.

``import ppo.envs`` registers the ids, so ``gymnasium.make("ppo.envs:RoboschoolHumanoid-v0")`` works without it. Neither
imports torch.
"""

from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from ppo.envs.mujoco_simulation import Floats
from ppo.envs.roboschool.environment import REWARD_PARTS, RoboschoolVectorEnv
from ppo.envs.roboschool.model import CONTROL_STEP, humanoid

MOST_PIXELS = 4096
"""Wide and high at most; what a graphics card draws at once differs, and all draw this."""
KEYWORDS = ("render_mode", "width", "height", "rules")
PATH_SPACING = 0.25
"""Metres between two marks on the path that is drawn."""
PATH_MARKS = 500
"""Marks at most: a scene holds 1000 things."""


class RoboschoolEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """``env_id`` as a Gymnasium environment. ``info`` has the reward in its five parts, as ``reward_alive`` and so on.

    As with all of Gymnasium's, a wrapper ends episodes by their time: ``max_episode_steps`` of ``gymnasium.make``.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / CONTROL_STEP)}  # noqa: RUF012 (Gymnasium's way)

    def __init__(
        self,
        env_id: str,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 320,
        rules: int = 0,
        **unknown: Any,
    ) -> None:
        """``rules``: Roboschool's, 0 for v0's or 1 for v1's (``ppo.envs.roboschool.rules``)."""
        if unknown:
            raise ValueError(f"{env_id}: unknown keywords {', '.join(unknown)}; known are {', '.join(KEYWORDS)}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"{env_id}: render_mode is {render_mode!r}; rgb_array or None is possible")
        for name, pixels in (("width", width), ("height", height)):
            whole = isinstance(pixels, int | np.integer) and not isinstance(pixels, bool)
            if not whole or not 1 <= pixels <= MOST_PIXELS:
                raise ValueError(
                    f"{env_id}: {name} is {pixels!r}; a whole number of pixels is needed, 1 to {MOST_PIXELS}"
                )
        self._env_id, self.render_mode, self._size = env_id, render_mode, (width, height)
        self.vector_env = RoboschoolVectorEnv(env_id, [0], autoreset=False, rules=rules)
        self.action_space = Box(-1.0, 1.0, self.vector_env.action_space.shape, np.float32)
        self.observation_space = Box(-5.0, 5.0, self.vector_env.observation_shape, np.float64)
        self._drawing: Drawing | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.vector_env.forget()
        observations = self.vector_env.begin([self.np_random])
        if self._drawing:
            self._drawing.begin()
        return observations[0], {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        transition = self.vector_env.step(np.asarray(action)[None])
        info = {
            f"reward_{name}": float(part)
            for name, part in zip(REWARD_PARTS, self.vector_env.reward_parts[0], strict=True)
        }
        return transition.observations[0], float(transition.rewards[0]), bool(transition.terminated[0]), False, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture ``[height, width, 3]``."""
        if self.render_mode is None:
            return None
        if self._drawing is None:
            task = self.vector_env.task
            self._drawing = Drawing(task.harder, task.flags, *self._size)
        return self._drawing.picture(self.vector_env.sim.qpos[0], self.vector_env.target[0])

    def close(self) -> None:
        if self._drawing:
            self._drawing.close()
            self._drawing = None


class Drawing:
    """Draws the robot and its flag with a separate model: in the stepped one, a flag would be part of the state."""

    def __init__(self, cube: bool, flag: bool, width: int, height: int) -> None:
        from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer  # loads graphics libraries

        spec = humanoid(cube)
        spec.material("MatPlane").reflectance = 0.0  # a mirror image of the robot confuses, and takes long to draw
        spec.visual.global_.offwidth, spec.visual.global_.offheight = width, height
        spec.geom("floor").size = [0.0, 0.0, 0.125]  # drawn without an end: robots run farther than 20 m
        spec.material("MatPlane").texuniform, spec.material("MatPlane").texrepeat = True, [1.5, 1.5]  # per metre
        spec.visual.quality.shadowsize = 1024  # looks the same, and a picture takes two thirds of the time
        spec.visual.rgba.haze = [0.2, 0.25, 0.32, 1.0]
        spec.texture("texplane").rgb1, spec.texture("texplane").rgb2 = [0.28, 0.42, 0.28], [0.36, 0.52, 0.36]
        if flag:
            _add_flag(spec)
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._viewer: Any = OffScreenViewer(self._model, self._data, width, height)
        self._flag = flag
        self.begin()

    def begin(self) -> None:
        """Forget where the camera looked, and where the robot was."""
        self._view: Floats | None = None
        self._path: list[Floats] = []

    def picture(self, qpos: Floats, target: Floats) -> NDArray[np.uint8]:
        """Return the robot at ``qpos``, where it was in earlier pictures, and the flag at ``target``, from a camera
        that follows the robot and turns smoothly to its flag."""
        self._data.qpos[...] = qpos
        self._model.light_pos[0, :2] = qpos[:2]  # its shadows reach a few metres
        view = np.zeros(3)  # from the robot to what is looked at, and how far away the flag is
        if self._flag:
            away = target - qpos[:2]
            distance = min(float(np.hypot(*away)), 6.0)  # farther, the robot would be too small: the arrow shows where
            yaw = np.arctan2(away[1], away[0])
            view[:] = distance / 2 * np.cos(yaw), distance / 2 * np.sin(yaw), distance
            self._data.mocap_pos[:, :2] = target, qpos[:2]
            self._data.mocap_quat[1] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        self._view = view if self._view is None else 0.95 * self._view + 0.05 * view
        camera = self._viewer.cam
        camera.lookat, camera.distance = np.array([*(qpos[:2] + self._view[:2]), 0.8]), 3.6 + 0.55 * self._view[2]
        camera.azimuth, camera.elevation = 90.0, -15.0
        mujoco.mj_forward(self._model, self._data)
        self._draw_path(qpos[:2])
        self._viewer.make_context_current()  # another environment may have drawn, or closed, since
        picture: NDArray[np.uint8] = self._viewer.render("rgb_array")
        return picture

    def _draw_path(self, position: Floats) -> None:
        """Lay a white disc on the floor wherever the robot was, as a part of the picture and not of the model."""
        if not self._path or np.hypot(*(position - self._path[-1])) > PATH_SPACING:
            self._path.append(position.copy())
        for x, y in self._path[-PATH_MARKS:]:
            self._viewer.add_marker(
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                size=np.array([0.05, 0.05, 0.002]),
                pos=np.array([x, y, 0.002]),
                rgba=np.array([1.0, 1.0, 1.0, 1.0]),
            )

    def close(self) -> None:
        self._viewer.free()


def _add_flag(spec: mujoco.MjSpec) -> None:
    """Add a red ball on a pole, and on the floor an arrow from the robot towards it."""
    red, kind = [0.9, 0.1, 0.1, 1.0], mujoco.mjtGeom
    pole = spec.worldbody.add_body(name="flag", mocap=True)
    pole.add_geom(type=kind.mjGEOM_CYLINDER, size=[0.03, 0.75, 0.0], pos=[0.0, 0.0, 0.75], rgba=red)
    pole.add_geom(type=kind.mjGEOM_SPHERE, size=[0.2, 0.0, 0.0], pos=[0.0, 0.0, 1.5], rgba=red)
    arrow = spec.worldbody.add_body(name="arrow", mocap=True)
    arrow.add_geom(type=kind.mjGEOM_BOX, size=[0.3, 0.04, 0.005], pos=[0.8, 0.0, 0.005], rgba=red)
    arrow.add_geom(
        type=kind.mjGEOM_BOX, size=[0.08, 0.08, 0.005], pos=[1.1, 0.0, 0.005], quat=[0.924, 0, 0, 0.383], rgba=red
    )
