"""`python -m client` and the console script `shiftwork`."""

import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module

from client.cli.exits import ERROR, INTERRUPTED, PIPE_CLOSED
from client.cli.parser import build_parser
from shiftwork.errors import ShiftworkError
from shiftwork.importing import uncollected
from shiftwork.ownership import check_ownership


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    Without `argv` this is the process's own command line, and the process may end here.
    """
    if argv is None:
        _escape_what_no_terminal_has()
    code = _guarded(argv)
    if argv is None and "temporalio" in sys.modules:
        # A Temporal client sometimes aborts the interpreter at its exit, when everything is done and said.
        os._exit(code)
    return code


def _escape_what_no_terminal_has() -> None:
    """Show a character that the output's encoding does not have as its number, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


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
        with uncollected() if argv is None else nullcontext():
            handler = getattr(import_module(module), function)
        code: int = handler(args)
    except BrokenPipeError:
        raise
    except Exception as error:  # the outermost frame: whatever it is becomes one sentence
        if os.environ.get("SHIFTWORK_TRACEBACK") == "1":
            raise
        sys.stderr.write(f"error: {_sentence(error)}\n")
        return ERROR
    return code


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
