"""Connections are lent and given back, also by who is cancelled in the midst of it."""

import asyncio
import logging
from contextlib import suppress

from sqlalchemy import text

from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store


async def test_who_is_cancelled_while_giving_one_back_interrupts_nothing(database_url, caplog) -> None:
    """If it failed, a log would have a traceback for each one that went away while much was going on."""
    await migrate(database_url)
    caplog.set_level(logging.ERROR)
    async with Store(database_url, pool_size=1) as store:

        async def ask(asked: asyncio.Event, end: asyncio.Event) -> None:
            async with store.transaction() as tx:
                await tx.connection.execute(text("SELECT 1"))
                asked.set()
                await end.wait()

        for turns in range(60):
            asked, end = asyncio.Event(), asyncio.Event()
            async with store.transaction() as tx:
                await tx.connection.execute(text("SELECT 1"))
                asking = asyncio.create_task(ask(asked, end))
                await asked.wait()
            end.set()  # there is one in the pool again: this one is one too many to keep
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            await asyncio.sleep(0.02)  # what was begun is ended by somebody else now
        async with store.transaction() as tx:
            await tx.connection.execute(text("SELECT 1"))
    assert caplog.text == ""
