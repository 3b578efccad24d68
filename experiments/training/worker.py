"""Train one stack in this process: ``python -m experiments.training.worker RESULTS/stacks/STACK``.

Exit codes: 0 finished, 3 stopped and can be continued, 4 another process trains it, 1 failed (reason in error.txt).
"""

import argparse
import contextlib
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

from experiments.modules import import_modules
from experiments.run import Run, trainable
from experiments.store import provenance
from experiments.store.files import BusyError, locked, write_bytes
from experiments.store.recording import write_recorded
from experiments.store.stack_folder import StackFolder
from experiments.store.tables import EPISODE_COLUMNS, episode_frame
from experiments.training.build import build
from experiments.training.executor import BUSY, FAILED, FINISHED, STOPPED
from experiments.training.options import Options, options_from_text
from experiments.training.records import scalars
from experiments.training.records.checkpoints import load_newest, look_ahead
from experiments.training.records.entries import begins_with, entries, trains_with
from experiments.training.records.log import log
from experiments.training.records.progress import ProgressFile
from ppo.algorithm import Algorithm
from ppo.envs.base import EnvironmentDied, EnvironmentFailed
from ppo.files import remove_unfinished
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


def train(folder: StackFolder, options: Options, stop: StopSignal | bool) -> int:
    """Begin or continue a stack that no other process trains; return the exit code. Raises ``BusyError`` if one does
    for longer than ``PATIENCE``."""
    folder.check()
    finished_before = folder.finished
    with locked(folder.path, PATIENCE, unless=stop):
        if folder.finished and not finished_before:
            log("finished by another process")
            return FINISHED
        folder.error.unlink(missing_ok=True)
        remove_unfinished(folder.path)
        return _train_through_deaths(folder, options, stop)


def _train_through_deaths(folder: StackFolder, options: Options, stop: StopSignal | bool) -> int:
    """If a process of the environment dies, the stack continues from its last checkpoint with a new environment, at
    most ``MOST_DEATHS`` times without a new checkpoint between."""
    import_modules(options.modules, Path(options.directory))
    runs = trainable(folder.stack, folder.runs())
    first = runs[0]
    log(
        f"{len(runs)} runs of {first.algorithm} on {first.environment}, process {os.getpid()} on {socket.gethostname()}"
    )
    if options.command:
        log(f"for the command: {options.command}")
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
    training.trains_with, training.began_with = trains_with(), begins_with()
    about = {"runs": [run.record.to_json() for run in runs]}
    with contextlib.ExitStack() as closing:
        closing.callback(_close, algorithm)
        notes = load_newest(
            folder,
            training,
            about,
            change_engine=options.engine is not None,
            exact=options.exact,
            begin_anew=options.begin_anew,
        )
        progress = ProgressFile(folder, training, options.command, notes)
        writers = scalars.writers(folder, runs, algorithm.steps_done) if options.tensorboard else []
        for writer in writers:
            closing.callback(writer.close)
        saved, looked_ahead = time.monotonic(), False
        told: set[int] = set()
        while not training.done and not stop:
            metrics = training.iterate()
            _tell_failures(runs, algorithm, told)
            scalars.log_scalars(writers, training, metrics)
            progress.write("training")
            if time.monotonic() - saved > options.checkpoint_interval:
                training.save(folder.checkpoint, about)
                saved = time.monotonic()
                if not looked_ahead:
                    looked_ahead = True
                    notes += look_ahead(training, options.exact)
                    progress.write("training", force=True)  # from now on the folder says that there is a checkpoint
        training.save(folder.checkpoint, about)
    if not training.done:
        progress.write("stopped", force=True)
        log(f"stopped at step {algorithm.steps_done} of {training.goal}")
        return STOPPED
    progress.write("finished", force=True)
    if algorithm.steps_done == algorithm.total_timesteps:
        shutil.rmtree(_storage_dir(folder), ignore_errors=True)
    _record(folder, runs, training, options.device)
    log(f"finished after {training.wall_time:,.0f} seconds of training")
    if failures := _failures(runs, algorithm):
        raise EnvironmentFailed("; ".join(failures.values()))
    return FINISHED


def _record(folder: StackFolder, runs: Sequence[Run], training: Training, device: str) -> None:
    """Write the episodes and the manifest of a finished stack."""
    episodes = episode_frame([run.record for run in runs], training.episodes())
    recorded = entries(
        runs,
        training.algorithm,
        _failures(runs, training.algorithm),
        engine=training.engine,
        device=provenance.device_name(device),
        began_with=training.began_with,
        wall_time=training.wall_time,
        inexact=training.inexact,
    )
    write_recorded(
        folder.episodes, episodes, EPISODE_COLUMNS, {"runs": recorded}
    )  # last: no later worker would tidy up


def _failures(runs: Sequence[Run], algorithm: Algorithm) -> dict[int, str]:
    """Name the runs whose environments failed, by their index, and why."""
    rows = algorithm.env.failures
    envs = algorithm.shared.num_envs
    return {
        row // envs: f"{run.environment} {run.algorithm} {run.setting} seed {run.seed} failed by step "
        f"{algorithm.diverged_at[row // envs]:,}: {why}"
        for row, why in reversed(list(rows.items()))
        for run in [runs[row // envs]]
    }


def _tell_failures(runs: Sequence[Run], algorithm: Algorithm, told: set[int]) -> None:
    """Log runs that failed since the last time. Raises ``EnvironmentFailed`` once none is left to train: the last
    checkpoint is from before."""
    failures = _failures(runs, algorithm) if len(algorithm.env.failures) > len(told) else {}
    for run in failures.keys() - told:
        log(f"{failures[run]}; the other runs go on")
    told |= failures.keys()
    if len(failures) == len(runs):
        raise EnvironmentFailed("; ".join(failures.values()))


def _storage_dir(folder: StackFolder) -> Path:
    """Return the directory for state that is too large to repeat in every checkpoint."""
    return folder.path / "files"


def _close(algorithm: Algorithm) -> None:
    try:
        algorithm.env.close()
    except (EnvironmentDied, OSError, EOFError):  # its processes may have died already
        pass
    except Exception as error:  # of somebody's environment: what is trained is not lost to that
        log(f"closing the environments: {error}")


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
        return train(folder, options, stop)
    except BusyError as error:
        log(str(error))
        return BUSY
    except Exception as error:  # any error: the other stacks continue, and the outcome names it
        text = f"{folder.path.name}: {_reason(error)}"
        with contextlib.suppress(OSError):
            write_bytes(folder.error, f"{text}\n".encode(errors="backslashreplace"))
        with contextlib.suppress(OSError):
            traceback.print_exc()
        log(f"failed: {text}")
        return FAILED


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error} ({error.filename or 'while saving'}); results recorded so far are kept"
    if isinstance(error, (ValueError, EnvironmentDied, EnvironmentFailed)):
        return str(error)
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
