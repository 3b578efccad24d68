"""What reading one file did: how it ended, the time and memory that it took, and what it touched."""

import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

CPU_SECONDS = 10
MEMORY = 64 * 2**20
"""Bytes beyond those of before: the files are of some kilobytes, so what is decoded of them is nothing beside it."""
ACTS = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
RUNS_CODE = ("pickle.find_class", "socket.connect", "ctypes.dlopen")


class HangError(Exception):
    """More than ``CPU_SECONDS`` of processor time."""


@dataclass
class Watch:
    """Counts of a reader's outcomes over many files."""

    inside: Path
    """where it may write"""
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    acts: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    watching: bool = False

    def __post_init__(self) -> None:
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR) if isinstance(flags, int) else set(mode or "") & set("wax+")
            if not writes or not isinstance(path, (str, bytes)) or self._is_inside(path):
                return
        elif event in ACTS:
            if isinstance(arguments[0], (str, bytes)) and self._is_inside(arguments[0]):
                return
        elif event not in RUNS_CODE:
            return
        self.acts.append((event, arguments))

    def _is_inside(self, path: str | bytes) -> bool:
        name = os.path.abspath(os.fsdecode(path))
        return name == os.devnull or Path(name).is_relative_to(self.inside)

    def read(self, name: str, reader: Callable[[], object], refusals: tuple[type[Exception], ...]) -> None:
        """Let ``reader`` read the file ``name``; what it may raise are ``refusals``, in one line."""
        before, clock = _peak_from_now(), time.process_time()
        signal.signal(signal.SIGPROF, _hang)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        self.watching = True
        try:
            reader()
            outcome = "taken"
        except refusals as error:
            outcome = "refused" if len(str(error).splitlines()) == 1 else "a refusal of several lines"
        except HangError:
            outcome = "hang"
        except BaseException as error:
            outcome = f"traceback: {type(error).__name__}: {str(error)[:200]}"
        finally:
            self.watching = False
            signal.setitimer(signal.ITIMER_PROF, 0)
        if time.process_time() - clock > CPU_SECONDS:
            outcome = "hang"
        if (more := _peak() - before) > MEMORY:
            outcome = f"memory: {more / 2**20:.0f} MiB"
        if self.acts:
            outcome = f"acts: {self.acts.pop()}"
            self.acts.clear()
        self.outcomes[outcome.partition(":")[0]] += 1
        if outcome not in ("taken", "refused"):
            self.failures.append((name, outcome))


def _hang(*_: object) -> NoReturn:
    raise HangError


def _peak_from_now() -> int:
    """Forget the peak of memory so far; returns what is in use."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def cpu_seconds() -> float:
    """Processor time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
