"""What a power loss may leave of a folder: what is done to its files is recorded, and any part of it is done again.

The model is harsher than file systems are. What a file holds is on the disk once it was synced, and before that none,
half or all of it. A name is on the disk once its folder was synced, and before that perhaps: each change of a name by
itself, but none by half.
"""

import os
import random
from pathlib import Path
from typing import Any

NAMES = ("create", "link", "unlink", "mkdir", "rmdir", "rename")
"""Operations on names; the others are on what files hold: data, sync, syncdir, and mark, which is the caller's."""


class Recorder:
    """Records operations below ``root`` while it is entered: ``(kind, ...)``, paths relative to it."""

    def __init__(self, root, monkeypatch):
        self.root = Path(root)
        self.operations: list[tuple[Any, ...]] = []
        self._real = {
            name: getattr(os, name)
            for name in ("fsync", "replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir")
        }
        self._numbers: dict[int, object] = {}
        self._names: dict[str, object] = {}
        self._contents: dict[object, bytes] = {}
        self._folders: set[str] = set()
        self._notice()
        self.start = (dict(self._names), dict(self._contents), set(self._folders))
        self.operations.clear()
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, f"_{name}", None) or self._noticing(name))

    def mark(self, value):
        """Note that something has returned."""
        self._notice()
        self.operations.append(("mark", value))

    def _noticing(self, name):
        def call(*arguments, **more):
            self._notice()
            result = self._real[name](*arguments, **more)
            self._notice()
            return result

        return call

    def _fsync(self, descriptor):
        self._notice()
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        self._real["fsync"](descriptor)
        if path.is_relative_to(self.root):
            name = str(path.relative_to(self.root))
            if path.is_dir():
                self.operations.append(("syncdir", name))
            else:
                self.operations.append(("sync", self._names[name]))

    def _rename(self, source, target):
        self._moved("rename", source, target)

    def _replace(self, source, target):
        self._moved("replace", source, target)

    def _moved(self, kind, source, target):
        self._notice()
        self._real[kind](source, target)
        source, target = (Path(os.path.abspath(path)) for path in (source, target))
        if not target.is_relative_to(self.root):
            return
        one, other = (str(path.relative_to(self.root)) for path in (source, target))
        if not os.path.lexists(source):  # or both are names of one file, and nothing is done
            self.operations.append(("rename", one, other))
            move(self._names, self._folders, one, other)
        self._notice()

    def _notice(self):
        """Record what was done since, by writing or otherwise."""
        inodes, folders = dict[str, int](), set[str]()
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_dir():
                folders.add(name)
            else:
                inodes[name] = path.stat().st_ino
        for name in sorted(folders - self._folders):
            self.operations.append(("mkdir", name))
        alive = set(inodes.values())
        self._numbers = {inode: number for inode, number in self._numbers.items() if inode in alive}
        names: dict[str, object] = {}
        for name, inode in inodes.items():
            known = inode in self._numbers
            number = self._numbers.setdefault(inode, object())
            if self._names.get(name) is not number:
                self.operations.append(("link" if known else "create", name, number))
            content = (self.root / name).read_bytes()
            if self._contents.get(number) != content:
                self.operations.append(("data", number, content))
                self._contents[number] = content
            names[name] = number
        for name in sorted(set(self._names) - set(names)):
            self.operations.append(("unlink", name))
        for name in sorted(self._folders - folders, reverse=True):
            self.operations.append(("rmdir", name))
        self._names, self._folders = names, folders


def move(names, folders, one, other):
    """Rename a file, or a folder with all in it."""
    for name in [name for name in names if name == one or name.startswith(f"{one}/")]:
        names[other + name[len(one) :]] = names.pop(name)
    for name in [name for name in folders if name == one or name.startswith(f"{one}/")]:
        folders.remove(name)
        folders.add(other + name[len(one) :])


def images(recorder, rng):
    """Every power loss: ``(marks before it, {file: bytes}, folders)``, each distinct image once."""
    seen = set()
    for count in range(len(recorder.operations) + 1):
        done = recorder.operations[:count]
        marks = [operation[1] for operation in done if operation[0] == "mark"]
        for kind in ("all", "synced", "no data", "half of the data", "random"):
            files, folders = _image(recorder.start, done, kind, rng)
            key = (len(marks), tuple(sorted(files.items())), tuple(sorted(folders)))
            if key not in seen:
                seen.add(key)
                yield marks, files, folders


def _image(start, done, kind, rng):
    names, contents, folders = dict(start[0]), dict(start[1]), set(start[2])
    unsynced = dict.fromkeys(contents, False)
    for number, operation in enumerate(done):
        if operation[0] in NAMES and not _kept(done, number, kind, rng):
            continue
        if operation[0] == "data":
            unsynced[operation[1]] = operation[2]
        elif operation[0] == "sync":
            if isinstance(unsynced.get(operation[1]), bytes):
                contents[operation[1]] = unsynced[operation[1]]
            unsynced[operation[1]] = False
        elif operation[0] in NAMES:
            _apply(names, folders, operation)
    parts = {"all": [1.0], "half of the data": [0.5], "random": [0.0, 0.5, 1.0]}.get(kind, [0.0])
    for number, data in unsynced.items():
        if isinstance(data, bytes):
            contents[number] = data[: int(len(data) * rng.choice(parts))]
    return {name: contents.get(number, b"") for name, number in names.items()}, folders


def _kept(done, number, kind, rng):
    """Whether a change of a name is on the disk."""
    folder = os.path.dirname(done[number][-2] if done[number][0] in ("create", "link") else done[number][-1])
    if any(later == ("syncdir", folder or ".") for later in done[number:]):
        return True
    return {"synced": False, "random": rng.random() < 0.5}.get(kind, True)


def _apply(names, folders, operation):
    kind, name, *rest = operation
    inside = os.path.dirname(rest[0] if kind == "rename" else name)
    if inside and inside not in folders:
        return
    if kind in ("create", "link"):
        names[name] = rest[0]
    elif kind == "unlink":
        names.pop(name, None)
    elif kind == "mkdir":
        folders.add(name)
    elif kind == "rmdir":
        folders.discard(name)
    elif name in names or (name in folders and rest[0] not in folders):
        move(names, folders, name, rest[0])


def make(image, root):
    """Lay an image out in the folder ``root``."""
    _, files, folders = image
    for folder in sorted(folders):
        (root / folder).mkdir(parents=True)
    for name, content in files.items():
        (root / name).write_bytes(content)


def sample(everything, count, seed):
    """``count`` of the images, or all."""
    everything = list(everything)
    if count is None or count >= len(everything):
        return everything
    return random.Random(seed).sample(everything, count)
