"""An environment of the user's own, in a folder of theirs: trained, played, and refused where it must be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import pandas as pd
import pytest

import experiments
from experiments.cli.commands import main
from experiments.store.files import read_json

PROJECT = Path(experiments.__file__).parents[1]

MODULE = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

class Steps(gymnasium.Env):
    "Pays its argument in each step, and ends after five."
    observation_space = Dict({"time": Discrete(6), "place": Box(-1, 1, (2, 2), np.float32)})
    action_space = Box(0, 10, (1,), np.float32)

    def __init__(self, pay=1.0):
        self.pay = pay

    def observe(self):
        return {"time": self.t, "place": np.zeros((2, 2), np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        assert 0 <= action[0] <= 10, "out of its bounds"
        self.t += 1
        return self.observe(), self.pay, self.t == 5, False, {}

gymnasium.register("Steps-v0", Steps)
"""

SMALL = ["--total-timesteps", "2e2", "--num-steps", "100", "--minibatch-size", "50", "--workers", "1"]


@pytest.fixture
def folder(tmp_path):
    """A user's folder, with an environment, and files that are called as the project's packages."""
    (tmp_path / "steps.py").write_text(MODULE)
    (tmp_path / "exits.py").write_text("import sys; sys.exit(0)")
    shutil.copy(Path(__file__).with_name("odd.py"), tmp_path)
    for name in ("ppo", "baselines", "experiments", "analysis", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    return tmp_path


def ppo(folder, *argv):
    """The command as an installed copy has it: what is in ``folder`` comes before nothing of the project."""
    code = "import sys; from experiments.cli.commands import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", code, *map(str, argv)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_an_environment_of_the_working_directory_is_trained_and_played(folder):
    flags = ["--env-kwargs", "pay=3", "--max-episode-steps", "4", "--clip-actions", "true", *SMALL]
    done = ppo(folder, "train", "steps:Steps-v0", *flags, "--out", "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = read_json(folder / "runs" / "manifest.json")["runs"]
    assert run["environment"] == "steps:Steps-v0(max_episode_steps=4, pay=3)"
    assert run["total_timesteps"] == 200
    episodes = pd.read_parquet(folder / "runs" / "episodes.parquet")
    assert set(episodes["episodic_return"]) == {12.0}
    assert len(episodes) == 50

    unasked = ppo(folder, "evaluate", "runs")
    assert unasked.returncode == 2
    assert "needs the module 'steps'" in unasked.stderr
    played = ppo(folder, "evaluate", "runs", "--import", "steps", "--episodes", "2")
    assert " 12.0" in played.stdout, played.stderr
    film = ppo(folder, "video", "runs", "--import", "steps")
    assert film.returncode == 2
    assert "draws no pictures: its render_modes are []" in film.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["steps:Steps-v0"], "refuses actions beyond its bounds, so --clip-actions true is needed: out of its bounds"),
        (["steps:Steps-v0", "--env-kwargs", "speed=1"], "--env-kwargs NAME=VALUE can give it pay"),
        (["steps:Steps-v0", "--env-kwargs", "speed"], "'speed' is not NAME=VALUE"),
        (["steps:Steps-v0", "--env-kwargs", "pay=1", "pay=2"], "--env-kwargs gives one name twice"),
        (["Steps-v0"], "An environment of your own or of another package is MODULE:ID"),
        (["nothing:Steps-v0"], "cannot import nothing: No module named 'nothing'"),
        (["CartPole-v1", "--network", "nature"], "the nature network is for images"),
        (["CarRacing-v3x"], "unknown environment"),
        (["Pendulum-v1", "--algorithm", "acer"], "ACER needs discrete actions"),
        (["Pendulum-v1", "--total-timesteps", "1.5"], "'1.5' is not a whole number of steps"),
        (["MountainCar-v0", "--rescale-actions", "true"], "the environment's actions are discrete"),
        (["odd:NoSpace-v0"], "its action_space is missing; it must be one of gymnasium.spaces"),
        (["odd:PlainSpace-v0"], "its observation_space is a tuple; it must be one of gymnasium.spaces"),
        (["odd:ExitsWhenMade-v0"], "cannot be made: it calls sys.exit(0)"),
        (["odd:ExitsAtReset-v0"], "does not keep to Gymnasium's API: it calls sys.exit(0)"),
        (["odd:OneAtATime-v0"], "cannot be made a second time: RuntimeError: the port is taken"),
        (["odd:OneEpisode-v0"], "cannot begin another episode: RuntimeError: it was begun before"),
        (["exits:Any-v0"], "cannot import exits: it calls sys.exit(0)"),
        (["CartPole-v1(x=1, x=2)"], "is neither an id nor ID(NAME=VALUE, ...)"),
        (["CartPole-v1(**{'sutton_barto_reward': True})"], "is neither an id nor ID(NAME=VALUE, ...)"),
        (["CartPole-v1", "--env-kwargs", f"sutton_barto_reward={'x' * 1000}"], "and a table takes 1,000"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line_before_anything_is_made(
    folder, argv, message, monkeypatch, capfd
):
    monkeypatch.setattr(sys, "path", [*sys.path])  # what the command adds is gone again after the test
    monkeypatch.delitem(sys.modules, "steps", raising=False)
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    for name, spec in list(gymnasium.registry.items()):
        if getattr(spec.entry_point, "__module__", "") in ("steps", "odd"):
            monkeypatch.delitem(gymnasium.registry, name)
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(["train", *argv, "--out", "runs"]))
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == before


def test_a_stack_of_strangers_imports_nothing(folder):
    """Only what was typed is imported: the worker refuses a name that the file alone holds."""
    done = ppo(folder, "train", "steps:Steps-v0", "--clip-actions", "true", *SMALL, "--out", "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    (stack,) = (folder / "runs" / "stacks").iterdir()
    (stack / "manifest.json").unlink()
    (folder / "installed").mkdir()
    (folder / "installed" / "steps.py").write_text(MODULE)  # it could be imported
    worker = [sys.executable, "-P", "-m", "experiments.training.worker", str(stack)]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{folder / 'installed'}"}
    code = subprocess.run(worker, cwd=folder, env=environment, capture_output=True).returncode
    assert code == 1
    said = (stack / "error.txt").read_text()
    assert "needs the module 'steps' for 'steps:Steps-v0': --import it if you trust it" in said
