"""Folders and files that nobody but their owner may open."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from shiftwork.errors import StackError


def private_folder(path: Path) -> Path:
    """Make the folder, and the ones above it, readable by its owner alone; returns it.

    Raises:
        StackError: it can't be made, or something else stands in its place.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise StackError(
            f"The folder {path} can't be used ({error.strerror}): choose another with SHIFTWORK_STATE."
        ) from error
    return path


def state_folder(path: Path) -> Path:
    """Make the state folder, private if it is new; returns it. An existing one keeps its mode."""
    return path if path.is_dir() else private_folder(path)


def socket_folder(owner: Path) -> Path:
    """A private folder for sockets, the same for the same `owner` path, short enough for any socket.

    A unix socket's path is limited to 107 bytes (103 on macOS), and a state folder may be deep. The folder
    lies in a place where every local user can make one, so one that is not ours is refused.

    Raises:
        StackError: somebody else made it first.
    """
    digest = hashlib.sha256(os.fsencode(owner.absolute())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"shiftwork-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StackError(
            f"{folder} belongs to somebody else: remove it, or set TMPDIR to a folder of your own."
        )
    folder.chmod(0o700)
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a reader finds the old text or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:  # whatever happened, no half-written file stays behind
        Path(temporary).unlink(missing_ok=True)
        raise
