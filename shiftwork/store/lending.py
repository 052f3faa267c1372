"""How connections of the pool are lent out: one that has died meanwhile is replaced first."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from shiftwork.errors import StackError
from shiftwork.store.connect import LOST

_TRUSTED_SECONDS = 5.0
"""How long after its last use a connection is taken for alive unless the driver heard otherwise: what is
between us and the server, and forgets connections without a word, has more patience than that."""

_USED = "used"


@asynccontextmanager
async def lent(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection of the pool's. What SQLAlchemy has for this gives each one back in a task of its own.

    Raises:
        StackError: the server can't be reached, or ends what is connected.
    """
    try:
        connection = await engine.connect()
    except InvalidRequestError as error:  # each one that was made was dead before it was lent
        raise StackError("PostgreSQL ends every connection to it at once; try again in a moment.") from error
    try:
        yield connection
    except BaseException:  # a cancellation, too
        # There may be something to end on it, which takes a while, and no cancellation may interrupt.
        await asyncio.shield(asyncio.ensure_future(connection.close()))
        raise
    pool = engine.sync_engine.pool
    if isinstance(pool, QueuePool) and pool.checkedin() >= pool.size():
        # One too many to keep: it is ended, which takes a while, too.
        await asyncio.shield(asyncio.ensure_future(connection.close()))
    else:
        await connection.close()


def try_before_use(engine: AsyncEngine) -> None:
    """A restarted server costs a reconnect, not an error.

    SQLAlchemy's own way asks three times, in a transaction, on behalf of poolers that locks can't do with.
    One that was in use a moment ago is not asked: the driver has heard of its end, if that came.
    """

    async def hear(bare: asyncpg.Connection) -> None:
        for _ in range(2):  # the loop looks what came in, and then the driver reads it
            await asyncio.sleep(0)
        if bare.is_closed():
            raise InvalidatePoolError("the server closed the connection")

    def before(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get(_USED, 0.0) < _TRUSTED_SECONDS:
            connection.run_async(hear)
            return
        try:
            connection.run_async(lambda bare: bare.fetchrow(";"))
        except (*LOST, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
            # The last one: the driver is just being told of its end, and can't be asked anything.
            raise InvalidatePoolError(str(error)) from error

    def after(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED] = time.monotonic()

    event.listen(engine.sync_engine, "checkout", before)
    event.listen(engine.sync_engine, "checkin", after)
