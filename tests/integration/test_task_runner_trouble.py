"""What the loop that drains tasks says while it can't look."""

import asyncio
import logging
from dataclasses import replace

import asyncpg

from client.api import Shiftwork
from client.task_runner import TaskRunner


async def test_an_error_that_lasts_is_logged_once(stack, database_url, caplog):
    """If it failed, a night without a database would fill the log, or nobody would see that it is over."""
    caplog.set_level(logging.DEBUG, "shiftwork.runner")

    def said(word: str, level: int) -> int:
        return sum(word in each.getMessage() and each.levelno == level for each in caplog.records)

    async def until(word: str, level: int, times: int) -> None:
        async with asyncio.timeout(100):
            while said(word, level) < times:  # noqa: ASYNC110 - nobody tells of a line of a log
                await asyncio.sleep(0.05)

    connection = await asyncpg.connect(database_url)
    stop = asyncio.Event()
    async with Shiftwork(replace(stack, database_url=database_url)) as shiftwork:
        loop = asyncio.create_task(TaskRunner(shiftwork, enabled=True).run_loop(0.1, stop))
        for times in (1, 2):
            await connection.execute("ALTER TABLE tasks RENAME TO away")
            await until("Error in runner loop", logging.DEBUG, 3 * times)
            assert said("Error in runner loop", logging.ERROR) == times
            await connection.execute("ALTER TABLE away RENAME TO tasks")
            await until("goes on", logging.INFO, times)
        stop.set()
        await loop
    await connection.close()
