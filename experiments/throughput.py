"""``make throughput``: how fast training is, beside the nearest peers and beside the physics alone, in one run.

Machines are noisy, so everything that is compared is measured in turn, block by block, and what is quoted is the median
of the blocks' ratios. One thread each.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from experiments import atari_throughput, provenance
from experiments.costs import Measured
from experiments.estimates import write_measured
from experiments.peers import peer, ratio
from experiments.protocols import COMPARED, Run
from experiments.settings import ENVIRONMENTS, MUJOCO, TABLE1
from experiments.worker import build
from ppo.envs.atari import cores
from ppo.envs.mujoco import MujocoVectorEnv
from ppo.on_policy import OnPolicy
from ppo.stacked.engine import Engine
from ppo.training import prepare_process

SEEDS = (1, 2, 3)
BUDGET = 10**9  # never reached
BASELINE_ENVIRONMENT = "HalfCheetah-v4"
COST_SECONDS = 2.0


def stack_of(environment: str, runs: int, engine: Engine | None = None) -> OnPolicy:
    """The first ``runs`` of Table 1's 33 runs in ``environment``; of one run, the clipped one."""
    planned = [
        Run(environment, "ppo", name, seed, BUDGET, settings) for name, settings in TABLE1.items() for seed in SEEDS
    ]
    chosen = [run for run in planned if run.setting == "clip-0.2"][:1] if runs == 1 else planned[:runs]
    algorithm = build(chosen, engine=engine)
    assert isinstance(algorithm, OnPolicy)
    return algorithm


class Recorder:
    """Notes the simulation's state and controls before each step, so that the physics alone can be run on them."""

    def __init__(self, env: MujocoVectorEnv) -> None:
        self.env = env
        self.states: list[Any] = []
        self.step = env.step

    def __enter__(self) -> "Recorder":
        def recorded(actions: Any) -> Any:
            self.states.append((self.env.sim.state.copy(), actions.copy()))
            return self.step(actions)

        self.env.step = recorded  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self.env.step = self.step  # type: ignore[method-assign]

    def physics_seconds(self) -> float:
        """Time of ``Batch.step`` alone on the recorded states and controls."""
        sim, frame_skip = self.env.sim, self.env.frame_skip
        here = sim.state.copy()
        total = 0.0
        for state, controls in self.states:
            sim.state[...] = state
            sim.ctrl[...] = controls
            start = time.perf_counter()
            sim.batch.step(nstep=frame_skip)
            total += time.perf_counter() - start
        sim.state[...] = here
        self.states.clear()
        return total


def measure(environment: str, blocks: int, warmup: int) -> dict[str, list[float]]:
    """Seconds per environment step, block by block, of each contestant."""
    _, sb3 = peer("ppo", MUJOCO, environment)
    single, stack = stack_of(environment, 1), stack_of(environment, 33)
    assert isinstance(stack.env, MujocoVectorEnv)
    for _ in range(warmup):
        single.iterate()
    steps = MUJOCO.num_steps
    names = ("Stable-Baselines3", "stack of 1", "stack of 33", "physics of 33")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for block in range(blocks + 1):
        per_step = {"Stable-Baselines3": sb3()}
        start = time.perf_counter()
        single.iterate()
        per_step["stack of 1"] = (time.perf_counter() - start) / steps
        with Recorder(stack.env) as recorder:
            start = time.perf_counter()
            stack.iterate()
            per_step["stack of 33"] = (time.perf_counter() - start) / (steps * 33)
            per_step["physics of 33"] = recorder.physics_seconds() / (steps * 33)
        if block > 0:  # the first warms up
            for name, value in per_step.items():
                seconds[name].append(value)
    return seconds


def measure_baseline(name: str, environment: str, blocks: int) -> tuple[str, float, float, float]:
    """The nearest peer of an algorithm, our steps per second in a stack of 9, the peer's, and the ratio."""
    settings = COMPARED[name]
    theirs, block = peer(name, settings, environment)
    stack = build([Run(environment, name, "default", seed, BUDGET, settings) for seed in range(1, 10)])
    seconds: list[tuple[float, float]] = []
    for _ in range(blocks + 1):
        per_step = block()
        start, before = time.perf_counter(), stack.steps_done
        while stack.steps_done - before < 1000 * settings.num_envs:
            stack.iterate()
        own = (time.perf_counter() - start) / ((stack.steps_done - before) * stack.runs)
        seconds.append((per_step, own))
    peers, ours = zip(*seconds[1:], strict=True)  # the first warms up
    return theirs, 1 / statistics.median(ours), 1 / statistics.median(peers), ratio(peers, ours)


def measure_costs(environments: Sequence[str], games: Sequence[str], device: str) -> Iterator[Measured]:
    """What a vector step takes: of PPO in stacks of 3 and 33 in each of ``environments``, of each other algorithm in
    stacks of 3 and 12, and of one run of each algorithm in each of ``games``. Each is trained for ``COST_SECONDS`` at
    least, after an iteration that warms up."""
    cases = [(environment, "ppo", count) for environment in environments for count in (3, 33)]
    cases += [(BASELINE_ENVIRONMENT, name, count) for name in COMPARED if name != "ppo" for count in (3, 12)]
    stacks = [
        [Run(environment, name, "", seed, BUDGET, COMPARED[name]) for seed in range(count)]
        for environment, name, count in cases
    ]
    stacks += [[run] for game in games for run in atari_throughput.cost_runs(game)]
    for runs in stacks:
        first, stack = runs[0], build(runs, device)
        stack.iterate()
        start, before, elapsed = time.perf_counter(), stack.steps_done, 0.0
        while elapsed <= COST_SECONDS:
            stack.iterate()
            if device != "cpu":
                torch.cuda.synchronize()
            elapsed = time.perf_counter() - start
        vector_steps = (stack.steps_done - before) / first.settings.num_envs
        stack.env.close()
        yield Measured(first.environment, first.algorithm, stack.env.rows, elapsed / vector_steps)


def rows(environment: str, seconds: dict[str, list[float]]) -> list[tuple[str, str, str]]:
    """What the table says of one environment."""
    sb3, stack, physics = (seconds[name] for name in ("Stable-Baselines3", "stack of 33", "physics of 33"))
    ratios = {
        "Stable-Baselines3": "",
        "stack of 1": f"{ratio(sb3, seconds['stack of 1']):.2f}x Stable-Baselines3",
        "stack of 33": f"{ratio(sb3, stack):.2f}x Stable-Baselines3",
        "physics of 33": f"training takes {ratio(stack, physics):.2f}x its time",
    }
    return [
        (f"{environment}, {name}", f"{1 / statistics.median(values):,.0f}", ratios[name])
        for name, values in seconds.items()
    ]


def loop(environment: str, seconds: float) -> None:
    """Train a stack of 33 for a while and print its steps per second and its peak memory, in a process of its own."""
    stack = stack_of(environment, 33)
    stack.iterate()
    start, before = time.perf_counter(), stack.steps_done
    while time.perf_counter() - start < seconds:
        stack.iterate()
    per_second = (stack.steps_done - before) * 33 / (time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(per_second, peak)


def workers(environment: str, count: int, seconds: float) -> tuple[float, float]:
    """Steps per second of ``count`` workers together, and the peak memory of the largest in GiB."""
    command = [sys.executable, "-m", "experiments.throughput", "--loop", environment, str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    lines = [process.communicate()[0].split() for process in processes]
    return sum(float(line[0]) for line in lines), max(float(line[1]) for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument("--environments", nargs="+", default=["HalfCheetah-v4", "Hopper-v4"])
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument(
        "--warmup", type=int, default=5, help="iterations of the single run before anything is measured"
    )
    parser.add_argument("--costs", type=Path, help="write what `ppo plan` reckons with to this file, and do no more")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for --costs (default: cpu)")
    parser.add_argument("--games", nargs="*", default=["PongNoFrameskip-v4"])
    parser.add_argument("--loop", nargs=2, metavar=("ENV", "SECONDS"), help=argparse.SUPPRESS)
    parser.add_argument("--atari-loop", nargs=3, metavar=("ENV", "WHO", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.atari_loop:
        environment, who, threads = arguments.atari_loop
        atari_throughput.loop(environment, who, int(threads))
        return 0
    prepare_process()
    if arguments.loop:
        loop(arguments.loop[0], float(arguments.loop[1]))
        return 0
    if arguments.costs:
        measured = list(measure_costs(ENVIRONMENTS, arguments.games, arguments.device))
        about = {
            "machine": provenance.machine(),
            "device": provenance.device_name(arguments.device),
            "versions": provenance.versions(),
            "commit": provenance.commit(),
        }
        write_measured(arguments.costs, arguments.device.partition(":")[0], measured, about)
        return 0
    table = Table("one thread each", "steps/s", "ratio", box=None)
    for environment in arguments.environments:
        for row in rows(environment, measure(environment, arguments.blocks, arguments.warmup)):
            table.add_row(*row)
    for name in COMPARED:
        if name != "ppo":
            theirs, own, other, gain = measure_baseline(name, BASELINE_ENVIRONMENT, arguments.blocks)
            table.add_row(f"{BASELINE_ENVIRONMENT}, {theirs}", f"{other:,.0f}", "")
            table.add_row(f"{BASELINE_ENVIRONMENT}, {name}, stack of 9", f"{own:,.0f}", f"{gain:.2f}x {theirs}")
    for game in arguments.games:
        for row in atari_throughput.rows(game, arguments.blocks, cores()):
            table.add_row(*row)
    pairs = [(workers("HalfCheetah-v4", 1, 15), workers("HalfCheetah-v4", 2, 15)) for _ in range(3)]
    one, two = (statistics.median(pair[index][0] for pair in pairs) for index in (0, 1))
    gain = statistics.median(two[0] / one[0] for one, two in pairs)
    table.add_row("HalfCheetah-v4, one worker with a stack of 33", f"{one:,.0f}", "")
    table.add_row("HalfCheetah-v4, two workers on two cores", f"{two:,.0f}", f"{gain:.2f}x one worker")
    peak = max(max(one[1], two[1]) for one, two in pairs)
    table.add_row("peak memory of a worker with a stack of 33", "", f"{peak:.2f} GiB")
    Console(soft_wrap=True, width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
