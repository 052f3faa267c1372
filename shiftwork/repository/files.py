"""Reading, writing and removing files in a folder that an agent has filled.

Every step goes through the descriptor of a folder and never follows a symbolic link; nothing but a regular
file is ever opened for reading, and that without waiting.
"""

import itertools
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

FOLDER_MODE = 0o755


@contextmanager
def open_folder(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """The descriptor of a folder that we may list and change; its owner's rights are restored if need be.

    Raises:
        NotADirectoryError: something else, a symbolic link included, has this name.
    """
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _grant(name, parent, 0o700)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o700 != 0o700:
            os.fchmod(descriptor, mode | 0o700)
        yield descriptor
    finally:
        os.close(descriptor)


def read_regular(name: str, parent: int, limit: int) -> bytes | None:
    """The content of a regular file, at most `limit` + 1 bytes of it; None if it is anything else."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except PermissionError:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            return None
        _grant(name, parent, stat.S_IMODE(mode) | 0o400)
        descriptor = os.open(name, _FILE, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read(descriptor, limit + 1)
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    chunks = []
    while most > 0 and (chunk := os.read(descriptor, min(most, 1 << 20))):
        chunks.append(chunk)
        most -= len(chunk)
    return b"".join(chunks)


def _grant(name: str | Path, parent: int | None, mode: int) -> None:
    """Change the mode of what has this name itself; a symbolic link there is an error."""
    if sys.platform != "linux":
        os.chmod(name, mode, dir_fd=parent, follow_symlinks=False)
        return
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise NotADirectoryError(f"{name} is a symbolic link")
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def remove(name: str, parent: int, trash: int) -> None:
    """Remove a file or a whole folder, however deep it is nested.

    Folders are moved into `trash` (the descriptor of a folder of ours on the same file system) one by one,
    so that neither recursion nor open descriptors grow with their depth.
    """
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    numbers = (f"{secrets.token_hex(6)}-{n}" for n in itertools.count())
    waiting = [_into_trash(name, parent, trash, next(numbers))]
    while waiting:
        folder = waiting.pop()
        # Another removal may clear the same trash: what it took away is its own affair.
        with suppress(FileNotFoundError):
            with open_folder(folder, trash) as descriptor:
                for inner in names(descriptor):
                    mode = os.stat(inner, dir_fd=descriptor, follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode):
                        waiting.append(_into_trash(inner, descriptor, trash, next(numbers)))
                    else:
                        os.unlink(inner, dir_fd=descriptor)
            os.rmdir(folder, dir_fd=trash)


def _into_trash(name: str, parent: int, trash: int, target: str) -> str:
    # A folder that is moved needs write permission itself, which opening it restores.
    with open_folder(name, parent):
        pass
    os.rename(name, target, src_dir_fd=parent, dst_dir_fd=trash)
    return target


def names(folder: int) -> list[str]:
    """The names in the folder of this descriptor."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def empty(folder: int, trash: int) -> None:
    """Remove everything in the folder of this descriptor."""
    for name in names(folder):
        with suppress(FileNotFoundError):
            remove(name, folder, trash)
