"""Rows of Roboschool's humanoid in one batch of MuJoCo: a control step as Bullet would make it, and what is seen then.

After a step MuJoCo's derived fields (positions of bodies, contacts) are those of the state one substep earlier. So are
Bullet's, both in its list of contacts and in its links' positions; the plain step is kept for that. Measured on the
recorded steps of Humanoid: the mean position agrees to 0.07 mm and the feet's flags to 97 %, brought up to date to
4 mm and 96 %.
Positions and speeds of joints and torso never lag, in either engine.
"""

from typing import Any, NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from ppo.envs.mujoco_simulation import Floats, spared
from ppo.envs.roboschool.drag import DAMPING, drag
from ppo.envs.roboschool.model import ARMS, AXIS_LENGTHS, BODIES, CENTRE, POWERS, SUBSTEPS, build

Rows = slice | NDArray[np.intp]
ALL = slice(None)
LINKS = slice(1, 1 + len(BODIES))
"""The robot's bodies; body 0 is the world."""
PELVIS = 1 + list(BODIES).index("pelvis")
ROBOT_QPOS, ROBOT_QVEL = 7 + len(POWERS), 6 + len(POWERS)
"""Numbers of the robot's state; the cube's follow."""


class Torso(NamedTuple):
    """Where the torso's centre of mass is and how it moves, in the world frame; metres, m/s and rad."""

    height: Floats
    """``[n]``"""
    velocity: Floats
    """``[n, 3]``"""
    roll: Floats
    pitch: Floats
    yaw: Floats


class Simulation:
    """A batch and live views of it, each ``[rows, ...]``; SI units, angles in rad."""

    def __init__(self, cube: bool, rows: int) -> None:
        model = build(cube)
        model.opt.disableflags |= spared(model)
        self.model, self.batch = model, Batch(model, rows, nthread=1)
        self.state: Floats = self.batch.state
        self.rest_state: Floats = self.state[0].copy()
        self.qpos: Floats = self.batch.bind("qpos")
        self.qvel: Floats = self.batch.bind("qvel")
        self.ctrl: Floats = self.batch.bind("ctrl")
        self.forces: Floats = self.batch.bind("xfrc_applied")
        self._joint_forces: Floats = self.batch.bind("qfrc_applied")
        self.joints: Floats = self.qpos[:, 7:ROBOT_QPOS]
        self._joint_speeds: Floats = self.qvel[:, 6:ROBOT_QVEL]
        self._arms: Floats = self.joints[:, -len(ARMS) :]
        lengths = np.ones(len(POWERS))
        lengths[-len(ARMS) :] = AXIS_LENGTHS
        self._axis_lengths: Floats = lengths
        # derived fields
        self._contacts: Floats = self.batch.bind("sensordata")
        self._xipos: Floats = self.batch.bind("xipos")
        self._xanchor: Floats = self.batch.bind("xanchor")
        self._motion = [self.batch.bind(name) for name in ("cvel", "xipos", "ximat", "subtree_com")]
        self._masses: Floats = model.body_mass[LINKS].copy()
        self._inertias: Floats = model.body_inertia[LINKS].copy()

    def advance(self, actions: NDArray[Any]) -> None:
        """Run a control step. MuJoCo clamps ``actions`` ``[rows, 17]`` to +-1."""
        self.ctrl[...] = actions
        if np.isnan(np.vdot(actions, actions)):
            self.ctrl[np.isnan(actions).any(axis=1)] = 0.0  # as MuJoCo does, which also writes ./MUJOCO_LOG.TXT
        if self.qpos.shape[1] > ROBOT_QPOS:
            self._drag_cube()
        for _ in range(SUBSTEPS):
            before = self._arms.copy()
            self.batch.step(nstep=1)
            self._arms[...] = before + (self._arms - before) / AXIS_LENGTHS
        self.drag_links()

    def drag_links(self) -> None:
        """Set the drag on the links for the next step: now, because their velocities are derived fields, and only the
        forces are part of the state."""
        drag(*self._motion, self._masses, self._inertias, self.forces)

    def _drag_cube(self) -> None:
        """Set the drag at the speed that the cube has now: it may just have been thrown."""
        cube = self.model.body("cube")
        for part, resistance in ((slice(ROBOT_QVEL, -3), cube.mass), (slice(-3, None), cube.inertia)):
            speed = self.qvel[:, part]
            self._joint_forces[:, part] = -DAMPING * resistance * (1.0 + norm(speed))[:, None] * speed

    def feet(self) -> tuple[Floats, Floats]:
        """Return whether the right and the left foot touch the floor, and anything that costs; ``[rows, 2]``, 0 or 1.

        Touches of one foot and the other leg count once, for the right side (``model.contact_sensors``).
        """
        contacts = self._contacts
        floor, anything = contacts[:, :2], contacts[:, 2:4].copy()
        anything[:, 1] -= contacts[:, 4]
        return np.greater(floor, 0).astype(np.float64), np.greater(anything, floor).astype(np.float64)

    def mean_position(self, rows: Rows = ALL) -> Floats:
        """Return the mean x and y, ``[n, 2]``, of Bullet's 29 links but the torso: 12 bodies at their centres of mass,
        and 17 without mass at the joints' anchors."""
        bodies, anchors = self._xipos[rows, 2 : LINKS.stop, :2], self._xanchor[rows, 1 : 1 + len(POWERS), :2]
        mean: Floats = (np.add.reduce(bodies, axis=1) + np.add.reduce(anchors, axis=1)) / 29
        return mean

    def pelvis_height(self, rows: Rows = ALL) -> Floats:
        """Return the height of the pelvis' centre of mass, ``[n]``."""
        height: Floats = self._xipos[rows, PELVIS, 2]
        return height

    def joint_speeds(self, rows: Rows = ALL) -> Floats:
        """Return the rates at which the joints' angles advance, ``[n, 17]``."""
        speeds: Floats = self._joint_speeds[rows] / self._axis_lengths
        return speeds

    def torso(self, rows: Rows = ALL) -> Torso:
        """Return what is observed of the torso.

        Roll, pitch and yaw are Bullet's: rotations about the fixed axes x, y, z in this order. Where the pitch is 90
        degrees, as at lying starts, roll and yaw are rounding errors, in Bullet too.
        """
        w, x, y, z = self.qpos[rows, 3:7].T
        xx, xy, xz = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)
        yx, yy, yz = 2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)
        zx, zy, zz = 2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)
        p, q, r = self.qvel[rows, 3:6].T  # in the torso's frame
        cx, cy, cz = CENTRE
        u, v, w = q * cz - r * cy, r * cx - p * cz, p * cy - q * cx
        velocity = self.qvel[rows, :3].copy()
        velocity[:, 0] += xx * u + xy * v + xz * w
        velocity[:, 1] += yx * u + yy * v + yz * w
        velocity[:, 2] += zx * u + zy * v + zz * w
        height = self.qpos[rows, 2] + (zx * cx + zy * cy + zz * cz)
        pitch = -np.arcsin(np.minimum(np.maximum(zx, -1.0), 1.0))
        return Torso(height, velocity, np.arctan2(zy, zz), pitch, np.arctan2(yx, xx))

    def place(self, row: int, yaw: float, pitch: float, height: float, joints: Floats) -> None:
        """Put ``row`` at rest, its torso's centre of mass at x = y = 0. ``refresh`` must follow."""
        cy, sy, cp, sp = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(pitch / 2), np.sin(pitch / 2)
        quaternion = np.array([cy * cp, -sy * sp, cy * sp, sy * cp])
        centre = np.empty(3)
        mujoco.mju_rotVecQuat(centre, CENTRE, quaternion)
        self.state[row] = self.rest_state
        self.qpos[row, :7] = *(np.array([0.0, 0.0, height]) - centre), *quaternion
        self.joints[row] = joints

    def refresh(self, rows: NDArray[np.intp]) -> None:
        """Bring the derived positions of ``rows``, and of no others, up to date."""
        self.batch.forward(rows, stage=int(mujoco.mjtStage.mjSTAGE_POS))

    def throw_cube(self, row: int, position: Floats, velocity: Floats) -> None:
        """Put the cube of ``row`` elsewhere, not turned and not turning."""
        self.qpos[row, ROBOT_QPOS:] = [*position, 1.0, 0.0, 0.0, 0.0]
        self.qvel[row, ROBOT_QVEL:] = [*velocity, 0.0, 0.0, 0.0]


def norm(vectors: Floats) -> Floats:
    """Return the lengths ``[n]`` of vectors ``[n, 3]``."""
    x, y, z = vectors.T
    length: Floats = np.sqrt(x * x + y * y + z * z)
    return length
