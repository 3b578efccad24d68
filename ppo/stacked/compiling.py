"""How numba compiles functions, and where compiled code is cached.

numba's cache depends only on the file of a function, not on the functions of other files that it calls: after a change
in one file, stale code would be used. So the name of the cache folder is a hash of all files here. If no folder can be
written, each process compiles for itself.

Every function is inlined where it is called. Otherwise a process holds several translations of one, alone and inside
each of its callers, which round differently, and what it compiled or loaded first decides which of them runs.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import threadpoolctl
from numba.core import event

_SOURCES = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))


def _folder() -> Path | None:
    """Return the cache folder for these sources; None if it cannot be written."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    parent = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(home) / "ppo-reproduction")
    folder = parent / f"compiled-{hashlib.sha256(_SOURCES).hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError:
        return None
    return folder


_FOLDER = _folder()


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    config: Any = numba.config  # which says where the cache is for functions that are decorated now
    before, config.CACHE_DIR = config.CACHE_DIR, str(_FOLDER or "")
    try:
        return numba.njit(cache=_FOLDER is not None, error_model="numpy", forceinline=True, **options)(function)
    finally:
        config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Any:
    """Compile for speed: sums may be reordered and products fused, as vector instructions need; NaN and infinity keep
    their meaning."""
    return _compile(function, fastmath={"contract", "reassoc", "arcp", "nsz"})


def exactly(function: Callable[..., Any]) -> Any:
    """Compile without reordering: the same bits as the same operations in numpy."""
    return _compile(function)


_threads = threadpoolctl.ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit matrix products to one thread: they are too small for two."""
    with _threads.limit(limits=1, user_api="blas"):
        yield


class _Once(event.Listener):
    """Calls ``tell`` the first time that this process compiles a function instead of loading it."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell: Callable[[], None] | None = tell

    def on_start(self, _: Any) -> None:
        if self.tell:
            self.tell()
            self.tell = None

    def on_end(self, _: Any) -> None:
        pass


def tell_of_compiling(tell: Callable[[], None]) -> None:
    """Call ``tell`` once, if this process has to compile a function."""
    event.register("numba:compile", _Once(tell))  # type: ignore[no-untyped-call]
