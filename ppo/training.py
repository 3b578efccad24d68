"""The loop around an algorithm: iterate, record episodes, save, continue."""

import copy
import math
import time
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ppo import checkpoint
from ppo.algorithm import Algorithm, Metrics
from ppo.envs.base import EnvironmentDied
from ppo.stacked.engine import Engine

SCORE_EPISODES = 100
"""The score of a run is the mean return of its last 100 episodes (sec. 6.1)."""

EpisodeColumns = dict[str, NDArray[Any]]
"""Columns ``run`` (index in the stack), ``step``, ``episodic_return``, ``episodic_length``; a row per episode."""

_COLUMN_TYPES = {"run": np.int32, "step": np.int64, "episodic_return": np.float64, "episodic_length": np.int32}


class OtherEngineError(ValueError):
    """A checkpoint of another engine: continued, its results would be those of neither."""

    def __init__(self, path: Path, begun: str, now: str) -> None:
        remedy = f"--engine {begun} continues it, --engine {now} switches engines"
        super().__init__(f"{path} was trained by the {begun} engine: {remedy}")


class InexactError(ValueError):
    """A training that cannot be continued to the same bits, though that was asked for."""


class Training:
    """A stack in training: its algorithm, and every episode since the start.

    With a ``fraction`` below 1 it stops after the iteration that reaches this part of the budget. Schedules still
    follow the whole budget, so the rest can be trained later as if there had been no stop.
    """

    def __init__(self, algorithm: Algorithm, fraction: float = 1.0) -> None:
        self.algorithm = algorithm
        self.goal = math.ceil(fraction * algorithm.total_timesteps)
        """Environment steps of each run to train."""
        self.wall_time = 0.0
        """Seconds of training, over all stops."""
        self.engines: list[list[Any]] = [[0, algorithm.engine]]
        """The engines that computed it, each with its first step."""
        self.trains_with: dict[str, Any] = {}
        """The versions and the processor of this process, as the caller names them."""
        self.began_with: dict[str, Any] = {}
        """The versions, the processor and the commit at the start of the training."""
        self.inexact: list[list[Any]] = []
        """Where a stop may have changed the training: ``[step, reason]``."""
        self.saved_at = 0
        """The step that the last checkpoint was saved or loaded at."""
        self._chunks: list[EpisodeColumns] = []
        self._recent: list[deque[float]] = [deque(maxlen=SCORE_EPISODES) for _ in range(algorithm.runs)]

    @property
    def done(self) -> bool:
        """Whether the goal is reached."""
        return self.algorithm.steps_done >= self.goal

    def iterate(self) -> Metrics:
        """Run one iteration of the algorithm and record its episodes."""
        start = time.perf_counter()
        episodes, metrics = self.algorithm.iterate()
        self.wall_time += time.perf_counter() - start
        if episodes:
            columns = zip(_COLUMN_TYPES.items(), zip(*episodes, strict=True), strict=True)
            self._record({name: np.array(values, dtype=kind) for (name, kind), values in columns})
        return metrics

    @property
    def engine(self) -> str:
        """The engines that computed it, in words."""
        parts = [f"{name} to step {until:,}" for (_, name), (until, _) in pairwise(self.engines)]
        return ", then ".join([*parts, self.engines[-1][1]])

    def scores(self) -> NDArray[np.float64]:
        """Return each run's mean return of its last 100 episodes: ``[runs]``, NaN before its first."""
        return np.array([np.mean(recent) if recent else np.nan for recent in self._recent])

    def episodes(self) -> EpisodeColumns:
        """Return every episode so far, in the order in which they ended."""
        if not self._chunks:
            return {name: np.empty(0, dtype=kind) for name, kind in _COLUMN_TYPES.items()}
        if len(self._chunks) > 1:
            self._chunks = [{name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in _COLUMN_TYPES}]
        return self._chunks[0]

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write a checkpoint; ``about`` identifies the training and must be the same when it is loaded."""
        state = {
            "about": about,
            "wall_time": self.wall_time,
            "began_with": self.began_with,
            "trained_with": self.trains_with,
            "inexact": self.inexact,
            "engines": self.engines,
            "algorithm": self.algorithm.state(),
            "episodes": {name: checkpoint.compressed(values) for name, values in self.episodes().items()},
        }
        checkpoint.save(path, state)
        self.saved_at = self.algorithm.steps_done

    def load(self, path: Path, about: dict[str, Any], change_engine: bool = False, exact: bool = False) -> None:
        """Continue from a checkpoint as if never stopped; ``change_engine``: even if another engine computed it.

        Where that cannot be to the same bits, since environments cannot be put back or versions are others, it goes on
        all the same, and ``inexact`` says so; with ``exact`` that is an ``InexactError``. Raises ``CheckpointError``
        for a file that is damaged or belongs to another training, ``OtherEngineError`` for one of another engine.
        """
        state = checkpoint.load(path)
        try:
            matches = bool(state.get("about") == about)
        except (RuntimeError, ValueError):  # a stranger's tensor, or array, has no truth value
            matches = False
        if not matches:
            raise checkpoint.CheckpointError(f"{path} belongs to another training (other runs, settings or versions)")
        before = copy.deepcopy(self.algorithm.state())
        try:
            episodes = self._fitting(self._decompressed(state["episodes"]))
            wall_time, began_with = _seconds(state["wall_time"]), dict(state["began_with"])
            engines = [[int(step), str(engine)] for step, engine in state["engines"]]
            inexact = [[int(step), str(why)] for step, why in state["inexact"]]
            last_with = dict(state["trained_with"])
            begun = str(engines[-1][1])
            if begun != self.algorithm.engine and not change_engine:
                if begun not in get_args(Engine):
                    raise ValueError(f"no engine is called {begun:.40}")
                raise OtherEngineError(path, begun, self.algorithm.engine)
            self.algorithm.load_state(state["algorithm"])
        except (EnvironmentDied, OtherEngineError):
            raise
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, RuntimeError, AttributeError) as error:
            self.algorithm.load_state(before)  # the error may come after half of the state was loaded
            reason = " ".join(str(error).split())
            raise checkpoint.CheckpointError(f"{path} does not fit this training: {reason}") from error
        reasons = [*self._restarted(), *_changes(last_with, self.trains_with)]
        if reasons and exact:
            self.algorithm.load_state(before)
            raise InexactError(f"{path} cannot be continued exactly: {'; '.join(reasons)}; without --exact it goes on")
        self.inexact = [*inexact, *([self.algorithm.steps_done, why] for why in reasons)]
        self.wall_time, self.began_with, self.engines = wall_time, began_with, engines
        if engines[-1][1] != self.algorithm.engine:
            self.engines.append([self.algorithm.steps_done, self.algorithm.engine])
        self._chunks = []
        for recent in self._recent:
            recent.clear()
        self._record(episodes)
        self.saved_at = self.algorithm.steps_done

    def _restarted(self) -> list[str]:
        restarted, rows = self.algorithm.collector.restarted, self.algorithm.env.rows
        if not restarted:
            return []
        why = next(iter(restarted.values()))
        return [f"{len(restarted)} of {rows} environments begin a new episode ({why})"]

    def _decompressed(self, columns: dict[str, Any]) -> EpisodeColumns:
        steps = self.algorithm.runs * self.algorithm.total_timesteps  # no episode is shorter than one
        return {name: checkpoint.decompressed(values, steps) for name, values in columns.items()}

    def _fitting(self, columns: EpisodeColumns) -> EpisodeColumns:
        """Return ``columns``; raises ``ValueError`` if they are not episodes of this stack."""
        kinds = {name: (values.dtype, values.shape) for name, values in columns.items()}
        rows = len(columns["run"])
        if kinds != {name: (np.dtype(kind), (rows,)) for name, kind in _COLUMN_TYPES.items()}:
            raise ValueError(f"its episodes are not columns {', '.join(_COLUMN_TYPES)}")
        if rows and not 0 <= columns["run"].min() <= columns["run"].max() < self.algorithm.runs:
            raise ValueError(f"it has episodes of other runs than the {self.algorithm.runs} of this stack")
        return columns

    def _record(self, columns: EpisodeColumns) -> None:
        self._chunks.append(columns)
        for run, episodic_return in zip(columns["run"].tolist(), columns["episodic_return"].tolist(), strict=True):
            self._recent[run].append(episodic_return)


def _changes(before: dict[str, Any], now: dict[str, Any], what: str = "") -> list[str]:
    """Name what is not as it was, of what is known of both."""
    changes = []
    for name in now:
        one, other = before.get(name), now[name]
        if isinstance(one, dict) and isinstance(other, dict):
            changes += _changes(one, other, f"{what}{name} ")
        elif name in before and one != other:
            changes.append(f"{what}{name} was {one}, and is {other}")
    return changes


def _seconds(value: Any) -> float:
    if not isinstance(value, float) or not 0 <= value < math.inf:
        raise ValueError(f"its wall time is {value!r}")
    return value
