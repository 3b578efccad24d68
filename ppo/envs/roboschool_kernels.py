"""The humanoid's formulas that cost most: each written once, for numbers and for arrays of them.

numpy runs them over arrays; where numba can be had, a compiled loop runs them for one row at a time, to the same bits.
In numpy the two together cost about 8 us for each row, a tenth of the physics; compiled, a twentieth of that.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo.envs.roboschool_model import CENTRE

try:
    from ppo.stacked.compiling import exactly
except ImportError:  # there are no wheels of numba for some platforms and the newest Python

    def exactly(function: Callable[..., Any]) -> Any:
        return None


Floats = NDArray[np.float64]
DAMPING = 0.04
"""Bullet's default, 1/s at rest. btMultiBody slows each link by 0.04 (1 + |v|) v per unit of mass, and its rotation
likewise. Measured without gravity, a robot in pybullet loses 0.0808, 0.2407, 0.4804 and 0.7996 m/s2 at 1, 2, 3 and 4
m/s. A policy that walks in Bullet earns a fifth to a quarter less without any drag."""
_X, _, _Z = CENTRE.tolist()


def centre_motion(quaternion: Any, omega: Any) -> tuple[Any, ...]:
    """Return how the point CENTRE of the torso's frame moves about the frame's origin, in the world frame: height,
    velocity (3); and the entries 00, 10, 20, 21, 22 of the torso's rotation.

    ``quaternion``: w, x, y, z, of length 1. ``omega``: the angular velocity in the torso's frame. Of each number, or of
    arrays of them.
    """
    w, x, y, z = quaternion
    p, q, r = omega
    xx, xy, xz = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)
    yx, yy, yz = 2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)
    zx, zy, zz = 2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)
    a, b, c = q * _Z, r * _X - p * _Z, -q * _X  # omega x CENTRE, whose y is 0
    velocity = xx * a + xy * b + xz * c, yx * a + yy * b + yz * c, zx * a + zy * b + zz * c
    return zx * _X + zz * _Z, velocity[0], velocity[1], velocity[2], xx, yx, zx, zy, zz


def link_drag(twist: Any, arm: Any, rotation: Any, mass: Any, inertia: Any) -> tuple[Any, ...]:
    """Return force (N) and torque (Nm) on a link in the world frame: six numbers, or arrays.

    ``twist``: the link's angular velocity, and its velocity extended to the robot's centre of mass. ``arm``: from there
    to the link's. ``rotation``: of the link, by rows. ``inertia``: about its own axes.
    """
    p, q, r, u, v, w = twist
    x, y, z = arm
    xx, xy, xz, yx, yy, yz, zx, zy, zz = rotation
    u, v, w = u + (q * z - r * y), v + (r * x - p * z), w + (p * y - q * x)
    slowing = -DAMPING * mass * (1.0 + np.sqrt(u * u + v * v + w * w))
    turning = -DAMPING * (1.0 + np.sqrt(p * p + q * q + r * r))
    a = turning * inertia[0] * (xx * p + yx * q + zx * r)
    b = turning * inertia[1] * (xy * p + yy * q + zy * r)
    c = turning * inertia[2] * (xz * p + yz * q + zz * r)
    torque = xx * a + xy * b + xz * c, yx * a + yy * b + yz * c, zx * a + zy * b + zz * c
    return slowing * u, slowing * v, slowing * w, torque[0], torque[1], torque[2]


def centre_motions_by_numpy(quaternions: Floats, omegas: Floats) -> Floats:
    """Return ``centre_motion`` of quaternions ``[n, 4]`` and angular velocities ``[n, 3]``: ``[9, n]``."""
    return np.stack(centre_motion(quaternions.T, omegas.T))


def drag_by_numpy(
    cvel: Floats, xipos: Floats, ximat: Floats, subtree_com: Floats, masses: Floats, inertias: Floats, force: Floats
) -> None:
    """Write the drag on the links, bodies 1 to ``len(masses)``, to ``force``, a view of ``xfrc_applied``; the other
    arrays are MuJoCo's derived fields of these names, ``[rows, bodies, ...]``."""
    links = slice(1, 1 + len(masses))
    twist, arm = np.moveaxis(cvel[:, links], -1, 0), np.moveaxis(xipos[:, links] - subtree_com[:, 1:2], -1, 0)
    parts = link_drag(twist, arm, np.moveaxis(ximat[:, links], -1, 0), masses, inertias.T)
    force[:, links] = np.stack(parts, axis=-1)


_centre_motion, _link_drag = exactly(centre_motion), exactly(link_drag)


@exactly
def centre_motions_by_numba(quaternions: Floats, omegas: Floats) -> Floats:
    """Do what ``centre_motions_by_numpy`` does, to the same bits."""
    motions = np.empty((9, len(omegas)))
    for row in range(len(omegas)):
        turn, omega = quaternions[row], omegas[row]
        parts = _centre_motion((turn[0], turn[1], turn[2], turn[3]), (omega[0], omega[1], omega[2]))
        for number in range(9):
            motions[number, row] = parts[number]
    return motions


@exactly
def drag_by_numba(
    cvel: Floats, xipos: Floats, ximat: Floats, subtree_com: Floats, masses: Floats, inertias: Floats, force: Floats
) -> None:
    """Do what ``drag_by_numpy`` does, to the same bits."""
    for row in range(len(cvel)):
        for link in range(len(masses)):
            body = link + 1
            motion, turn, centre, com = cvel[row, body], ximat[row, body], xipos[row, body], subtree_com[row, 1]
            twist = (motion[0], motion[1], motion[2], motion[3], motion[4], motion[5])
            arm = (centre[0] - com[0], centre[1] - com[1], centre[2] - com[2])
            rotation = (turn[0], turn[1], turn[2], turn[3], turn[4], turn[5], turn[6], turn[7], turn[8])
            parts = _link_drag(twist, arm, rotation, masses[link], inertias[link])
            for component in range(6):
                force[row, body, component] = parts[component]


centre_motions: Callable[..., Floats] = centre_motions_by_numba or centre_motions_by_numpy
drag: Callable[..., None] = drag_by_numba or drag_by_numpy
