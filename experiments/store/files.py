"""Files that are never lost or trusted: JSON, locks, copies of replaced files."""

import contextlib
import fcntl
import json
import math
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ppo.files import make_folder, open_regular, second_name, sync_folder, write_atomically

MOST_JSON = 12 * 2**20
"""Bytes of a JSON file at most: 9,000 runs take as much, and as text at most 48 MiB of memory."""
MOST_VALUES = 1_000_000
MOST_DEPTH = 32
LARGEST = 2**63 - 1
FOLDERS = ("stacks", "policies", "tables", "figures", "figure2", "imported")
ENDINGS = (".json", ".parquet", ".pt", ".html")
"""Of the files in a results folder itself."""


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
    """Write ``data`` as JSON, atomically. Of a list, as a manifest's runs, each entry has a line: so they can be
    searched line by line, and take a sixth less."""
    values = [f" {json.dumps(name)}: {_json(data[name])}" for name in sorted(data)]
    write_bytes(path, ("{\n" + ",\n".join(values) + "\n}\n").encode())


def _json(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {json.dumps(each, sort_keys=True, allow_nan=False)}" for each in value) + "\n ]"
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).replace("\n", "\n ")


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of ``most`` bytes at most. Raises ``StoreError`` for a longer one, and for what is no file."""
    with open_regular(path, StoreError) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise StoreError(f"{path} is longer than {most:,} bytes, the most that is read")
    return data


def read_text(path: Path, most: int) -> str:
    """Read a text of ``most`` bytes at most. Raises ``StoreError`` for a longer one, and for what is no text."""
    data = read_bytes(path, most)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ``StoreError`` if the file holds something else: what is no number of 64 bits, or more
    lists in lists or more values than a file of ours."""
    text = read_text(path, MOST_JSON)
    if sum(map(text.count, "[{,")) > MOST_VALUES:
        raise StoreError(f"{path} holds more than {MOST_VALUES:,} values, which no file of ours does")
    try:
        data = json.loads(text, parse_int=_whole_number, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is unreadable: {one_line(error)}") from error
    if _depth(data) > MOST_DEPTH:
        raise StoreError(f"{path} is more than {MOST_DEPTH} lists in lists deep, which no file of ours is")
    if not isinstance(data, dict):
        raise StoreError(f"{path} holds a JSON {type(data).__name__} where an object was expected")
    return data


def _whole_number(text: str) -> int:
    if len(text) > len(str(-LARGEST)) or abs(value := int(text)) > LARGEST:
        raise ValueError(f"a number of {len(text)} digits, {text[:20]}")
    return value


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no number")
    return value


def _depth(data: Any) -> int:
    """How many lists and objects lie in each other at most; one beyond the limit is enough."""
    depth, level = 0, [data]
    while level and depth <= MOST_DEPTH:
        containers = [one for one in level if isinstance(one, (dict, list))]
        level = [item for one in containers for item in (one.values() if isinstance(one, dict) else one)]
        depth += 1
    return depth


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


def check_tree(results: Path) -> None:
    """Raise ``StoreError`` for a file of ``results`` that a stranger may have made to harm who reads or writes there:
    a link that leads out of it, and what is neither a file nor a folder, such as a pipe.

    ``results`` itself may be a link. What lies beside the files of a results folder is not looked at.
    """
    home = _target(results)
    if not home.is_dir():
        return
    waiting = [entry for entry in os.scandir(results) if _is_ours(entry)]
    while waiting:
        entry = waiting.pop()
        kind = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            target = _target(Path(entry.path))
            if not target.is_relative_to(home):
                raise StoreError(f"{entry.path} leads out of {results}, to {target}: remove that link")
            kind = target.stat().st_mode if target.exists() else stat.S_IFREG
        elif stat.S_ISDIR(kind):
            waiting += os.scandir(entry.path)
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise StoreError(f"{entry.path} is neither a file nor a folder: remove it")


def _target(path: Path) -> Path:
    """Return where a path leads. Raises ``StoreError`` for a circle of links."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise StoreError(f"{path} is a link that leads back to itself: remove it")
    return target


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    """Tell whether a command reads or writes what is called so in a results folder."""
    return (
        entry.name in FOLDERS
        or entry.name.startswith((".lock", ".probe"))
        or entry.name.endswith(ENDINGS)
        or os.path.lexists(os.path.join(entry.path, "manifest.json"))
    )


def check_inside(results: Path, folder: Path) -> Path:
    """Return ``folder`` if it and the files in it lie in ``results``. Raises ``StoreError`` for a link that leads
    elsewhere, which an untrusted archive may contain."""
    home = _target(results)
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if not (target := _target(path)).is_relative_to(home):
            raise StoreError(f"{path} leads out of {results}, to {target}: remove that link")
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
