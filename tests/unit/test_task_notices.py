"""A worker tells of ends whatever it meets, and asks nobody faster than they refuse."""

import asyncio
import logging
from contextlib import asynccontextmanager

from aiohttp import web
from sqlalchemy import text

from activities.notices import telling_of_ends
from shiftwork.tasks.webhook import Webhook


async def execute(store, sql):
    async with store.transaction() as tx:
        await tx.connection.execute(text(sql))


async def end(store, count):
    await execute(
        store,
        "INSERT INTO tasks (provider, instruction, parameters, trace, status, ended_at) "
        "SELECT 'noop', '', '{}', '{}', 'completed', clock_timestamp() "
        f"FROM generate_series(1, {count})",
    )


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)


@asynccontextmanager
async def receiving(status):
    """An address, and how often it was told."""
    told = []

    async def take(request):
        told.append(await request.read())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", told
    finally:
        await runner.cleanup()


async def test_what_nobody_foresaw_does_not_end_it(store, caplog):
    """If it failed, nothing would be told any more, and nothing would say so."""
    async with receiving(204) as (url, told), telling_of_ends(store, Webhook(url, None)):
        await execute(store, "ALTER TABLE task_notices RENAME TO away")
        await until(lambda: "does not exist" in caplog.text)
        await execute(store, "ALTER TABLE away RENAME TO task_notices")
        await end(store, 1)
        await until(lambda: told)
    assert "not told, and to be tried again: ProgrammingError: " in caplog.text


async def test_one_who_refuses_is_not_asked_as_fast_as_that(store, caplog):
    """If it failed, a receiver that comes back after a day would be felled by the workers."""
    caplog.set_level(logging.WARNING)
    async with receiving(500) as (url, told), telling_of_ends(store, Webhook(url, None)):
        await end(store, 400)
        await until(lambda: told)
        await asyncio.sleep(1.5)
        assert len(told) <= 40
