"""Roboschool's humanoid of 2017 as a MuJoCo model: what Bullet made of its XML file, set on Gymnasium's humanoid.xml.

Geoms, positions of bodies, joint axes and names of Gymnasium's file are those of Roboschool's humanoid_symmetric.xml
(commit c1cb983, before 2017-07-08: the v0 tasks). Everything else is replaced here by what Roboschool and its physics
engine, Bullet, made of that file. "Recorded" below: control steps of Bullet, recorded with pybullet 3.2.7, which loads
the same file (tests/envs/data); the errors of one step from them are the measurements quoted.
"""

from pathlib import Path
from typing import NamedTuple

import gymnasium
import mujoco
import numpy as np

CONTROL_STEP = 0.0165
"""Seconds; Roboschool's gym_forward_walkers.py."""
SUBSTEPS = 4
"""Physics steps in a control step; the same file."""
CENTRE = np.array([-0.01, 0.0, -0.12])
"""The torso's centre of mass in the torso's frame. Bullet's pose of a link is the pose of its centre of mass, so the
tasks' "torso position" is this point."""
ARMS = ("right_shoulder1", "right_shoulder2", "right_elbow", "left_shoulder1", "left_shoulder2", "left_elbow")
"""The last six joints. Their axes are not of unit length in the file; Bullet does not normalise them, MuJoCo does."""
AXIS_LENGTHS = np.sqrt([6.0, 2.0, 2.0, 6.0, 2.0, 2.0])
"""Of ``ARMS``: of the axes (2, 1, 1), (0, -1, 1), (0, -1, 1) and their mirror images. In Bullet such a joint turns its
links at this multiple of the rate at which its angle is advanced."""
CUBE_REST = np.array([-1.5, 0.0, 0.05])
"""Where the cube lies until it is first thrown, metres; gym_humanoid_flagrun.py."""


class Body(NamedTuple):
    """A body's mass in kg, centre of mass in its frame in m, and moments of inertia about the frame's axes in kg m2."""

    mass: float
    centre: tuple[float, float, float]
    inertia: tuple[float, float, float]


# As Bullet's importer computes them, read from pybullet: the centre of mass is the middle of the last capsule (the
# body's origin if the last geom is a sphere), the inertia that of the geoms' bounding boxes. With MuJoCo's inertias
# the legs turn 1.8 times too fast.
BODIES = {
    "torso": Body(8.907462, (-0.01, 0.0, -0.12), (0.2817727, 0.2214989, 0.1321274)),
    "lwaist": Body(2.261947, (0.0, 0.0, 0.0), (0.01357168, 0.005428671, 0.01357168)),
    "pelvis": Body(6.616195, (-0.02, 0.0, 0.0), (0.1254872, 0.07454247, 0.1254872)),
    "right_thigh": Body(4.751751, (0.0, 0.005, -0.17), (0.1329302, 0.1313067, 0.03330185)),
    "right_shin": Body(2.755696, (0.0, 0.0, -0.15), (0.05974533, 0.05974533, 0.01455191)),
    "right_foot": Body(1.767146, (0.0, 0.0, 0.0), (0.006626797, 0.006626797, 0.006626797)),
    "left_thigh": Body(4.751751, (0.0, -0.005, -0.17), (0.1329302, 0.1313067, 0.03330185)),
    "left_shin": Body(2.755696, (0.0, 0.0, -0.15), (0.05974533, 0.05974533, 0.01455191)),
    "left_foot": Body(1.767146, (0.0, 0.0, 0.0), (0.006626797, 0.006626797, 0.006626797)),
    "right_upper_arm": Body(1.66108, (0.08, -0.08, -0.08), (0.0283491, 0.0283491, 0.0283491)),
    "right_lower_arm": Body(1.22954, (0.0, 0.0, 0.0), (0.01868983, 0.01868983, 0.01868983)),
    "left_upper_arm": Body(1.66108, (0.08, 0.08, -0.08), (0.0283491, 0.0283491, 0.0283491)),
    "left_lower_arm": Body(1.22954, (0.0, 0.0, 0.0), (0.01868983, 0.01868983, 0.01868983)),
}

POWERS = {
    "abdomen_z": 100.0,
    "abdomen_y": 100.0,
    "abdomen_x": 100.0,
    "right_hip_x": 100.0,
    "right_hip_z": 100.0,
    "right_hip_y": 300.0,
    "right_knee": 200.0,
    "left_hip_x": 100.0,
    "left_hip_z": 100.0,
    "left_hip_y": 300.0,
    "left_knee": 200.0,
    **dict.fromkeys(ARMS, 75.0),
}
"""Of each joint's motor, in the order of the actions, which is that of the joints; gym_forward_walkers.py. Action 1 is
a torque of 0.41 times that in Nm."""

FRICTION = [0.64, 0.005, 0.0001]
"""Sliding, and MuJoCo's default for the rest. Bullet multiplies the frictions of both geoms, 0.8 x 0.8; MuJoCo takes
the larger. With 0.8 the speeds of legs and waist are off by 0.066 of their change instead of 0.056."""
CUBE_FRICTION = [0.4, 0.005, 0.0001]
"""0.5 (cube.urdf) x 0.8; its geom's priority makes it count alone."""


def build(cube: bool) -> mujoco.MjModel:
    """Return the model: the humanoid (free joint and 17 hinges) on a floor, and with ``cube`` the cube to be thrown.

    Sensors: the five numbers of contacts that ``contact_sensors`` lists.
    """
    spec = humanoid(cube)
    contact_sensors(spec)
    return spec.compile()


def humanoid(cube: bool) -> mujoco.MjSpec:
    """Return the specification of the model, without sensors."""
    spec = mujoco.MjSpec.from_file(str(Path(gymnasium.__file__).parent / "envs/mujoco/assets/humanoid.xml"))
    for element in [*spec.actuators, *spec.tendons]:  # the importer of Bullet reads none
        spec.delete(element)
    if cube:
        _add_cube(spec)
    _set_options(spec)
    _set_bodies(spec)
    _set_joints(spec)
    for geom in spec.geoms:
        geom.condim, geom.margin = 3, 0.0
        geom.friction = CUBE_FRICTION if geom.name == "cube" else FRICTION
        geom.solref = [2 * spec.option.timestep, 1.0]  # as stiff as MuJoCo allows; Bullet's contact ERP is 0.9
    # Bullet lists contacts that are near: with 5 mm, 97 to 98 % of its contact flags of the feet, without 81 to 88 %.
    spec.geom("floor").gap = 0.005
    for body, descendant in _lineage(spec):  # Bullet's flag URDF_USE_SELF_COLLISION_EXCLUDE_ALL_PARENTS
        spec.add_exclude(bodyname1=body, bodyname2=descendant)
    return spec


def _set_options(spec: mujoco.MjSpec) -> None:
    option = spec.option
    option.timestep = CONTROL_STEP / SUBSTEPS
    option.integrator = mujoco.mjtIntegrator.mjINT_EULER  # semi-implicit, as Bullet's
    option.gravity = [0.0, 0.0, -9.8]  # scene_stadium.py
    option.solver, option.iterations, option.tolerance = mujoco.mjtSolver.mjSOL_NEWTON, 50, 1e-8
    # A walking policy of Bullet's earns 3047 +- 98 with it in an earlier model, and 1846 +- 141 with the pyramid.
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC


def _set_bodies(spec: mujoco.MjSpec) -> None:
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO  # TRUE overrules what is set here
    for name, (mass, centre, inertia) in BODIES.items():
        body = spec.body(name)
        body.explicitinertial, body.mass, body.ipos, body.iquat = True, mass, centre, [1.0, 0.0, 0.0, 0.0]
        body.inertia = inertia
    spec.body("torso").pos = np.array([0.0, 0.0, 1.4]) - CENTRE  # upright start: the centre of mass at 1.4 m


def _set_joints(spec: mujoco.MjSpec) -> None:
    lengths = dict(zip(ARMS, AXIS_LENGTHS, strict=True))
    for name in ("right_hip_y", "left_hip_y"):
        spec.joint(name).range = [-120.0, 20.0]  # humanoid_symmetric.xml; Gymnasium's file has -110
    for name, power in POWERS.items():
        joint = spec.joint(name)
        joint.damping, joint.stiffness, joint.armature = np.zeros(3), np.zeros(3), 0.0  # Bullet's importer reads none
        joint.solref_limit = [2 * spec.option.timestep, 1.0]
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.ctrllimited, motor.ctrlrange = True, [-1.0, 1.0]
        motor.gear[0] = 0.41 * power / lengths.get(name, 1.0)


def _add_cube(spec: mujoco.MjSpec) -> None:
    """Add the cube of models_household/cube.urdf: 0.6 kg, 0.1 m, moments of inertia 0.001."""
    cube = spec.worldbody.add_body(name="cube", pos=CUBE_REST)
    cube.add_freejoint(name="cube")
    cube.explicitinertial, cube.mass, cube.ipos, cube.inertia = True, 0.6, np.zeros(3), [0.001] * 3
    cube.add_geom(name="cube", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.05] * 3, priority=1, rgba=[0.8, 0.2, 0.1, 1.0])


def _lineage(spec: mujoco.MjSpec) -> list[tuple[str, str]]:
    """Return the 33 pairs of a body of the robot and one that descends from it."""
    pairs = []
    for name in BODIES:
        ancestor = spec.body(name).parent
        while ancestor.name in BODIES:
            pairs.append((ancestor.name, name))
            ancestor = ancestor.parent
    return pairs


def contact_sensors(spec: mujoco.MjSpec) -> None:
    """Count contacts: right foot and floor, left foot and floor, right foot and anything, left foot and anything, left
    foot and right leg.

    Of a contact of two links of one robot pybullet tells the link with the lower index alone, which between the left
    foot and the right leg is the leg: so such a contact is not one of the left foot.
    """
    geom, body = mujoco.mjtObj.mjOBJ_GEOM, mujoco.mjtObj.mjOBJ_XBODY
    for foot, reference, reference_type in (
        ("right_foot", "floor", geom),
        ("left_foot", "floor", geom),
        ("right_foot", "", mujoco.mjtObj.mjOBJ_UNKNOWN),
        ("left_foot", "", mujoco.mjtObj.mjOBJ_UNKNOWN),
        ("left_foot", "right_thigh", body),  # and what hangs on it
    ):
        spec.add_sensor(
            name=f"{foot} {reference or 'anything'}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=geom,
            objname=foot,
            reftype=reference_type,
            refname=reference,
            intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1],
        )
