"""Which engine an id gets, and what is said of an id that cannot be made."""

import gymnasium
import numpy as np
import pytest

from ppo.envs import make
from ppo.envs.gymnasium import GymnasiumVectorEnv
from ppo.envs.mujoco import MUJOCO_IDS, MujocoVectorEnv
from tests.helpers.gymnasium_oracle import assert_same_transition, random_actions


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_the_papers_tasks_are_batched(env_id):
    assert isinstance(make(env_id, [0, 1]), MujocoVectorEnv)


@pytest.mark.parametrize(
    "env_id", ["Ant-v5", "CartPole-v1", "Pendulum-v1", "gymnasium.envs.classic_control:Acrobot-v1"]
)
def test_any_other_gymnasium_id_works(env_id):
    env = make(env_id, [0, 1])
    assert isinstance(env, GymnasiumVectorEnv)
    assert env.reset().shape == (2, *env.observation_shape)
    env.close()


@pytest.mark.parametrize("env_id", ["Hopper-v4", "CartPole-v1", "BreakoutNoFrameskip-v4"])
def test_reset_starts_over(env_id):
    env = make(env_id, [5, 6])
    first = env.reset()
    actions = random_actions(env, 30)
    last = [env.step(action) for action in actions][-1]
    np.testing.assert_array_equal(env.reset(), first)
    assert_same_transition([env.step(action) for action in actions][-1], last)
    assert not np.array_equal(last.observations[0], last.observations[1])
    env.close()


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("Hoper-v4", "unknown environment 'Hoper-v4'; did you mean Hopper-v4, Hopper-v5?"),
        ("Hopper", "unknown environment 'Hopper'; did you mean Hopper-v5, Hopper-v4?"),
        ("PingNoFrameskip-v4", "unknown environment 'PingNoFrameskip-v4'; did you mean PongNoFrameskip-v4"),
        ("Pong", "unknown environment 'Pong'; did you mean PongNoFrameskip-v4"),
        ("RoboschoolHumanoid-v1", "unknown environment 'RoboschoolHumanoid-v1'; did you mean RoboschoolHumanoid-v0"),
        (
            "zzz",
            "unknown environment 'zzz'; gymnasium.pprint_registry() lists the known ones. An environment of your own",
        ),
    ],
)
def test_an_unknown_id_gets_its_nearest(env_id, message):
    with pytest.raises(ValueError, match="unknown") as error:
        make(env_id, [0])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("ALE/Pong-v5", "by the ids that end in NoFrameskip-v4; choose PongNoFrameskip-v4"),
        ("PongNoFrameskip-v0", "by the ids that end in NoFrameskip-v4; choose PongNoFrameskip-v4"),
        ("ALE/Tetris-v5", "by the ids that end in NoFrameskip-v4; ale-py has none of this game"),
    ],
)
def test_other_ids_of_atari_games_are_refused_with_the_right_one(env_id, message):
    with pytest.raises(ValueError, match=message) as error:
        make(env_id, [0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_missing_rom_is_one_line(monkeypatch, tmp_path, damaged):
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    if damaged:
        (tmp_path / "pong.bin").write_bytes(b"no game")
    with pytest.raises(
        ValueError, match=r"'PongNoFrameskip-v4' cannot be made: ale-py .* no usable ROM pong.bin"
    ) as error:
        make("PongNoFrameskip-v4", [0])
    assert "pip install --force-reinstall ale-py" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="'Hopper-v4': the list of seeds is empty"):
        make("Hopper-v4", [])


def test_a_missing_package_is_one_line(monkeypatch):
    def needs_a_package():
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed,\n run `pip install swig`")

    monkeypatch.setitem(
        gymnasium.registry, "Lander-v0", gymnasium.envs.registration.EnvSpec("Lander-v0", needs_a_package)
    )
    with pytest.raises(ValueError, match="cannot be made") as error:
        make("Lander-v0", [0])
    assert str(error.value) == "environment 'Lander-v0' cannot be made: Box2D is not installed, run `pip install swig`"


@pytest.mark.parametrize("env_id", ["Hopper-v3", "nomodule:Thing-v0"])
def test_what_gymnasium_cannot_make_is_one_line(env_id):
    with pytest.raises(ValueError, match=f"environment '{env_id}' cannot be made: ") as error:
        make(env_id, [0])
    assert "\n" not in str(error.value)
