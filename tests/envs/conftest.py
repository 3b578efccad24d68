"""What every test of the environments needs."""

import pytest

from ppo.envs import make
from ppo.envs.atari import AtariVectorEnv
from tests.helpers.atari_oracle import SEEDS


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
