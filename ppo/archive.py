"""Read what ``torch.save`` writes without trusting it: tensors, numbers and text, in dicts, lists and tuples.

An unpickler calls what a file names, and even PyTorch's ``weights_only`` calls functions that take as much memory as
the file asks for. Here the few instructions of pickle that ``torch.save`` needs for such data are carried out one by
one. Nothing is called: of two names that a file may hold, one means a tensor and the other an empty dict.
"""

import errno
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import IO, Any, cast

import torch
from torch import Tensor

MOST_OPERATIONS = 1_000_000
"""Instructions in one file at most: ours have a few for each number and text."""
PIECE = 2**20
"""Bytes that are read at a time."""

TYPES = {
    f"torch {dtype}Storage": kind
    for dtype, kind in {
        "Float": torch.float32,
        "Double": torch.float64,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Byte": torch.uint8,
        "Char": torch.int8,
        "Short": torch.int16,
        "Int": torch.int32,
        "Long": torch.int64,
        "Bool": torch.bool,
    }.items()
}
TENSOR = "torch._utils _rebuild_tensor_v2"
EMPTY = "collections OrderedDict"
"""The hooks of a tensor, of which there are none."""


class _Name(str):
    """A name that the file holds where pickle has a function or a class."""


def read(file: IO[bytes]) -> Any:
    """Return what is in the archive at the end of ``file``, which takes no more memory than the archive.

    Raises ``ValueError`` for anything that our checkpoints do not hold; ``zipfile`` and PyTorch raise other errors for
    an archive that is damaged.
    """
    try:
        return _contents(file)
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the file's beginning
            raise ValueError("its archive names places outside of it") from error
        raise


def _contents(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("two of its parts have one name")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("its contents are compressed, and may be larger than the file")
        if "data.pkl" not in entries:
            raise ValueError("its archive has no data.pkl")
        with archive.open(entries["data.pkl"]) as stream:
            return _Reader(archive, entries).value(_Stream(stream, entries["data.pkl"].file_size))


class _Stream:
    """The instructions of a file of ``size`` bytes, of which no more is asked for at once, whatever they claim."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream = stream
        self.size = size

    def read(self, count: int) -> bytes:
        return self.stream.read(min(count, self.size))

    def readline(self) -> bytes:
        return self.stream.readline()


class _Reader:
    """Carries out the instructions of one file."""

    def __init__(self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> None:
        self.archive = archive
        self.entries = entries
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.kept: dict[int, Any] = {}
        self.storages: dict[str, Tensor] = {}
        self.instructions: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "NONE": lambda _: self.stack.append(None),
            "NEWTRUE": lambda _: self.stack.append(True),
            "NEWFALSE": lambda _: self.stack.append(False),
            **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), self.stack.append),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "TUPLE": lambda _: self.stack.append(tuple(self.marked())),
            "TUPLE1": lambda _: self.stack.append(tuple(self.taken(1))),
            "TUPLE2": lambda _: self.stack.append(tuple(self.taken(2))),
            "TUPLE3": lambda _: self.stack.append(tuple(self.taken(3))),
            "APPEND": lambda _: self.append(self.taken(1)),
            "APPENDS": lambda _: self.append(self.marked()),
            "SETITEM": lambda _: self.set(self.taken(2)),
            "SETITEMS": lambda _: self.set(self.marked()),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self.keep),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda number: self.stack.append(self.kept[number])),
            "GLOBAL": self.name,
            "BINPERSID": lambda _: self.stack.append(self.storage(*self.taken(1))),
            "REDUCE": lambda _: self.stack.append(self.made(*self.taken(2))),
        }

    def value(self, stream: "_Stream") -> Any:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
            if instruction.name == "STOP":
                return self.taken(1)[0]
            if number >= MOST_OPERATIONS:
                raise ValueError(f"more than {MOST_OPERATIONS:,} values")
            if instruction.name not in self.instructions:
                raise ValueError(f"it has pickle's {instruction.name}, which our files have not")
            self.instructions[instruction.name](argument)
        raise ValueError("it ends too early")

    def taken(self, count: int) -> list[Any]:
        """Take the last ``count`` values off the stack."""
        at = len(self.stack) - count
        if at < (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes a value that is not there")
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def marked(self) -> list[Any]:
        """Take the values since the last mark off the stack."""
        values = self.taken(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    def append(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("it appends to something other than a list")
        self.stack[-1].extend(values)

    def set(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if type(self.stack[-1]) is not dict or not all(type(key) is str for key in keys):
            raise ValueError("it has a dict whose keys are not all text")
        self.stack[-1].update(zip(keys, values, strict=True))

    def keep(self, number: int) -> None:
        self.kept[number] = self.stack[-1]

    def name(self, name: str) -> None:
        if name not in (TENSOR, EMPTY, *TYPES):
            module, _, attribute = name.partition(" ")  # as of Python 2, whose names this version of pickle keeps
            module, attribute = NAME_MAPPING.get((module, attribute), (IMPORT_MAPPING.get(module, module), attribute))
            raise ValueError(f"it names {module}.{attribute}, which is code: not loaded")
        self.stack.append(_Name(name))

    def storage(self, about: Any) -> Tensor:
        """Read the numbers that a tensor, or several, are views of."""
        word, kind, key, _, count = about
        entry, dtype = self.entries.get(f"data/{key}"), TYPES[kind]
        if word != "storage" or entry is None or entry.file_size != count * dtype.itemsize:
            raise ValueError(f"a tensor of {count} numbers has {entry.file_size if entry else 'no'} bytes")
        if key not in self.storages:
            numbers = torch.empty(count, dtype=dtype)
            with self.archive.open(entry) as stream:
                place, at = numbers.view(torch.uint8).numpy().data, 0
                while piece := stream.read(PIECE):
                    place[at : at + len(piece)] = piece
                    at += len(piece)
            self.storages[key] = numbers
        if self.storages[key].dtype != dtype:
            raise ValueError("two tensors take the same bytes for numbers of different types")
        return self.storages[key]

    def made(self, name: Any, arguments: Any) -> Any:
        """Return what ``name`` would make of ``arguments``."""
        if type(name) is not _Name or type(arguments) is not tuple:
            raise ValueError("it calls something that has no name")
        if name == EMPTY and not arguments:
            return {}
        if name != TENSOR:
            raise ValueError(f"it calls {name}")
        numbers, offset, size, stride, *_ = arguments
        tensor = torch.as_strided(numbers, size, stride, offset)  # checks that all of it is there
        if tensor.numel() > numbers.numel():
            raise ValueError(f"a tensor {list(size)} larger than its data")
        return tensor
