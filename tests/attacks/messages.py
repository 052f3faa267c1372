"""Ways to leave a message on what a reused folder would keep, for whoever runs in it next."""

import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WHEN: Final = 2**32
"""A moment in 2106: a time of access that is later than those of changes stays when a file is read."""

_NOBODY: Final = 0xFFFFFFFF


def _list_of(*entries: tuple[int, int, int]) -> bytes:
    """A POSIX access list of version 2, of tags, rights and users."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


_NOTHING: Final = _list_of((1, 0, _NOBODY), (4, 0, _NOBODY), (0x20, 0, _NOBODY))
"""Neither the owner nor the group nor others may do anything."""

_SOMEBODY: Final = _list_of(
    (1, 6, _NOBODY), (2, 7, 4243), (4, 4, _NOBODY), (0x10, 7, _NOBODY), (0x20, 4, _NOBODY)
)
"""A user of this number may do everything."""


@dataclass(frozen=True)
class Message:
    """One way: `leave` it in a folder that holds `support.FILES`; whether it can be `found` there later."""

    leave: Callable[[Path], object]
    found: Callable[[Path], bool]
    root_only: bool = False


def _attribute(name: str) -> Message:
    return Message(
        lambda root: os.setxattr(root / name, "user.passed", b"1"),
        lambda root: "user.passed" in os.listxattr(root / name),
    )


def _time(name: str, which: str) -> Message:
    def leave(root: Path) -> None:
        now = (root / name).stat()
        times = {"atime": now.st_atime, "mtime": now.st_mtime} | {which: float(_WHEN)}
        os.utime(root / name, (times["atime"], times["mtime"]))

    return Message(leave, lambda root: getattr((root / name).stat(), f"st_{which}") == _WHEN)


def _access_list(name: str, kind: str, content: bytes) -> Message:
    attribute = f"system.posix_acl_{kind}"
    return Message(
        lambda root: os.setxattr(root / name, attribute, content),
        lambda root: attribute in os.listxattr(root / name),
    )


def _flag(name: str, letter: str, *, root_only: bool = False) -> Message:
    def found(root: Path) -> bool:
        told = subprocess.run(["lsattr", "-d", root / name], capture_output=True, text=True, check=True)
        return letter in told.stdout.split()[0]

    def leave(root: Path) -> None:
        subprocess.run(["chattr", f"+{letter}", root / name], capture_output=True, check=True)

    return Message(leave, found, root_only)


def _many_names(root: Path) -> None:
    for number in range(3_000):
        (root / "d" / f"{number:0100}").touch()
    for path in (root / "d").glob("0*"):
        path.unlink()


MESSAGES: Final = {
    "attribute of a file": _attribute("a"),
    "attribute of a folder": _attribute("d/e"),
    "attribute of the workspace": _attribute("."),
    "time of a file": _time("a", "mtime"),
    "time of a folder": _time("d", "mtime"),
    "time of the workspace": _time(".", "mtime"),
    "access time of a file": _time("d/b", "atime"),
    "access time of a folder": _time("d/e", "atime"),
    "access list for new files of a folder": _access_list("d", "default", _NOTHING),
    "access list for new files of the workspace": _access_list(".", "default", _NOTHING),
    "access list of a file": _access_list("a", "access", _SOMEBODY),
    "flag of a file": _flag("a", "d"),
    "flag of a folder": _flag("d", "d"),
    "flag of the workspace": _flag(".", "d"),
    "a file that can't be changed": _flag("a", "i", root_only=True),
    "a folder that only grows": _flag("d", "a", root_only=True),
    "rights of a folder": Message(
        lambda root: (root / "d").chmod(0o1777), lambda root: (root / "d").stat().st_mode & 0o1000 != 0
    ),
    "group of a file": Message(
        lambda root: os.chown(root / "a", -1, 4243),
        lambda root: (root / "a").stat().st_gid == 4243,
        root_only=True,
    ),
    "second name of a file": Message(
        lambda root: os.link(root / "a", root / ".git" / "a"), lambda root: (root / "a").stat().st_nlink == 2
    ),
    "size of a folder": Message(_many_names, lambda root: (root / "d").stat().st_size > 100_000),
}
"""By what carries it."""
