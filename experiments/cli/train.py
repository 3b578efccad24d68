"""`ppo train`: any algorithm in any environment."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.cli.execution import finished_keys, make_executor, report_outcome
from experiments.cli.flags.settings import sweep
from experiments.modules import import_modules
from experiments.paper.readings import DEFAULT
from experiments.paper.settings import usual_settings
from experiments.planning.remaining import left_to_train
from experiments.run import Run, known_settings
from experiments.store import results
from experiments.store.files import ensure_writable
from experiments.training import scheduler
from experiments.training.build import build
from ppo.envs import ROBOSCHOOL_IDS, make
from ppo.envs.gymnasium import GymnasiumVectorEnv
from ppo.envs.making import check_environment, module_of, note_on_bounds, split_arguments, with_arguments
from ppo.envs.mujoco import MUJOCO_IDS
from ppo.process import available_memory
from ppo.settings import Settings, SettingsError

LARGEST_SEED = 2**63 - 1
"""What a column of whole numbers holds."""


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
    ensure_writable(out)
    known = known_settings([arguments.algorithm])
    recorded, problems = results.recorded_runs(out, known, mend=True)
    for problem in problems:
        console.print(problem)
    results.check_names(out, [run.record for run in runs], known)
    stacks = left_to_train(out, runs, finished_keys(recorded, 1.0), executor.slots())
    left = sum(len(stack.runs) for stack in stacks)
    console.print(f"{len(runs)} run{'s' * (len(runs) != 1)}, {len(runs) - left} finished before")
    outcome = scheduler.train(out, stacks, executor, console)
    about = {"protocol": None, "profile": "train"}
    damaged = results.collect(out, out, about, [run.record for run in runs], known, keep=True)
    return report_outcome(console, outcome, damaged)


def _environment_arguments(arguments: argparse.Namespace) -> dict[str, object]:
    given = dict(arguments.env_kwargs)
    if len(given) < len(arguments.env_kwargs):
        raise ValueError("--env-kwargs gives one name twice")
    limit = arguments.max_episode_steps
    return given if limit is None else {**given, "max_episode_steps": limit}


def _check(runs: Sequence[Run], arguments: argparse.Namespace) -> list[str]:
    """Refuse, before a folder is made, what cannot be trained or recorded; returns what is to be said of the
    environment."""
    for run in runs:
        if not 0 <= run.seed <= LARGEST_SEED:
            raise SettingsError(f"seed = {run.seed} cannot be used: it must lie between 0 and {LARGEST_SEED}")
    said = _try_environment(runs[0].environment, [run.settings for run in runs])
    device = "cpu" if arguments.cluster else arguments.device
    for run in {run.settings.structure(): run for run in runs}.values():
        _check_memory(run)
        build([run], device, engine=arguments.engine).env.close()  # refused here as it would be by a worker
    return said


def _try_environment(environment: str, settings: Sequence[Settings]) -> list[str]:
    """Try an environment of Gymnasium's loop on an instance of its own; returns warnings and notes, a line each."""
    env = make(environment, [0])
    env.close()
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
    """Refuse a rollout whose observations alone this machine cannot hold."""
    envs, env = run.settings.num_envs, make(run.environment, [0])
    env.close()
    steps = min(run.settings.num_steps, run.total_timesteps // envs)
    need = steps * envs * math.prod(env.observation_shape) * env.observation_dtype.itemsize
    available = available_memory()
    if available is not None and need > available:
        raise SettingsError(
            f"num_steps = {run.settings.num_steps} cannot be held: the observations of a rollout need "
            f"{need / 2**30:,.1f} GiB of memory, {available / 2**30:,.1f} GiB are available"
        )
