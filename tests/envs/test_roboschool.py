"""The humanoid tasks of section 6.3 as environments: starts, the promises of a run, untrained policies, bad input."""

import math
import os

import numpy as np
import pytest

from ppo.envs import ROBOSCHOOL_IDS, make
from ppo.envs.roboschool import drag as roboschool_drag
from ppo.envs.roboschool import physics
from ppo.envs.roboschool.environment import REWARD_PARTS, RoboschoolVectorEnv
from tests.helpers.bullet import TASKS
from tests.helpers.gymnasium_oracle import (
    assert_refused,
    assert_same_transition,
    join_rows,
    random_actions,
    take_rows,
)

HARDER = TASKS["harder"]
IDS = tuple(TASKS.values())


def started(env_id, seeds):
    env = RoboschoolVectorEnv(env_id, seeds)
    env.reset()
    return env


def test_the_papers_ids_are_made():
    assert tuple(ROBOSCHOOL_IDS) == IDS
    for env_id in IDS:
        env = make(env_id, [0, 1])
        assert isinstance(env, RoboschoolVectorEnv)
        assert env.reset().shape == (2, 44)
        assert (env.action_space.shape, env.action_space.high.max()) == ((17,), 1.0)


# Starts.


@pytest.mark.parametrize("env_id", IDS)
def test_episodes_start_at_rest_with_joints_near_zero(env_id):
    env = started(env_id, range(400))
    assert not env.sim.qvel.any()
    joints = env.sim.joints
    assert np.abs(joints).max() <= 0.1
    assert np.abs(joints).max() > 0.099
    assert abs(joints.mean()) < 4 * 0.1 / math.sqrt(3 * joints.size)
    observations = env.reset()
    np.testing.assert_array_equal(observations[:, 42:], 0.0)
    np.testing.assert_array_equal(observations[:, 9:42:2], 0.0)


def test_half_of_harder_starts_on_the_ground():
    """Half of Harder's episodes start on the ground, half of these each way round."""
    heights = started(HARDER, range(1000)).sim.torso().height
    counts = [np.isclose(heights, height, atol=1e-12).sum() for height in (1.4, 0.45, 0.25)]
    assert sum(counts) == 1000
    for count, share in zip(counts, (0.5, 0.25, 0.25), strict=True):
        assert abs(count - 1000 * share) < 4 * math.sqrt(1000 * share * (1 - share))


def test_robots_and_flags_are_everywhere():
    """Robots look everywhere, and flags lie everywhere, where there are flags."""
    env = started(TASKS["flagrun"], range(1000))
    yaw = env.sim.torso().yaw
    counts, _ = np.histogram(yaw, bins=10, range=(-3.14, 3.14))
    assert counts.sum() == 1000
    assert ((counts - 100) ** 2 / 100).sum() < 27.9  # chi-squared with 9 degrees of freedom, 0.999
    x, y = env.target.T
    counts, _, _ = np.histogram2d(x, y, bins=4, range=[[-13.125, 13.125], [-6.25, 6.25]])
    assert counts.sum() == 1000
    assert ((counts - 62.5) ** 2 / 62.5).sum() < 37.7  # 15 degrees of freedom, 0.999
    humanoid = started(TASKS["humanoid"], range(3))
    np.testing.assert_array_equal(humanoid.sim.torso().yaw, 0.0)
    np.testing.assert_array_equal(humanoid.target, [[1000.0, 0.0]] * 3)


# Untrained policies.

RETURNS = {  # mean and standard error, of another implementation of the same model and rules
    ("humanoid", -0.7): (-13.4, 0.4),
    ("flagrun", -0.7): (-14.2, 0.4),
    ("harder", -0.7): (30.6, 1.7),
    ("humanoid", 0.0): (-91.1, 1.0),
    ("flagrun", 0.0): (-92.6, 1.1),
    ("harder", 0.0): (-167.7, 3.2),
}


@pytest.mark.parametrize(("task", "log_std"), RETURNS)
def test_an_untrained_gaussian_earns_what_it_earned_in_the_study(task, log_std):
    rows = 128 if task == "harder" else 256
    env, generator = started(TASKS[task], range(5000, 5000 + rows)), np.random.default_rng(7)
    returns, running = np.zeros(rows), np.ones(rows, np.bool_)
    while running.any():
        transition = env.step(math.exp(log_std) * generator.standard_normal((rows, 17)))
        returns += np.where(running, transition.rewards, 0.0)
        running &= ~transition.game_over
    mean, error = RETURNS[task, log_std]
    own_error = returns.std(ddof=1) / math.sqrt(rows)
    assert abs(returns.mean() - mean) < 3 * math.hypot(own_error, error), (returns.mean(), own_error)


# Promises.


@pytest.mark.parametrize("env_id", IDS)
def test_a_row_does_not_know_its_neighbours(env_id):
    """Contacts of the step before, shown in an observation, must not be measured anew when another row restarts."""
    seeds = list(range(33))
    together = started(env_id, seeds)
    alone = {i: started(env_id, [seeds[i]]) for i in (0, 17, 32)}
    ended = 0
    for action in random_actions(together, 250 if env_id == HARDER else 60):
        transition = together.step(action)
        ended += int(transition.game_over.sum())
        for i, env in alone.items():
            row = [array[i : i + 1] for array in transition]
            assert_same_transition(type(transition)(*row), env.step(action[i : i + 1]))
            np.testing.assert_array_equal(env.reward_parts, together.reward_parts[i : i + 1])
    assert ended > 20


@pytest.mark.parametrize("env_id", IDS)
def test_a_restored_environment_continues_to_the_bit_in_any_order(env_id):
    env = started(env_id, range(12))
    actions = random_actions(env, 450)
    for number, action in enumerate(actions[:150]):  # into the time in which cubes fly
        if number == 148:
            env.sim.qpos[:, 2] = 1.5  # some robots of Harder have crawled before they stand
        observations = env.step(action).observations
    state = env.get_state()
    restored, others = RoboschoolVectorEnv(env_id, [0] * 12), RoboschoolVectorEnv(env_id, [0] * 4)
    order = [7, 0, 11, 7]
    np.testing.assert_array_equal(restored.set_state(state), observations)
    others.set_state(join_rows(take_rows(state, [7]), take_rows(state, order[1:])))
    ended = 0
    for action in actions[150:]:
        transition = env.step(action)
        ended += int(transition.game_over.sum())
        assert_same_transition(restored.step(action), transition)
        assert_same_transition(others.step(action[order]), type(transition)(*(array[order] for array in transition)))
    assert ended >= 12
    for name, value in env.get_state().items():
        np.testing.assert_array_equal(restored.get_state()[name], value)


def test_a_state_is_a_copy():
    env = started(HARDER, [0, 1])
    state = env.get_state()
    kept = {name: value.copy() for name, value in state.items()}
    for action in random_actions(env, 3):
        env.step(action)
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)


def test_ill_fitting_states_are_refused():
    env, state = started(HARDER, [0, 1]), started(HARDER, [0, 1]).get_state()
    ill_fitting = {
        r"saved by RoboschoolHumanoid-v0": started("RoboschoolHumanoid-v0", [0, 1]).get_state(),
        r"needed are \['contact', 'crawl_ignored'": {"elapsed": state["elapsed"]},
        r"'target' is float64 \(1, 2\), needed is float64 \(2, 2\)": state | {"target": state["target"][:1]},
        r"'elapsed' must lie between 0 and 999": state | {"elapsed": np.array([0, 1000])},
        r"not the JSON of a PCG64's state": state | {"generators": ["{}"] * 2},
    }
    assert_refused(env, ill_fitting)


def test_an_episode_is_cut_after_1000_steps():
    """In Harder with the robot held up: there a fall ends an episode earlier."""
    env = started("RoboschoolHumanoidFlagrunHarder-v0", [3])
    for step in range(1, 1001):
        env.sim.qpos[:, 2] = 1.5
        transition = env.step(np.zeros((1, 17), np.float32))
        assert transition.truncated[0] == (step == 1000)
        assert not transition.terminated[0]


def test_rewards_are_the_sum_of_their_five_parts():
    env = started(HARDER, range(4))
    for action in random_actions(env, 50):
        transition = env.step(action)
        assert env.reward_parts.shape == (4, len(REWARD_PARTS)) == (4, 5)
        np.testing.assert_allclose(transition.rewards, env.reward_parts.sum(axis=1), rtol=1e-15, atol=1e-12)


def test_small_model_changes_no_bit(monkeypatch):
    """The flags that spare the small model change no bit where robots stand.

    Lying, in Harder, without the flag contacts are found in another order, and sums differ in the last bits.
    """
    env = started(IDS[0], range(33))
    monkeypatch.setattr(physics, "spared", lambda model: 0)
    plain = started(IDS[0], range(33))
    assert env.sim.model.opt.disableflags != plain.sim.model.opt.disableflags
    for action in random_actions(env, 60):
        assert_same_transition(env.step(action), plain.step(action))


# What is compiled beside its plain twin.


@pytest.mark.skipif(roboschool_drag.drag_by_numba is None, reason="numba is not there")
@pytest.mark.parametrize("env_id", [IDS[0], HARDER])
def test_the_compiled_drag_is_numpys_to_the_bit(env_id, monkeypatch):
    env = started(env_id, range(33))
    monkeypatch.setattr(physics, "drag", roboschool_drag.drag_by_numpy)
    plain = started(env_id, range(33))
    for action in random_actions(env, 60):
        transition = plain.step(action)
        with monkeypatch.context() as compiled:
            compiled.setattr(physics, "drag", roboschool_drag.drag_by_numba)
            assert_same_transition(env.step(action), transition)


def test_a_falling_robot_is_slowed_as_a_whole():
    """By 0.0808, 0.2407, 0.4804 and 0.7996 m/s2 at 1 ... 4 m/s, as measured in Bullet without gravity."""
    env = started(IDS[0], range(4))
    env.sim.qvel[:, 0] = [1.0, 2.0, 3.0, 4.0]
    env.sim.batch.forward()
    env.sim.drag_links()
    slowed = env.sim.forces[:, :, 0].sum(axis=1) / env.sim.model.body_mass.sum()
    np.testing.assert_allclose(slowed, [-0.0808, -0.2407, -0.4804, -0.7996], rtol=0.01)


def test_a_cube_is_slowed_as_in_bullet():
    """By 1.20, 4.38 and 25.7 m/s2 at 5, 10 and 25 m/s, as measured in Bullet."""
    env = started(HARDER, range(3))
    for row, speed in enumerate((5.0, 10.0, 25.0)):
        env.sim.throw_cube(row, np.array([50.0, 0.0, 50.0]), np.array([speed, 0.0, 0.0]))
    before = env.sim.qvel[:, 23].copy()
    env.sim.advance(np.zeros((3, 17)))
    slowed = (env.sim.qvel[:, 23] - before) / 0.0165
    np.testing.assert_allclose(slowed, [-1.20, -4.38, -25.7], rtol=0.02)


# Bad input.


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("kind", ["bang-bang", "noise", "huge"])
def test_wild_actions_neither_break_the_physics_nor_leave_a_warning(env_id, kind):
    """MuJoCo puts a simulation that breaks back to the model's own state, where the time is 0."""
    env, generator = started(env_id, range(32)), np.random.default_rng(3)
    elapsed, largest = np.zeros(32), 0.0
    for _ in range(400 if kind != "huge" else 100):
        noise = generator.standard_normal((32, 17))
        actions = {"bang-bang": 3 * np.sign(noise), "noise": 3 * noise, "huge": 1e6 * noise}[kind]
        transition = env.step(actions.astype(np.float32))
        elapsed = np.where(transition.game_over, 0.0, elapsed + 0.0165)
        np.testing.assert_allclose(env.sim.state[:, 0], elapsed, atol=1e-9)
        assert np.isfinite(transition.rewards).all()
        assert np.isfinite(transition.final_observations).all()
        largest = max(largest, np.abs(transition.rewards).max())
    if kind != "huge":
        assert largest < 2 * (26 if env_id == HARDER else 127)
    assert os.listdir() == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("env_id", IDS)
def test_a_bad_action_stays_in_its_row_and_leaves_no_warning(env_id, bad):
    env, clean = started(env_id, [3, 14, 15]), started(env_id, [3, 14, 15])
    actions = random_actions(env, 60)
    spoilt = actions.copy()
    spoilt[20:40, 1, 0] = bad
    for action, spoilt_action in zip(actions, spoilt, strict=True):
        transition, expected = env.step(spoilt_action), clean.step(action)
        for array, other in zip(transition, expected, strict=True):
            np.testing.assert_array_equal(array[[0, 2]], other[[0, 2]])
        assert np.isfinite(transition.rewards[1]) == np.isfinite(spoilt_action).all()
    assert os.listdir() == []


def test_misuse_is_said_in_one_line():
    env = RoboschoolVectorEnv(HARDER, [0, 1])
    for call in (env.get_state, lambda: env.step(np.zeros((2, 17), np.float32))):
        with pytest.raises(ValueError, match="before reset"):
            call()
    env.reset()
    with pytest.raises(ValueError, match=r"Harder-v0: actions have shape \(17,\), needed is \(2, 17\)"):
        env.step(np.zeros(17, np.float32))
    with pytest.raises(ValueError, match="'Humanoid-v5' is not one of Roboschool's"):
        RoboschoolVectorEnv("Humanoid-v5", [0])
