"""Finding and starting the program that is to be run."""

import errno
import os
import shutil
from pathlib import Path

from shiftwork.errors import InvalidInput
from shiftwork.runner.spec import ProcessSpec
from shiftwork.sandbox.base import Held, Launch, Sandbox


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


def start_program(sandbox: Sandbox, launch: Launch) -> Held:
    """Start it; raises `InvalidInput` if it can't be given its arguments or environment, else `OSError`."""
    name = Path(launch.argv[0]).name
    try:
        return sandbox.start(launch)
    except ValueError as error:
        raise InvalidInput(f"{name!r} was not started: it can't be given what it should: {error}.") from error
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        raise InvalidInput(
            f"{name!r} was not started: its arguments and environment are too long; give it what is long in "
            "a file, or on standard input."
        ) from error
