"""Reading, writing and removing files in a folder that an agent has filled.

Every step goes through the descriptor of a folder and never follows a symbolic link; nothing but a regular
file is ever opened for reading, and that without waiting.
"""

import fcntl
import itertools
import os
import secrets
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

BATCH = 2_000
"""Names that are held in memory at once while a folder is emptied."""
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS and FS_IOC_SETFLAGS
_LOCKED = 0x30  # FS_IMMUTABLE_FL and FS_APPEND_FL

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
            _set_mode(descriptor, mode | 0o700)
        yield descriptor
    finally:
        os.close(descriptor)


def read_regular(name: str, parent: int, limit: int) -> bytes | None:
    """The content of a regular file, at most `limit` + 1 bytes of it.

    None if it is anything else, or if somebody wrote to it while it was read.
    """
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except PermissionError:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            return None
        _grant(name, parent, stat.S_IMODE(mode) | 0o400)
        descriptor = os.open(name, _FILE, dir_fd=parent)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        data = _read(descriptor, limit + 1)
        return data if _same(before, os.fstat(descriptor)) else None
    finally:
        os.close(descriptor)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _read(descriptor: int, most: int) -> bytes:
    chunks = []
    # In one piece if possible: joining pieces would keep every other thread from running.
    while most > 0 and (chunk := os.read(descriptor, most)):
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
        same = Path(f"/proc/self/fd/{descriptor}")
        try:
            same.chmod(mode)
        except PermissionError:
            opened = os.open(same, _FILE & ~os.O_NOFOLLOW)
            try:
                _set_mode(opened, mode)
            finally:
                os.close(opened)
    finally:
        os.close(descriptor)


def _set_mode(descriptor: int, mode: int) -> None:
    """Change the mode, if need be after taking the attributes away that forbid it."""
    try:
        os.fchmod(descriptor, mode)
    except PermissionError:
        if sys.platform != "linux":
            raise
        _unlock(descriptor)
        os.fchmod(descriptor, mode)


def remove_tree(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a file or a folder that an agent could fill, whatever it holds; fine if there is none.

    `shutil.rmtree` ends with `RecursionError` in folders that are nested deeply enough, whatever it is told
    to ignore, and leaves what has no permissions.

    Raises:
        OSError: something can't be removed, unless that is to be ignored.
    """
    ignored = OSError if ignore_errors else FileNotFoundError
    with suppress(ignored), open_folder(path.parent) as parent:
        os.stat(path.name, dir_fd=parent, follow_symlinks=False)
        drafts = Path(tempfile.mkdtemp(dir=path.parent, prefix=".removing-"))
        try:
            with open_folder(drafts) as trash:
                remove(path.name, parent, trash)
        finally:
            drafts.rmdir()


def remove(name: str, parent: int, trash: int) -> None:
    """Remove a file or a whole folder, however deep it is nested and however many names it holds.

    Folders are moved into `trash` (the descriptor of a folder of ours on the same file system) one by one,
    so that neither recursion nor open descriptors grow with their depth.
    """
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        _unlink(name, parent)
        return
    numbers = (f"{secrets.token_hex(6)}-{n}" for n in itertools.count())
    waiting = [_into_trash(name, parent, trash, next(numbers))]
    while waiting:
        folder = waiting.pop()
        # Another removal may clear the same trash: what it took away is its own affair.
        with suppress(FileNotFoundError):
            with open_folder(folder, trash) as descriptor:
                while some := _some(descriptor):
                    waiting += _clear(some, descriptor, trash, numbers)
            os.rmdir(folder, dir_fd=trash)


def _some(folder: int) -> list[tuple[str, bool]]:
    """The first names in a folder, and whether they are folders, which most listings tell by themselves."""
    with os.scandir(folder) as entries:
        first = itertools.islice(entries, BATCH)
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in first]


def _clear(some: list[tuple[str, bool]], folder: int, trash: int, numbers: Iterator[str]) -> list[str]:
    """Take these names out of a folder; returns what its folders are called in the trash."""
    moved = []
    for name, is_folder in some:
        with suppress(FileNotFoundError):
            if is_folder:
                moved.append(_into_trash(name, folder, trash, next(numbers)))
            else:
                _unlink(name, folder)
    return moved


def into_trash(name: str, parent: int, trash: int) -> str:
    """Move a folder out of the way, whatever was done to it; what it is called in `trash`."""
    return _into_trash(name, parent, trash, secrets.token_hex(6))


def _into_trash(name: str, parent: int, trash: int, target: str) -> str:
    move_folder(name, parent, trash, target)
    return target


def move_folder(name: str, parent: int, to: int, target: str) -> None:
    """Move a folder into that of another descriptor, whatever was done to it."""
    # A folder that is moved needs write permission itself, which opening it restores.
    with open_folder(name, parent):
        pass
    _unlocked(name, parent, lambda: os.rename(name, target, src_dir_fd=parent, dst_dir_fd=to))


def _unlink(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except PermissionError:
        _unlocked(name, parent, lambda: os.unlink(name, dir_fd=parent))


def _unlocked(name: str, parent: int, change: Callable[[], None]) -> None:
    """Make a change, if need be after taking the attributes away that forbid it (`chattr +i`, `+a`)."""
    try:
        change()
    except PermissionError:
        if sys.platform != "linux":
            raise
        _unlock(parent)
        with suppress(OSError):  # what can't be opened has no such attributes
            descriptor = os.open(name, _FILE, dir_fd=parent)
            try:
                _unlock(descriptor)
            finally:
                os.close(descriptor)
        change()


def _unlock(descriptor: int) -> None:
    """Take both attributes away; nothing happens where there are none, or without the right to."""
    with suppress(OSError):
        (flags,) = struct.unpack("i", fcntl.ioctl(descriptor, _GET_FLAGS, b"\0" * 4))
        if flags & _LOCKED:
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags & ~_LOCKED))


def names(folder: int, most: int | None = None) -> list[str]:
    """The names in the folder of this descriptor, or the first ones."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, most)]


def empty(folder: int, trash: int) -> None:
    """Remove everything in the folder of this descriptor."""
    for name in names(folder):
        with suppress(FileNotFoundError):
            remove(name, folder, trash)
