"""Files that are never lost or trusted: JSON, locks, copies of replaced files."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ppo.files import make_folder, second_name, sync_folder, write_atomically


class StoreError(ValueError):
    """A file of results that cannot be used, or a folder that cannot be written; one line with its name and reason."""


class OtherVersionError(StoreError):
    """A valid file of another version of this project, whose settings this version does not have."""


class BusyError(RuntimeError):
    """Another process is using the same folder."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content``, atomically."""
    write_atomically(path, lambda file: file.write(content))


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write ``data`` as JSON, atomically."""
    text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ``StoreError`` if the file holds something else."""
    try:
        data = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error
    if not isinstance(data, dict):
        raise StoreError(f"{path} holds a JSON {type(data).__name__} where an object was expected")
    return data


def set_aside(*paths: Path, why: str = "damaged") -> list[Path]:
    """Rename those of the files that exist, so that damaged files are not lost; return the new names, with the same
    number."""
    targets = _free_names(paths, why)
    for path, target in targets.items():
        path.rename(target)
    sync_folder(paths[0].parent)
    return list(targets.values())


def keep_aside(*paths: Path, why: str) -> list[Path]:
    """Copy those of the files that exist, before they are replaced; return the copies' names, with the same number."""
    targets = _free_names(paths, why)
    for path, target in targets.items():
        second_name(path, target)
    sync_folder(paths[0].parent)
    return list(targets.values())


def _free_names(paths: Sequence[Path], why: str) -> dict[Path, Path]:
    """Return a free name for each of ``paths`` that exists."""
    for number in range(1, 1000):
        targets = {path: path.with_name(f"{path.name}.{why}-{number}") for path in paths}
        if not any(map(os.path.lexists, targets.values())):
            return {path: target for path, target in targets.items() if path.exists()}
    raise StoreError(f"{paths[0].parent} holds 999 {why} files already: look at them and remove them")


def check_inside(results: Path, folder: Path) -> Path:
    """Return ``folder`` if it and the files in it lie in ``results``. Raises ``StoreError`` for a link that leads
    elsewhere, which an untrusted archive may contain."""
    home = results.resolve()
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if not path.resolve().is_relative_to(home):
            raise StoreError(f"{path} leads out of {results}, to {path.resolve()}: remove that link")
    return folder


def ensure_writable(folder: Path) -> None:
    """Make ``folder``; raises ``StoreError`` if it cannot be written, before any training starts."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        make_folder(folder)
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise StoreError(f"cannot write results to {folder}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(folder: Path, patience: float = 0.0, unless: object = False) -> Iterator[None]:
    """Lock ``folder`` for this process; the lock ends with the process. Raises ``BusyError`` if another still holds it
    after ``patience`` seconds, or once ``unless`` is true."""
    deadline = time.monotonic() + patience
    with (folder / ".lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline or unless:
                    raise BusyError(f"{folder} is being written by another process: wait for it, or stop it") from error
            time.sleep(0.05)
        yield


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which may be read-only, against those who write to it. Raises ``BusyError`` if one does."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(FileNotFoundError):  # nobody ever wrote here under a lock
            file = held.enter_context((folder / ".lock").open())
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(f"{folder} is still being trained") from error
        yield


def is_locked(folder: Path) -> bool:
    """Return whether any process holds the lock of ``folder`` now."""
    try:
        with (folder / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # for a moment, which a worker waits for
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def one_line(error: Exception) -> str:
    """Return an exception's message in one short line."""
    return " ".join(str(error).split())[:200]
