"""Files that a crash leaves whole: written beside their place and to the disk, and only then given their name."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".writing"
"""How the name of a file ends that is not whole yet."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write(file)`` make the file's contents: readers see the old file or the new one, also after a power loss.

    Two processes that write the same file at once do not meet: each has a temporary file of its own. Where writing
    fails, nothing is left of it.
    """
    with _temporary(path) as (temporary, file):
        write(file)
        file.flush()
        os.fsync(file.fileno())
        os.replace(temporary, path)
    sync_folder(path.parent)


def second_name(path: Path, other: Path) -> None:
    """Let ``other`` name what ``path`` names now, or a copy of it where a file has one name alone; at every moment
    ``other`` is what it was, or that."""
    temporary = _temporary_name(other)
    try:
        os.link(path, temporary)
        os.replace(temporary, other)
    except OSError:
        with path.open("rb") as source:
            write_atomically(other, lambda file: shutil.copyfileobj(source, file))
    finally:
        temporary.unlink(missing_ok=True)  # where both were one file already, it is still there


def open_regular(path: Path, refusal: type[ValueError]) -> BinaryIO:
    """Open a file to read. Raises ``refusal`` for what is no file: a pipe would wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal(f"{path} is not a regular file")
    return open(descriptor, "rb")


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those that it lies in, and wait until the disk has their names."""
    if not folder.is_dir():
        if not folder.parent.exists():
            make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in ``folder``."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left half-written in ``folder``."""
    for path in folder.glob(f"*{UNFINISHED}"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not that of a process that is still writing it
            path.unlink()


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a file beside ``path``, locked as long as it is being written."""
    while True:
        temporary = _temporary_name(path)
        with temporary.open("xb") as file:
            try:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink:  # not removed before it was locked
                    yield temporary, file
                    return
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{UNFINISHED}")
