"""The batched MuJoCo tasks against Gymnasium's own: equal to the bit, also after a restart and beside neighbours."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest

from ppo.envs import mujoco_simulation, planar_robots
from ppo.envs.mujoco import MUJOCO_IDS, MujocoVectorEnv
from ppo.envs.mujoco_tasks import TASKS
from tests.helpers.gymnasium_oracle import (
    Oracle,
    assert_refused,
    assert_same_step,
    assert_same_transition,
    compare,
    join_rows,
    make_oracle,
    random_actions,
    take_rows,
)

SEEDS = [3, 14, 15]
UNCLAMPED = "InvertedPendulumUnclamped-v4"
RUNNING = [i for i in MUJOCO_IDS if i.startswith(("HalfCheetah", "Hopper", "Swimmer", "Walker2d"))]
TERMINATING = [i for i in MUJOCO_IDS if i.startswith(("Hopper", "Walker2d", "Inverted"))]


def test_the_seven_tasks_in_two_versions_and_one_of_gyms_v1():
    assert len(MUJOCO_IDS) == len(set(MUJOCO_IDS)) == 14 + 1


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_spaces_are_gymnasiums(env_id):
    env, reference = MujocoVectorEnv(env_id, [0]), make_oracle(env_id)
    assert env.action_space == reference.action_space
    assert env.observation_shape == reference.observation_space.shape
    assert env.observation_dtype == reference.observation_space.dtype == env.reset().dtype


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_every_number_is_gymnasiums_over_many_episodes(env_id):
    env = MujocoVectorEnv(env_id, SEEDS)
    counts = compare(env, Oracle(env_id, SEEDS), random_actions(env, 250))
    assert counts["steps"] == 750
    if env_id in TERMINATING:
        assert counts["terminated"] > 30
    if env_id.startswith("Reacher"):
        assert counts["truncated"] == 15


@pytest.mark.parametrize("env_id", RUNNING)
def test_without_numba_every_number_is_gymnasiums_too(env_id, monkeypatch):
    """The plain parts of a task, which are what the compiled one is written after."""
    task = TASKS[env_id]
    assert (task.settle is None) == (planar_robots._settle is None)
    monkeypatch.setitem(TASKS, env_id, dataclasses.replace(task, settle=None))
    env = MujocoVectorEnv(env_id, SEEDS)
    compare(env, Oracle(env_id, SEEDS), random_actions(env, 250))


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Swimmer-v5", "InvertedPendulum-v4"])
def test_the_time_limit_is_gymnasiums(env_id):
    """One row over 1000 steps; the pendulum stands for as long, being put back upright by its controls."""
    env, oracle = MujocoVectorEnv(env_id, [7]), Oracle(env_id, [7])
    if env_id.startswith("InvertedPendulum"):
        observations = env.reset()
        np.testing.assert_array_equal(observations[0], oracle.reset()[0])
        for step in range(1005):
            actions = np.clip(observations @ [[1.0], [30.0], [2.0], [4.0]], -3, 3).astype(np.float32)
            transition = env.step(actions)
            assert_same_step(transition, oracle.step(actions))
            assert transition.truncated[0] == (step == 999)
            assert not transition.terminated[0]
            observations = transition.observations
    else:
        counts = compare(env, oracle, random_actions(env, 1005))
        assert counts == {"steps": 1005, "terminated": 0, "truncated": 1}


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Hopper-v5", "Walker2d-v4", "Walker2d-v5"])
def test_a_nearly_unmoved_walker_falls_as_gymnasiums(env_id):
    env = MujocoVectorEnv(env_id, SEEDS)
    counts = compare(env, Oracle(env_id, SEEDS), random_actions(env, 250, scale=1e-3))
    assert counts["terminated"] >= 3


def test_the_comparison_sees_the_last_bit():
    env, oracle = MujocoVectorEnv("Reacher-v4", SEEDS), Oracle("Reacher-v4", SEEDS)
    env.reset()
    oracle.reset()
    actions = random_actions(env, 1)[0]
    transition, expected = env.step(actions), oracle.step(actions)
    assert_same_step(transition, expected)
    for name in ("observations", "final_observations", "rewards"):
        changed = getattr(transition, name).copy()
        changed[1] = np.nextafter(changed[1], np.inf)
        with pytest.raises(AssertionError):
            assert_same_step(transition._replace(**{name: changed}), expected)
    for name in ("terminated", "truncated"):
        with pytest.raises(AssertionError):
            assert_same_step(transition._replace(**{name: ~getattr(transition, name)}), expected)


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_a_row_does_not_know_its_neighbours(env_id):
    seeds = list(range(33))
    together = MujocoVectorEnv(env_id, seeds)
    actions = random_actions(together, 40)
    alone = {i: MujocoVectorEnv(env_id, [seeds[i]]) for i in (0, 17, 32)}
    together.reset()
    for env in alone.values():
        env.reset()
    for action in actions:
        transition = together.step(action)
        for i, env in alone.items():
            row = [array[i : i + 1] for array in transition]
            assert_same_transition(type(transition)(*row), env.step(action[i : i + 1]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e10, 3e38])
@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Hopper-v5", "InvertedPendulum-v4", UNCLAMPED, "Reacher-v4"])
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_bad_action_acts_as_in_gymnasium_and_stays_in_its_row(env_id, bad):
    env, clean = MujocoVectorEnv(env_id, SEEDS), MujocoVectorEnv(env_id, SEEDS)
    actions = random_actions(env, 60)
    spoilt = actions.copy()
    spoilt[20:40, 1, 0] = bad
    oracle = Oracle(env_id, SEEDS)
    env.reset()
    clean.reset()
    oracle.reset()
    for action, spoilt_action in zip(actions, spoilt, strict=True):
        transition, expected = env.step(spoilt_action), clean.step(action)
        for array, other in zip(transition, expected, strict=True):
            np.testing.assert_array_equal(array[[0, 2]], other[[0, 2]])
        assert_same_step(transition, oracle.step(spoilt_action))


def test_unclamped_force_pushes_harder():
    """Only where the force is not clamped does more than 3 push harder."""

    def pushed(env_id, force):
        env = MujocoVectorEnv(env_id, [1])
        env.reset()
        return env.step(np.array([[force]], np.float32)).final_observations[0, 2]  # the cart's velocity

    assert pushed("InvertedPendulum-v4", 3) == pushed("InvertedPendulum-v4", 6) == pushed(UNCLAMPED, 3)
    assert pushed(UNCLAMPED, 6) > 1.5 * pushed(UNCLAMPED, 3) > 0


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_a_restored_environment_continues_to_the_bit(env_id):
    env, restored = MujocoVectorEnv(env_id, SEEDS), MujocoVectorEnv(env_id, [0, 0, 0])
    actions = random_actions(env, 130)
    env.reset()
    for action in actions[:37]:
        observations = env.step(action).observations
    state = env.get_state()
    np.testing.assert_array_equal(restored.set_state(state), observations)
    ended = 0
    for action in actions[37:]:
        transition = env.step(action)
        ended += int((transition.terminated | transition.truncated).sum())
        assert_same_transition(restored.step(action), transition)
    if not env_id.startswith(("HalfCheetah", "Swimmer")):  # no episode of theirs ends so early
        assert ended >= 3


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Swimmer-v4"])
def test_a_restored_environment_keeps_the_time_limit(env_id):
    env, restored = MujocoVectorEnv(env_id, [1]), MujocoVectorEnv(env_id, [0])
    actions = random_actions(env, 1003)
    env.reset()
    for action in actions[:990]:
        env.step(action)
    restored.set_state(env.get_state())
    for step, action in enumerate(actions[990:], 991):
        transition = env.step(action)
        assert transition.truncated[0] == (step == 1000)
        assert_same_transition(restored.step(action), transition)


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Reacher-v4", "InvertedDoublePendulum-v4"])
def test_a_state_is_a_copy_and_saves_again_unchanged(env_id):
    """Also before the first step after a restore, when the simulation's derived fields are still empty."""
    env, restored = MujocoVectorEnv(env_id, SEEDS), MujocoVectorEnv(env_id, SEEDS)
    env.reset()
    action = random_actions(env, 1)[0]
    env.step(action)
    state = env.get_state()
    kept = {name: value.copy() for name, value in state.items()}
    env.step(action)
    restored.set_state(state)
    again = restored.get_state()
    restored.step(action)
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)
        np.testing.assert_array_equal(again[name], value)


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_rows_can_be_cut_out_and_joined(env_id):
    three, two, joined = (MujocoVectorEnv(env_id, [0] * rows) for rows in (3, 2, 4))
    three = MujocoVectorEnv(env_id, SEEDS)
    actions = random_actions(three, 90)
    three.reset()
    for action in actions[:30]:
        three.step(action)
    state = three.get_state()
    two.set_state(take_rows(state, [0, 2]))
    joined.set_state(join_rows(take_rows(state, [1]), state))
    for action in actions[30:]:
        transition = three.step(action)
        assert_same_transition(two.step(action[[0, 2]]), type(transition)(*(array[[0, 2]] for array in transition)))
        order = [1, 0, 1, 2]
        assert_same_transition(joined.step(action[order]), type(transition)(*(array[order] for array in transition)))


def test_ill_fitting_states_are_refused_and_change_nothing():
    env = MujocoVectorEnv("Hopper-v4", SEEDS)
    env.reset()
    state = env.get_state()
    other = MujocoVectorEnv("Hopper-v5", SEEDS)
    other.reset()
    ill_fitting = {
        r"'environment' must be a list of 3 strings": take_rows(state, [0, 2]),
        r"saved by Hopper-v5": other.get_state(),
        r"needed are \['elapsed', 'environment'": {"elapsed": state["elapsed"]},
        r"'simulation' is float64 \(3, 5\), needed is float64 \(3, \d+\)": state
        | {"simulation": state["simulation"][:, :5]},
        r"'elapsed' is float64 \(3,\), needed is int64 \(3,\)": state | {"elapsed": np.zeros(3)},
        r"'elapsed' must lie between 0 and 999": state | {"elapsed": np.array([0, 1000, 0])},
        r"'observations' is list": state | {"observations": [[0.0]]},
        r"not the JSON of a PCG64's state": state | {"generators": ["{}"] * 3},
        r"not the JSON of a PCG64's state \(": state | {"generators": ["no"] * 3},
    }
    assert_refused(env, ill_fitting)
    for name, value in env.get_state().items():
        np.testing.assert_array_equal(value, state[name])


def test_misuse_is_said_in_one_line():
    env = MujocoVectorEnv("Hopper-v4", SEEDS)
    with pytest.raises(ValueError, match="before reset"):
        env.step(np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="before reset"):
        env.get_state()
    env.reset()
    with pytest.raises(ValueError, match=r"Hopper-v4: actions have shape \(3,\), needed is \(3, 3\)"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="not a MuJoCo task"):
        MujocoVectorEnv("Ant-v5", [0])


def test_returned_arrays_stay_as_they_were():
    env = MujocoVectorEnv("InvertedPendulum-v4", SEEDS)
    first = env.reset()
    kept = first.copy()
    results = []
    for action in random_actions(env, 30):
        transition = env.step(action)
        results.append((transition, [array.copy() for array in transition]))
    np.testing.assert_array_equal(first, kept)
    for transition, copies in results:
        assert_same_transition(transition, type(transition)(*copies))


def test_what_the_caller_does_to_observations_does_not_come_back():
    env, untouched = MujocoVectorEnv("Reacher-v4", SEEDS), MujocoVectorEnv("Reacher-v4", SEEDS)
    env.reset()[...] = 0.0
    untouched.reset()
    for action in random_actions(env, 3):
        transition = env.step(action)
        assert_same_transition(transition, untouched.step(action))
        transition.observations[...] = 0.0


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "HalfCheetah-v5"])
def test_the_model_is_gymnasiums_to_the_byte_up_to_two_flags(env_id):  # what the flags change is tested below
    def as_bytes(model):
        buffer = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
        mujoco.mj_saveModel(model, None, buffer)
        return buffer

    env = MujocoVectorEnv(env_id, [0])
    robot: Any = gymnasium.make(env_id).unwrapped
    reference = mujoco.MjModel.from_xml_path(robot.fullpath)
    assert not np.array_equal(as_bytes(env.sim.model), as_bytes(reference))
    reference.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND | mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    np.testing.assert_array_equal(as_bytes(env.sim.model), as_bytes(reference))


@pytest.mark.parametrize("env_id", [env_id for env_id in MUJOCO_IDS if env_id.endswith("-v4")])
def test_the_flags_change_no_bit(env_id, monkeypatch):
    """On states that falls and limits of joints lead to: of Reacher's 23,100 steps here six would have other bits if
    its islands were not solved apart."""

    def hashed(flags):
        if flags is not None:
            monkeypatch.setattr(mujoco_simulation, "spared", lambda model: flags)
        env, rng, digest = MujocoVectorEnv(env_id, range(33)), np.random.default_rng(1), hashlib.sha256()
        env.reset()
        for _ in range(700 if env_id == "Reacher-v4" else 150):
            transition = env.step(rng.normal(size=env.sim.ctrl.shape).astype(np.float32))
            digest.update(transition.observations.tobytes() + transition.rewards.tobytes())
        return digest.hexdigest()

    assert hashed(None) == hashed(0)


def test_mujoco_writes_nothing():
    """Neither the deprecated model nor a bad action writes to the screen or into the folder.

    In a process of its own, for MuJoCo writes to the file descriptors directly.
    """
    code = (
        "import numpy as np; from ppo.envs.mujoco import MujocoVectorEnv;"
        "env = MujocoVectorEnv('HalfCheetah-v4', [0, 1]); env.reset();"
        "env.step(np.full((2, 6), np.nan, np.float32)); print('stepped')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("stepped\n", "", 0)
    assert os.listdir() == []
