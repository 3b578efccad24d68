"""Train one stack in this process: ``python -m experiments.worker RESULTS/stacks/STACK``.

Exit codes: 0 finished, 3 stopped and can be continued, 4 another process trains it, 1 failed (error.txt says why).
"""

import argparse
import math
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from baselines import ALGORITHMS
from experiments import provenance
from experiments.protocols import Run
from experiments.store import (
    BusyError,
    StackFolder,
    StoreError,
    episode_frame,
    locked,
    set_aside,
    write_episodes,
    write_json,
)
from ppo.algorithm import Algorithm, Metrics
from ppo.checkpoint import CheckpointError
from ppo.envs import make
from ppo.seeding import environment_seeds
from ppo.training import Training, prepare_process

FINISHED, FAILED, STOPPED, BUSY = 0, 1, 3, 4
PROGRESS_INTERVAL = 1.0


class Stop:
    """Whether to stop at the end of this iteration: asked by a signal, or because the parent died."""

    def __init__(self) -> None:
        self.asked = False
        self.parent = os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __bool__(self) -> bool:
        return self.asked or os.getppid() != self.parent


def build(runs: Sequence[Run], device: str = "cpu", kind: type[Algorithm] | None = None) -> Algorithm:
    """The algorithm of a stack (or ``kind`` in its place), with its environments."""
    seeds = [run.seed for run in runs]
    settings = [run.settings for run in runs]
    env = make(runs[0].environment, environment_seeds(seeds, runs[0].settings.num_envs))
    return (kind or ALGORITHMS[runs[0].algorithm])(env, settings, seeds, runs[0].total_timesteps, device)


class Board:
    """Writes progress.json, at most once a second, for whoever watches from outside."""

    def __init__(self, folder: StackFolder, training: Training) -> None:
        self.folder = folder
        self.training = training
        self.start = time.monotonic()
        self.steps_at_start = training.algorithm.steps_done
        self.last = -math.inf

    def write(self, state: str, force: bool = False) -> None:
        """Post ``state`` (training, finished, stopped) with steps, steps/s, score and time left."""
        now = time.monotonic()
        if not force and now - self.last < PROGRESS_INTERVAL:
            return
        self.last = now
        algorithm = self.training.algorithm
        per_second = (algorithm.steps_done - self.steps_at_start) / max(now - self.start, 1e-9)
        scores = self.training.scores()
        left = algorithm.total_timesteps - algorithm.steps_done
        write_json(
            self.folder.progress,
            {
                "state": state,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "updated": time.time(),
                "runs": algorithm.runs,
                "steps_done": algorithm.steps_done,
                "total_timesteps": algorithm.total_timesteps,
                "steps_per_second": per_second * algorithm.runs,
                "score": None if np.isnan(scores).all() else float(np.nanmean(scores)),
                "diverged": sum(step is not None for step in algorithm.diverged_at),
                "seconds_left": left / per_second if per_second else None,
            },
        )


def train(folder: StackFolder, device: str, checkpoint_interval: float, tensorboard: bool, stop: Stop) -> int:
    """Begin or continue a stack; returns the exit code."""
    runs = folder.runs()
    algorithm = build(runs, device)
    training = Training(algorithm)
    training.began_with = provenance.versions()
    about = {"runs": [run.to_json() for run in runs]}
    _continue(folder, training, about)
    board = Board(folder, training)
    writers = _tensorboard_writers(folder, runs) if tensorboard else []
    saved = time.monotonic()
    while not training.done and not stop:
        metrics = training.iterate()
        _log_scalars(writers, training, metrics)
        board.write("training")
        if time.monotonic() - saved > checkpoint_interval:
            training.save(folder.checkpoint, about)
            saved = time.monotonic()
    training.save(folder.checkpoint, about)
    for writer in writers:
        writer.close()
    algorithm.env.close()
    if not training.done:
        board.write("stopped", force=True)
        return STOPPED
    write_episodes(folder.episodes, episode_frame(runs, training.episodes()))
    write_json(folder.manifest, {"runs": _entries(runs, training, device)})
    board.write("finished", force=True)
    return FINISHED


def _continue(folder: StackFolder, training: Training, about: dict[str, Any]) -> None:
    """Load the newest whole checkpoint; damaged or foreign ones are named and set aside."""
    for path in (folder.checkpoint, folder.checkpoint.with_name(folder.checkpoint.name + ".previous")):
        if not path.exists():
            continue
        try:
            training.load(path, about)
            print(
                f"continuing at step {training.algorithm.steps_done} of {training.algorithm.total_timesteps}",
                flush=True,
            )
            return
        except CheckpointError as error:
            print(f"{error}; set aside as {set_aside(path).name}", flush=True)


def _entries(runs: Sequence[Run], training: Training, device: str) -> list[dict[str, Any]]:
    """A manifest entry per run."""
    algorithm = training.algorithm
    common = {
        "status": "finished",
        "steps_done": algorithm.steps_done,
        "versions": provenance.versions(),
        "began_with": training.began_with,
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "device": provenance.device_name(device),
        "threads": 1,
        "stack": len(runs),
        "wall_time": round(training.wall_time, 3),
    }
    diverged = algorithm.diverged_at
    return [{**run.to_json(), **common, "diverged_at": step} for run, step in zip(runs, diverged, strict=True)]


def _tensorboard_writers(folder: StackFolder, runs: Sequence[Run]) -> list[Any]:
    from torch.utils.tensorboard import SummaryWriter  # seconds to import, and only wanted on request

    return [SummaryWriter(str(folder.path / "tensorboard" / f"{run.setting}_{run.seed}")) for run in runs]


def _log_scalars(writers: Sequence[Any], training: Training, metrics: Metrics) -> None:
    if not writers:
        return
    step = training.algorithm.steps_done
    columns = {name: values.cpu().tolist() for name, values in metrics.items()}
    columns["charts/episodic_return"] = training.scores().tolist()
    columns["charts/SPS"] = [training.algorithm.steps_done / training.wall_time] * len(writers)
    for name, values in columns.items():
        for writer, value in zip(writers, values, strict=True):
            if math.isfinite(value):
                writer.add_scalar(name, value, step)


def main(argv: Sequence[str] | None = None) -> int:
    """The worker's command line, for the executors."""
    parser = argparse.ArgumentParser(prog="experiments.worker", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-interval", type=float, default=60.0, help="seconds between checkpoints")
    parser.add_argument("--tensorboard", action="store_true")
    arguments = parser.parse_args(argv)
    folder = StackFolder(arguments.folder)
    prepare_process()
    provenance.commit()  # now: of the code that is loaded, whatever is committed while it trains
    stop = Stop()
    try:
        with locked(folder.path):
            folder.error.unlink(missing_ok=True)
            return train(folder, arguments.device, arguments.checkpoint_interval, arguments.tensorboard, stop)
    except BusyError as error:
        print(error, flush=True)
        return BUSY
    except Exception as error:  # whatever it is, the other stacks go on and the end names it
        traceback.print_exc()
        text = f"{folder.path.name}: {_reason(error)}"
        try:
            folder.error.write_text(text + "\n")
        except OSError:
            print(text, flush=True)
        return FAILED


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error} ({error.filename or 'while saving'}); what was recorded before is kept"
    if isinstance(error, (ValueError, StoreError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
