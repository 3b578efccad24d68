"""The progress file of a stack, read by the live table and `ppo status`."""

import bisect
import math
import os
import socket
import time
from collections.abc import Sequence

import numpy as np

from experiments.store.files import write_json
from experiments.store.stack_folder import StackFolder
from ppo.training import Training

PROGRESS_INTERVAL = 1.0


class ProgressFile:
    """Writes progress.json, at most once a second."""

    def __init__(self, folder: StackFolder, training: Training, command: str = "", notes: Sequence[str] = ()) -> None:
        """``command``: what was typed. ``notes``: what whoever watches must know, a line each; may grow."""
        self.folder = folder
        self.training = training
        self.command = command
        self.notes = notes
        self.last = -math.inf
        self.times = [time.monotonic()]
        self.steps = [training.algorithm.steps_done]

    def write(self, state: str, force: bool = False) -> None:
        """Write ``state`` (training, finished, stopped) with steps, steps/s, score and time left."""
        now = time.monotonic()
        if not force and now - self.last < PROGRESS_INTERVAL:
            return
        self.last = now
        algorithm = self.training.algorithm
        per_second = self._per_second(now)
        scores = self.training.scores()
        score = math.nan if np.isnan(scores).all() else float(np.nanmean(scores))
        left = max(self.training.goal - algorithm.steps_done, 0)  # the last iteration may exceed the goal
        write_json(
            self.folder.progress,
            {
                "state": state,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "updated": time.time(),
                "runs": algorithm.runs,
                "steps_done": algorithm.steps_done,
                "saved_at": self.training.saved_at,
                "total_timesteps": algorithm.total_timesteps,
                "steps_per_second": per_second * algorithm.runs,
                "score": score if math.isfinite(score) else None,
                "diverged": sum(step is not None for step in algorithm.diverged_at),
                "seconds_left": left / per_second if per_second else None,
                "command": self.command,
                "notes": list(self.notes),
            },
        )

    def _per_second(self, now: float) -> float:
        """Compute the steps of each run per second, over the later half of the time since this process began: the first
        iterations are slower, and the machine's other load changes."""
        self.times.append(now)
        self.steps.append(self.training.algorithm.steps_done)
        half = min(bisect.bisect_left(self.times, (self.times[0] + now) / 2), len(self.times) - 2)
        return (self.steps[-1] - self.steps[half]) / max(now - self.times[half], 1e-9)
