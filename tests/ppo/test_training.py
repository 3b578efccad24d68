"""The loop around an algorithm: what it loads fits, or leaves it as it was."""

import numpy as np
import pytest
import torch

from ppo import checkpoint
from ppo.checkpoint import CheckpointError
from ppo.envs import make
from ppo.envs.base import EnvironmentDied
from ppo.ppo import PPO
from ppo.training import OtherEngineError, Training
from tests.helpers.environments import ScriptedEnv

ABOUT = {"runs": ["first", "second"]}


def training():
    return Training(PPO(make("CartPole-v1", [1, 2]), [PPO.Settings(num_steps=64, update_epochs=1)] * 2, [1, 2], 640))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c.pt"
    whole = training()
    whole.iterate()
    whole.save(path, ABOUT)
    return path


def with_episodes(**columns):
    return lambda state: state["episodes"].update(columns)


CHANGES = {
    "a tensor for whose it is": lambda state: state.update(about=torch.zeros(2)),
    "a tensor in whose it is": lambda state: state.update(about={"runs": torch.zeros(2)}),
    "nothing for whose it is": lambda state: state.pop("about"),
    "no episodes": lambda state: state.pop("episodes"),
    "text for episodes": lambda state: state.update(episodes="all"),
    "lists for columns": with_episodes(step=[1, 2]),
    "a column too short": with_episodes(step=np.zeros(1, np.int64)),
    "a column of another type": with_episodes(step=np.zeros(0, np.float32)),
    "one column more": with_episodes(more=np.zeros(1)),
    "a run that is not there": with_episodes(
        run=np.array([2], np.int32),
        step=np.array([9]),
        episodic_return=np.ones(1),
        episodic_length=np.ones(1, np.int32),
    ),
    "text for a time": lambda state: state.update(wall_time="soon"),
    "no time at all": lambda state: state.update(wall_time=float("nan")),
    "no versions": lambda state: state.update(began_with=3),
    "no algorithm": lambda state: state.pop("algorithm"),
    "a list for an algorithm": lambda state: state.update(algorithm=[1]),
    "other parameters": lambda state: state["algorithm"].update(parameters=torch.zeros(2, 3)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_foreign_checkpoint_is_refused(saved, tmp_path, kind):
    """A checkpoint of something else is refused in a line, and changes nothing."""
    path = tmp_path / "other.pt"
    state = checkpoint.load(saved)
    CHANGES[kind](state)
    checkpoint.save(path, state)
    mine, untouched = training(), training()
    with pytest.raises(CheckpointError, match=r"other\.pt") as error:
        mine.load(path, ABOUT)
    assert "\n" not in str(error.value)
    for one in (mine, untouched):
        one.iterate()
    assert (mine.saved_at, mine.began_with) == (0, {})
    for name, values in untouched.episodes().items():
        np.testing.assert_array_equal(mine.episodes()[name], values)
    assert torch.equal(mine.algorithm.policy.parameters, untouched.algorithm.policy.parameters)


def test_what_is_loaded_replaces_what_was(saved):
    mine, other = training(), training()
    mine.iterate()
    for one in (mine, other):
        one.load(saved, ABOUT)
    assert mine.saved_at == mine.algorithm.steps_done == 64
    np.testing.assert_array_equal(mine.scores(), other.scores())
    np.testing.assert_array_equal(mine.episodes()["step"], other.episodes()["step"])


def test_environment_dying_in_a_restore_keeps_the_checkpoint(saved, monkeypatch):
    """An environment that dies while it is restored says nothing against the checkpoint."""
    mine = training()

    def die(state):
        raise EnvironmentDied("CartPole-v1: process 17 was killed by SIGKILL")

    monkeypatch.setattr(mine.algorithm.env, "set_state", die)
    with pytest.raises(EnvironmentDied):
        mine.load(saved, ABOUT)


def test_another_engines_training_goes_on_if_asked(tmp_path):
    """A training of another engine goes on only if that is asked for.

    And what it was computed by is kept, from which step on.
    """

    def training(engine):
        env = ScriptedEnv([5])
        return Training(PPO(env, [PPO.Settings(num_steps=64, update_epochs=1)], [1], 256, engine=engine))

    first = training("torch")
    first.iterate()
    first.save(tmp_path / "c.pt", {})
    assert first.engine == "torch"
    other = training("numba")
    with pytest.raises(
        OtherEngineError, match=r"c\.pt was trained by the torch engine: --engine torch continues"
    ) as error:
        other.load(tmp_path / "c.pt", {})
    assert "\n" not in str(error.value)
    other.load(tmp_path / "c.pt", {}, change_engine=True)
    assert other.engine == "torch to step 64, then numba"
    other.save(tmp_path / "d.pt", {})
    again = training("numba")
    again.load(tmp_path / "d.pt", {})
    assert again.engine == other.engine
    assert again.algorithm.steps_done == 64
