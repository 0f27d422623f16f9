"""What a directory may hold after a power cut, given everything that was done to it (`recording.py`).

Sure is only what was synced: bytes of a file by fsync or fdatasync of it, or written through O_DSYNC; names by fsync of
their directory. Bytes whose sync failed are not made sure by a later one, as the kernel has given them up. Of everything else a cut keeps what it likes: writes whole, torn between sectors or pages, or not at all;
lengths without bytes; names without files. A `Variant` says what one cut likes.

    disk = Disk()
    for event in events:
        if is_sync(event): disk.rebuild(variant, directory)      # a cut just before it
        disk.take(event)

Sources: POSIX fsync(2); Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, whose persistence model of
blocks and directory operations this follows.
"""

from __future__ import annotations

import os
import random
import stat
from dataclasses import dataclass, field

from tests.faults.recording import Kind

SECTOR_BYTES = 512
PAGE_BYTES = 4_096
ROOT = 0


@dataclass(frozen=True)
class Variant:
    """What becomes of what was not synced.

    Args:
        names: "none" or "all" survive, "any" of them, or the "first" of them: a journal keeps their order, and commits when
            a directory or a file with a new name is synced.
        data: of writes likewise; "any" tears them too.
        holes: lost writes still leave their length behind, full of zeros.
    """

    label: str
    names: str
    data: str
    holes: bool = False
    seed: int = 0


NOTHING = Variant("nothing", "none", "none")
EVERYTHING = Variant("everything", "all", "all")
NAMES_ONLY = Variant("names only", "all", "none")
LENGTHS_ONLY = Variant("names and lengths only", "all", "none", holes=True)
BYTES_ONLY = Variant("bytes only", "none", "all")


def variants(seed, number=1):
    """The five extremes, and random ones."""
    mixed = [Variant(f"anything {n}", "any", "any", bool(n % 2), seed + n) for n in range(number)]
    ordered = [Variant(f"a journal's order {n}", "first", "first", seed=seed + n) for n in range(number)]
    return [NOTHING, EVERYTHING, NAMES_ONLY, LENGTHS_ONLY, BYTES_ONLY, *mixed, *ordered]


def is_sync(event):
    return event.kind in (Kind.SYNC, Kind.SYNC_ALL) or event.durable


@dataclass
class _File:
    sure: bytearray = field(default_factory=bytearray)
    pending: list = field(default_factory=list)  # (serial, offset, bytes) or (serial, size, None)
    given_up: list = field(default_factory=list)  # of those, before the pending ones
    mapped: bool = False
    special: bool = False


@dataclass
class _Directory:
    now: dict = field(default_factory=dict)
    sure: dict = field(default_factory=dict)
    journaled: dict = field(default_factory=dict)


@dataclass
class _Renaming:
    """One change of names: [(directory, name, node or None)], and which of its directories were synced since."""

    serial: int
    parts: list
    waiting: set


class Disk:
    """The state of the medium, event after event."""

    def __init__(self):
        self._nodes = {ROOT: _Directory()}
        self._of_inode = {}
        self._next = 1
        self._serial = 0
        self._unsynced = []  # changes of names that are not sure
        self._journal = []  # and those that are in no committed transaction of a journal

    def load(self, path, inodes):
        """Begin with what lies at `path`, all of it sure. `inodes`: by path below it, as events will name them."""
        self._of_inode[inodes[""]] = ROOT
        self._load(path, "", self._nodes[ROOT], inodes)

    def _load(self, path, prefix, directory, inodes):
        for entry in os.scandir(path):
            if prefix + entry.name not in inodes:
                continue
            made = _Directory() if entry.is_dir() else _File(special=not entry.is_file())
            if entry.is_dir():
                self._load(entry.path, f"{prefix}{entry.name}/", made, inodes)
            elif entry.is_file():
                with open(entry.path, "rb") as file:
                    made.sure = bytearray(file.read())
            node = self._add(inodes[prefix + entry.name], made)
            for names in (directory.now, directory.sure, directory.journaled):
                names[entry.name] = node

    def _add(self, inode, node):
        number, self._next = self._next, self._next + 1
        self._nodes[number] = node
        self._of_inode[inode] = number
        return number

    # what happens

    def take(self, event):
        self._serial += 1
        take = self._TAKE.get(event.kind)
        if take is not None:
            take(self, event)

    def _file(self, event):
        return self._nodes[self._of_inode[event.inode]]

    def _write(self, event):
        file = self._file(event)
        if event.durable:
            # This write alone: others to the same file stay as unsure as they were, and lie below it.
            file.pending = [_under(write, event.at, event.data) for write in file.pending]
            self._make_sure(file, event.at, event.data)
        else:
            file.pending.append((self._serial, event.at, event.data))

    def _make_sure(self, file, at, data):
        _put(file.sure, at, data)
        file.given_up = [_under(write, at, data) for write in file.given_up]

    def _resize(self, event):
        self._file(event).pending.append((self._serial, event.at, None))

    def _allocate(self, event):
        file = self._file(event)
        if event.at > self._length(file):
            file.pending.append((self._serial, event.at, None))

    def _length(self, file):
        size = len(file.sure)
        for _, at, data in file.given_up + file.pending:
            size = at if data is None else max(size, at + len(data))
        return size

    def _sync(self, event):
        number = self._of_inode[event.inode]
        self._sync_node(number)
        node = self._nodes[number]
        if isinstance(node, _Directory) or any(part[2] == number for op in self._journal for part in op.parts):
            self._commit()

    def _give_up(self, event):
        node = self._nodes[self._of_inode[event.inode]]
        if isinstance(node, _File):
            node.given_up += node.pending
            node.pending = []

    def _sync_node(self, number):
        node = self._nodes[number]
        if isinstance(node, _File):
            for _, at, data in node.pending:
                self._make_sure(node, at, data)
            node.pending = []
            return
        left = []
        for op in self._unsynced:
            op.waiting.discard(number)
            if op.waiting:
                left.append(op)
            else:
                self._apply(op, "sure")
        self._unsynced = left

    def _commit(self):
        for op in self._journal:
            self._apply(op, "journaled")
        self._journal = []

    def _sync_all(self, event):
        for number in self._nodes:
            self._sync_node(number)
        self._commit()

    def _apply(self, op, which):
        for directory, name, node in op.parts:
            names = getattr(self._nodes[directory], which)
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def _place(self, name):
        *parents, last = name.split("/")
        number = ROOT
        for parent in parents:
            number = self._nodes[number].now[parent]
        return number, last

    def _change(self, *parts):
        op = _Renaming(self._serial, list(parts), {directory for directory, _, _ in parts})
        self._apply(op, "now")
        self._unsynced.append(op)
        self._journal.append(op)

    def _create(self, event):
        self._change((*self._place(event.name), self._add(event.inode, _File(special=event.kind == Kind.OTHER))))

    def _mkdir(self, event):
        if not event.name:
            self._of_inode[event.inode] = ROOT
            return
        self._change((*self._place(event.name), self._add(event.inode, _Directory())))

    def _link(self, event):
        directory, name = self._place(event.name)
        node = self._nodes[directory].now[name]
        self._change((*self._place(os.fsdecode(event.data)), node))

    def _unlink(self, event):
        self._change((*self._place(event.name), None))

    def _rename(self, event):
        directory, name = self._place(event.name)
        node = self._nodes[directory].now[name]
        self._change((directory, name, None), (*self._place(os.fsdecode(event.data)), node))

    def _map(self, event):
        self._file(event).mapped = True

    _TAKE = {  # noqa: RUF012
        Kind.WRITE: _write,
        Kind.TRUNCATE: _resize,
        Kind.ALLOCATE: _allocate,
        Kind.SYNC: _sync,
        Kind.SYNC_ALL: _sync_all,
        Kind.SYNC_FAILED: _give_up,
        Kind.CREATE: _create,
        Kind.OTHER: _create,
        Kind.MKDIR: _mkdir,
        Kind.LINK: _link,
        Kind.UNLINK: _unlink,
        Kind.RMDIR: _unlink,
        Kind.RENAME: _rename,
        Kind.MAP: _map,
    }

    # what is left

    def image(self, variant):
        """{path: bytes, or None for a directory, or "" for a socket}: the directory after a cut now."""
        choose = random.Random(f"{variant.seed} {self._serial}")
        last = choose.choice(self._unsure()) if variant.names == "first" else None
        names = self._names(variant, choose, last)
        found = {}
        self._walk(ROOT, "", names, variant, choose, last, found)
        return found

    def _unsure(self):
        """Where a journal's order may end: before everything, or with one of the changes that are not sure."""
        files = [node for node in self._nodes.values() if isinstance(node, _File)]
        return [0, *(op.serial for op in self._journal), *(write[0] for file in files for write in file.pending)]

    def _names(self, variant, choose, last):
        which, ops = ("journaled", self._journal) if variant.names == "first" else ("sure", self._unsynced)
        names = {n: dict(getattr(node, which)) for n, node in self._nodes.items() if isinstance(node, _Directory)}
        for op in ops:
            if variant.names == "first":
                kept = op.serial <= last
            else:
                kept = variant.names == "all" or (variant.names == "any" and choose.random() < 0.5)
            if kept:
                for directory, name, node in op.parts:
                    if node is None:
                        names[directory].pop(name, None)
                    else:
                        names[directory][name] = node
        return names

    def _walk(self, number, prefix, names, variant, choose, last, found):
        for name, child in names[number].items():
            node = self._nodes[child]
            if isinstance(node, _Directory):
                found[prefix + name] = None
                self._walk(child, f"{prefix}{name}/", names, variant, choose, last, found)
            else:
                found[prefix + name] = "" if node.special else self._bytes(node, variant, choose, last)

    def _bytes(self, file, variant, choose, last):
        if not file.pending and not file.given_up and not file.mapped:
            return bytes(file.sure)
        content = bytearray(file.sure)
        for serial, at, data in file.given_up + file.pending:
            kept = {
                "all": True,
                "none": False,
                "any": choose.random() < 0.5,
                "first": last is not None and serial <= last,
            }
            if kept[variant.data]:
                _put(content, at, data)
            elif data is not None and variant.data == "any" and choose.random() < 0.5:
                _tear(content, at, data, choose)
            elif data is not None and variant.holes and at + len(data) > len(content):
                content.extend(bytes(at + len(data) - len(content)))
        if file.mapped and variant.data == "any":  # what was stored through the mapping is not recorded: anything
            content[:] = choose.randbytes(len(content))
        return bytes(content)


def _put(content, at, data):
    """Write, or with None for data cut or grow."""
    size = at if data is None else at + len(data)
    if size > len(content):
        content.extend(bytes(size - len(content)))
    if data is None:
        del content[at:]
    else:
        content[at:size] = data


def _tear(content, at, data, choose):
    """Some sectors, or some pages, of a write."""
    step = choose.choice((SECTOR_BYTES, PAGE_BYTES))
    end = at + len(data)
    for start in range(at - at % step, end, step):
        if choose.random() < 0.5:
            first, upto = max(start, at), min(start + step, end)
            _put(content, first, data[first - at : upto - at])


def _under(write, at, data):
    """A write that is not sure, where a later one that is has covered it; a cut that is not spares what is sure."""
    serial, place, old = write
    if data is None:
        return write
    if old is None:
        return serial, max(place, at + len(data)), None
    first, end = max(place, at), min(place + len(old), at + len(data))
    if first >= end:
        return write
    return serial, place, old[: first - place] + data[first - at : end - at] + old[end - place :]


def inodes_below(directory):
    """path → inode, of everything at and below a directory."""
    below = {str(path.relative_to(directory)): path.lstat().st_ino for path in directory.rglob("*")}
    return {"": directory.stat().st_ino, **below}


def lay_out(image, directory):
    """Make the files of an image below `directory`, which must be empty."""
    for path, content in image.items():
        place = directory / path
        if content is None:
            place.mkdir()
        elif content == "":
            os.mknod(place, stat.S_IFSOCK | 0o600)
        else:
            place.write_bytes(content)
            place.chmod(0o600)
