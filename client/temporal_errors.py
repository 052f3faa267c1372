"""What Temporal refuses, or does not answer, as errors that people can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from shiftwork.errors import StackError
from shiftwork.text import one_line, truncate

SILENT = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)
"""What the SDK says of a server that can't be reached."""

_MOST_SHOWN = 300


def unanswered(error: RPCError) -> StackError:
    """What people are told of it, in one sentence."""
    why = truncate(one_line(error.message), _MOST_SHOWN)
    if error.status in SILENT:
        return StackError(f"Temporal did not answer: {why}; try again.")
    return StackError(f"Temporal refused or did not answer: {why}; try again.")


@contextmanager
def answering() -> Iterator[None]:
    """Raises `StackError` for whatever Temporal refuses or does not answer within."""
    try:
        yield
    except RPCError as error:
        raise unanswered(error) from error
    except RPCTimeoutOrCancelledError as error:
        raise StackError("Temporal did not answer in time; try again.") from error
