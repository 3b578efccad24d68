"""The Atari part of ``make throughput``: emulators compared with a bare loop, PPO compared with its emulators, its
learner and another library.

A run's learner and its emulators work in turn, so on one core their times add up. With as many runs as cores, one run's
emulators work while another learns.
"""

import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from baselines.acer import ACERSettings
from experiments.paper.settings import ATARI
from experiments.run import Run
from experiments.throughput.peers import ratio, sb3_ppo
from experiments.training.build import build
from ppo.algorithm import Algorithm
from ppo.envs import make
from ppo.envs.atari import find_rom
from ppo.envs.emulator import bare_loop
from ppo.process import prepare_process
from ppo.replay import bytes_needed
from ppo.stacked.convolutional import computes_bfloat16

Row = tuple[str, str, str]
BUDGET = 10**9  # never reached
LOOP_SECONDS = 20.0
EMULATED = 128
"""Steps of each emulator in a block."""


def run_of(environment: str, algorithm: str = "ppo", **changes: Any) -> Run:
    """Return a run with the protocol's settings, except for ``changes``."""
    return Run(environment, algorithm, "default", 1, BUDGET, replace(ATARI[algorithm], **changes))


def without_emulator(algorithm: Algorithm) -> None:
    """Replace the environment's steps by a recording of one iteration, at no cost."""
    step, met = algorithm.env.step, []

    def recorded(actions: Any) -> Any:
        met.append(step(actions))
        return met[-1]

    algorithm.env.step = recorded  # type: ignore[method-assign]
    algorithm.iterate()
    again = itertools.cycle(met)
    algorithm.env.step = lambda actions: next(again)  # type: ignore[method-assign]


def emulators(environment: str, count: int) -> Callable[[int], None]:
    """Return a function that plays random steps in each of ``count`` games, all in one worker process."""
    env = make(environment, list(range(count)), processes=1)
    env.reset()
    generator = np.random.default_rng(0)

    def play(steps: int) -> None:
        for actions in generator.integers(int(env.action_space.n), size=(steps, count)):  # type: ignore[union-attr]
            env.step(actions)

    return play


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Limit this process, and those that it starts meanwhile, to one core, on systems that can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(usable)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def seconds(work: Callable[[], object], steps: int) -> float:
    """Return the seconds per step of ``work``, which does ``steps``."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / steps


def measure(environment: str, blocks: int, cores: int) -> dict[str, list[float]]:
    """Measure seconds per agent step, block by block, of each contestant: all on one core with all their processes,
    except for a run whose emulators are spread over ``cores``."""
    settings = ATARI["ppo"]
    envs, batch = settings.num_envs, settings.num_envs * settings.num_steps
    with one_core():
        bare, wrapped = bare_loop(find_rom(environment), envs), emulators(environment, envs)
        learner, whole = (build([run_of(environment)], processes=1) for _ in range(2))
        lower = build([run_of(environment, backward_dtype="bfloat16")], processes=1) if computes_bfloat16() else None
        without_emulator(learner)
        for algorithm in (whole, lower):
            if algorithm:
                algorithm.iterate()  # which starts the emulators
        sb3 = sb3_ppo(settings, environment)
    spread, spread_name = build([run_of(environment)], processes=cores), f"ppo, emulators on {cores} cores"
    contestants: dict[str, Callable[[], float]] = {
        "bare emulators": lambda: seconds(lambda: bare(EMULATED), EMULATED * envs),
        "emulators": lambda: seconds(lambda: wrapped(EMULATED), EMULATED * envs),
        "learner": lambda: seconds(learner.iterate, batch),
        "ppo": lambda: seconds(whole.iterate, batch),
        **({"ppo, bfloat16": lambda: seconds(lower.iterate, batch)} if lower else {}),
        spread_name: lambda: seconds(spread.iterate, batch),
        "Stable-Baselines3 PPO": sb3,
    }
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for block in range(blocks + 1):
        for name, contestant in contestants.items():
            with contextlib.nullcontext() if name == spread_name else one_core():
                value = contestant()
            if block > 0:  # the first warms up
                measured[name].append(value)
    for algorithm in (learner, whole, lower, spread):
        if algorithm:
            algorithm.env.close()
    return measured


def shares(environment: str, iterations: int = 3) -> dict[str, float]:
    """Measure the CPU seconds per agent step of a run's emulation, acting (with the estimation of advantages) and
    learning. CPU seconds, so that other processes hardly matter."""
    settings = ATARI["ppo"]
    envs, steps = settings.num_envs, iterations * settings.num_envs * settings.num_steps
    bare = bare_loop(find_rom(environment), envs)
    bare(EMULATED)
    start = time.process_time()
    bare(EMULATED)
    emulation = (time.process_time() - start) / (EMULATED * envs)
    algorithm: Any = build([run_of(environment)], processes=1)
    algorithm.iterate()
    update, learning = algorithm.update, list[float]()

    def timed(batch: Any) -> Any:
        before = time.process_time()
        metrics = update(batch)
        learning.append(time.process_time() - before)
        return metrics

    algorithm.update = timed
    start = time.process_time()
    for _ in range(iterations):
        algorithm.iterate()
    whole = time.process_time() - start
    algorithm.env.close()
    return {
        "emulation": emulation,
        "acting": (whole - sum(learning)) / steps,
        "learning": sum(learning) / steps,
    }


def bounds(shares: dict[str, float]) -> dict[str, float]:
    """Return by how much a run could at most be faster on two cores, from its `shares` on one, without a stale policy.

    Learning needs the whole batch, and the next batch needs what was learned, so no emulator can work meanwhile. While
    actions are computed for one half of the environments, the other half can be stepped on the other core.
    """
    emulation, acting, learning = shares["emulation"], shares["acting"], shares["learning"]
    whole = emulation + acting + learning
    return {
        "emulators on both cores": whole / (emulation / 2 + acting + learning),
        "one half acts, the other is stepped": whole / (max(emulation, acting) + learning),
        "no emulation at all": whole / (acting + learning),
    }


def loop(environment: str, who: str, threads: int) -> None:
    """Train for a while in a separate process and print the steps per second."""
    settings = ATARI["ppo"]
    prepare_process()
    torch.set_num_threads(threads)
    block: Callable[[], float]
    if who == "ppo":
        whole, batch = build([run_of(environment)]), settings.num_envs * settings.num_steps
        block = lambda: seconds(whole.iterate, batch)  # noqa: E731
    else:
        block = sb3_ppo(settings, environment)
    block()
    start, blocks = time.perf_counter(), 0
    while time.perf_counter() - start < LOOP_SECONDS:
        block()
        blocks += 1
    print(blocks * settings.num_envs * settings.num_steps / (time.perf_counter() - start))


def together(environment: str, who: str, processes: int, threads: int) -> float:
    """Measure the total steps per second of ``processes`` trainings side by side."""
    command = [sys.executable, "-m", "experiments.throughput", "--atari-loop", environment, who, str(threads)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0].split()[-1]) for process in started)


def sample(environment: str, blocks: int, cores: int) -> dict[str, Any]:
    """Measure a game: seconds per step, steps per second of several processes, the size of a replay memory."""
    pairs = [(together(environment, "sb3", 1, cores), together(environment, "ppo", cores, 1)) for _ in range(3)]
    settings = ATARI["acer"]
    assert isinstance(settings, ACERSettings)
    env = make(environment, list(range(settings.num_envs)))
    need = bytes_needed(env, settings.num_steps, settings.replay_capacity, settings.norm_obs)
    env.close()
    return {"seconds": measure(environment, blocks, cores), "cores": cores, "together": pairs, "memory": need}


def rows(environment: str, sampled: dict[str, Any]) -> Iterator[Row]:
    """Return the table's rows of a game."""
    seconds, cores = sampled["seconds"], sampled["cores"]
    sb3, spread = "Stable-Baselines3 PPO", f"ppo, emulators on {cores} cores"
    both = [sum(pair) for pair in zip(seconds["emulators"], seconds["learner"], strict=True)]
    remarks = {
        "bare emulators": "",
        "emulators": f"{ratio(seconds['bare emulators'], seconds['emulators']):.2f}x the bare ones",
        "learner": "",
        "ppo": f"{ratio(both, seconds['ppo']):.2f}x both in turn, {ratio(seconds[sb3], seconds['ppo']):.2f}x {sb3}",
        "ppo, bfloat16": f"{ratio(seconds['ppo'], seconds['ppo, bfloat16']):.2f}x ppo"
        if "ppo, bfloat16" in seconds
        else "",
        spread: f"{ratio(seconds['learner'], seconds[spread]):.2f}x the learner",
        sb3: "",
    }
    for name, values in seconds.items():
        yield f"{environment}, {name}", f"{1 / statistics.median(values):,.0f}", remarks[name]
    peer_speeds, speeds = zip(*sampled["together"], strict=True)
    gain = f"{ratio(speeds, peer_speeds):.2f}x {sb3}"
    yield f"{environment}, {sb3}, {cores} threads", f"{statistics.median(peer_speeds):,.0f}", ""
    yield f"{environment}, ppo, {cores} runs on {cores} cores", f"{statistics.median(speeds):,.0f}", gain
    yield f"{environment}, acer, replay memory of a run", "", f"{sampled['memory'] / 2**30:.2f} GiB"


def cost_runs(environment: str) -> list[Run]:
    """Return a run of each algorithm to measure its cost; ACER's updates from the memory begin at once."""
    runs = {name: run_of(environment, name) for name in ATARI}
    if isinstance(acer := ATARI.get("acer"), ACERSettings):
        quick = replace(acer, replay_start=acer.num_steps, replay_capacity=10 * acer.num_steps)
        runs["acer"] = replace(runs["acer"], settings=quick)
    return list(runs.values())
