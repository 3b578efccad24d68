"""Files that survive a crash and are never trusted: atomic, checked, and read without an unpickler."""

import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from ppo import archive
from ppo.files import open_regular, second_name, write_atomically

MAGIC = b"ppo-reproduction checkpoint 1 sha256 "
PREVIOUS = ".previous"
"""Ending of the name of the checkpoint before."""
ENTRY = b"PK\1\2"
"""Stands before each entry in the table of contents of an archive."""
ENTRY_BYTES = 100
"""Bytes of a part of an archive at least; torch.save writes some 200 beside its contents."""
FAST = 1
"""zlib's level: higher ones save 2 % of the episodes' columns, in twice the time and more."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and why."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (dicts, lists, numbers, strings, tensors, arrays) so that ``path`` is always whole.

    A full disk or a crash leaves the earlier checkpoint as it was. The checkpoint before is kept as ``NAME.previous``.
    """
    buffer = io.BytesIO()
    torch.save(_pack(state), buffer)
    payload = buffer.getbuffer()
    header = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"

    def write(file: BinaryIO) -> None:
        file.writelines((header, payload))
        file.flush()
        os.fsync(file.fileno())
        if path.exists():  # only now: where the disk is full, the one before stays too
            second_name(path, path.with_name(path.name + PREVIOUS))

    write_atomically(path, write)


def load(path: Path) -> dict[str, Any]:
    """Return the state in ``path``; raises ``CheckpointError`` if it is cut short, changed, or no checkpoint."""
    with open_regular(path, CheckpointError) as file:
        header = file.readline(len(MAGIC) + 2 * hashlib.sha256().digest_size + 1)
        if not header.startswith(MAGIC) or not header.endswith(b"\n"):
            raise CheckpointError(f"{path} is not a checkpoint of this project, or its beginning is damaged")
        digest, entries = _examined(file)
        if digest.encode() != header[len(MAGIC) : -1]:
            raise CheckpointError(
                f"{path} is damaged: its contents do not match its checksum (cut short, or bytes changed)"
            )
        size = os.fstat(file.fileno()).st_size
        try:
            if entries > size // ENTRY_BYTES:
                raise ValueError(f"{entries:,} parts in {size:,} bytes")
            state = _unpack(archive.read(file), iter(range(size)))
        except (OSError, MemoryError):  # trouble of this machine, not of the file
            raise
        except Exception as error:  # of many kinds, for contents that only a stranger can have put there
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{path} holds something other than numbers and text: {reason}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__} where a dict of state was expected")
    return state


def _examined(file: BinaryIO) -> tuple[str, int]:
    """Return the checksum of the rest of ``file``, and how many entries its archive has at most."""
    digest, entries, end = hashlib.sha256(), 0, b""
    while piece := file.read(2**20):
        digest.update(piece)
        entries += (end + piece).count(ENTRY)
        end = piece[1 - len(ENTRY) :]
    return digest.hexdigest(), entries


def fill(values: torch.Tensor | NDArray[Any], saved: Any) -> None:
    """Copy ``saved`` into ``values``. Raises ``ValueError`` unless it has their kind, type and shape."""
    kinds = (torch.Tensor, np.ndarray)
    if not any(isinstance(values, kind) and isinstance(saved, kind) for kind in kinds):
        raise ValueError(f"a {type(saved).__name__} stands where a {type(values).__name__} was saved")
    expected, found = (f"{array.dtype} {list(array.shape)}" for array in (values, saved))
    if found != expected:
        raise ValueError(f"{found} stands where {expected} was saved")
    values[...] = saved


def _pack(value: Any) -> Any:
    """Turn arrays into marked tensors: ``torch.save`` writes tensors but no arrays."""
    if isinstance(value, np.ndarray):
        return ("numpy", torch.from_numpy(np.ascontiguousarray(value)).view(value.shape))
    if isinstance(value, dict):
        return {key: _pack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_pack(item) for item in value]
    if isinstance(value, torch.Tensor):
        return value.detach()
    return value


def _unpack(value: Any, left: Iterator[int]) -> Any:
    """Undo ``_pack``; ``left`` counts the values down. Each takes at least a byte of its file, unless one list is named
    again and again. Raises ``ValueError`` for contents larger than their file."""
    if next(left, None) is None:
        raise ValueError("more than one value for each byte of the file")
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "numpy":
        return _unpack(value[1], left).numpy()
    if isinstance(value, dict):
        return {key: _unpack(item, left) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, left) for item in value]
    return value


def compressed(column: NDArray[Any]) -> dict[str, Any]:
    """Return a column of numbers ``[rows]`` in little space, for ``decompressed`` to read to the bit.

    The first bytes of all numbers are put together, then the second ones and so on, and compressed.
    """
    planes = np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.dtype.itemsize).T
    content = bytearray(zlib.compress(planes.tobytes(), FAST))
    return {"type": column.dtype.str, "rows": len(column), "content": np.frombuffer(content, np.uint8)}


def decompressed(column: Any, most_rows: int) -> NDArray[Any]:
    """Invert ``compressed``.

    Raises ``ValueError`` for more than ``most_rows`` (a few bytes can stand for gigabytes), and for what is no column.
    """
    try:
        rows, kind, content = int(column["rows"]), np.dtype(str(column["type"])), column["content"].tobytes()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no compressed column: {error}") from error
    if not 0 <= rows <= most_rows or kind.kind not in "if":
        raise ValueError(f"a column of {rows} {kind}: numbers are expected, {most_rows} at most")
    size = rows * kind.itemsize
    try:
        planes = zlib.decompressobj().decompress(content, size + 1)
    except zlib.error as error:
        raise ValueError(f"a column that cannot be read: {error}") from error
    if len(planes) != size:
        raise ValueError(f"a column of {len(planes)} bytes or more, and not of {size}")
    return np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(kind.itemsize, rows).T).view(kind).reshape(rows)
