"""What every test of the environments needs."""

import pytest
from atari_oracle import SEEDS

from ppo.envs import make
from ppo.envs.atari import AtariVectorEnv


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Gymnasium's own MuJoCo tasks leave a MUJOCO_LOG.TXT where they are made."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def atari():
    """Makes environments and closes them."""
    made = []

    def open_env(env_id, seeds=SEEDS, processes=1):
        made.append(make(env_id, seeds, processes))
        assert isinstance(made[-1], AtariVectorEnv)
        return made[-1]

    yield open_env
    for env in made:
        env.close()
