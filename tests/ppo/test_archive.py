"""What a checkpoint may hold: data. Whatever calls, grows or does not fit is refused before it takes memory."""

import collections
import hashlib
import io
import os
import pickle
import subprocess
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from ppo import checkpoint
from ppo.checkpoint import CheckpointError, load, save


def signed(payload):
    return checkpoint.MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def written(path, state):
    """A checkpoint of anything that PyTorch writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(signed(buffer.getvalue()))
    return path


class Call:
    """Pickled as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CALLS = {
    "builtins.bytearray": Call(bytearray, 8 * 10**9),
    "builtins.list": Call(list, range(3)),
    "torch.Tensor": Call(torch.Tensor, 2 * 10**9),
    "builtins.getattr": Call(torch.zeros, 2 * 10**9),  # as which pickle has a function of a class
    "posix.system": Call(os.system, "touch EXECUTED"),
    "subprocess.getoutput": Call(subprocess.getoutput, "touch EXECUTED"),
    "torch.storage.UntypedStorage": Call(torch.UntypedStorage, 8 * 10**9),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_named_and_not_made(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "policy.pt", {"parameters": CALLS[name]})
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=rf"policy\.pt .*names {name}, which is code: not loaded") as error:
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "EXECUTED").exists()


def test_a_dict_that_is_called_with_contents_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="calls"):
        load(written(tmp_path / "x.pt", {"a": Call(collections.OrderedDict, [("a", 1)])}))


@pytest.mark.parametrize("state", [{1: 2}, {(1, 2): 3}, {"a": {2.5: 1}}, {b"a": 1}])
def test_a_key_that_is_no_text_is_refused(tmp_path, state):
    with pytest.raises(CheckpointError, match=r"x\.pt holds something other than numbers and text"):
        load(written(tmp_path / "x.pt", state))


def test_views_of_one_tensor_stay_what_they_are(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"rows": whole[1:], "columns": whole[:, 2], "turned": whole.T, "nothing": whole[:0], "one": whole[1, 1]}
    loaded = load(written(tmp_path / "x.pt", state))
    for name, value in state.items():
        assert torch.equal(loaded[name], value), name


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "bool"])
def test_every_type_of_number_is_kept_to_the_bit(tmp_path, kind):
    tensor = torch.randint(0, 2, (5, 3)).to(getattr(torch, kind))
    save(tmp_path / "x.pt", {"x": tensor})
    loaded = load(tmp_path / "x.pt")["x"]
    assert loaded.dtype == tensor.dtype
    assert torch.equal(loaded, tensor)


def repacked(path, change):
    """The archive in a checkpoint, of which ``change`` gives each part anew."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes().partition(b"\n")[2])) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            for new_name, content in change(name, old.read(name)):
                new.writestr(new_name, content)
    path.write_bytes(signed(out.getvalue()))
    return path


CHANGES = {
    "a tensor cut short": lambda name, content: [(name, content[:-4] if name.endswith("data/0") else content)],
    "no pickle": lambda name, content: [] if name.endswith("data.pkl") else [(name, content)],
    "no tensor": lambda name, content: [] if name.endswith("data/0") else [(name, content)],
    "two pickles": lambda name, content: [(name, content), ("more/data.pkl", content)],
    "a pickle cut short": lambda name, content: [(name, content[:-9] if name.endswith("data.pkl") else content)],
    "another protocol": lambda name, content: [(name, pickle.dumps([1], 4) if name.endswith("data.pkl") else content)],
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_archive_that_does_not_fit_is_refused_by_name(tmp_path, what):
    save(tmp_path / "x.pt", {"parameters": np.arange(8.0), "text": "x"})
    path = repacked(tmp_path / "x.pt", CHANGES[what])
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"x\.pt"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(CheckpointError, match=r"pipe\.pt is not a regular file"):
        load(tmp_path / "pipe.pt")


def test_reading_takes_little_more_memory_than_what_is_read(tmp_path):
    """PyTorch's allocations are not traced: what is traced is all the rest."""
    save(tmp_path / "x.pt", {"large": torch.zeros(2**24)})
    tracemalloc.start()
    load(tmp_path / "x.pt")
    assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    tracemalloc.stop()
