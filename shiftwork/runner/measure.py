"""How many bytes folders and deleted files take on the disk, whatever was done to hide them."""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ENTRY: Final = 4096
"""What a name costs, in bytes: millions of empty files use up what a disk has for files."""

_HELD: Final = 64
"""Folders above the current one that are held open; those deeper are found again from below."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CLOSED: Final = -1
_NEEDED: Final = stat.S_IRUSR | stat.S_IXUSR

Identity = tuple[int, int]
"""The device and the number of a file."""


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured.

    Attributes:
        bytes: on disk, and a fixed sum for each name.
        whole: no folder got lost because it was moved meanwhile.
    """

    bytes: int
    whole: bool = True


def size_of(folders: Iterable[Path], pids: Iterable[int] = ()) -> Size:
    """Measure what lies below these folders, and deleted files of their devices that processes hold.

    Follows no links, and leaves out what goes meanwhile. A folder that its owner, our user, closed to itself
    is open while it is looked at.
    """
    walk = _Walk()
    for folder in folders:
        walk.add(folder)
    held = {identity: size for identity, size in _deleted(pids) if identity[0] in walk.devices}
    return Size(walk.bytes + sum(held.values()), walk.whole)


@dataclass(slots=True)
class _Level:
    """A folder on the way down; `mode` is what it was before it was opened to us."""

    fd: int
    identity: Identity
    mode: int | None
    left: list[str] = field(default_factory=list)


class _Walk:
    """Down into every folder and up again, by descriptors, of which there are never many."""

    def __init__(self) -> None:
        self.bytes = 0
        self.whole = True
        self.devices: set[int] = set()
        self._levels: list[_Level] = []

    def add(self, root: Path) -> None:
        with contextlib.suppress(OSError):  # Not there, or out of our reach.
            self._add(root.lstat())
        self._enter(os.fspath(root), None)
        try:
            while self._levels:
                level = self._levels[-1]
                if level.left:
                    self._enter(level.left.pop(), level.fd)
                else:
                    self._leave()
        finally:
            while self._levels:
                self._give_up()

    def _enter(self, name: str, above: int | None) -> None:
        try:
            level = _open(name, above)
        except OSError:  # Gone, or another user's and closed to us: nothing that can be counted.
            return
        self._levels.append(level)
        if len(self._levels) > _HELD + 1:
            parent = self._levels[-2]
            os.close(parent.fd)
            parent.fd = _CLOSED
        with contextlib.suppress(OSError), os.scandir(level.fd) as entries:  # Removed, or broken.
            for entry in entries:
                self._count(entry, level)

    def _add(self, found: os.stat_result) -> None:
        self.bytes += found.st_blocks * 512
        self.devices.add(found.st_dev)

    def _count(self, entry: "os.DirEntry[str]", level: _Level) -> None:
        self.bytes += _ENTRY
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:  # Gone meanwhile.
            return
        self._add(found)
        if stat.S_ISDIR(found.st_mode):
            level.left.append(entry.name)

    def _leave(self) -> None:
        done = self._levels[-1]
        parent = self._levels[-2] if len(self._levels) > 1 else None
        if parent is not None and parent.fd == _CLOSED:
            parent.fd = _parent_of(done.fd, parent.identity)
            self.whole = self.whole and parent.fd != _CLOSED
        self._give_up()
        while self._levels and self._levels[-1].fd == _CLOSED:
            self._levels.pop()

    def _give_up(self) -> None:
        level = self._levels.pop()
        if level.fd == _CLOSED:
            return
        if level.mode is not None and _mode_of(level.fd) == level.mode | _NEEDED:
            os.fchmod(level.fd, level.mode)
        os.close(level.fd)


def _parent_of(fd: int, expected: Identity) -> int:
    """The folder above, if it still is the one that it was."""
    try:
        above = os.open("..", _FOLDER, dir_fd=fd)
    except OSError:  # The folder was removed, or closed.
        return _CLOSED
    found = os.fstat(above)
    if (found.st_dev, found.st_ino) == expected:
        return above
    os.close(above)
    return _CLOSED


def _open(name: str, above: int | None) -> _Level:
    try:
        fd, mode = os.open(name, _FOLDER, dir_fd=above), None
    except PermissionError:
        fd, mode = _unlock(name, above)
    found = os.fstat(fd)
    if found.st_mode & _NEEDED != _NEEDED and found.st_uid == os.geteuid() != 0:
        mode = stat.S_IMODE(found.st_mode)
        with contextlib.suppress(OSError):  # It can't be changed: only names are counted.
            os.fchmod(fd, mode | _NEEDED)
    return _Level(fd, (found.st_dev, found.st_ino), mode)


def _unlock(name: str, above: int | None) -> tuple[int, int]:
    """Open a folder of our user's that may not be read, and tell its mode; raises `OSError` for others."""
    handle = os.open(name, getattr(os, "O_PATH", 0) | _FOLDER, dir_fd=above)
    try:
        same = f"/proc/self/fd/{handle}"
        mode = _mode_of(handle)
        os.chmod(same, mode | _NEEDED)  # noqa: PTH101 - beside the other calls
        return os.open(same, _FOLDER & ~os.O_NOFOLLOW), mode
    finally:
        os.close(handle)


def _mode_of(fd: int) -> int:
    return stat.S_IMODE(os.fstat(fd).st_mode)


def _deleted(pids: Iterable[int]) -> Iterator[tuple[Identity, int]]:
    """Files without a name that these processes have open or mapped, some more than once (Linux)."""
    for pid in pids:
        # Each thread may have descriptors of its own; what is mapped, only some workers may look at.
        tasks = _names(f"/proc/{pid}/task")
        for folder in (*(f"/proc/{pid}/task/{task}/fd" for task in tasks), f"/proc/{pid}/map_files"):
            yield from _deleted_in(folder)


def _deleted_in(folder: str) -> Iterator[tuple[Identity, int]]:
    for name in _names(folder):
        try:
            found = os.stat(f"{folder}/{name}")  # noqa: PTH116 - thousands of them
        except PermissionError:  # For one is for all.
            return
        except OSError:  # Closed meanwhile.
            continue
        if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
            yield (found.st_dev, found.st_ino), found.st_blocks * 512


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are wanted, and quickly
    except OSError:  # Ended, another user's, or not Linux.
        return []
