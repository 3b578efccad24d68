"""The library from Python: the public functions, and the examples, which are run as they stand."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ppo
from experiments.store.files import BusyError, locked
from experiments.training import worker

ROOT = Path(ppo.__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SMALL = {"total_timesteps": 512, "num_steps": 256, "minibatch_size": 64, "update_epochs": 1}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("python") / "cartpole"


@pytest.fixture(scope="module")
def trained(out):
    return ppo.train("CartPole-v1", seeds=[1, 2], out=out, **SMALL)


def test_training_returns_an_agent_and_the_episodes_of_every_seed(trained):
    assert [agent.run.seed for agent in trained.agents] == [1, 2]
    assert set(trained.episodes["seed"]) == {1, 2}
    assert (trained.episodes.groupby("seed")["episodic_length"].sum() <= 512).all()
    assert (trained.episodes["episodic_return"] == trained.episodes["episodic_length"]).all(), "CartPole pays 1 a step"


def test_the_same_call_trains_the_same_with_and_without_a_folder(trained):
    again = ppo.train("CartPole-v1", seeds=[1, 2], **SMALL)
    pd.testing.assert_frame_equal(again.episodes, trained.episodes)


def test_a_folder_is_what_the_command_leaves(trained, out):
    frame = ppo.results(out)
    assert list(frame.columns)[:5] == ["protocol", "environment", "algorithm", "setting", "seed"]
    pd.testing.assert_frame_equal(frame.drop(columns="protocol"), trained.episodes)
    before = (out / "episodes.parquet").read_bytes()
    ppo.train("CartPole-v1", seeds=[1, 2], out=out, **SMALL)  # finished: nothing is trained
    assert (out / "episodes.parquet").read_bytes() == before


def test_an_agent_acts_as_its_network_says(trained, out):
    """The most likely action: by hand, from the weights and the normaliser."""
    agent = ppo.load(out, seed=2)
    assert agent.run.key == trained.agents[1].run.key
    policy: Any = agent.trained.policy
    statistics = agent.trained.normalizer.statistics
    observations = np.random.default_rng(3).normal(size=(50, 4))
    hidden = (observations - statistics.mean[0]) / np.sqrt(statistics.var[0] + 1e-8)
    layers = [(weights[0].detach().numpy(), bias[0].detach().numpy()) for weights, bias in policy.layers["actor"]]
    for number, (weights, bias) in enumerate(layers):
        hidden = np.clip(hidden, -10, 10) if number == 0 else np.tanh(hidden)
        hidden = hidden @ weights + bias.reshape(-1)
    assert [agent.act(observation) for observation in observations] == hidden.argmax(1).tolist()
    assert set(hidden.argmax(1)) == {0, 1}


def test_drawn_actions_are_those_of_the_policy(trained):
    """With logits of nearly 0 both actions come about half of the time."""
    agent, generator = trained.agents[0], np.random.default_rng(0)
    drawn = [agent.act(np.zeros(4), generator) for _ in range(400)]
    assert set(drawn) == {0, 1}
    assert 0.2 < np.mean(drawn) < 0.8


def test_a_saved_agent_acts_the_same(trained, tmp_path):
    agent = trained.agents[0]
    for _ in range(2):  # the second replaces the first
        agent.save(tmp_path / "agent.pt")
    saved = ppo.load(tmp_path / "agent.pt")
    returns = ppo.evaluate(agent, 2)
    np.testing.assert_array_equal(ppo.evaluate(saved, 2), returns)
    np.testing.assert_array_equal(ppo.evaluate(tmp_path / "agent.pt", 2), returns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda out: ppo.train("CartPole-v1", clip_coeff=1), "unknown setting 'clip_coeff'; did you mean clip_coef"),
        (lambda out: ppo.train("CartPol-v1"), "unknown environment 'CartPol-v1'; did you mean CartPole"),
        (lambda out: ppo.train("CartPole-v1", clip_coef=-1.0), "clip_coef = -1.0 cannot be trained"),
        (lambda out: ppo.train("CartPole-v1", algorithm=dict), "builtins:dict is no algorithm"),
        (lambda out: ppo.train("CartPole-v1", algorithm="pppo"), "unknown algorithm 'pppo'; did you mean ppo"),
        (
            lambda out: ppo.train("CartPole-v1", out=out, **{**SMALL, "total_timesteps": 64}),
            "and 64 steps are asked for",
        ),
        (lambda out: ppo.load(out), "holds 2 such policies, and one is needed: choose setting="),
        (lambda out: ppo.load(out / "nothing"), "there is no"),
        (lambda out: ppo.results(out / "policies"), "holds no episodes"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(trained, out, call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(out)
    assert "\n" not in str(error.value)


def test_no_other_process_trains_the_same_meanwhile(tmp_path, monkeypatch):
    """A stack that Python trains is locked, as one that the command trains."""
    train = worker._train_through_deaths

    def watched(folder, options, stop):
        with pytest.raises(BusyError), locked(folder.path):
            pass
        return train(folder, options, stop)

    monkeypatch.setattr(worker, "_train_through_deaths", watched)
    assert len(ppo.train("CartPole-v1", out=tmp_path / "out", **SMALL).agents) == 1


def test_the_version_is_the_installed_ones():
    assert ppo.__version__ == importlib.metadata.version("ppo-reproduction")


def test_importing_the_library_takes_no_torch():
    code = "import sys, ppo; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, path, "2048"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_notebook_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads((ROOT / "examples" / "figure3_on_hopper.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["scores"].loc["ppo", "mean"] > 1000
    assert names["scores"]["size"].min() >= 3
