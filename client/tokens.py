"""Tokens in files: whoever may read the file may come in. Imports nothing heavy."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from shiftwork.settings import Settings
from shiftwork.stack.private import read_own, state_folder

API_TOKEN_FILE = "api-token"  # noqa: S105 - a file's name


def api_token(settings: Settings) -> tuple[Path, str]:
    """The file of the REST interface's token, and the token; made if they are missing."""
    file = state_folder(settings.state) / API_TOKEN_FILE
    return file, own_token(file)


def own_token(file: Path) -> str:
    """The token in this file, which is made with a new one if it is missing; others can't read it.

    Processes that ask at the same time get the same one.

    Raises:
        InvalidInput: the file is another user's, or others may write to it.
    """
    try:
        token = read_own(file).strip()
    except FileNotFoundError:
        token = ""
    if not token:
        _leave_token(file)
        token = read_own(file).strip()
    # One that was laid there by hand may be readable by others.
    file.chmod(0o600)
    return token


def _leave_token(file: Path) -> None:
    """Write a new token, unless another process was first."""
    with suppress(FileNotFoundError):
        if not read_own(file).strip():
            file.unlink()
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            written.write(secrets.token_urlsafe(32) + "\n")
            written.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            # Unlike a rename it replaces nothing.
            os.link(temporary, file)
    finally:
        temporary.unlink()
