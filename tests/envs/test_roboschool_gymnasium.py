"""The humanoid tasks of section 6.3 through Gymnasium: its checker, rows of the same bits, pictures, bad keywords."""

import os
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ppo.envs import ROBOSCHOOL_IDS, make
from ppo.envs.roboschool.environment import EPISODE_STEPS, RoboschoolVectorEnv
from ppo.envs.roboschool.rules import RULES
from tests.helpers.gymnasium_oracle import Oracle, compare, random_actions

IDS = tuple(ROBOSCHOOL_IDS)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_is_content(env_id):
    """Of pictures too, where they can be drawn: below."""
    check_env(gymnasium.make(env_id).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("env_id", IDS)
def test_a_row_is_the_environment_that_gymnasium_makes(env_id):
    """Over many episodes, each of whose starts is drawn when the one before ends."""
    seeds = [3, 14, 15]
    env = RoboschoolVectorEnv(env_id, seeds)
    counts = compare(env, Oracle(env_id, seeds), random_actions(env, 260))
    assert counts["terminated"] >= 3


@pytest.mark.parametrize("limit", [30, 1500])
def test_an_episode_lasts_as_long_as_the_wrapper_says(limit):
    """With the robot of Harder held up, which otherwise falls."""
    env: Any = gymnasium.make(IDS[2], max_episode_steps=limit)
    env.reset(seed=3)
    for step in range(1, limit + 1):
        env.unwrapped.vector_env.sim.qpos[:, 2] = 1.5
        _, _, terminated, truncated, _ = env.step(np.zeros(17, np.float32))
        assert (terminated, truncated) == (False, step == limit)


def test_reset_in_the_middle_of_an_episode_starts_another():
    env = gymnasium.make(IDS[1])
    first, _ = env.reset(seed=5)
    env.step(np.zeros(17, np.float32))
    second, _ = env.reset()
    assert not np.array_equal(first, second)
    again, _ = env.reset(seed=5)
    np.testing.assert_array_equal(again, first)
    env.step(np.zeros(17, np.float32))
    np.testing.assert_array_equal(env.reset()[0], second)


@pytest.mark.parametrize("env_id", IDS)
def test_info_has_the_reward_in_five_parts(env_id):
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.full(17, 0.5, np.float32))
    names = ["alive", "progress", "electricity", "joints_at_limit", "feet_collision"]
    assert list(info) == [f"reward_{name}" for name in names]
    assert sum(info.values()) == pytest.approx(reward, abs=1e-12)


def test_registered_tasks_are_those_made():
    """The registered tasks are those that are made, and end as they do."""
    assert all(set(tasks) == set(IDS) for tasks in RULES.values())
    for env_id in IDS:
        assert gymnasium.spec(env_id).max_episode_steps == EPISODE_STEPS


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"wind": 1, "gravity": 2}, "unknown keywords wind, gravity; known are render_mode, width, height, rules"),
        ({"render_mode": "ansi"}, "render_mode is 'ansi'; rgb_array or None is possible"),
        ({"width": 0}, "width is 0; a whole number of pixels is needed, 1 to 4096"),
        ({"width": 2**40}, "width is 1099511627776; a whole number of pixels is needed, 1 to 4096"),
        ({"width": True}, "width is True; a whole number of pixels is needed, 1 to 4096"),
        ({"height": 2.5}, "height is 2.5; a whole number of pixels is needed, 1 to 4096"),
        ({"height": "a"}, "height is 'a'; a whole number of pixels is needed, 1 to 4096"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*that is not in the possible render_modes:UserWarning")
def test_what_cannot_be_asked_for_is_said_in_one_line(keywords, message):
    with pytest.raises(ValueError, match=message) as error:
        gymnasium.make(IDS[0], **keywords)
    assert str(error.value) == f"{IDS[0]}: {message}"


@pytest.mark.parametrize(
    ("env_id", "nearest"),
    [
        ("RoboschoolHumanoid-v1", IDS[0]),
        ("RoboschoolHumanoidFlagrun-v1", IDS[1]),
        ("RoboschoolHumanoidFlagrunHarder-v2", IDS[2]),
        ("RoboschoolHumaniod-v0", IDS[0]),
        ("RoboschoolFlagrunHarder-v0", IDS[2]),
    ],
)
def test_another_version_or_a_slip_gets_the_nearest_id(env_id, nearest):
    with pytest.raises(ValueError, match=f"unknown environment '{env_id}'; did you mean {nearest}") as error:
        make(env_id, [0])
    assert "\n" not in str(error.value)


def test_gymnasium_makes_them_without_torch_and_without_a_file():
    code = (
        "import sys, gymnasium; env = gymnasium.make('ppo.envs:RoboschoolHumanoidFlagrunHarder-v0'); env.reset(seed=0);"
        "env.step(env.action_space.sample()); print('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("False\n", "", 0)
    assert os.listdir() == []


def test_without_numba_the_bits_are_the_same():
    code = (
        "import numpy as np; from ppo.envs import make\n"
        "env = make('RoboschoolHumanoidFlagrunHarder-v0', range(3)); env.reset()\n"
        "for _ in range(20): transition = env.step(np.full((3, 17), 0.3, np.float32))\n"
        "print(transition.observations.tobytes().hex())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    printed = [
        subprocess.run(
            [sys.executable, "-c", first + code], capture_output=True, text=True, env=environment, check=True
        )
        for first in ("", "import sys; sys.modules['numba'] = None\n")
    ]
    assert printed[0].stdout == printed[1].stdout != ""


DRAW = """
import sys, gymnasium, numpy as np
env = gymnasium.make("ppo.envs:" + sys.argv[1], render_mode="rgb_array", width=120, height=80)
observation, _ = env.reset(seed=1)
try:
    pictures = [env.render()]
except Exception as error:
    sys.exit(f"cannot draw: {error}")
others = [gymnasium.make("ppo.envs:" + sys.argv[1], render_mode="rgb_array", width=60, height=40) for _ in range(2)]
for action in np.load("actions.npy"):
    observation = env.step(action)[0]
    for other in others[:int(sys.argv[2])]:
        other.reset(seed=2)
        other.render()
    others[-1].close()
    pictures.append(env.render())
env.close()
if sys.argv[2] == "2":
    from gymnasium.utils.env_checker import check_env
    check_env(gymnasium.make(sys.argv[1], render_mode="rgb_array", width=60, height=40).unwrapped)
np.savez("drawn.npz", pictures=pictures, observation=observation)
"""


RUN = """
import sys, numpy as np
from ppo.envs.roboschool.environment import RoboschoolVectorEnv
from ppo.envs.roboschool.gymnasium_env import Drawing
env = RoboschoolVectorEnv("RoboschoolHumanoid-v0", [0])
env.reset()
qpos, flag = env.sim.qpos[0].copy(), np.zeros(2)
try:
    drawing = Drawing(cube=False, flag=False, width=120, height=80)
except Exception as error:
    sys.exit(f"cannot draw: {error}")
pictures = []
for qpos[0] in np.arange(25):
    pictures.append(drawing.picture(qpos, flag))
np.savez("drawn.npz", pictures=pictures)
"""


def drawn(env_id, actions, others=0):
    """Pictures and the last observation, while ``others`` are drawn too."""
    np.save("actions.npy", actions)
    return in_a_process(DRAW, env_id, str(others))


def in_a_process(code, *arguments):
    """What ``code`` leaves in drawn.npz; by a process of its own, for MuJoCo chooses its library of graphics once."""
    environment = {"MUJOCO_GL": "egl"} | os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if "cannot draw" in done.stderr or "OpenGL" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return dict(np.load("drawn.npz"))


def reds(picture):
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return int(((red > 90) & (red > 3 * green) & (red > 3 * blue)).sum())


def test_pictures_show_robot_and_flag_and_change_nothing():
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 17)).astype(np.float32)
    with_flag = drawn(IDS[1], actions)
    assert with_flag["pictures"].shape == (4, 80, 120, 3)
    assert with_flag["pictures"].dtype == np.uint8
    assert not np.array_equal(with_flag["pictures"][0], with_flag["pictures"][3])
    assert reds(with_flag["pictures"][0]) > 0
    assert reds(drawn(IDS[0], actions[:0])["pictures"][0]) == 0
    np.testing.assert_array_equal(drawn(IDS[1], actions, others=2)["pictures"], with_flag["pictures"])
    env = gymnasium.make(IDS[1])
    env.reset(seed=1)
    for action in actions:
        undrawn = env.step(action)[0]
    np.testing.assert_array_equal(with_flag["observation"], undrawn)


def test_pictures_follow_a_robot_that_runs_far():
    def seen(picture):
        """Where the picture is of the robot's colour, above the marks of its path, and where of the floor's."""
        red, green, blue = picture[:55].astype(int).transpose(2, 0, 1)
        return (red > 50) & (red > 1.3 * green), (green > 60) & (green > 1.2 * red) & (green > 1.2 * blue)

    pictures = in_a_process(RUN)["pictures"]
    (robot, floor), (robot_there, floor_there) = seen(pictures[0]), seen(pictures[-1])
    assert robot.sum() > 100
    assert (robot != robot_there).mean() < 0.01
    assert floor.mean() > 0.2
    assert (floor != floor_there).mean() < 0.01
