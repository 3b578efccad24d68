"""How functions are compiled by numba, and where what was compiled is kept for the next process.

numba's own cache looks at the file of a function alone, and not at the functions of other files that it calls: after an
update of one file it would go on with the old ones. So the folder's name says what all files here hold. Where no folder
can be written, each process compiles for itself.
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
    """The folder for what is compiled from these very sources; None if it cannot be written."""
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
        return numba.njit(cache=_FOLDER is not None, error_model="numpy", **options)(function)
    finally:
        config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Any:
    """Compile for speed: sums may be added up in another order and products fused, which vector instructions need; NaN
    and infinity keep their meaning."""
    return _compile(function, fastmath={"contract", "reassoc", "arcp", "nsz"})


def exactly(function: Callable[..., Any]) -> Any:
    """Compile as it is written: the bits are those of the same operations in numpy."""
    return _compile(function)


_threads = threadpoolctl.ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let matrix products have one thread: they are too small for two."""
    with _threads.limit(limits=1, user_api="blas"):
        yield


class _Once(event.Listener):
    """Calls ``tell`` when something is compiled for the first time in this process, and not loaded."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell: Callable[[], None] | None = tell

    def on_start(self, _: Any) -> None:
        if self.tell:
            self.tell()
            self.tell = None

    def on_end(self, _: Any) -> None:
        pass


def tell_of_compiling(tell: Callable[[], None]) -> None:
    """Call ``tell`` once, if something has to be compiled in this process."""
    event.register("numba:compile", _Once(tell))  # type: ignore[no-untyped-call]
