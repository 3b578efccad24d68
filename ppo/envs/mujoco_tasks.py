"""The paper's seven MuJoCo tasks: what each observes, pays, ends with and starts from, over the rows of a simulation.

Each follows its file gymnasium/envs/mujoco/<task>_v4.py or _v5.py in the order of its floating-point operations, so
that every number is Gymnasium's to the bit.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
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
    """What a small model cannot gain from, as flags that disable it: the same bits in less time.

    Constraints fall into islands by kinematic trees. With one tree there is one island, and looking for it is in vain;
    with two, as in Reacher (arm and target), solving the islands apart gives other last bits.
    """
    midphase, island = mujoco.mjtDisableBit.mjDSBL_MIDPHASE, mujoco.mjtDisableBit.mjDSBL_ISLAND
    return int(midphase | island if model.ntree == 1 else midphase)


class Simulation:
    """A batch of simulations and live views of what the tasks read, each ``[rows, ...]``; SI units, angles in rad."""

    def __init__(self, xml: str, frame_skip: int, observation_size: int, rows: int, clamps: bool = True) -> None:
        """``clamps``: whether the actuators' forces are clamped to their ranges, as the file says."""
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


@dataclass(frozen=True)
class Task:
    """One row of the table of tasks at the end of this file."""

    xml: str
    """In gymnasium/envs/mujoco/assets."""
    frame_skip: int
    """Physics steps per environment step."""
    observation_size: int
    observe: Callable[[Simulation], None]
    """Write ``sim.observations``."""
    before: Callable[[Simulation], Any]
    """What the reward needs to know from before the physics step."""
    reward: Callable[[Simulation, Any, Actions, Bools], Floats]
    """``(sim, before, actions, terminated) -> [rows]``."""
    terminated: Callable[[Simulation], Bools]
    start: Callable[[np.random.Generator, Floats], Floats]
    """``(generator, rest) -> qpos and qvel side by side`` where an episode starts; rest has no velocity."""
    max_episode_steps: int = 1000
    clamps: bool = True
    """Whether the actuators' forces are clamped to their ranges."""


def clip_to_10(values: Floats) -> None:
    """``np.clip(values, -10, 10)`` in place, without its Python layers."""
    np.maximum(values, -10.0, out=values)
    np.minimum(values, 10.0, out=values)


def control_cost(weight: float, actions: Actions) -> NDArray[np.float32]:
    """``weight * sum(a^2)``, ``[rows]``, in the actions' own precision as in Gymnasium."""
    cost: NDArray[np.float32] = np.add.reduce(np.square(actions), axis=1)
    cost *= weight
    return cost


def nothing(sim: Simulation) -> None:
    return None


def never(sim: Simulation) -> Bools:
    return np.zeros(len(sim.x), np.bool_)


def torso_x(sim: Simulation) -> Floats:
    return sim.x.copy()


def outside(values: Floats, low: Floats, high: Floats) -> Bools:
    """``[rows]``: not every value lies strictly between its bounds; NaN lies nowhere."""
    inside = values > low
    inside &= values < high
    out: Bools = ~np.logical_and.reduce(inside, axis=1)
    return out


def uniform(scale: float, generator: np.random.Generator, rest: Floats) -> Floats:
    """Positions and velocities from U(-scale, scale) around rest."""
    return rest + generator.uniform(-scale, scale, rest.size)


def uniform_normal(generator: np.random.Generator, rest: Floats) -> Floats:
    """Positions from U(-0.1, 0.1) around rest, velocities from N(0, 0.1^2)."""
    half = rest.size // 2
    return np.concatenate([rest[:half] + generator.uniform(-0.1, 0.1, half), 0.1 * generator.standard_normal(half)])


# HalfCheetah and Swimmer: forward velocity less control cost.


def observe_half_cheetah(sim: Simulation) -> None:
    """All positions but x, all velocities."""
    sim.observations[...] = sim.motion[:, 1:]


def forward_velocity(sim: Simulation, x_before: Floats) -> Floats:
    velocity: Floats = (sim.x - x_before) / sim.dt
    return velocity


def half_cheetah_reward(sim: Simulation, x_before: Floats, actions: Actions, terminated: Bools) -> Floats:
    return forward_velocity(sim, x_before) - control_cost(0.1, actions)


def observe_swimmer(sim: Simulation) -> None:
    """All positions but x and y, all velocities."""
    sim.observations[...] = sim.motion[:, 2:]


def swimmer_reward(sim: Simulation, x_before: Floats, actions: Actions, terminated: Bools) -> Floats:
    return forward_velocity(sim, x_before) - control_cost(1e-4, actions)


# Hopper and Walker2d: as HalfCheetah, with 1 for being alive; the episode ends with a fall.

HOPPER_LOW = np.array([0.7, -0.2, *[-100.0] * 9])
"""Of height, angle, then the other positions and all velocities."""
HOPPER_HIGH = np.array([np.inf, 0.2, *[100.0] * 9])
WALKER_LOW = np.array([0.8, -1.0])
"""Of height and angle."""
WALKER_HIGH = np.array([2.0, 1.0])


def observe_walker(sim: Simulation) -> None:
    """All positions but x, all velocities within +-10."""
    observations = sim.observations
    observations[...] = sim.motion[:, 1:]
    clip_to_10(observations[:, sim.qpos.shape[1] - 1 :])


def hopper_fell(sim: Simulation) -> Bools:
    return outside(sim.motion[:, 1:], HOPPER_LOW, HOPPER_HIGH)


def walker_fell(sim: Simulation) -> Bools:
    return outside(sim.motion[:, 1:3], WALKER_LOW, WALKER_HIGH)


def walker_reward_v4(sim: Simulation, x_before: Floats, actions: Actions, terminated: Bools) -> Floats:
    """v4 pays for being alive on the step of the fall too."""
    return forward_velocity(sim, x_before) + 1.0 - control_cost(1e-3, actions)


def walker_reward_v5(sim: Simulation, x_before: Floats, actions: Actions, terminated: Bools) -> Floats:
    return forward_velocity(sim, x_before) + ~terminated - control_cost(1e-3, actions)


# Reacher: distance of fingertip and target, and control cost.

FINGERTIP, TARGET = 3, 4  # bodies of reacher.xml


def observe_reacher(sim: Simulation) -> None:
    """cos and sin of the two joints, target xy, joint velocities, fingertip - target (v4 xyz, v5 xy)."""
    observations, qpos = sim.observations, sim.qpos
    np.cos(qpos[:, :2], out=observations[:, :2])
    np.sin(qpos[:, :2], out=observations[:, 2:4])
    observations[:, 4:8] = sim.motion[:, 2:6]
    size = observations.shape[1] - 8
    np.subtract(sim.xpos[:, FINGERTIP, :size], sim.xpos[:, TARGET, :size], out=observations[:, 8:])


def norm(vectors: Floats) -> Floats:
    """``[rows]``; vecdot runs the same dot product that ``np.linalg.norm`` runs on one row's vector."""
    length: Floats = np.sqrt(np.vecdot(vectors, vectors))
    return length


def reach_before(sim: Simulation) -> Floats:
    """From the last observation, which a restored simulation has too; its derived fields are empty until a step."""
    return norm(sim.observations[:, 8:])


def reacher_reward_v4(sim: Simulation, distance: Floats, actions: Actions, terminated: Bools) -> Floats:
    """v4 measures the distance before the step."""
    return -distance - control_cost(1.0, actions)


def reacher_reward_v5(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    return -norm(sim.xpos[:, FINGERTIP] - sim.xpos[:, TARGET]) - control_cost(1.0, actions)


def reacher_start(generator: np.random.Generator, rest: Floats) -> Floats:
    """The last two of the four positions are the target's: uniform in the disc of radius 0.2, at rest."""
    arm_and_target = rest[:4] + generator.uniform(-0.1, 0.1, 4)
    target = generator.uniform(-0.2, 0.2, 2)
    while np.linalg.norm(target) >= 0.2:
        target = generator.uniform(-0.2, 0.2, 2)
    velocities = generator.uniform(-0.005, 0.005, 4)
    return np.concatenate([arm_and_target[:2], target, velocities[:2], [0.0, 0.0]])


# InvertedPendulum: 1 per step until the pole leans by more than 0.2.

PENDULUM_LIMITS = np.array([np.finfo(np.float64).max, 0.2, *[np.finfo(np.float64).max] * 2])
"""Of x, angle and their velocities: all finite, and the angle within 0.2."""


def observe_inverted_pendulum(sim: Simulation) -> None:
    sim.observations[...] = sim.motion


def inverted_pendulum_fell(sim: Simulation) -> Bools:
    fell: Bools = ~np.logical_and.reduce(np.abs(sim.motion) <= PENDULUM_LIMITS, axis=1)
    return fell


def inverted_pendulum_reward_v4(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    return np.ones(len(terminated))


def inverted_pendulum_reward_v5(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    return np.subtract(1.0, terminated)


# InvertedDoublePendulum: 10 less penalties for the tip's distance from (0, 2) and for velocities.


def observe_double_pendulum(sim: Simulation) -> None:
    """x, sin and cos of the two angles, velocities, constraint forces (v4 all three, v5 the cart's)."""
    observations, angles = sim.observations, sim.qpos[:, 1:]
    observations[:, 0] = sim.x
    np.sin(angles, out=observations[:, 1:3])
    np.cos(angles, out=observations[:, 3:5])
    observations[:, 5:8] = sim.qvel
    observations[:, 8:] = sim.qfrc_constraint[:, : observations.shape[1] - 8]
    clip_to_10(observations[:, 5:])


def double_pendulum_fell(sim: Simulation) -> Bools:
    fell: Bools = sim.site_xpos[:, 0, 2] <= 1
    return fell


def double_pendulum_reward(sim: Simulation, bonuses: list[float]) -> Floats:
    """In Python floats: Gymnasium squares scalars with C's pow, which numpy's x * x misses by a bit once in 1300."""
    tip = sim.site_xpos[:, 0].tolist()
    velocity = sim.qvel.tolist()
    return np.array(
        [
            bonus - (0.01 * x**2 + (y - 2) ** 2) - (1e-3 * v1**2 + 5e-3 * v2**2)
            for bonus, (x, _, y), (_, v1, v2) in zip(bonuses, tip, velocity, strict=True)
        ]
    )


def double_pendulum_reward_v4(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    return double_pendulum_reward(sim, [10.0] * len(terminated))


def double_pendulum_reward_v5(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    return double_pendulum_reward(sim, [0.0 if fell else 10.0 for fell in terminated.tolist()])


HALF_CHEETAH = Task(
    "half_cheetah.xml", 5, 17, observe_half_cheetah, torso_x, half_cheetah_reward, never, uniform_normal
)
HOPPER = Task("hopper.xml", 4, 11, observe_walker, torso_x, walker_reward_v4, hopper_fell, partial(uniform, 5e-3))
WALKER = Task("walker2d.xml", 4, 17, observe_walker, torso_x, walker_reward_v4, walker_fell, partial(uniform, 5e-3))
SWIMMER = Task("swimmer.xml", 4, 8, observe_swimmer, torso_x, swimmer_reward, never, partial(uniform, 0.1))
REACHER = Task("reacher.xml", 2, 11, observe_reacher, reach_before, reacher_reward_v4, never, reacher_start, 50)
INVERTED_PENDULUM = Task(
    "inverted_pendulum.xml",
    2,
    4,
    observe_inverted_pendulum,
    nothing,
    inverted_pendulum_reward_v4,
    inverted_pendulum_fell,
    partial(uniform, 0.01),
)
DOUBLE_PENDULUM = Task(
    "inverted_double_pendulum.xml",
    5,
    11,
    observe_double_pendulum,
    nothing,
    double_pendulum_reward_v4,
    double_pendulum_fell,
    uniform_normal,
)

TASKS: dict[str, Task] = {
    "HalfCheetah-v4": HALF_CHEETAH,
    "HalfCheetah-v5": HALF_CHEETAH,
    "Hopper-v4": HOPPER,
    "Hopper-v5": replace(HOPPER, reward=walker_reward_v5),
    "InvertedDoublePendulum-v4": DOUBLE_PENDULUM,
    "InvertedDoublePendulum-v5": replace(DOUBLE_PENDULUM, observation_size=9, reward=double_pendulum_reward_v5),
    "InvertedPendulum-v4": INVERTED_PENDULUM,
    # Gym's v1, which the paper ran, did not clamp the force to +-3: its model lacked ctrllimited, which came with
    # openai/gym 3e006f3ea (2022-05). In all else v4 is as v1 was. Gymnasium has no id for this.
    "InvertedPendulumUnclamped-v4": replace(INVERTED_PENDULUM, clamps=False),
    "InvertedPendulum-v5": replace(INVERTED_PENDULUM, reward=inverted_pendulum_reward_v5),
    "Reacher-v4": REACHER,
    "Reacher-v5": replace(REACHER, observation_size=10, before=nothing, reward=reacher_reward_v5),
    "Swimmer-v4": SWIMMER,
    "Swimmer-v5": SWIMMER,
    "Walker2d-v4": WALKER,
    "Walker2d-v5": replace(WALKER, xml="walker2d_v5.xml", reward=walker_reward_v5),
}
