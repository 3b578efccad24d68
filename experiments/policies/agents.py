"""The library's public face, from Python: train in this process, load what was trained, let it act and play."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.messages import unknown_name_message
from experiments.paper.settings import usual_settings
from experiments.planning.remaining import left_to_train
from experiments.policies.evaluation import TrainedPolicy, export, play, policies_in
from experiments.run import Run, known_settings
from experiments.store import results
from experiments.store.files import StoreError
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import read_episodes
from experiments.training import worker
from experiments.training.options import Options
from ppo.algorithm import Algorithm
from ppo.distributions import Categorical, DiagonalGaussian
from ppo.envs.making import make_one, split_arguments
from ppo.process import prepare_process
from ppo.settings import Settings, declared


@dataclass(frozen=True)
class Agent:
    """A trained policy, for one environment at a time."""

    trained: TrainedPolicy

    @property
    def run(self) -> Run:
        """What was trained: environment, algorithm, settings, seed, budget."""
        return self.trained.run

    def act(self, observation: Any, generator: np.random.Generator | None = None) -> Any:
        """Return the action at one ``observation``, as the environment takes it: an array, or a number where it has
        choices. The most likely one; with a ``generator`` one that is drawn."""
        policy = self.trained.policy
        kind = Categorical if policy.discrete else DiagonalGaussian
        noise = None if generator is None else kind.draw_noise(generator, (1,), policy.action_size)
        action = self.trained.act(np.asarray(observation)[None], noise)[0]
        return int(action) if policy.discrete else action

    def environment(self, **more: Any) -> gymnasium.Env[Any, Any]:
        """Make the environment that it was trained in, with observations as ``act`` takes them: flattened, where they
        are no vectors. ``more``: arguments of ``gymnasium.make``, such as ``render_mode``."""
        return make_one(self.run.environment, **more)

    def save(self, path: Path | str) -> None:
        """Write the policy as one small file, which ``load`` reads. One that is there is replaced."""
        Path(path).unlink(missing_ok=True)
        export(self.trained, Path(path))


@dataclass(frozen=True)
class Trained:
    """What came out of a training."""

    agents: list[Agent]
    """One for each seed."""
    episodes: pd.DataFrame
    """A row for each episode: environment, algorithm, setting, seed, step, episodic_return, episodic_length."""


def train(
    environment: str,
    algorithm: str | type[Algorithm],
    seeds: Sequence[int],
    total_timesteps: int,
    out: Path | str | None,
    settings: Mapping[str, Any],
) -> Trained:
    """Train in this process, as ``ppo.train`` says."""
    if isinstance(algorithm, type):
        algorithm = f"{algorithm.__module__}:{algorithm.__qualname__}"
    name, own = _changed(usual_settings(environment, algorithm), settings)
    runs = [Run(environment, algorithm, name, int(seed), int(total_timesteps), own) for seed in seeds]
    if out is not None:
        return _train(runs, Path(out))
    with tempfile.TemporaryDirectory() as folder:
        return _train(runs, Path(folder))


def _changed(usual: Settings, settings: Mapping[str, Any]) -> tuple[str, Settings]:
    """Return ``usual`` with ``settings``, and a name that says where they differ."""
    for name in settings:
        if name not in declared(type(usual)):
            raise ValueError(unknown_name_message("setting", name, declared(type(usual))))
    changed = replace(usual, **settings)
    changed.check()
    before = dataclasses.asdict(usual)
    differing = [f"{name}={value}" for name, value in dataclasses.asdict(changed).items() if value != before[name]]
    return ",".join(differing) or "default", changed


def _train(runs: Sequence[Run], out: Path) -> Trained:
    prepare_process()
    out.mkdir(parents=True, exist_ok=True)
    known = known_settings({run.algorithm for run in runs if ":" in run.algorithm})
    recorded, _ = results.recorded_runs(out, known, mend=True)
    results.check_names(out, [run.record for run in runs], known)
    finished = {key for key, run in recorded.items() if run.reaches(1.0)}
    for stack in left_to_train(out, runs, finished, workers=1):
        folder = StackFolder(out / "stacks" / stack.name)
        folder.create([run.record for run in stack.runs])
        with folder.log.open("a") as log, contextlib.redirect_stdout(log):
            worker.train(folder, Options(), stop=False)
    results.collect(out, out, {"protocol": None, "profile": "train"}, [run.record for run in runs], known, keep=True)
    keys = [run.key for run in runs]
    _, typed = split_arguments(runs[0].environment)
    agents = {policy.run.key: Agent(policy) for policy in policies_in(out, typed) if policy.run.key in keys}
    episodes = read_episodes(out / "episodes.parquet")
    first = runs[0]
    of_these = (episodes["environment"] == first.environment) & (episodes["algorithm"] == first.algorithm)
    of_these &= (episodes["setting"] == first.setting) & episodes["seed"].isin([run.seed for run in runs])
    return Trained([agents[key] for key in keys], episodes[of_these].reset_index(drop=True))


def load(path: Path | str, setting: str | None, seed: int | None) -> Agent:
    """Load one trained policy, as ``ppo.load`` says."""
    if not Path(path).exists():
        raise StoreError(f"there is no {path}: name a folder of `ppo train` or a policy file")
    found = [
        policy
        for policy in policies_in(Path(path))
        if setting in (None, policy.run.setting) and seed in (None, policy.run.seed)
    ]
    if len(found) != 1:
        there = ", ".join(f"setting={policy.run.setting!r}, seed={policy.run.seed}" for policy in found)
        raise StoreError(
            f"{path} holds {len(found)} such policies, and one is needed{': choose ' if there else ''}{there}"
        )
    return Agent(found[0])


def evaluate(agent: Agent | Path | str, episodes: int, seed: int, deterministic: bool) -> NDArray[np.float64]:
    """Play episodes, as ``ppo.evaluate`` says."""
    playing = agent if isinstance(agent, Agent) else load(agent, None, None)
    return play(playing.trained, episodes, seed, deterministic)
