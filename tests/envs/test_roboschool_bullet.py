"""The humanoid tasks of section 6.3 against recorded steps of Bullet: model, rules, kinematics and physics.

Bounds of the physics are 1.3 times the errors that were measured when the model was made; models with another contact
cone, another drag, or MuJoCo's own inertias miss them.
"""

import time

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from ppo.envs.roboschool.environment import RoboschoolVectorEnv
from ppo.envs.roboschool.model import build
from tests.helpers.bullet import (
    AXIS_LENGTHS,
    TASKS,
    bullet_state,
    put_before,
    recorded,
    simulation_state,
    table,
)


def environment(task, rows=None):
    env = RoboschoolVectorEnv(TASKS[task], range(rows or len(recorded(task, "step"))))
    env.reset()
    return env


# Structure.


@pytest.mark.parametrize(("cube", "sizes", "mass"), [(False, (24, 23, 17), 42.116), (True, (31, 29, 17), 42.716)])
def test_the_model_has_the_sizes_and_mass_of_bullets(cube, sizes, mass):
    model = build(cube)
    assert (model.nq, model.nv, model.nu) == sizes
    assert model.body_mass.sum() == pytest.approx(mass, abs=5e-4)
    assert model.nexclude == 33
    assert (model.opt.timestep, model.opt.gravity.tolist()) == (0.0165 / 4, [0.0, 0.0, -9.8])


@pytest.mark.parametrize("cube", [False, True])
def test_contacts_are_set_to_bullets(cube):
    """Bullet multiplies two frictions: 0.8 x 0.8 of the robot and the floor, 0.5 x 0.8 of the cube, whatever it meets.
    Contacts and limits of joints are as stiff as MuJoCo allows, and known of from 5 mm above the floor."""
    model = build(cube)
    assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert (model.opt.solver, model.opt.integrator) == (mujoco.mjtSolver.mjSOL_NEWTON, mujoco.mjtIntegrator.mjINT_EULER)
    for number in range(model.ngeom):
        geom = model.geom(number)
        assert geom.friction.tolist() == [0.4 if geom.name == "cube" else 0.64, 0.005, 0.0001], geom.name
        assert geom.priority[0] == (geom.name == "cube")
        assert (geom.condim[0], geom.margin[0], geom.gap[0]) == (3, 0.0, 0.005 * (geom.name == "floor"))
        assert geom.solref.tolist() == [0.00825, 1.0]
        assert geom.solimp.tolist() == [0.9, 0.95, 0.001, 0.5, 2.0]
    np.testing.assert_array_equal(model.jnt_solref[1:18], [[0.00825, 1.0]] * 17)
    np.testing.assert_array_equal(model.jnt_solimp[1:18], [[0.9, 0.95, 0.001, 0.5, 2.0]] * 17)
    assert not model.dof_damping.any()
    assert not model.dof_armature[6:23].any()
    assert not model.jnt_stiffness.any()


def test_bodies_weigh_and_turn_as_in_bullet():
    model, rows = build(cube=True), table("model_bodies.csv")
    assert len(rows) == model.nbody - 1 == 14
    for row in rows:
        body = model.body(row["body"])
        assert body.mass[0] == float(row["mass_kg"])
        np.testing.assert_array_equal(body.ipos, [float(row[f"com_{axis}_m"]) for axis in "xyz"])
        np.testing.assert_array_equal(body.inertia, [float(row[f"inertia_{axis}_kgm2"]) for axis in "xyz"])
        np.testing.assert_array_equal(body.iquat, [1, 0, 0, 0])


def test_joints_and_motors_are_roboschools():
    """Joints and motors are Roboschool's, in the order of the actions."""
    model, rows = build(cube=False), table("model_joints.csv")
    assert len(rows) == model.nu == model.njnt - 1
    for number, row in enumerate(rows):
        joint, motor = model.joint(row["joint"]), model.actuator(number)
        assert (joint.id, motor.trnid[0]) == (number + 1, number + 1)
        assert model.body(joint.bodyid[0]).name == row["body"]
        axis = np.array([float(row[f"axis_{axis}"]) for axis in "xyz"])
        np.testing.assert_allclose(joint.axis, axis / np.linalg.norm(axis), atol=1e-15)
        assert np.linalg.norm(axis) == pytest.approx(AXIS_LENGTHS[number], rel=1e-15)
        np.testing.assert_allclose(np.degrees(joint.range), [float(row["low_deg"]), float(row["high_deg"])], rtol=1e-12)
        assert motor.gear[0] == pytest.approx(float(row["gear_nm"]), rel=1e-6)
        assert motor.ctrllimited[0]
        np.testing.assert_array_equal(motor.ctrlrange, [-1, 1])


def test_nothing_damps_the_joints():
    model = build(cube=True)
    for field in (model.dof_damping, model.dof_armature, model.dof_frictionloss, model.jnt_stiffness):
        assert not field.any()


def test_the_upright_start_is_at_bullets_height():
    env = environment("humanoid", 1)
    assert env.sim.torso().height[0] == pytest.approx(1.4, abs=1e-12)
    assert env.sim.qpos[0, 2] == pytest.approx(1.52, abs=1e-12)
    assert env.sim.model.qpos0[2] == 1.52
    data = mujoco.MjData(env.sim.model)
    mujoco.mj_forward(env.sim.model, data)
    soles = data.geom("right_foot").xpos[2] - env.sim.model.geom("right_foot").size[0]
    assert soles == pytest.approx(0.23, abs=0.005)


# Rules, with Bullet's physics in the place of MuJoCo's.


class Draws:
    """A generator that gives the numbers of a record."""

    def __init__(self, numbers, choices=()):
        self.numbers, self.choices = list(numbers), list(choices)

    def uniform(self, low, high, size=None):
        taken, self.numbers = np.array(self.numbers[: size or 1]), self.numbers[size or 1 :]
        assert len(taken) == (size or 1)
        assert np.all((low - 1e-6 <= taken) & (taken <= high + 1e-6))
        return taken if size else float(taken[0])

    def integers(self, high):
        return self.choices.pop(0)


def recorded_draws(task, row):
    """What was drawn in a row's step: a new flag, then a throw."""
    draws = []
    if task != "humanoid" and np.any(recorded(task, "after/target")[row] != recorded(task, "before/target")[row]):
        draws += recorded(task, "after/target")[row].tolist()
    if task == "harder" and np.isfinite(recorded(task, "throw")[row, 0]):
        draws += recorded(task, "throw")[row].tolist()
    return draws


def with_bullets_physics(env, task):
    """Let every row's next step lead to the recorded state, and show that state where an episode ends."""
    sim = env.sim

    def advance(actions):
        sim.qpos[...], sim.qvel[...] = simulation_state(task, "after")
        if task == "harder":  # recorded after the throw; before it, the cube is elsewhere
            thrown = np.isfinite(recorded(task, "throw")[:, 0])
            sim.qpos[thrown, 24:], sim.qvel[thrown, 23:] = 7.0, 7.0

    sim.advance = advance
    sim.mean_position = lambda: recorded(task, "after/mean_position")
    sim.feet = lambda: (recorded(task, "after/foot_contact"), recorded(task, "foot_other"))
    env._start_episodes = lambda ids: None


@pytest.mark.parametrize("task", TASKS)
def test_rules_are_roboschools_in_every_recorded_step(task):
    env = environment(task)
    put_before(env, task)
    env._generators = [Draws(recorded_draws(task, row)) for row in range(env.rows)]
    with_bullets_physics(env, task)
    transition = env.step(recorded(task, "action"))

    np.testing.assert_allclose(transition.final_observations, recorded(task, "observation"), rtol=0, atol=1.2e-7)
    np.testing.assert_array_equal(transition.terminated, recorded(task, "terminated"))
    np.testing.assert_array_equal(transition.truncated, recorded(task, "truncated"))
    np.testing.assert_allclose(env.reward_parts, recorded(task, "parts"), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(transition.rewards, env.reward_parts.sum(axis=1))
    assert not any(generator.numbers for generator in env._generators)  # as many flags and throws as recorded
    state = env._arrays()
    np.testing.assert_allclose(state["potential"], recorded(task, "after/potential"), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(state["contact"], recorded(task, "after/foot_contact"))
    np.testing.assert_array_equal(state["elapsed"], recorded(task, "step") + 1)
    if task != "humanoid":
        np.testing.assert_array_equal(state["target"], recorded(task, "after/target"))
        np.testing.assert_array_equal(state["timeout"], recorded(task, "after/timeout"))
    if task == "harder":
        np.testing.assert_array_equal(state["on_ground"], recorded(task, "after/on_ground"))
        for name in ("crawl_start", "crawl_ignored"):
            np.testing.assert_allclose(state[name], recorded(task, f"after/{name}"), rtol=0, atol=1e-12)
        qpos, qvel = simulation_state(task, "after")
        thrown = np.isfinite(recorded(task, "throw")[:, 0])
        assert thrown.sum() == 5
        np.testing.assert_allclose(env.sim.qpos[thrown, 24:], qpos[thrown, 24:], rtol=0, atol=1e-14)
        np.testing.assert_allclose(env.sim.qvel[thrown, 23:], qvel[thrown, 23:], rtol=0, atol=1e-14)


# Kinematics.


@pytest.mark.parametrize("task", TASKS)
def test_the_mean_position_is_bullets(task):
    env = environment(task)
    put_before(env, task)
    env.sim.refresh(np.arange(env.rows))
    expected = recorded(task, "before/mean_position_now")
    np.testing.assert_allclose(env.sim.mean_position(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("task", TASKS)
def test_start_states_look_as_in_bullet(task):
    """Lying, the pitch is 90 degrees, and in Bullet too roll, yaw and so the angle are rounding errors."""
    rows = range(200)
    posture = recorded(task, "initial/posture")
    w, _, _, z = recorded(task, "initial/torso_quat").T
    yaw = np.remainder(2 * np.arctan2(z, w) + np.pi, 2 * np.pi) - np.pi
    draws = [recorded(task, "initial/joint_position")[row].tolist() for row in rows]
    flags, lying = task != "humanoid", [[1], [0, 0], [0, 1]]
    if flags:
        redrawn = (recorded(task, "initial/timeout") == 200).tolist()  # the first flag, not recorded, lay within 1 m
        assert any(redrawn)
        draws = [
            [*draws[row], yaw[row], *[0.0, 0.0] * redrawn[row], *recorded(task, "initial/target")[row]] for row in rows
        ]
    env = environment(task, 200)
    observations = env.begin([Draws(draws[row], lying[posture[row]]) for row in rows])
    expected = recorded(task, "initial/observation")
    clear = np.delete(np.arange(44), [1, 2, 6])
    np.testing.assert_allclose(observations[:, clear], expected[:, clear], rtol=0, atol=2e-6)
    np.testing.assert_allclose(observations[posture == 0], expected[posture == 0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(env.sim.mean_position(), recorded(task, "initial/mean_position"), rtol=0, atol=1e-6)
    state = env._arrays()
    np.testing.assert_allclose(state["potential"], recorded(task, "initial/potential"), rtol=1e-6)
    if flags:
        np.testing.assert_array_equal(state["timeout"], recorded(task, "initial/timeout"))


# Physics: one control step from every recorded state.

ERRORS = {  # medians: torso's velocity (m/s), omega (rad/s), speeds of legs and waist, of arms (norms), position (mm);
    # then the share of equal flags of contact with the floor, and the rows with equal flags of other touches
    "humanoid, all": (0.0136, 0.048, 0.685, 0.131, 0.07, 0.973, 317),
    "humanoid, walking": (0.0096, 0.038, 0.374, 0.111, 0.07, 0.961, 155),
    "flagrun, all": (0.0120, 0.058, 0.575, 0.142, 0.05, 0.981, 265),
    "flagrun, walking": (0.0090, 0.056, 0.465, 0.181, 0.04, 0.977, 129),
    "harder, all": (0.0220, 0.090, 0.980, 0.213, 0.10, 0.981, 367),
    "harder, down": (0.0307, 0.142, 1.251, 0.376, 0.14, 0.982, 160),
}


def errors_of_a_step(task, rows):
    env = environment(task)
    put_before(env, task)
    env.sim.advance(recorded(task, "action"))
    ground, other = env.sim.feet()
    velocity, omega, speeds = bullet_state(env.sim.qpos, env.sim.qvel)
    differences = [
        velocity - recorded(task, "after/torso_velocity"),
        omega - recorded(task, "after/torso_omega"),
        (speeds - recorded(task, "after/joint_speed"))[:, :11],
        (speeds - recorded(task, "after/joint_speed"))[:, 11:],
        1000 * (env.sim.mean_position() - recorded(task, "after/mean_position")),
    ]
    medians = [np.median(np.linalg.norm(difference[rows], axis=1)) for difference in differences]
    same_ground = (ground == recorded(task, "after/foot_contact"))[rows].mean()
    same_other = (other == recorded(task, "foot_other"))[rows].all(axis=1).sum()
    return np.array([*medians, same_ground, same_other])


def selected(name):
    task, which = name.split(", ")
    if which == "walking":
        return task, recorded(task, "kind") <= 1
    return task, recorded(task, "before/torso_position")[:, 2] < (0.8 if which == "down" else np.inf)


@pytest.mark.parametrize("name", ERRORS)
def test_a_step_leads_where_bullets_leads(name):
    measured, expected = errors_of_a_step(*selected(name)), np.array(ERRORS[name])
    assert (measured[:5] <= 1.3 * expected[:5]).all(), measured
    assert (1 - measured[5]) <= 1.3 * (1 - expected[5]), measured
    assert measured[6] >= expected[6] - 2, measured


def test_the_cube_flies_as_in_bullet():
    """Its drag takes a hundred times the bound in a step."""
    env = environment("harder")
    put_before(env, "harder")
    env.sim.advance(recorded("harder", "action"))
    before, after = recorded("harder", "before/cube"), recorded("harder", "after/cube")
    flying = (before[:, 2] > 0.3) & (np.linalg.norm(before[:, 7:10], axis=1) > 1)
    flying &= np.isnan(recorded("harder", "throw")[:, 0])
    assert flying.sum() > 100
    errors = np.linalg.norm(env.sim.qvel[flying, 23:26] - after[flying, 7:10], axis=1)
    assert np.median(errors) <= 1.3 * 0.002
    lost = np.linalg.norm(before[flying, 7:10], axis=1) - np.linalg.norm(after[flying, 7:10], axis=1)
    assert np.median(np.abs(lost)) > 0.1


# Speed.


@pytest.mark.soak
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("rows", "bound"), [(32, 1.5), (128, 1.3)])
def test_a_step_costs_little_more_than_its_physics(task, rows, bound):
    """Six steps from states of walking policies, with their actions; the physics alone has the same model, in one call
    and without drag. Least CPU times of twenty, taken in turns."""
    picked = np.random.default_rng(0).choice(np.flatnonzero(recorded(task, "kind") <= 1), rows)
    states, actions = [part[picked] for part in simulation_state(task, "before")], recorded(task, "action")[picked]
    env = environment(task, rows)
    start = env.get_state()
    bare = Batch(env.sim.model, rows, nthread=1)
    bare.bind("ctrl")[...] = actions

    def seconds(qpos, qvel, step):
        qpos[...], qvel[...] = states
        begun = time.process_time()
        for _ in range(6):
            step()
        return time.process_time() - begun

    times = []
    for _ in range(20):
        env.set_state(start)
        whole = seconds(env.sim.qpos, env.sim.qvel, lambda: env.step(actions))
        times.append((seconds(bare.bind("qpos"), bare.bind("qvel"), lambda: bare.step(nstep=4)), whole))
    physics, whole = np.min(times, axis=0)
    print(f"{task}, {rows} rows: {1e6 * physics / 6 / rows:.1f} us of physics, a step {whole / physics:.2f} times that")
    assert whole / physics < bound
