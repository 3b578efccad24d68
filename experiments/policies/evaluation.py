"""Load trained policies, with their observation normalisers, and play episodes."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from baselines import record_of
from experiments.modules import check_arguments, import_modules
from experiments.policies.video import MAX_STEPS, Act
from experiments.run import Run, trainable
from experiments.store.file_names import file_name
from experiments.store.files import OtherVersionError, StoreError, check_tree, one_line
from experiments.store.records import records_from_json
from experiments.store.stack_folder import stack_folders
from ppo import checkpoint
from ppo.envs import make
from ppo.envs.base import EnvironmentFailed, close_quietly
from ppo.files import remove_unfinished
from ppo.normalizers import ObservationNormalizer, observation_normalizer
from ppo.policies import hidden_units, make_policy
from ppo.policy import Policy
from ppo.rollout import sent
from ppo.seeding import environment_seeds
from ppo.stacked.convolutional import ARCHITECTURES


@dataclass(frozen=True)
class TrainedPolicy:
    """A trained policy with its observation normaliser."""

    run: Run
    policy: Policy
    normalizer: ObservationNormalizer | None
    action_space: Box | Discrete
    file: Path | None = None
    """Where it was loaded from."""

    @property
    def finite(self) -> bool:
        """Whether it can be played: the parameters, or the statistics, of a run that diverged are no numbers."""
        moments = [self.normalizer.statistics.mean, self.normalizer.statistics.var] if self.normalizer else []
        return bool(torch.isfinite(self.policy.parameters).all()) and all(np.isfinite(one).all() for one in moments)

    @torch.no_grad()
    def act(self, observations: NDArray[Any], noise: NDArray[np.float32] | None) -> NDArray[Any]:
        """Return actions ``[rows, ...]`` at ``observations`` ``[rows, ...]``; without noise the most likely ones."""
        rows = observations[None]
        if self.normalizer:
            inputs: NDArray[Any] = self.normalizer(rows)
        else:
            inputs = rows if rows.dtype == np.uint8 else rows.astype(np.float32)
        distribution = self.policy.distribution(torch.from_numpy(inputs))
        if noise is None or not self.run.settings.samples_actions:
            noise = np.zeros((len(observations), self.policy.action_size), dtype=np.float32)
        actions: NDArray[Any] = distribution.sample(torch.from_numpy(noise)[None])[0].numpy()
        return sent(actions, self.action_space, self.run.settings.clip_actions, self.run.settings.rescale_actions)

    def actor(self, seed: int, deterministic: bool) -> Act:
        """Return a function that acts at successive steps; ``seed``: of the noise."""

        def act(observations: NDArray[Any], step: int) -> NDArray[Any]:
            rows = len(observations)
            noise = None if deterministic else self.policy.draw_noise([seed], step, 1, rows)[0, 0]
            return self.act(observations, noise)

        return act


NONE: Mapping[str, Any] = MappingProxyType({})


def policies_in(path: Path, typed: Mapping[str, Any] = NONE) -> list[TrainedPolicy]:
    """Load the policies in a training's folder, a stack's, a checkpoint, an exported policy or a folder of those.

    ``typed``: arguments of environments that the user gave, and no file: they may be of any kind.
    """
    check_tree(path)
    files = sorted({*path.glob("*.pt"), *path.glob("stacks/*/checkpoint.pt")}) if path.is_dir() else [path]
    if not files:
        raise StoreError(
            f"{path} holds no trained policy: name a folder of `ppo train`, a stack's folder or a policy file"
        )
    return [trained for file in files for trained in _load(file, typed)]


def _load(path: Path, typed: Mapping[str, Any] = NONE) -> Iterator[TrainedPolicy]:
    state = checkpoint.load(path)
    try:
        runs = trainable(path, records_from_json(path, state["about"]["runs"]))
        statistics = state["algorithm"]["collector"]["observation_normalizer"]
        for row, run in enumerate(runs):
            check_arguments(path, run.environment, typed)
            env = make(run.environment, [0])
            shape, space = env.observation_shape, env.action_space
            critic_outputs = record_of(run.algorithm).load().critic_outputs(space)
            settings = run.settings
            _check_width(settings.network, state["algorithm"]["parameters"])
            policy = make_policy(
                *(settings.network, shape, space, [run.seed]),
                critic_outputs=critic_outputs,
                activation=settings.activation,
            )
            normalizer = observation_normalizer([run.settings], shape) if statistics else None
            close_quietly(env)
            parameters = state["algorithm"]["parameters"]
            _check_shape("parameters", parameters, (len(runs), policy.parameters.shape[1]), torch.float32)
            with torch.no_grad():
                policy.parameters.copy_(parameters[row : row + 1])
            if normalizer:
                for name in ("mean", "var"):
                    _check_shape(name, statistics[name], (len(runs), *shape), np.float64)
                moments = {name: statistics[name][row : row + 1] for name in ("mean", "var")}
                normalizer.statistics.load_state({**moments, "count": float(statistics["count"])})
            yield TrainedPolicy(run, policy, normalizer, space, path)
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        raise StoreError(f"{path} holds no policy of this version: {one_line(error)}") from error


def _check_width(network: str, parameters: torch.Tensor) -> None:
    """Raise ``ValueError`` if a network is larger than its parameters: before it is made, which takes memory."""
    layers = hidden_units(network) if network not in ARCHITECTURES else ()
    needed = sum(units * following for units, following in pairwise(layers))
    if needed > parameters.shape[1]:
        raise ValueError(f"network {network} has more than its {parameters.shape[1]} parameters")


def _check_shape(name: str, values: Any, shape: tuple[int, ...], kind: Any) -> None:
    if tuple(values.shape) != shape or values.dtype != kind:
        found = f"{values.dtype} of shape {tuple(values.shape)}"
        raise ValueError(f"{name} are {found}, and its network takes {kind} of shape {shape}")


def export(trained: TrainedPolicy, path: Path) -> None:
    """Write a policy as a small file that ``policies_in`` reads."""
    statistics = trained.normalizer.statistics.state() if trained.normalizer else None
    algorithm = {"parameters": trained.policy.parameters, "collector": {"observation_normalizer": statistics}}
    checkpoint.save(path, {"about": {"runs": [trained.run.record.to_json()]}, "algorithm": algorithm})


def keep_policies(results: Path, runs: Iterable[Run]) -> list[str]:
    """Write RESULTS/policies/ENV_ALGORITHM.pt for each of ``runs`` whose finished stack is in ``results`` with its
    checkpoint; returns a line for each checkpoint that is damaged."""
    keys, problems = {run.key for run in runs}, []
    for folder in stack_folders(results):
        if not folder.finished or not folder.checkpoint.exists():
            continue
        try:
            stack = trainable(folder.stack, folder.runs())
        except OtherVersionError:
            raise
        except StoreError:  # of an environment or an algorithm of somebody's own: none of these
            continue
        if not any(run.key in keys for run in stack):
            continue
        try:
            for trained in policies_in(folder.checkpoint):
                if trained.run.key in keys and trained.finite:
                    _keep(results / "policies", trained)
        except (StoreError, checkpoint.CheckpointError) as error:
            problems.append(f"no policy is kept of {folder.path.name}: {error}")
    return problems


def _keep(folder: Path, trained: TrainedPolicy) -> None:
    path = folder / file_name(f"{trained.run.environment}_{trained.run.algorithm}.pt")
    if not (path.exists() and _same(next(_load(path)), trained)):
        path.parent.mkdir(exist_ok=True)
        remove_unfinished(path.parent)
        export(trained, path)


def _same(one: TrainedPolicy, other: TrainedPolicy) -> bool:
    """Return whether both are the policy of one run after as many steps: a run may be trained in parts."""
    return one.run == other.run and torch.equal(one.policy.parameters, other.policy.parameters)


def play(trained: TrainedPolicy, episodes: int, seed: int, deterministic: bool) -> NDArray[np.float64]:
    """Return the raw returns of ``episodes`` episodes, as ``play_within`` does with the usual limit."""
    return play_within(MAX_STEPS, trained, episodes, seed, deterministic)[0]


def play_within(
    max_steps: int, trained: TrainedPolicy, episodes: int, seed: int, deterministic: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the raw returns of ``episodes`` episodes (Atari: whole games), all played side by side, and which of them
    were cut after ``max_steps`` steps: both ``[episodes]``. Raises ``EnvironmentFailed`` if one of them failed."""
    env = make(trained.run.environment, environment_seeds([seed], episodes))
    observations, act = env.reset(), trained.actor(seed, deterministic)
    returns, playing, step = np.zeros(episodes), np.ones(episodes, dtype=np.bool_), 0
    while playing.any() and step < max_steps:
        transition = env.step(act(observations, step))
        returns[playing] += transition.raw_rewards[playing]
        playing &= ~transition.game_over
        observations, step = transition.observations, step + 1
        if env.failures:
            raise EnvironmentFailed(next(iter(env.failures.values())))
    with contextlib.suppress(Exception):  # what was played counts, however the environment ends
        env.close()
    return returns, playing


def chosen_policies(
    path: Path, modules: Iterable[str], setting: str | None, run_seed: int | None, typed: Mapping[str, Any] = NONE
) -> list[TrainedPolicy]:
    """Load the policies in ``path`` of one setting, and of the runs with one seed; None for all.

    ``modules`` are imported first; ``typed`` is as in ``policies_in``. Raises ``StoreError`` if there are no such
    policies.
    """
    import_modules(modules, Path.cwd())
    if not path.exists():
        raise StoreError(f"there is no {path}: name a folder of `ppo train` or a policy file")
    loaded = policies_in(path, typed)
    policies = [
        policy for policy in loaded if run_seed in (None, policy.run.seed) and setting in (None, policy.run.setting)
    ]
    if not policies:
        runs = ", ".join(f"{policy.run.setting}/{policy.run.seed}" for policy in loaded)
        raise StoreError(f"{path} holds no such policy; setting/seed there: {runs}")
    return policies
