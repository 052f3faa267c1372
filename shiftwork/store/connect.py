"""Connecting to PostgreSQL, with errors that people can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from shiftwork.errors import InvalidInput, StackError
from shiftwork.store.dsn import FORM, asyncpg_dsn, place, shown

CONNECT_TIMEOUT = 10.0
"""Seconds after which a server that does not answer counts as unreachable."""

LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)
"""What a connection raises that is no more."""


async def connect(database_url: str, **options: Any) -> asyncpg.Connection:
    """A connection, with asyncpg's own options.

    Raises:
        InvalidInput: the address is not one that can be used.
        StackError: the server can't be reached, or refuses us; trying again may help.
    """
    options.setdefault("timeout", CONNECT_TIMEOUT)
    dsn = asyncpg_dsn(database_url)
    try:
        return await asyncpg.connect(dsn, **options)
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InternalClientError,
    ) as error:  # TimeoutError is an OSError
        raise StackError(
            f"PostgreSQL at {place(database_url)} can't be reached ({error or 'no answer'}); "
            "start it, or correct the database address."
        ) from error
    except (ValueError, asyncpg.InterfaceError):
        # Neither its text nor its traceback is kept: they quote what may be a part of a password.
        raise InvalidInput(
            f"The database address{shown(database_url)} can't be used: write it as {FORM}, "
            "and what is no letter or digit in a user or password as %XX."
        ) from None


@contextmanager
def answering() -> Iterator[None]:
    """Raises `StackError` where the server ends the connection that is used within."""
    try:
        yield
    except (*LOST, asyncpg.OperatorInterventionError) as error:
        raise StackError("PostgreSQL ended the connection; try again.") from error
