"""Checkpoints: whole or refused, and never run."""

import errno
import hashlib
import io
import os
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
import torch

from ppo import checkpoint
from ppo.checkpoint import CheckpointError, load, save
from tests.helpers.attack import Attack

STATE = {
    "text": "Hopper-v4 ÷ ε",
    "none": None,
    "yes": True,
    "whole": -3,
    "big": 2**127 + 1,
    "real": 0.1,
    "infinite": float("inf"),
    "tensor": torch.arange(6.0).view(2, 3),
    "double": torch.tensor([1 / 3], dtype=torch.float64),
    "scalar": torch.tensor(4),
    "arrays": {
        "f8": np.linspace(0, 1, 7),
        "f4": np.array([[np.nan, -0.0, np.inf]], np.float32),
        "i4": np.array([1, -2], np.int32),
        "bool": np.array([[True], [False]]),
        "empty": np.empty((0, 3)),
        "transposed": np.arange(6).reshape(2, 3).T,
        "zero-dimensional": np.array(2.5),
    },
    "list": [1, None, [np.arange(3), {"deep": torch.ones(1)}], "numpy"],
    "nothing": {},
}


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for mine, other in zip(found, expected, strict=True):
            assert_same(mine, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    else:
        assert found == expected


def test_what_was_saved_is_loaded(tmp_path):
    save(tmp_path / "c.pt", STATE)
    assert_same(load(tmp_path / "c.pt"), STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_loaded_arrays_can_be_written_to(tmp_path):
    save(tmp_path / "c.pt", STATE)
    load(tmp_path / "c.pt")["arrays"]["f8"] += 1


def test_a_parameter_is_saved_as_its_numbers(tmp_path):
    leaf = torch.ones(2, 3, requires_grad=True)
    save(tmp_path / "c.pt", {"parameters": leaf})
    found = load(tmp_path / "c.pt")["parameters"]
    assert torch.equal(found, torch.ones(2, 3))
    assert not found.requires_grad


def with_header(payload):
    """A stranger can compute a checksum too."""
    return checkpoint.MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


@pytest.mark.parametrize("keep", [0, 1, 20, 60, 101, 102, 103, 500, -100, -1])
def test_a_file_cut_short_is_refused_by_name(tmp_path, keep):
    path = tmp_path / "cut.pt"
    save(path, STATE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cut\.pt") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_flipped_bit_anywhere_is_refused_by_name(tmp_path):
    path = tmp_path / "flipped.pt"
    save(path, STATE)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [0, 10, 40, 70, 101, 102, len(data) - 1, *rng.integers(len(data), size=40).tolist()]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"flipped\.pt"):
            load(path)


def test_bytes_appended_are_refused(tmp_path):
    path = tmp_path / "long.pt"
    save(path, STATE)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"long\.pt"):
        load(path)


def torch_file():
    buffer = io.BytesIO()
    torch.save({"parameters": torch.ones(2)}, buffer)
    return buffer.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"not a checkpoint\nat all\n",
    "a newline": b"\n",
    "torch's own": torch_file(),
    "a pickle": pickle.dumps({"a": 1}),
    "another version": with_header(torch_file()).replace(b"checkpoint 1 ", b"checkpoint 9 "),
    "ours around text": with_header(b"hello"),
    "ours around nothing": with_header(b""),
    "ours around a pickle": with_header(pickle.dumps({"a": 1})),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_by_name(tmp_path, kind):
    path = tmp_path / "foreign.pt"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(CheckpointError, match=r"foreign\.pt") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_something_other_than_a_dict_is_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save([1, 2], buffer)
    path = tmp_path / "list.pt"
    path.write_bytes(with_header(buffer.getvalue()))
    with pytest.raises(CheckpointError, match=r"list\.pt.*list"):
        load(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_with_a_right_checksum_does_not_run(tmp_path, zipped):
    trace, path = tmp_path / "trace", tmp_path / "evil.pt"
    buffer = io.BytesIO()
    if zipped:
        torch.save({"algorithm": Attack(trace)}, buffer)
    else:
        pickle.dump({"algorithm": Attack(trace)}, buffer)
    pickle.loads(pickle.dumps(Attack(trace)))
    assert trace.exists(), "the attack works where it is let"
    trace.unlink()
    path.write_bytes(with_header(buffer.getvalue()))
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        load(path)
    assert not trace.exists()


def compressed():
    """Megabytes of zeros in kilobytes."""
    buffer, small = io.BytesIO(), io.BytesIO()
    torch.save({"zeros": torch.zeros(2**24 // 4)}, buffer)
    with zipfile.ZipFile(buffer) as stored, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as deflated:
        for entry in stored.infolist():
            deflated.writestr(entry.filename, stored.read(entry))
    return small.getvalue()


def repeated():
    """A thousand million million numbers, all of them the same one."""
    buffer = io.BytesIO()
    torch.save({"numbers": torch.zeros(1).expand(10**15)}, buffer)
    return buffer.getvalue()


def doubling():
    """A list of a list twice, of a list twice ...: 2**60 numbers in a hundred bytes."""
    buffer = io.BytesIO()
    value: list[Any] = [0]
    for _ in range(60):
        value = [value, value]
    torch.save({"numbers": value}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("bomb", [compressed, repeated, doubling])
def test_a_file_that_would_grow_in_memory_is_refused_by_name(tmp_path, bomb):
    path = tmp_path / "bomb.pt"
    path.write_bytes(with_header(bomb()))
    assert path.stat().st_size < 10**5
    with pytest.raises(CheckpointError, match=r"bomb\.pt.*(larger than|more than one value)") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_the_checkpoint_before_is_kept(tmp_path):
    path, previous = tmp_path / "c.pt", tmp_path / "c.pt.previous"
    for number in range(4):
        save(path, {"number": number})
        assert load(path) == {"number": number}
        if number:
            assert load(previous) == {"number": number - 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.pt", "c.pt.previous"]


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_keeps_the_old_checkpoints(tmp_path, monkeypatch):
    """A full disk leaves the old checkpoints, and nothing half written."""
    path = tmp_path / "c.pt"
    for number in (1, 2):
        save(path, {"number": number})
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(path, {"number": 3})
    monkeypatch.undo()
    assert load(path) == {"number": 2}
    assert load(tmp_path / "c.pt.previous") == {"number": 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.pt", "c.pt.previous"]
    save(path, {"number": 3})
    assert load(path) == {"number": 3}


@pytest.mark.parametrize("dies_in", ["fsync", "link", "replace"])
def test_dying_at_any_moment_of_a_save_leaves_a_whole_checkpoint(tmp_path, monkeypatch, dies_in):
    """A kill cannot be caught, so what it leaves is what an exception that nothing catches leaves."""
    path = tmp_path / "c.pt"
    save(path, {"number": 1})
    save(path, {"number": 2})

    def die(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, dies_in, die)
    with pytest.raises(KeyboardInterrupt):
        save(path, {"number": 3})
    monkeypatch.undo()
    assert load(path) == {"number": 2}
    save(path, {"number": 3})
    assert load(path) == {"number": 3}
    assert load(tmp_path / "c.pt.previous") == {"number": 2}
