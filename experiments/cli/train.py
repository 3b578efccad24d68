"""`ppo train`: any algorithm in any environment."""

import argparse
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from gymnasium.spaces import Discrete
from rich.console import Console

from experiments.cli.execution import finished_keys, make_executor, report_outcome
from experiments.cli.flags.settings import sweep
from experiments.cli.flags.shared import environment_arguments
from experiments.modules import import_modules
from experiments.paper.readings import DEFAULT
from experiments.paper.settings import usual_settings
from experiments.planning.remaining import left_to_train
from experiments.run import Run, known_settings
from experiments.store import results
from experiments.store.files import ensure_writable, one_line
from experiments.training import scheduler
from experiments.training.build import build
from ppo.algorithm import check_budget
from ppo.envs import ROBOSCHOOL_IDS, make
from ppo.envs.answers import place_of
from ppo.envs.base import EnvironmentFailed, close_quietly
from ppo.envs.gymnasium import GymnasiumVectorEnv
from ppo.envs.making import check_environment, module_of, note_on_bounds, split_arguments, with_arguments
from ppo.envs.mujoco import MUJOCO_IDS
from ppo.policies import hidden_units
from ppo.process import available_memory
from ppo.settings import Settings, SettingsError
from ppo.stacked.convolutional import ARCHITECTURES
from ppo.stacked.engine import Engine


def train(arguments: argparse.Namespace, console: Console) -> int:
    """Train the runs that the flags describe."""
    modules = [name for name in map(module_of, (arguments.environment, arguments.algorithm)) if name]
    import_modules(modules, Path.cwd())
    environment = with_arguments(arguments.environment, _environment_arguments(arguments))
    usual = usual_settings(environment, arguments.algorithm, arguments.reading)
    reading = "" if arguments.reading == DEFAULT else f"+{arguments.reading}"
    runs = [
        Run(environment, arguments.algorithm, f"{name}{reading}", seed, arguments.total_timesteps, settings)
        for name, settings in sweep(arguments, usual).items()
        for seed in arguments.seeds
    ]
    executor = make_executor(arguments, console, modules=modules)
    for line in _check(runs, arguments):
        console.print(line, markup=False)
    out: Path = arguments.out
    known = known_settings([arguments.algorithm])
    results.check_names(out, [run.record for run in runs], known)
    ensure_writable(out)
    recorded, problems = results.recorded_runs(out, known, mend=True)
    for problem in problems:
        console.print(problem)
    stacks = left_to_train(out, runs, finished_keys(recorded, 1.0), executor.slots())
    left = sum(len(stack.runs) for stack in stacks)
    console.print(f"{len(runs)} run{'s' * (len(runs) != 1)}, {len(runs) - left} finished before")
    outcome = scheduler.train(out, stacks, executor, console)
    about = {"protocol": None, "profile": "train"}
    damaged = results.collect(out, out, about, [run.record for run in runs], known, keep=True)
    return report_outcome(console, outcome, damaged)


def _environment_arguments(arguments: argparse.Namespace) -> dict[str, object]:
    given = environment_arguments(arguments.env_kwargs)
    limit = arguments.max_episode_steps
    if limit is not None and "max_episode_steps" in given:
        raise ValueError("max_episode_steps is given twice, by --max-episode-steps and by --env-kwargs")
    return given if limit is None else {**given, "max_episode_steps": limit}


def _check(runs: Sequence[Run], arguments: argparse.Namespace) -> list[str]:
    """Refuse, before a folder is made, what cannot be trained or recorded; returns what is to be said of the
    environment."""
    said = _try_environment(runs[0].environment, [run.settings for run in runs])
    device = "cpu" if arguments.cluster else arguments.device
    for run in {run.settings.structure(): run for run in runs}.values():
        check_budget(run.total_timesteps, run.settings.num_envs)
        _check_memory(run)
        _try_algorithm(run, device, arguments.engine)
    return said


def _try_algorithm(run: Run, device: str, engine: Engine | None) -> None:
    """Build what a worker will build: what it would refuse is refused here."""
    try:
        close_quietly(build([run], device, engine=engine).env)
    except (ValueError, OSError, EnvironmentFailed):
        raise
    except Exception as error:
        if not module_of(run.algorithm):
            raise
        why = f"{type(error).__name__}: {one_line(error)}, at {place_of(error)}"
        raise ValueError(f"{run.algorithm} cannot be set up: {why}") from error


def _try_environment(environment: str, settings: Sequence[Settings]) -> list[str]:
    """Try an environment of Gymnasium's loop on an instance of its own; returns warnings and notes, a line each."""
    env = make(environment, [0])
    close_quietly(env)
    if not isinstance(env, GymnasiumVectorEnv):
        return []
    raw = not all(own.clip_actions for own in settings)
    lines = [f"{environment}: {line}" for line in check_environment(environment, raw_actions=raw)]
    if not all(own.clip_actions or own.rescale_actions for own in settings):
        lines += filter(None, [note_on_bounds(environment, env.action_space)])
    if split_arguments(environment)[0] in (*MUJOCO_IDS, *ROBOSCHOOL_IDS):
        lines.append(f"{environment}: stepped by Gymnasium, which is slower: MuJoCo's batching takes no arguments")
    return lines


def _check_memory(run: Run) -> None:
    """Refuse a network, or a rollout's observations, that alone are more than this machine can hold."""
    settings, env = run.settings, make(run.environment, [0])
    close_quietly(env)
    inputs, space = math.prod(env.observation_shape), env.action_space
    if settings.network not in ARCHITECTURES:
        actions = int(space.n) if isinstance(space, Discrete) else math.prod(space.shape)
        sizes = (inputs, *hidden_units(settings.network), actions)
        weights = 2 * sum(one * other for one, other in pairwise(sizes))  # of the policy and the values
        _check_available(f"network = {settings.network}", "its weights, their gradient and moments", 16 * weights)
    steps = min(settings.num_steps, run.total_timesteps // settings.num_envs)
    need = steps * settings.num_envs * inputs * env.observation_dtype.itemsize
    _check_available(f"num_steps = {settings.num_steps}", "the observations of a rollout", need)


def _check_available(what: str, of: str, need: int) -> None:
    available = available_memory()
    if available is not None and need > available:
        raise SettingsError(
            f"{what} cannot be held: {of} need {need / 2**30:,.1f} GiB of memory, "
            f"{available / 2**30:,.1f} GiB are available"
        )
