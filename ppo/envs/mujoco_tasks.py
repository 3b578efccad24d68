"""The paper's seven MuJoCo tasks: what each observes, pays, ends with and starts from, over the rows of a simulation.

Each follows its file gymnasium/envs/mujoco/<task>_v4.py or _v5.py in the order of its floating-point operations, so
that every number is Gymnasium's to the bit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ppo.envs.mujoco_simulation import Actions, Bools, Floats, Simulation, clip_to_10, control_cost
from ppo.envs.planar_robots import PlanarRobot, settle, torso_x

Start = Callable[[np.random.Generator, Floats], Floats]


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
    """What the reward needs from before the physics step."""
    reward: Callable[[Simulation, Any, Actions, Bools], Floats]
    """``(sim, before, actions, terminated) -> [rows]``."""
    terminated: Callable[[Simulation], Bools]
    start: Start
    """``(generator, rest) -> qpos and qvel side by side`` where an episode starts; rest has no velocity."""
    max_episode_steps: int = 1000
    clamps: bool = True
    """Whether the actuators' forces are clamped to their ranges."""
    settle: Callable[[Simulation, Any, Actions], tuple[Floats, Bools]] | None = None
    """``observe``, ``reward`` and ``terminated`` in one compiled call, if there is one: ``(sim, before, actions) ->
    (rewards, terminated)``, to the same bits."""


def nothing(sim: Simulation) -> None:
    """Return None: the reward needs nothing from before the step."""
    return None


def never(sim: Simulation) -> Bools:
    """Return that no row fell, ``[rows]``."""
    return np.zeros(len(sim.x), np.bool_)


def uniform(scale: float, generator: np.random.Generator, rest: Floats) -> Floats:
    """Draw positions and velocities from U(-scale, scale) around rest."""
    return rest + generator.uniform(-scale, scale, rest.size)


def uniform_normal(generator: np.random.Generator, rest: Floats) -> Floats:
    """Draw positions from U(-0.1, 0.1) around rest, velocities from N(0, 0.1^2)."""
    half = rest.size // 2
    return np.concatenate([rest[:half] + generator.uniform(-0.1, 0.1, half), 0.1 * generator.standard_normal(half)])


# Reacher: distance of fingertip and target, and control cost.

FINGERTIP, TARGET = 3, 4  # bodies of reacher.xml


def observe_reacher(sim: Simulation) -> None:
    """Write cos and sin of the two joints, target xy, joint velocities, fingertip - target (v4 xyz, v5 xy)."""
    observations, qpos = sim.observations, sim.qpos
    np.cos(qpos[:, :2], out=observations[:, :2])
    np.sin(qpos[:, :2], out=observations[:, 2:4])
    observations[:, 4:8] = sim.motion[:, 2:6]
    size = observations.shape[1] - 8
    np.subtract(sim.xpos[:, FINGERTIP, :size], sim.xpos[:, TARGET, :size], out=observations[:, 8:])


def norm(vectors: Floats) -> Floats:
    """Return norms ``[rows]``; vecdot runs the dot product that ``np.linalg.norm`` runs on one row's vector."""
    length: Floats = np.sqrt(np.vecdot(vectors, vectors))
    return length


def reach_before(sim: Simulation) -> Floats:
    """Return the last distance, from the observation: a restored simulation's derived fields are empty until a step."""
    return norm(sim.observations[:, 8:])


def reacher_reward_v4(sim: Simulation, distance: Floats, actions: Actions, terminated: Bools) -> Floats:
    """Return the reward: v4 measures the distance before the step."""
    return -distance - control_cost(1.0, actions)


def reacher_reward_v5(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    """Return the reward ``[rows]``: v5 measures the distance after the step."""
    return -norm(sim.xpos[:, FINGERTIP] - sim.xpos[:, TARGET]) - control_cost(1.0, actions)


def reacher_start(generator: np.random.Generator, rest: Floats) -> Floats:
    """Draw a start; the last two of the four positions are the target's: uniform in the disc of radius 0.2, at rest."""
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
    """Write position and angle, then their velocities."""
    sim.observations[...] = sim.motion


def inverted_pendulum_fell(sim: Simulation) -> Bools:
    """Return which poles lean by more than 0.2 rad, ``[rows]``."""
    fell: Bools = ~np.logical_and.reduce(np.abs(sim.motion) <= PENDULUM_LIMITS, axis=1)
    return fell


def inverted_pendulum_reward_v4(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    """Return 1 for every step, ``[rows]``: v4 pays the step in which the pole falls too."""
    return np.ones(len(terminated))


def inverted_pendulum_reward_v5(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    """Return 1 while the pole stands, ``[rows]``."""
    return np.subtract(1.0, terminated)


# InvertedDoublePendulum: 10 less penalties for the tip's distance from (0, 2) and for velocities.


def observe_double_pendulum(sim: Simulation) -> None:
    """Write x, sin and cos of the two angles, velocities, constraint forces (v4 all three, v5 the cart's)."""
    observations, angles = sim.observations, sim.qpos[:, 1:]
    observations[:, 0] = sim.x
    np.sin(angles, out=observations[:, 1:3])
    np.cos(angles, out=observations[:, 3:5])
    observations[:, 5:8] = sim.qvel
    observations[:, 8:] = sim.qfrc_constraint[:, : observations.shape[1] - 8]
    clip_to_10(observations[:, 5:])


def double_pendulum_fell(sim: Simulation) -> Bools:
    """Return of which rows the tip is at most 1 m high, ``[rows]``."""
    fell: Bools = sim.site_xpos[:, 0, 2] <= 1
    return fell


def double_pendulum_reward(sim: Simulation, bonuses: list[float]) -> Floats:
    """Compute the reward in Python floats: Gymnasium squares with C's pow, from which numpy's x * x differs in the last
    bit once in 1300."""
    tip = sim.site_xpos[:, 0].tolist()
    velocity = sim.qvel.tolist()
    return np.array(
        [
            bonus - (0.01 * x**2 + (y - 2) ** 2) - (1e-3 * v1**2 + 5e-3 * v2**2)
            for bonus, (x, _, y), (_, v1, v2) in zip(bonuses, tip, velocity, strict=True)
        ]
    )


def double_pendulum_reward_v4(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    """Return the reward ``[rows]``: v4 pays the bonus of the step in which the pole falls too."""
    return double_pendulum_reward(sim, [10.0] * len(terminated))


def double_pendulum_reward_v5(sim: Simulation, before: None, actions: Actions, terminated: Bools) -> Floats:
    """Return the reward ``[rows]``: v5 pays no bonus for the step in which the pole falls."""
    return double_pendulum_reward(sim, [0.0 if fell else 10.0 for fell in terminated.tolist()])


HOPPER = PlanarRobot(
    control_weight=1e-3,
    clips_velocities=True,
    alive=1.0,
    low=np.array([0.7, -0.2, *[-100.0] * 9]),  # of height, angle, then the other positions and all velocities
    high=np.array([np.inf, 0.2, *[100.0] * 9]),
)
WALKER = replace(HOPPER, low=np.array([0.8, -1.0]), high=np.array([2.0, 1.0]))  # of height and angle


def running(xml: str, frame_skip: int, observation_size: int, robot: PlanarRobot, start: Start) -> Task:
    """Return the task of a robot that runs in a plane."""
    parts = robot.observe, torso_x, robot.reward, robot.fell, start
    return Task(xml, frame_skip, observation_size, *parts, settle=settle(robot))


def hopper(**rules: Any) -> Task:
    """Return Hopper with some of its rules replaced."""
    return running("hopper.xml", 4, 11, replace(HOPPER, **rules), partial(uniform, 5e-3))


def walker(xml: str, **rules: Any) -> Task:
    """Return Walker2d with some of its rules replaced; v5 has a body of its own, `xml`."""
    return running(xml, 4, 17, replace(WALKER, **rules), partial(uniform, 5e-3))


HALF_CHEETAH = running("half_cheetah.xml", 5, 17, PlanarRobot(control_weight=0.1), uniform_normal)
SWIMMER = running("swimmer.xml", 4, 8, PlanarRobot(control_weight=1e-4, hidden=2), partial(uniform, 0.1))
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
    "Hopper-v4": hopper(),
    "Hopper-v5": hopper(alive_at_fall=False),
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
    "Walker2d-v4": walker("walker2d.xml"),
    "Walker2d-v5": walker("walker2d_v5.xml", alive_at_fall=False),
}
