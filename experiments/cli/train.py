"""`ppo train`: any algorithm in any environment."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.cli.execution import finished_keys, make_executor, report_outcome
from experiments.cli.setting_flags import sweep
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
from ppo.settings import Settings, SettingsError


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
    for line in _check(runs):
        console.print(line, markup=False)
    executor = make_executor(arguments, console, modules=modules)
    out: Path = arguments.out
    ensure_writable(out)
    known = known_settings([arguments.algorithm])
    recorded, problems = results.recorded_runs(out, known, mend=True)
    for problem in problems:
        console.print(problem)
    stacks = left_to_train(out, runs, finished_keys(recorded, 1.0), executor.slots())
    console.print(f"{len(runs)} runs, {len(runs) - sum(len(stack.runs) for stack in stacks)} finished before")
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


def _check(runs: Sequence[Run]) -> list[str]:
    """Refuse, before anything is trained, what cannot be; returns what is to be said of the environment."""
    for run in runs:
        if run.seed < 0:
            raise SettingsError(f"seed = {run.seed} cannot be used: it must be at least 0")
    said = _try_environment(runs[0].environment, [run.settings for run in runs])
    for run in {run.settings.structure(): run for run in runs}.values():
        build([run]).env.close()  # settings, budget and environment are refused here as they would be by a worker
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
