"""`python -m client` and the console script `shiftwork`."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from client.cli.exits import ERROR, INTERRUPTED, PIPE_CLOSED
from client.cli.parser import build_parser
from shiftwork.errors import ShiftworkError
from shiftwork.ownership import check_ownership
from shiftwork.settings import DEFAULT_STATE

_HERE = ("dev", "init")
"""Commands that begin something in the folder they are typed in."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    Without `argv` this is the process's own command line, and the process may end here.
    """
    code = _guarded(argv)
    if argv is None and "temporalio" in sys.modules:
        # A Temporal client sometimes aborts the interpreter at its exit, when everything is done and said.
        os._exit(code)
    return code


def _guarded(argv: Sequence[str] | None) -> int:
    try:
        code = _run(argv)
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        # What is still in the buffer must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(argv: Sequence[str] | None) -> int:
    args = build_parser().parse_args(argv)
    module, _, function = args.handler.partition(":")
    try:
        check_ownership()
        if args.command not in _HERE and (state := outer_state(Path.cwd(), os.environ)) is not None:
            # For this process and those that take its place, such as a worker.
            os.environ["SHIFTWORK_STATE"] = str(state)
        code: int = getattr(import_module(module), function)(args)
    except BrokenPipeError:
        raise
    except Exception as error:  # the outermost frame: whatever it is becomes one sentence
        if os.environ.get("SHIFTWORK_TRACEBACK") == "1":
            raise
        sys.stderr.write(f"error: {_sentence(error)}\n")
        return ERROR
    return code


def outer_state(here: Path, environ: Mapping[str, str]) -> Path | None:
    """The state folder of the nearest folder above that has one, as git looks for a repository.

    None where this folder has one itself, or none is needed; one of another user is never taken.
    """
    if environ.get("SHIFTWORK_STATE") or environ.get("SHIFTWORK_DATABASE_URL"):
        return None
    for folder in (here, *here.parents):
        state = folder / DEFAULT_STATE
        if state.is_dir() and state.stat().st_uid == os.getuid():
            return None if folder == here else state
    return None


def _sentence(error: Exception) -> str:
    if isinstance(error, ShiftworkError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename!r})" if error.filename else ""
        return f"{error.strerror}{where}."
    what = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {what} (SHIFTWORK_TRACEBACK=1 shows where it came from)."


if __name__ == "__main__":
    sys.exit(main())
