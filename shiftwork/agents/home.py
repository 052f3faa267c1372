"""A folder that both the harness and an agent write to: nothing that the agent left there is followed."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from secrets import token_hex

from shiftwork.errors import InvalidInput

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_ENTRIES = 10_000
"""No more of a folder is looked at."""

_CONVERSATION = re.compile(r"[0-9A-Za-z_-]{1,64}")


def is_conversation(identity: str) -> bool:
    """Whether this can name a program's conversation in a path or an argument; agents make these up."""
    return _CONVERSATION.fullmatch(identity) is not None and not identity.startswith("-")


class PrivateHome:
    """The home of a session's agents, or a folder in it.

    Each component of a path below `root` is opened without following links, no file that exists is opened to
    be written, and none is waited for.

    Args:
        root: made when it is written to; a link in its place is refused as well.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def make(self, *folders: str) -> None:
        """Make these folders, and those above them.

        Raises:
            InvalidInput: something else is in the way.
        """
        for path in folders:
            with self._explained(path), self._folder(path, make=True):
                pass

    def write(self, path: str, content: str | bytes) -> None:
        """Put a new file there, in the place of whatever file or link there is.

        Raises:
            InvalidInput: a folder is in the way, or something that is none above it.
        """
        folder, _, name = path.rpartition("/")
        with self._explained(path), self._folder(folder, make=True) as parent:
            _put(parent, name, content.encode() if isinstance(content, str) else content)

    def link(self, path: str, target: Path) -> None:
        """Put a link to this file there, unless something is there already."""
        folder, _, name = path.rpartition("/")
        with self._explained(path), self._folder(folder, make=True) as parent, suppress(FileExistsError):
            os.symlink(target, name, dir_fd=parent)

    def move(self, path: str, target: str) -> None:
        """Move a file within the home, replacing what is there; missing folders are made."""
        (old, _, name), (new, _, new_name) = path.rpartition("/"), target.rpartition("/")
        with (
            self._explained(target),
            self._folder(old) as source,
            self._folder(new, make=True) as destination,
        ):
            os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=destination)

    def folders(self, path: str) -> list[str]:
        """The names of the folders in this one; none if it is not there."""
        return [name for name, mode in self._entries(path) if stat.S_ISDIR(mode)]

    def files(self, path: str) -> list[str]:
        """The names of the regular files in this folder; none if it is not there."""
        return [name for name, mode in self._entries(path) if stat.S_ISREG(mode)]

    def changed(self, path: str) -> float | None:
        """When this regular file was last written, in seconds since the epoch; None if there is none."""
        folder, _, name = path.rpartition("/")
        try:
            with self._folder(folder) as parent:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return None
        return found.st_mtime if stat.S_ISREG(found.st_mode) else None

    def open(self, path: str) -> int:
        """A descriptor to read this regular file.

        Raises:
            OSError: it is not there, or is something else.
        """
        folder, _, name = path.rpartition("/")
        with self._folder(folder) as parent:
            fd = os.open(name, _OLD_FILE, dir_fd=parent)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)

    def _entries(self, path: str) -> list[tuple[str, int]]:
        try:
            with self._folder(path) as folder, os.scandir(folder) as found:
                return [(e.name, e.stat(follow_symlinks=False).st_mode) for e in islice(found, _MOST_ENTRIES)]
        except OSError:
            return []

    @contextmanager
    def _folder(self, path: str, *, make: bool = False) -> Iterator[int]:
        """A descriptor of this folder; raises `OSError`."""
        if make:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.root, _DIRECTORY)
        try:
            for name in filter(None, path.split("/")):
                below = _enter(fd, name, make=make)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            place, why = str(self.root / path), getattr(error, "strerror", None) or error
            raise InvalidInput(
                f"The agent's home can't be used at {place!r} ({why}); remove what is there."
            ) from error


def _enter(folder: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
    return os.open(name, _DIRECTORY, dir_fd=folder)


def _put(folder: int, name: str, content: bytes) -> None:
    fresh = f".{name}.{token_hex(8)}"
    fd = os.open(fresh, _NEW_FILE, 0o644, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:  # a cancelled write leaves no draft either
        with suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        raise
