"""Connections on which locks live: kept open, so that a lock costs one question to the server."""

from collections.abc import Awaitable, Callable

import asyncpg

from shiftwork.store.connect import LOST, answering

_TRY = "SELECT pg_try_advisory_lock($1)"
_UNLOCK = "SELECT pg_advisory_unlock($1)"


class Lockers:
    """Lends each lock a connection of its own; of one event loop.

    Args:
        connect: opens a connection.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._idle: list[asyncpg.Connection] = []

    async def acquire(self, key: int) -> asyncpg.Connection | None:
        """The connection that holds this lock from now on; None if another holds it. Raises `StackError`."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._tried(connection, key)
            except LOST:
                connection.terminate()  # the server was restarted meanwhile
        with answering():
            return await self._tried(await self._connect(), key)

    async def release(self, connection: asyncpg.Connection, key: int) -> None:
        """Give the lock back. A connection that fails in it is ended, and the lock with it."""
        try:
            await connection.execute(_UNLOCK, key)
        except LOST:
            connection.terminate()
        except BaseException:  # a cancellation too: nobody knows whether it is given back
            connection.terminate()
            raise
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().terminate()

    async def _tried(self, connection: asyncpg.Connection, key: int) -> asyncpg.Connection | None:
        try:
            held = await connection.fetchval(_TRY, key)
        except BaseException:  # a cancellation too: nobody knows whether it is held
            connection.terminate()
            raise
        if held:
            return connection
        self._idle.append(connection)
        return None
