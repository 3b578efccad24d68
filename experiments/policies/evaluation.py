"""Use what was trained: play episodes with a policy, or film it. The observation normaliser belongs to the policy."""

import argparse
import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from baselines import ALGORITHMS
from experiments.paper.protocols import Run
from experiments.policies.video import Act, film
from experiments.store.file_names import file_name
from experiments.store.files import StoreError, runs_from_json, stack_folders, writable
from ppo import checkpoint
from ppo.algorithm import observation_normalizer
from ppo.envs import make
from ppo.normalizers import ObservationNormalizer
from ppo.policies import Policy, make_policy
from ppo.rollout import clipped
from ppo.seeding import environment_seeds


@dataclass(frozen=True)
class Player:
    """One trained policy with its observation normaliser."""

    run: Run
    policy: Policy
    normalizer: ObservationNormalizer | None
    action_space: Box | Discrete

    @torch.no_grad()
    def act(self, observations: NDArray[Any], noise: NDArray[np.float32] | None) -> NDArray[Any]:
        """Actions ``[rows, ...]`` at ``observations`` ``[rows, ...]``; without noise the most likely ones."""
        rows = observations[None]
        if self.normalizer:
            inputs: NDArray[Any] = self.normalizer(rows)
        else:
            inputs = rows if rows.dtype == np.uint8 else rows.astype(np.float32)
        distribution = self.policy.distribution(torch.from_numpy(inputs))
        if noise is None or not self.run.settings.samples_actions:
            noise = np.zeros((len(observations), self.policy.action_size), dtype=np.float32)
        actions: NDArray[Any] = distribution.sample(torch.from_numpy(noise)[None])[0].numpy()
        return clipped(actions, self.action_space) if self.run.settings.clip_actions else actions

    def actor(self, seed: int, deterministic: bool) -> Act:
        """How it acts in step after step; ``seed`` is its noise's."""

        def act(observations: NDArray[Any], step: int) -> NDArray[Any]:
            rows = len(observations)
            noise = None if deterministic else self.policy.draw_noise([seed], step, 1, rows)[0, 0]
            return self.act(observations, noise)

        return act


def players(path: Path) -> list[Player]:
    """The policies in a training folder, a stack's folder, a checkpoint, an exported policy or a folder of those."""
    files = [path] if path.is_file() else sorted({*path.glob("*.pt"), *path.glob("stacks/*/checkpoint.pt")})
    if not files:
        raise StoreError(
            f"{path} holds no trained policy: name a folder of `ppo train`, a stack's folder or a policy file"
        )
    return [player for file in files for player in _load(file)]


def _load(path: Path) -> Iterator[Player]:
    state = checkpoint.load(path)
    try:
        runs = runs_from_json(path, state["about"]["runs"])
        statistics = state["algorithm"]["collector"]["observation_normalizer"]
        for row, run in enumerate(runs):
            module, colon, _ = run.environment.partition(":")
            if colon and module not in sys.modules:  # Gymnasium would import what the file says, and so run it
                raise StoreError(
                    f"{path} needs the module {module!r} for {run.environment!r}: --import it if you trust it"
                )
            env = make(run.environment, [0])
            shape, space = env.observation_shape, env.action_space
            critic_outputs = ALGORITHMS[run.algorithm].critic_outputs(space)
            settings = run.settings
            policy = make_policy(
                *(settings.network, shape, space, [run.seed]),
                critic_outputs=critic_outputs,
                activation=settings.activation,
            )
            normalizer = observation_normalizer([run.settings], shape) if statistics else None
            env.close()
            with torch.no_grad():
                policy.parameters.copy_(state["algorithm"]["parameters"][row : row + 1])
            if normalizer:
                own = {name: statistics[name][row : row + 1] for name in ("mean", "var")}
                normalizer.statistics.load_state({**own, "count": statistics["count"]})
            yield Player(run, policy, normalizer, space)
    except (KeyError, TypeError, RuntimeError, IndexError, AttributeError) as error:
        raise StoreError(f"{path} holds no policy of this version: {error}") from error


def export(player: Player, path: Path) -> None:
    """Write one policy as a small file that ``players`` reads."""
    statistics = player.normalizer.statistics.state() if player.normalizer else None
    algorithm = {"parameters": player.policy.parameters, "collector": {"observation_normalizer": statistics}}
    checkpoint.save(path, {"about": {"runs": [player.run.to_json()]}, "algorithm": algorithm})


def keep_policies(results: Path, runs: Iterable[Run]) -> None:
    """Write RESULTS/policies/ENV_ALGORITHM.pt for each of ``runs`` whose finished stack is in ``results``."""
    wanted = {run.key: run for run in runs}
    for folder in stack_folders(results):
        own = folder.runs() if folder.finished else []
        if not any(run.key in wanted for run in own):
            continue
        for player in players(folder.checkpoint):
            path = results / "policies" / file_name(f"{player.run.environment}_{player.run.algorithm}.pt")
            if player.run.key in wanted and not (path.exists() and next(_load(path)).run == player.run):
                path.parent.mkdir(exist_ok=True)
                path.unlink(missing_ok=True)
                export(player, path)


def play(player: Player, episodes: int, seed: int, deterministic: bool) -> NDArray[np.float64]:
    """Raw returns of ``episodes`` episodes (Atari: whole games), all played side by side: ``[episodes]``."""
    env = make(player.run.environment, environment_seeds([seed], episodes))
    observations, act = env.reset(), player.actor(seed, deterministic)
    returns, playing, step = np.zeros(episodes), np.ones(episodes, dtype=np.bool_), 0
    while playing.any():
        transition = env.step(act(observations, step))
        returns[playing] += transition.raw_rewards[playing]
        playing &= ~transition.game_over
        observations, step = transition.observations, step + 1
    env.close()
    return returns


def evaluate(console: Console, arguments: argparse.Namespace) -> int:
    """Play episodes with every policy in PATH and print their returns."""
    table = Table(box=None, pad_edge=False)
    for column in ("environment", "algorithm", "setting", "seed", "episodes", "mean return", "std", "min", "max"):
        table.add_column(column, justify="left" if column in ("environment", "algorithm", "setting") else "right")
    for player in _chosen(arguments):
        returns = play(player, arguments.episodes, arguments.seed, arguments.deterministic)
        numbers = [f"{value:,.1f}" for value in (returns.mean(), returns.std(), returns.min(), returns.max())]
        run = player.run
        table.add_row(run.environment, run.algorithm, run.setting, str(run.seed), str(len(returns)), *numbers)
    console.print(table)
    return 0


def video(console: Console, arguments: argparse.Namespace) -> int:
    """Film one episode of every policy in PATH."""
    if arguments.format not in ("mp4", "gif"):
        raise StoreError(f"cannot film as {arguments.format!r}: choose mp4 or gif")
    chosen = _chosen(arguments)
    writable(arguments.out)
    for player in chosen:
        run = player.run
        name = file_name(f"{run.environment}_{run.algorithm}_{run.setting}_{run.seed}")
        path = arguments.out / f"{name}.{arguments.format}"
        act, (seed,) = player.actor(arguments.seed, arguments.deterministic), environment_seeds([arguments.seed], 1)
        episodic_return = film(run.environment, act, path, seed)
        console.print(f"{path}  return {episodic_return:,.1f}")
    return 0


def _chosen(arguments: argparse.Namespace) -> list[Player]:
    for module in arguments.modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise StoreError(f"cannot import {module}: {error}") from error
    if not arguments.path.exists():
        raise StoreError(f"there is no {arguments.path}: name a folder of `ppo train` or a policy file")
    found = players(arguments.path)
    chosen = [
        player
        for player in found
        if (arguments.run_seed is None or player.run.seed == arguments.run_seed)
        and (arguments.setting is None or player.run.setting == arguments.setting)
    ]
    if not chosen:
        runs = ", ".join(f"{player.run.setting}/{player.run.seed}" for player in found)
        raise StoreError(f"{arguments.path} holds no such policy; setting/seed there: {runs}")
    return chosen
