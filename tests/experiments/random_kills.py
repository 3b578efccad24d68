"""Kill workers at random moments: ``python -m tests.experiments.random_kills --kills 1000 --seed 0 --counts FILE``.

Workers are forked after the imports, so that a kill costs as long as the training that it ends. ``--shard I/N`` does
its part of the kills; each shard adds a line to FILE, and ``--sum`` adds them up. A stack is killed and begun again
until it is finished; then its episodes and its last checkpoint must be, to the bit, those of an undisturbed one.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from baselines import ALGORITHMS
from experiments.contract.stacks import run_of
from experiments.store.stack_folder import StackFolder
from experiments.training import worker
from experiments.training.executor import FINISHED
from experiments.training.options import Options
from ppo import checkpoint
from ppo.process import prepare_process

OPTIONS = Options(checkpoint_interval=0.0).to_text()


def fork(folder):
    """Begin a worker of the stack; its process."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.chdir(folder.path)
        with (folder.path / "log.txt").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            code = worker.main([str(folder.path), "--options", OPTIONS])
    finally:
        os._exit(code)


def ended(pid, seconds):
    """The exit code of a process; that of a kill if it runs for longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def begin(root, runs):
    folder = StackFolder(root / "stacks" / "stack")
    folder.create([run.record for run in runs])
    return folder


def same(one, other):
    """Whether two values of a checkpoint are, to the bit."""
    if isinstance(one, dict):
        return set(one) == set(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, torch.Tensor):
        return torch.equal(one.view(torch.uint8) if one.ndim else one, other.view(torch.uint8) if other.ndim else other)
    return one.tobytes() == other.tobytes() if hasattr(one, "tobytes") else one == other


def finish(root, runs, rng, seconds):
    """Kill and begin again until it is finished; returns its folder and how many kills that were."""
    folder, kills = begin(root, runs), 0
    while True:
        code = ended(fork(folder), rng.uniform(0, seconds))
        if code == FINISHED:
            return folder, kills
        if code != -signal.SIGKILL:
            raise SystemExit(f"a worker ended with code {code}: {(folder.path / 'log.txt').read_text()[-2000:]}")
        kills += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--sum", action="store_true")
    arguments = parser.parse_args()
    if arguments.sum:
        total = Counter[str]()
        for line in arguments.counts.read_text().splitlines():
            total.update(json.loads(line)["kills"])
        print(f"{sum(total.values())} kills, 0 bits lost: {dict(sorted(total.items()))}")
        return
    prepare_process()
    index, count = map(int, arguments.shard.split("/"))
    rng, kills, rounds = random.Random(f"{arguments.seed} {index}"), Counter[str](), 0
    wanted = arguments.kills * index // count - arguments.kills * (index - 1) // count
    names = list(ALGORITHMS)
    while sum(kills.values()) < wanted:
        name = names[rounds % len(names)]
        rounds += 1
        kind = ALGORITHMS[name].load()
        runs = [run_of(kind, seed=rng.randrange(10**6), total_timesteps=96 * 20 + 17, variant=row) for row in (1, 2)]
        with tempfile.TemporaryDirectory() as scratch:
            whole, start = begin(Path(scratch) / "whole", runs), time.monotonic()
            if ended(fork(whole), 300) != FINISHED:
                raise SystemExit(f"{name} is not finished: {(whole.path / 'log.txt').read_text()[-2000:]}")
            folder, own = finish(Path(scratch) / "killed", runs, rng, time.monotonic() - start)
            log = (folder.path / "log.txt").read_text()
            states = [checkpoint.load(each.checkpoint) for each in (whole, folder)]
            for state in states:
                del state["wall_time"]
            problems = [
                what
                for what, wrong in {
                    "episodes differ": whole.episodes.read_bytes() != folder.episodes.read_bytes(),
                    "the last checkpoint differs": not same(*states),
                    "something was set aside": "set aside" in log,
                    "something is half-written": bool(list(folder.path.rglob("*.writing"))),
                }.items()
                if wrong
            ]
            if problems:
                raise SystemExit(
                    f"{name}, --seed {arguments.seed} --shard {arguments.shard}: {', '.join(problems)}\n{log}"
                )
        kills[name] += own
    with arguments.counts.open("a") as file:
        file.write(
            json.dumps({"seed": arguments.seed, "shard": arguments.shard, "rounds": rounds, "kills": kills}) + "\n"
        )
    print(f"{sum(kills.values())} kills in {rounds} rounds")


if __name__ == "__main__":
    sys.exit(main())
