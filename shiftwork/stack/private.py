"""Folders and files that nobody but their owner may open."""

import os
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
