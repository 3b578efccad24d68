"""Harder's episodes, by the rules of gym_humanoid_flagrun.py: what a new one begins with, and the cubes."""

from typing import Any

import numpy as np

from ppo.envs.roboschool.environment import RoboschoolVectorEnv

HARDER = "RoboschoolHumanoidFlagrunHarder-v0"


def started(rows: int) -> RoboschoolVectorEnv:
    env = RoboschoolVectorEnv(HARDER, range(rows))
    env.reset()
    return env


def test_a_new_episode_remembers_nothing_of_the_one_before() -> None:
    """Not the steps spent down, nor where a robot began to crawl, nor what its feet touched. The potential is that of
    a robot which has not moved: by the distance at 1 m/s, and 100 to 200 for the height."""
    env, generator = started(24), np.random.default_rng(1)
    before, lying, standing = env.get_state(), 0, 0
    for _ in range(400):
        transition = env.step(generator.uniform(-1, 1, (24, 17)))
        after = env.get_state()
        for row in np.flatnonzero(transition.game_over):
            assert before["on_ground"][row] > 0
            assert after["on_ground"][row] == after["elapsed"][row] == 0
            assert not after["contact"][row].any()
            assert not transition.observations[row, 42:].any()
            height = env.sim.torso().height[row]
            progress = -np.hypot(*(env.target[row] - env.sim.mean_position()[row])) / 0.0165
            np.testing.assert_allclose(after["potential"][row], progress + 100 * (1 + min(height / 0.8, 1)), rtol=1e-12)
            assert after["crawl_ignored"][row] == 0
            if height < 0.8:
                lying += 1
                np.testing.assert_allclose(after["crawl_start"][row], progress, rtol=1e-12)
            else:
                standing += 1
                assert np.isnan(after["crawl_start"][row])
        before = after
    assert min(lying, standing) > 5


def test_cubes_come_every_30_steps_after_the_100th_from_all_sides() -> None:
    """From 4 m away and 1 m above, at 20 to 30 m/s towards where the robot will be, and +-1 m/s on each axis; at robots
    that stand."""
    env = started(40)
    thrown: list[tuple[int, Any, Any]] = []
    throw = env.sim.throw_cube

    def watched(row: int, position: Any, velocity: Any) -> None:
        torso = np.array([*env.sim.mean_position()[row], env.sim.torso().height[row]])
        thrown.append((int(env.get_state()["elapsed"][row]), position - torso, velocity))
        throw(row, position, velocity)

    env.sim.throw_cube = watched  # type: ignore[method-assign]
    for _ in range(290):
        env.sim.qpos[:36, 2], env.sim.qvel[:36, :6] = 1.5, 0.0
        env.step(np.zeros((40, 17)))
    assert sorted({step for step, _, _ in thrown}) == [120, 150, 180, 210, 240, 270]
    from_robot = np.array([start for _, start, _ in thrown])
    velocities = np.array([velocity for _, _, velocity in thrown])
    count = len(thrown)
    assert 6 * 36 <= count < 6 * 40
    np.testing.assert_allclose(np.hypot(from_robot[:, 0], from_robot[:, 1]), 4.0, atol=0.05)
    np.testing.assert_allclose(from_robot[:, 2], 1.0, atol=0.05)
    towards = -from_robot / np.linalg.norm(from_robot, axis=1, keepdims=True)
    speeds = (velocities * towards).sum(axis=1)
    assert 18.2 < speeds.min() < 21.5
    assert 28.5 < speeds.max() < 31.8
    assert abs(speeds.mean() - 25) < 4 * 2.95 / np.sqrt(count)
    aside = towards[:, 1] * velocities[:, 0] - towards[:, 0] * velocities[:, 1]
    aside /= np.hypot(towards[:, 0], towards[:, 1])
    assert abs(aside.std() - 1 / np.sqrt(3)) < 0.1
    quarters, _ = np.histogram(np.arctan2(from_robot[:, 1], from_robot[:, 0]), bins=4, range=(-np.pi, np.pi))
    assert ((quarters - count / 4) ** 2 / (count / 4)).sum() < 16.3  # chi-squared with 3 degrees of freedom, 0.999
