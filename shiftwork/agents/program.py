"""Finding an agent's program, and asking for its version."""

import os
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from shiftwork.text import one_line, truncate

_SECONDS = 8.0
"""How long a version may take: less than all of `doctor`'s look at the backends."""

_BYTES = 4_000
_CHARACTERS = 200


def find_program(name: str, path: str | None = None) -> str | None:
    """The program of this name on `path` (None: that of the process), or at it; None if there is none."""
    try:
        return shutil.which(str(Path(name).expanduser()) if name.startswith("~") else name, path=path)
    except (RuntimeError, ValueError):  # no such user, or a NUL
        return None


def ask_version(program: str, seconds: float = _SECONDS) -> tuple[str | None, str | None]:
    """What `PROGRAM --version` says, on one line, or the sentence that says why it says nothing.

    However it answers, nothing of its process group lives on, and only the beginning of its answer is read.
    """
    try:
        with _started(program) as process:
            try:
                said, wrong = _answer(process, time.monotonic() + seconds)
            finally:
                _end(process)
    except (OSError, ValueError) as error:
        return None, f"The program {program!r} does not run ({one_line(str(error))}); install it again."
    version = truncate(one_line(said.decode("utf-8", "replace")), _CHARACTERS)
    if version and not wrong:
        return version, None
    return (
        None,
        f"The program {program!r} does not tell its version ({wrong or 'silence'}); install it again.",
    )


def _started(program: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        (program, "--version"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _answer(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, str]:
    """The beginning of its output, and what is wrong with it; '' if nothing is."""
    assert process.stdout is not None
    said = _beginning(process.stdout, deadline)
    if len(said) >= _BYTES:
        return said, "it says far too much"
    try:
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return said, "it does not end"
    return said, f"it ends with status {status}" if status else ""


def _beginning(pipe: IO[bytes], deadline: float) -> bytes:
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(said) < _BYTES and selector.select(max(0.0, deadline - time.monotonic())):
            more = os.read(pipe.fileno(), _BYTES - len(said))
            if not more:
                break
            said += more
    return said


def _end(process: "subprocess.Popen[bytes]") -> None:
    # Also after its own end: what it left in the background keeps the group, and its number, in use.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
