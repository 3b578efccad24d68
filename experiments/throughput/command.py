"""``make throughput``: the speed of training, of other libraries, and of the physics alone.

Machines are noisy, so contestants are measured in turn, block by block, and the median of the blocks' ratios is
reported. One thread each. The raw samples are saved in results/throughput/.
"""

import argparse
import os
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

from baselines import REFERENCE
from experiments.messages import unknown_name_message
from experiments.paper.profiles import ENVIRONMENTS
from experiments.paper.settings import COMPARED
from experiments.planning.costs import Measured
from experiments.planning.estimates import write_measured
from experiments.run import Run
from experiments.store import provenance
from experiments.store.files import read_json, write_json
from experiments.throughput import atari, humanoid, mujoco
from experiments.throughput.mujoco import BUDGET, stack_of
from experiments.training.build import build
from ppo.envs.atari import ATARI_ROMS, find_rom
from ppo.process import cores, prepare_process

BASELINE_ENVIRONMENT = "HalfCheetah-v4"
COST_SECONDS = 2.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def measure_costs(
    environments: Sequence[str], games: Sequence[str], device: str, baselines: Sequence[str] = tuple(COMPARED)
) -> Iterator[Measured]:
    """Measure the seconds of a vector step: of PPO in stacks of 3 and 33 in each of ``environments``, of the other
    ``baselines`` in stacks of 3 and 12, and of one run of each algorithm in each of ``games``. Each is trained for at
    least ``COST_SECONDS``, after an iteration that warms up."""
    cases = [(environment, REFERENCE, count) for environment in environments for count in (3, 33)]
    cases += [(BASELINE_ENVIRONMENT, name, count) for name in baselines if name != REFERENCE for count in (3, 12)]
    stacks = [
        [Run(environment, name, "", seed, BUDGET, COMPARED[name]) for seed in range(count)]
        for environment, name, count in cases
    ]
    stacks += [[run] for game in games for run in atari.cost_runs(game)]
    for runs in stacks:
        first, stack = runs[0], build(runs, device)
        stack.iterate()
        start, before, elapsed = time.perf_counter(), stack.steps_done, 0.0
        while elapsed <= COST_SECONDS:
            stack.iterate()
            if device != "cpu":
                torch.cuda.synchronize(device)
            elapsed = time.perf_counter() - start
        vector_steps = (stack.steps_done - before) / first.settings.num_envs
        stack.env.close()
        yield Measured(first.environment, first.algorithm, stack.env.rows, elapsed / vector_steps)


def loop(environment: str, seconds: float) -> None:
    """Train a stack of 33 for a while in a separate process and print its steps per second and its peak memory."""
    stack = stack_of(environment, 33)
    stack.iterate()
    start, before = time.perf_counter(), stack.steps_done
    while time.perf_counter() - start < seconds:
        stack.iterate()
    per_second = (stack.steps_done - before) * 33 / (time.perf_counter() - start)
    status = Path("/proc/self/status").read_text()  # getrusage also counts the process that this one was forked from
    print(per_second, int(status.partition("VmHWM:")[2].split()[0]) / 2**20)


def workers(environment: str, count: int, seconds: float) -> tuple[float, float]:
    """Measure the total steps per second of ``count`` workers, and the peak memory of the largest in GiB."""
    command = [sys.executable, "-m", "experiments.throughput", "--loop", environment, str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    lines = [process.communicate()[0].split() for process in processes]
    return sum(float(line[0]) for line in lines), max(float(line[1]) for line in lines)


def sample(environments: Sequence[str], games: Sequence[str], blocks: int, warmup: int) -> dict[str, Any]:
    """Measure everything: seconds per environment step, block by block, and steps per second of workers."""
    sampled: dict[str, Any] = {
        REFERENCE: {environment: mujoco.measure(environment, blocks, warmup) for environment in environments},
        "baselines": {
            name: mujoco.measure_baseline(name, BASELINE_ENVIRONMENT, blocks) for name in COMPARED if name != REFERENCE
        },
        "games": {game: atari.sample(game, blocks, cores()) for game in games},
    }
    pairs = [[workers(BASELINE_ENVIRONMENT, count, 15) for count in (1, 2)] for _ in range(3)]
    return {**sampled, "workers": pairs}


def rows(sampled: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return the table's rows: medians, and medians of the blocks' ratios."""
    if "humanoid" in sampled:  # measured apart
        for environment, seconds in sampled["humanoid"].items():
            yield from humanoid.rows(environment, seconds)
        return
    for environment, seconds in sampled[REFERENCE].items():
        yield from mujoco.rows(environment, seconds)
    for name, seconds in sampled["baselines"].items():
        yield from mujoco.baseline_rows(BASELINE_ENVIRONMENT, name, seconds)
    for game, game_samples in sampled["games"].items():
        yield from atari.rows(game, game_samples)
    alone, pairs = ([trained[place] for trained in sampled["workers"]] for place in (0, 1))
    gain = statistics.median(both[0] / single[0] for single, both in zip(alone, pairs, strict=True))
    one, two = (f"{statistics.median(speed for speed, _ in trained):,.0f}" for trained in (alone, pairs))
    yield f"{BASELINE_ENVIRONMENT}, one worker with a stack of 33", one, ""
    yield f"{BASELINE_ENVIRONMENT}, two workers on two cores", two, f"{gain:.2f}x one worker"
    yield "peak memory of a worker with a stack of 33", "", f"{max(peak for _, peak in (*alone, *pairs)):.2f} GiB"


def markdown(sampled: dict[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows(sampled)]
    return "\n".join(["| one thread each | steps/s | ratio |", "|---|---|---|", *lines])


def origin() -> dict[str, Any]:
    """Return where measurements come from."""
    return {"machine": provenance.machine(), "versions": provenance.versions(), "commit": provenance.commit()}


def save_costs(arguments: argparse.Namespace) -> None:
    """Measure what `ppo plan` reckons with, and write it."""
    environments = arguments.environments if arguments.few else ENVIRONMENTS
    baselines = () if arguments.few else tuple(COMPARED)
    measured = list(measure_costs(environments, arguments.games, arguments.device, baselines))
    about = {**origin(), "device": provenance.device_name(arguments.device)}
    write_measured(arguments.costs, arguments.device.partition(":")[0], measured, about)


def save_samples(path: Path, sampled: dict[str, Any]) -> None:
    """Write samples, and print their table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**origin(), **sampled})
    table = Table("one thread each", "steps/s", "ratio", box=None)
    for row in rows(sampled):
        table.add_row(*row)
    Console(soft_wrap=True, width=110).print(table)


def print_shares(game: str) -> None:
    """Print the parts of a run's time on ``game``, and what a second core could gain at most."""
    parts = atari.shares(game)
    for name, value in parts.items():
        print(f"{name}: {1e6 * value:,.0f} us of CPU per agent step")
    for name, gain in atari.bounds(parts).items():
        print(f"two cores, {name}: at most {gain:.2f}x")


def check_games(games: Sequence[str]) -> None:
    """Raise ``ValueError`` for what is no game, and for a game without its ROM."""
    for game in games:
        if game not in ATARI_ROMS:
            raise ValueError(unknown_name_message("game", game, ATARI_ROMS))
        find_rom(game)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, save the samples and print the table."""
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument("--environments", nargs="+", default=["HalfCheetah-v4", "Hopper-v4"])
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=5, help="iterations of the single run before measuring")
    parser.add_argument("--costs", type=Path, help="only measure the costs for `ppo plan` and write them to this file")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for --costs (default: cpu)")
    parser.add_argument("--few", action="store_true", help="for --costs: only PPO on --environments, and the games")
    parser.add_argument("--games", nargs="*", default=["PongNoFrameskip-v4"])
    parser.add_argument("--humanoid", action="store_true", help="only the tasks of sec. 6.3, into humanoid.json")
    parser.add_argument("--markdown", type=Path, help="only print the table of these samples")
    parser.add_argument("--policies", type=Path, default=Path("results/policies"), help="for --humanoid")
    parser.add_argument("--shares", metavar="GAME", help="only print the parts of a run's time on a game")
    parser.add_argument("--out", type=Path, default=Path("results/throughput"), help="folder for the raw samples")
    parser.add_argument("--loop", nargs=2, metavar=("ENV", "SECONDS"), help=argparse.SUPPRESS)
    parser.add_argument("--atari-loop", nargs=3, metavar=("ENV", "WHO", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.atari_loop:
        environment, who, threads = arguments.atari_loop
        atari.loop(environment, who, int(threads))
        return 0
    if arguments.markdown:
        print(markdown(read_json(arguments.markdown)))
        return 0
    os.environ.update(ONE_THREAD)  # for child processes, and for JAX, which is imported later
    prepare_process()
    if arguments.loop:
        loop(arguments.loop[0], float(arguments.loop[1]))
        return 0
    try:
        policies = humanoid.policies_in(arguments.policies) if arguments.humanoid else []
        if not arguments.humanoid:
            check_games([arguments.shares] if arguments.shares else arguments.games)
    except ValueError as error:
        parser.error(str(error))
    if arguments.shares:
        print_shares(arguments.shares)
    elif arguments.costs:
        save_costs(arguments)
    elif arguments.humanoid:
        save_samples(arguments.out / "humanoid.json", {"humanoid": humanoid.sample(policies, arguments.blocks)})
    else:
        sampled = sample(arguments.environments, arguments.games, arguments.blocks, arguments.warmup)
        save_samples(arguments.out / "samples.json", sampled)
    return 0
