"""Finding and starting the program that is to be run."""

import asyncio
import errno
import os
import shutil
from pathlib import Path

from shiftwork.errors import Conflict, InvalidInput
from shiftwork.runner.spec import ProcessSpec
from shiftwork.sandbox.base import Held, Launch, Sandbox

_MAY_PASS = frozenset(
    (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ETOOMANYREFS)
)
"""What the system says when it, or what it grants to one user, is used up."""

_PAUSES = (0.1, 0.4, 1.5)
"""Seconds between two tries."""


def find_program(spec: ProcessSpec) -> str:
    """The absolute path of the program; raises `InvalidInput` if it or the folder is not there."""
    if spec.confinement is None and not spec.cwd.is_dir():
        raise InvalidInput(f"The folder {str(spec.cwd)!r} to run {spec.argv[0]!r} in does not exist.")
    name = spec.argv[0]
    if "/" in name:
        path = spec.cwd.absolute() / name
        found = str(path) if path.is_file() and os.access(path, os.X_OK) else None
    else:
        found = shutil.which(name, path=spec.env.get("PATH", os.defpath))
    if found is None:
        raise InvalidInput(f"The program {name!r} was not found; install it or say where it is.")
    return os.path.abspath(found)  # noqa: PTH100 - Path.resolve() would follow links, and venvs depend on them


async def start_program(sandbox: Sandbox, launch: Launch) -> Held:
    """Start it; tries for two seconds where the system has no room for it.

    Raises:
        InvalidInput: it can't be given its arguments or environment, or what it is to see is not there.
        Conflict: the system refuses it, for a reason that may pass.
    """
    name = Path(launch.argv[0]).name
    try:
        for pause in _PAUSES:
            try:
                return sandbox.start(launch)
            except OSError as error:
                if error.errno not in _MAY_PASS:
                    raise
            await asyncio.sleep(pause)
        return sandbox.start(launch)
    except ValueError as error:
        raise InvalidInput(f"{name!r} was not started: it can't be given what it should: {error}.") from error
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise Conflict(f"{name!r} can't be started: {_reason(error)}") from error
        raise InvalidInput(
            f"{name!r} was not started: its arguments and environment are too long; give it what is long in "
            "a file, or on standard input."
        ) from error


def _reason(error: OSError) -> str:
    what = error.strerror or str(error)
    if error.errno in _MAY_PASS:
        return f"{what}; end what uses up the machine, or what the worker's user may use, and try again."
    return f"{what}{f': {error.filename}' if error.filename else ''}."
