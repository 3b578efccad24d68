"""Seeded damage to files: bytes that change, are lost or come twice, and values that no run of ours writes."""

import copy
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tensorboard.summary.writer.record_writer import RecordWriter

from ppo import checkpoint

LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
VALUES: tuple[object, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 10**400, 0.5, -1.5, 1e300, float("inf"), float("nan")),
    *(
        "",
        "x",
        "inf",
        "../../x",
        "/etc/passwd",
        "\0",
        "\x1b[2J",
        "x" * 10**5,
        "\ud800",
        [],
        {},
        [[]],
        [0] * 1000,
        {"": {}},
    ),
)


def of_bytes(rng: Generator, data: bytes) -> bytes:
    """One to four changes of ``data``."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(changed) + 1))
        length = int(rng.choice([1, 1, 2, 4, 8, 64, 1024]))
        match rng.integers(7):
            case 0:
                changed[at : at + 1] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in changed[at : at + 1])
            case 1:
                changed[at : at + length] = rng.bytes(length)
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length]
            case 4:
                number = LENGTHS[rng.integers(len(LENGTHS))]
                changed[at : at + 8] = number.to_bytes(8, "little" if rng.random() < 0.5 else "big")
            case 5:
                changed[at : at + length] = bytes([int(rng.choice([0, 0xFF, 0x80]))]) * length
            case 6:
                del changed[at:]
    return bytes(changed)


def of_json(rng: Generator, data: Any) -> bytes:
    """The text of JSON ``data`` with one to three odd values in it; or its bytes changed."""
    if rng.random() < 0.3:
        return of_bytes(rng, json.dumps(data).encode())
    data = copy.deepcopy(data)
    for _ in range(rng.integers(1, 4)):
        data = _odd(rng, data)
    if rng.random() < 0.02:
        data = {"runs": "DEEP"}
    return json.dumps(data).replace('"DEEP"', "[" * 10**5).encode()


def _odd(rng: Generator, value: Any) -> Any:
    """``value`` with one value of it, or all of it, exchanged, removed or doubled."""
    children: Sequence[Any] = (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    if not len(children) or rng.random() < 0.1:
        return copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    key = children[int(rng.integers(len(children)))]
    match rng.integers(8):
        case 0:
            del value[key]
        case 1 if isinstance(value, list):
            value += value
        case _:
            value[key] = _odd(rng, value[key])
    return value


def of_events(rng: Generator, data: bytes) -> bytes:
    """A log of TensorBoard that is damaged; or one with right checksums around events that are."""
    if rng.random() < 0.3:
        return of_bytes(rng, data)
    events: list[bytes] = []
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        events.append(data[at + 12 : at + 12 + length])
        at += length + 16  # the length, its checksum, the event, its checksum
    out = io.BytesIO()
    writer = RecordWriter(out)
    for event in events:
        writer.write(of_bytes(rng, event) if rng.random() < 0.1 else event)
    return out.getvalue()


def of_checkpoint(rng: Generator, data: bytes) -> bytes:
    """A checkpoint that is damaged; or one with a right checksum around a damaged pickle, archive or state."""
    _, _, payload = data.partition(b"\n")
    match rng.integers(4):
        case 0:
            return of_bytes(rng, data)
        case 1:
            return signed(of_bytes(rng, payload))
        case 2:
            return signed(_repacked(rng, payload))
        case _:
            return _of_state(rng, data)


def signed(payload: bytes) -> bytes:
    """``payload`` as a checkpoint with the right checksum."""
    return checkpoint.MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def _repacked(rng: Generator, payload: bytes) -> bytes:
    """The archive with its pickle changed, or another part of it, whole but for that."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(payload)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = names[0] if rng.random() < 0.8 else names[int(rng.integers(len(names)))]
        for name in names:
            content = old.read(name)
            new.writestr(name, of_bytes(rng, content) if name == chosen else content)
    return out.getvalue()


def _of_state(rng: Generator, data: bytes) -> bytes:
    """The state with one array, number or text exchanged for another."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pt"
        path.write_bytes(data)
        state = checkpoint.load(path)
        _exchange(rng, state)
        path.unlink()
        checkpoint.save(path, state)
        return path.read_bytes()


def _exchange(rng: Generator, value: Any) -> None:
    key = list(value)[int(rng.integers(len(value)))] if isinstance(value, dict) else int(rng.integers(len(value)))
    old = value[key]
    if isinstance(old, (dict, list)) and len(old) and rng.random() < 0.9:
        _exchange(rng, old)
        return
    arrays: list[NDArray[Any]] = [
        np.zeros((0,)),
        np.zeros((1, 1)),
        np.full((2, 3), np.nan),
        np.zeros((3, 2), np.int8),
        np.zeros(5, np.bool_),
    ]
    if isinstance(old, np.ndarray):
        arrays += [old[:1], old.astype(np.float16), old.reshape(-1), old[..., None]]
    odd = [*arrays, None, True, -1, 0, 2**62, 1e300, float("inf"), float("nan"), "", "x", "[]", [], {}, [0], {"a": 0}]
    value[key] = odd[int(rng.integers(len(odd)))]
