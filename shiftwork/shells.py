"""Which shell runs a project's commands, how it is started, and whether it can read one."""

import os
import re
import subprocess
from collections.abc import Mapping
from typing import Final

_BASHES: Final = ("/bin/bash", "/usr/bin/bash")
"""Where the system keeps it. Never by `PATH`: what lies there may not be seen from within a sandbox."""

_SH: Final = "/bin/sh"

_QUIET: Final = "--norc"
"""With a socket as its standard input, bash takes itself for a remote login's, and reads `~/.bashrc`."""

_STEERING: Final = frozenset({"BASHOPTS", "BASH_ENV", "ENV", "SHELLOPTS"})
_FUNCTION: Final = "BASH_FUNC_"

_READING_SECONDS: Final = 2.0
"""Commands are read in some milliseconds; one that takes longer is left to whoever runs it."""

_SAID_CHARACTERS: Final = 200
_PREFIX: Final = re.compile(r"^\S*sh: (?:-c: )?")


def find_shell() -> str:
    """The path of the shell that runs what projects and agents say: bash, or sh where there is none."""
    return next((path for path in _BASHES if os.access(path, os.X_OK)), _SH)


def shell_name() -> str:
    """What people call it: `bash` or `sh`."""
    return find_shell().rpartition("/")[2]


def shell_argv(command: str) -> tuple[str, ...]:
    """What runs a command: no login shell, and nothing that anybody's files say comes before it."""
    return (*_begun(), "-c", "--", command)


def unsteered(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would have a shell run something else first, or read differently."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _STEERING and not name.startswith(_FUNCTION)
    }


def complaint(command: str) -> str | None:
    """Why the shell can't read a command, as it says itself; None if it can, or nobody can tell.

    It only reads, in some milliseconds, and executes nothing. What it would read otherwise while running (by
    `shopt -s extglob`) counts as readable.
    """
    argv = (*_begun(), "-n", "-c", "--", command)
    try:
        read = subprocess.run(
            argv,
            env={"LC_ALL": "C", "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_READING_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # It is too long for an argument, holds what no argument can, or no shell answers.
    # A signal's end tells of the machine. 1 and 2 are what shells end with that could not read.
    if read.returncode not in (1, 2) or "extglob" in command:
        return None
    said = read.stderr[: 4 * _SAID_CHARACTERS].decode("utf-8", "replace").strip().partition("\n")[0]
    return _PREFIX.sub("", said)[:_SAID_CHARACTERS] or None


def _begun() -> tuple[str, ...]:
    shell = find_shell()
    return (shell,) if shell == _SH else (shell, _QUIET)
