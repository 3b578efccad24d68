"""The recorded steps of Bullet (tests/envs/data/README.md), and the same states in MuJoCo's coordinates and back."""

import csv
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DATA = Path(__file__).parents[1] / "envs" / "data"
RECORD: dict[str, Array] = dict(np.load(DATA / "bullet_steps.npz"))
TASKS = {
    "humanoid": "RoboschoolHumanoid-v0",
    "flagrun": "RoboschoolHumanoidFlagrun-v0",
    "harder": "RoboschoolHumanoidFlagrunHarder-v0",
}
CENTRE = np.array([-0.01, 0.0, -0.12])
AXIS_LENGTHS = np.array([1.0] * 11 + [6**0.5, 2**0.5, 2**0.5] * 2)


def recorded(task: str, name: str) -> Array:
    return RECORD[f"{task}/{name}"]


def table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file, by their columns' names."""
    with open(DATA / name, newline="") as file:
        return list(csv.DictReader(file))


def rotation(quaternions: Array) -> Array:
    """The matrices ``[n, 3, 3]`` of unit quaternions ``[n, 4]``."""
    w, x, y, z = quaternions.T
    entries = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(entries), -1, 0)


def simulation_state(task: str, when: str, rows: Any = slice(None)) -> tuple[Array, Array]:
    """``qpos`` and ``qvel`` of the recorded states ``when`` (before or after)."""

    def of(name: str) -> Array:
        chosen: Array = recorded(task, f"{when}/{name}")[rows]
        return chosen

    turn = rotation(of("torso_quat"))
    centre = turn @ CENTRE
    qpos = [of("torso_position") - centre, of("torso_quat"), of("joint_position")]
    omega = np.einsum("nij,ni->nj", turn, of("torso_omega"))
    qvel = [of("torso_velocity") - np.cross(of("torso_omega"), centre), omega, AXIS_LENGTHS * of("joint_speed")]
    if task == "harder":
        cube = of("cube")
        qpos.append(cube[:, :7])
        qvel += [cube[:, 7:10], np.einsum("nij,ni->nj", rotation(cube[:, 3:7]), cube[:, 10:])]
    return np.concatenate(qpos, axis=1), np.concatenate(qvel, axis=1)


def bullet_state(qpos: Array, qvel: Array) -> tuple[Array, Array, Array]:
    """The recorded quantities of MuJoCo's state: velocity and angular velocity of the torso's centre, joint speeds."""
    turn = rotation(qpos[:, 3:7])
    omega = np.einsum("nij,nj->ni", turn, qvel[:, 3:6])
    return qvel[:, :3] + np.cross(omega, turn @ CENTRE), omega, qvel[:, 6:23] / AXIS_LENGTHS


def put_before(env: Any, task: str) -> None:
    """Restore ``env``, one row for each recorded step, to the states before them."""
    state = env.get_state()
    state["elapsed"] = recorded(task, "step").astype(np.int64)
    state["contact"] = recorded(task, "before/foot_contact")
    state["potential"] = recorded(task, "before/potential")
    for name in ("target", "timeout", "on_ground", "crawl_start", "crawl_ignored"):
        if f"{task}/before/{name}" in RECORD:
            state[name] = recorded(task, f"before/{name}").astype(state[name].dtype)
    env.set_state(state)
    env.sim.qpos[...], env.sim.qvel[...] = simulation_state(task, "before")
    env.sim.batch.forward(stage=int(mujoco.mjtStage.mjSTAGE_VEL))
    env.sim.drag_links()
