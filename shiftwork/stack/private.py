"""Folders and files that nobody but their owner may open, and what of them is not ours to trust."""

import os
import pwd
import stat
from pathlib import Path

from shiftwork.errors import InvalidInput, StackError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def deny_others_writing() -> None:
    """Have this process, and all that it starts, make nothing that others may write, whatever they inherited.

    Whether others may read is left as it is: commits go into people's own working folders, too.
    """
    os.umask(os.umask(0o077) | _OTHERS_WRITE)


def private_folder(path: Path, mode: int = 0o700) -> Path:
    """Make the folder, and the ones above it, its owner's alone; returns it.

    Args:
        mode: what it has afterwards, where others need a way through.

    Raises:
        InvalidInput: it is another user's.
        StackError: it can't be made, or something else stands in its place.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(path, path.stat().st_uid)
        path.chmod(mode)
    except OSError as error:
        raise StackError(
            f"The folder {path} can't be used ({error.strerror}): choose another with SHIFTWORK_STATE."
        ) from error
    return path


def state_folder(path: Path) -> Path:
    """Make the state folder, private if it is new; returns it. An existing one keeps its mode.

    Raises:
        InvalidInput: another user made it, or can write to it; see `check_own_folder`.
        StackError: it can't be made.
    """
    if not path.is_dir():
        return private_folder(path)
    check_own_folder(path)
    return path


def check_own_folder(path: Path) -> None:
    """Refuse a folder in which somebody else may have put what we would believe; one that is missing is fine.

    A state folder is found by where a command runs, so anybody can lay one in its way, with a database
    and keys of his own: what another user made, or could have changed, is nothing to go by.

    Raises:
        InvalidInput: it, or the link that leads to it, is not of this process's user, or others may write.
    """
    try:
        link, found = path.lstat(), path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InvalidInput(f"{path} can't be used: {error.strerror}.") from error
    owner = found.st_uid if link.st_uid in (0, os.geteuid()) else link.st_uid
    _check_owner(path, owner)
    if found.st_mode & _OTHERS_WRITE:
        raise InvalidInput(
            f"Others may write to {path}, so it is not used: look whether all in it is yours, "
            f"then run `chmod go-w {path}`."
        )


def read_own(path: Path) -> str:
    """The text of a file that nobody but this process's user can have written.

    Raises:
        InvalidInput: it is another user's, others may write to it, or it is no file of UTF-8.
        OSError: it is missing, or can't be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput(f"{path} is no file, so it is not used: remove it.")
        _check_owner(path, found.st_uid)
        if found.st_mode & _OTHERS_WRITE:
            raise InvalidInput(
                f"Others may write to {path}, so it is not used: look whether what it says is yours, "
                f"then run `chmod 600 {path}`."
            )
        try:
            return file.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is no text, so it is not used: remove it.") from error


def _check_owner(path: Path, owner: int) -> None:
    if owner != os.geteuid():
        raise InvalidInput(
            f"{path} belongs to {_name(owner)}, but this runs as {_name(os.geteuid())}, so it is not used: "
            f"run it as {_name(owner)}, or name a folder of your own with SHIFTWORK_STATE."
        )


def _name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user number {uid}"


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a reader finds the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    temporary.replace(path)
