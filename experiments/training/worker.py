"""Train one stack in this process: ``python -m experiments.training.worker RESULTS/stacks/STACK``.

Exit codes: 0 finished, 3 stopped and can be continued, 4 another process trains it, 1 failed (reason in error.txt).
"""

import argparse
import contextlib
import math
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from experiments.modules import import_modules
from experiments.run import Run, trainable
from experiments.store import provenance
from experiments.store.file_names import file_name
from experiments.store.files import BusyError, locked, remove_unfinished, set_aside, write_atomically, write_json
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import episode_frame, write_episodes
from experiments.training.build import build
from experiments.training.entries import began_with, entries
from experiments.training.executor import BUSY, FAILED, FINISHED, STOPPED
from experiments.training.options import Options, options_from_text
from experiments.training.progress import ProgressFile
from ppo.algorithm import Algorithm, Metrics
from ppo.checkpoint import CheckpointError
from ppo.envs.base import EnvironmentDied
from ppo.process import prepare_process
from ppo.stacked.engine import available
from ppo.training import Training

PATIENCE = 30.0
"""Seconds to wait for a stack that another process has locked: if its parent was killed, it soon saves and ends."""
MOST_DEATHS = 3
"""Limit of deaths of an environment without a new checkpoint between them."""


class StopSignal:
    """True if training should stop at the end of this iteration: on a signal, or when the parent died."""

    def __init__(self, parent: int) -> None:
        self.asked = False
        self.parent = parent
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __bool__(self) -> bool:
        return self.asked or os.getppid() != self.parent


def log(message: str) -> None:
    """Print a line of the stack's log, with the time."""
    with contextlib.suppress(OSError):  # a full disk must not end the training before it saves
        print(time.strftime("%Y-%m-%d %H:%M:%S %z"), message, flush=True)


def train(folder: StackFolder, options: Options, stop: StopSignal | bool) -> int:
    """Begin or continue a stack; return the exit code.

    If a process of the environment dies, the stack continues from its last checkpoint with a new environment, at most
    ``MOST_DEATHS`` times without a new checkpoint between.
    """
    import_modules(options.modules, Path(options.directory))
    runs = trainable(folder.stack, folder.runs())
    first = runs[0]
    log(
        f"{len(runs)} runs of {first.algorithm} on {first.environment}, process {os.getpid()} on {socket.gethostname()}"
    )
    deaths, saved_at = 0, 0
    while True:
        training = None
        try:
            algorithm = build(
                runs,
                options.device,
                options.processes,
                options.tensorboard,
                engine=options.engine,
                storage_dir=_storage_dir(folder),
            )
            training = Training(algorithm, options.fraction)
            return _train(folder, runs, training, options, stop)
        except EnvironmentDied as error:
            if stop:  # a signal to the whole group may end the environment's processes before this one
                log(f"{error}; stopped at the last checkpoint")
                return STOPPED
            reached = training.saved_at if training else 0
            deaths, saved_at = 1 if reached > saved_at else deaths + 1, max(reached, saved_at)
            if deaths == MOST_DEATHS:
                raise EnvironmentDied(f"its environment died {deaths} times after step {saved_at}: {error}") from error
            log(f"{error}; continuing from the last checkpoint with a new environment")


def _train(
    folder: StackFolder, runs: Sequence[Run], training: Training, options: Options, stop: StopSignal | bool
) -> int:
    algorithm = training.algorithm
    training.began_with = began_with()
    about = {"runs": [run.record.to_json() for run in runs]}
    with contextlib.ExitStack() as closing:
        closing.callback(_close, algorithm)
        _continue(folder, training, about, change_engine=options.engine is not None)
        progress = ProgressFile(folder, training)
        writers = _tensorboard_writers(folder, runs, algorithm.steps_done) if options.tensorboard else []
        for writer in writers:
            closing.callback(writer.close)
        saved = time.monotonic()
        while not training.done and not stop:
            metrics = training.iterate()
            _log_scalars(writers, training, metrics)
            progress.write("training")
            if time.monotonic() - saved > options.checkpoint_interval:
                training.save(folder.checkpoint, about)
                saved = time.monotonic()
        training.save(folder.checkpoint, about)
    if not training.done:
        progress.write("stopped", force=True)
        log(f"stopped at step {algorithm.steps_done} of {training.goal}")
        return STOPPED
    write_episodes(folder.episodes, episode_frame([run.record for run in runs], training.episodes()))
    progress.write("finished", force=True)
    if algorithm.steps_done == algorithm.total_timesteps:
        shutil.rmtree(_storage_dir(folder), ignore_errors=True)
    recorded = entries(
        runs,
        algorithm,
        engine=training.engine,
        device=provenance.device_name(options.device),
        began_with=training.began_with,
        wall_time=training.wall_time,
    )
    write_json(folder.manifest, {"runs": recorded})  # last: no later worker would remove unfinished files
    log(f"finished after {training.wall_time:,.0f} seconds of training")
    return FINISHED


def _storage_dir(folder: StackFolder) -> Path:
    """Return the directory for state that is too large to repeat in every checkpoint."""
    return folder.path / "files"


def _close(algorithm: Algorithm) -> None:
    with contextlib.suppress(EnvironmentDied, OSError, EOFError):  # its processes may have died already
        algorithm.env.close()


def _continue(folder: StackFolder, training: Training, about: dict[str, Any], change_engine: bool) -> None:
    """Load the newest valid checkpoint; log damaged or foreign ones and set them aside."""
    for path in (folder.checkpoint, folder.checkpoint.with_name(folder.checkpoint.name + ".previous")):
        if not path.exists():
            continue
        try:
            training.load(path, about, change_engine)
            log(f"continuing at step {training.algorithm.steps_done} of {training.goal}")
            return
        except CheckpointError as error:
            log(f"{error}; set aside as {set_aside(path)[0].name}")
    log(f"beginning, {training.goal} steps")


def _tensorboard_writers(folder: StackFolder, runs: Sequence[Run], steps_done: int) -> list[Any]:
    from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

    names = [file_name(f"{run.setting}_{run.seed}") for run in runs]
    # scalars after the last checkpoint are logged again
    return [SummaryWriter(str(folder.path / "tensorboard" / name), purge_step=steps_done + 1) for name in names]


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
    """Run the worker's command line, for the executors."""
    parser = argparse.ArgumentParser(prog="experiments.training.worker", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--options", type=options_from_text, default=Options(), help="as JSON")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="stop when the parent has another process id")
    arguments = parser.parse_args(argv)
    options: Options = arguments.options
    folder = StackFolder(arguments.folder)
    prepare_process()
    if available():
        from ppo.stacked.compiling import tell_of_compiling

        tell_of_compiling(lambda: log("compiling the numba engine, once on this machine"))
    provenance.commit()  # at the start: the commit of the loaded code, even if others follow during the training
    stop = StopSignal(arguments.parent)
    try:
        folder.check()
        finished_before = folder.finished
        with locked(folder.path, PATIENCE, unless=stop):
            if folder.finished and not finished_before:
                log("finished by another process")
                return FINISHED
            folder.error.unlink(missing_ok=True)
            remove_unfinished(folder.path)
            return train(folder, options, stop)
    except BusyError as error:
        log(str(error))
        return BUSY
    except Exception as error:  # any error: the other stacks continue, and the outcome names it
        text = f"{folder.path.name}: {_reason(error)}"
        with contextlib.suppress(OSError):
            write_atomically(folder.error, lambda temporary: temporary.write_text(text + "\n"))
        with contextlib.suppress(OSError):
            traceback.print_exc()
        log(f"failed: {text}")
        return FAILED


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error} ({error.filename or 'while saving'}); results recorded so far are kept"
    if isinstance(error, (ValueError, EnvironmentDied)):
        return str(error)
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
