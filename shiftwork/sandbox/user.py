"""The user that a confined program runs as when this process is root, and what has to belong to it."""

import hashlib
import os
import stat
import sys
from functools import cache
from pathlib import Path
from typing import Final

_NEEDED: Final = {"kill": 5, "setgid": 6, "setuid": 7, "net_admin": 12, "sys_admin": 21}
"""The capabilities that bubblewrap and the first process inside use, by their bit."""

_WITHOUT_NAMESPACES: Final = {"chown": 0, "kill": 5, "setgid": 6, "setuid": 7}
"""Those that a sandbox without namespaces uses, which root of a container usually has."""

_FIRST: Final = 1_879_048_192
_LAST: Final = 2_147_483_647
"""User numbers that neither people nor containers get: systemd's documentation leaves this range unused."""

_FEWEST: Final = 20_000
"""Where fewer numbers exist (in a container), those below this one are left to the system."""


@cache
def can_change_user(*, namespaces: bool = True) -> bool:
    """Whether this process is root, and allowed to make another user of what it starts.

    Args:
        namespaces: whether that is to run in namespaces, which root of a container can't make.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    effective = _capabilities()
    return all(effective >> bit & 1 for bit in (_NEEDED if namespaces else _WITHOUT_NAMESPACES).values())


def choose_user(workspace: Path, *, namespaces: bool = True) -> int | None:
    """The user and group number for what runs in a workspace: always the same for the same path.

    None where this process can't change its user; see `can_change_user`.
    """
    if not can_change_user(namespaces=namespaces):
        return None
    digest = int.from_bytes(hashlib.sha256(os.fsencode(workspace)).digest()[:8], "big")
    ranges = _usable_ranges()
    first, last = ranges[-1] if ranges else (_FIRST, _LAST)
    return first + digest % (last - first + 1)


def hand_over(tree: Path, user: int, group: int | None = None) -> int:
    """Give a tree to a user, the folder itself included; how many entries changed hands.

    It blocks, is safe in any thread, follows no links, leaves no tree, and holds one descriptor however deep
    that is. Nothing of its old owner may run in it meanwhile.

    Args:
        tree: a folder; not a link to one.
        user: the number of the new owner.
        group: the number of its group; None: the same number.

    Raises:
        OSError: something can't be given away, or it changes meanwhile.
    """
    owner = (user, user if group is None else group)
    fd = os.open(tree, _FOLDER)
    try:
        return _give(fd, owner) + _Walk(fd, owner).run()
    finally:
        os.close(fd)


_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Walk:
    """Down into every folder and up again, by descriptors relative to each other."""

    def __init__(self, root: int, owner: tuple[int, int]) -> None:
        self._fd = os.dup(root)
        self._owner = owner
        self._path: list[tuple[tuple[int, int], list[str]]] = []
        """For each folder above: which one it is, and which of its folders are left to be visited."""
        self._changed = 0

    def run(self) -> int:
        try:
            left = self._here()
            while left or self._path:
                left = self._down(left) if left else self._up()
        finally:
            os.close(self._fd)
        return self._changed

    def _here(self) -> list[str]:
        """Give away what lies in this folder; the names of its folders."""
        folders = []
        with os.scandir(self._fd) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if (found.st_uid, found.st_gid) != self._owner:
                    os.chown(entry.name, *self._owner, dir_fd=self._fd, follow_symlinks=False)
                    self._changed += 1
                if stat.S_ISDIR(found.st_mode):
                    folders.append(entry.name)
        return folders

    def _down(self, left: list[str]) -> list[str]:
        name = left.pop()
        self._path.append((_identity(self._fd), left))
        self._move(name)
        return self._here()

    def _up(self) -> list[str]:
        expected, left = self._path.pop()
        self._move("..")
        if _identity(self._fd) != expected:
            raise OSError(f"A folder was moved while it was handed over to user {self._owner[0]}.")
        return left

    def _move(self, name: str) -> None:
        fd = os.open(name, _FOLDER, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = fd


def _give(fd: int, owner: tuple[int, int]) -> int:
    found = os.fstat(fd)
    if (found.st_uid, found.st_gid) == owner:
        return 0
    os.fchown(fd, *owner)
    return 1


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _usable_ranges() -> list[tuple[int, int]]:
    """The user numbers that exist in this process's user namespace and that nobody has, smallest first."""
    found = []
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        inside, _, count = map(int, line.split())
        first, last = inside, inside + count - 1
        if first <= _FIRST and last >= _LAST:
            found.append((_FIRST, _LAST))
        elif last > _FEWEST:
            found.append((max(first, _FEWEST), min(last, 65_533)))
    return [(first, last) for first, last in sorted(found) if first <= last]
