"""A batch of MuJoCo simulations, and the arithmetic that several tasks share."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Actions = NDArray[Any]
"""``[rows, actuators]``, float32 from a policy; neither clipped nor cast: the control cost is computed from them."""


def spared(model: mujoco.MjModel) -> int:
    """Return the disable flags of the features that a small model gains nothing from: the same bits in less time.

    Constraints fall into islands by kinematic trees. With one tree there is one island, and looking for it is in vain;
    with two, as in Reacher (arm and target), solving the islands apart gives other last bits.
    """
    midphase, island = mujoco.mjtDisableBit.mjDSBL_MIDPHASE, mujoco.mjtDisableBit.mjDSBL_ISLAND
    return int(midphase | island if model.ntree == 1 else midphase)


class Simulation:
    """A batch of simulations and live views of what the tasks read, each ``[rows, ...]``; SI units, angles in rad."""

    def __init__(self, xml: str, frame_skip: int, observation_size: int, rows: int, clamps: bool = True) -> None:
        """Compile ``xml``; ``clamps``: whether the actuators' forces are clamped to their ranges, as in the file."""
        path = Path(gymnasium.__file__).parent / "envs/mujoco/assets" / xml
        with warnings.catch_warnings():
            # Compiled through MjSpec, HalfCheetah's deprecated attribute is a Python warning; MjModel.from_xml_path
            # would print it and append it to ./MUJOCO_LOG.TXT. The compiled model is the same to the byte.
            warnings.filterwarnings("ignore", "compiler attribute 'settotalmass' is deprecated", UserWarning)
            model = mujoco.MjSpec.from_file(str(path)).compile()
        model.opt.disableflags |= spared(model)  # before the batch is made, which copies the model
        if not clamps:
            model.actuator_ctrllimited[:] = 0
        batch = Batch(model, rows, nthread=1)
        self.model = model
        self.batch = batch
        self.dt: float = model.opt.timestep * frame_skip
        self.observations: Floats = np.zeros((rows, observation_size))
        self.state: Floats = batch.state  # mjSTATE_INTEGRATION; begins with time, qpos, qvel
        self.motion: Floats = self.state[:, 1 : 1 + model.nq + model.nv]  # qpos and qvel side by side
        self.qpos: Floats = batch.bind("qpos")
        self.qvel: Floats = batch.bind("qvel")
        self.ctrl: Floats = batch.bind("ctrl")
        self.x: Floats = self.qpos[:, 0]
        self.rest_state: Floats = self.state[0].copy()  # a fresh row is what mj_resetData makes
        self.rest: Floats = self.motion[0].copy()
        # Derived fields: after a step they lag by one physics step, as in Gymnasium. They must be bound before a call.
        self.xpos: Floats = batch.bind("xpos")
        self.site_xpos: Floats = batch.bind("site_xpos")
        self.qfrc_constraint: Floats = batch.bind("qfrc_constraint")


def clip_to_10(values: Floats) -> None:
    """Do ``np.clip(values, -10, 10)`` in place, without its Python layers."""
    np.maximum(values, -10.0, out=values)
    np.minimum(values, 10.0, out=values)


def control_cost(weight: float, actions: Actions) -> NDArray[np.float32]:
    """Return ``weight * sum(a^2)``, ``[rows]``, in the precision of the actions as in Gymnasium."""
    cost: NDArray[np.float32] = np.add.reduce(np.square(actions), axis=1)
    cost *= weight
    return cost
