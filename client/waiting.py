"""Waiting for tasks by their rows: PostgreSQL tells when one changed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import asyncpg

from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import StackError, UnreadableRow
from shiftwork.store.connect import answering, connect
from shiftwork.store.run_statements import CHANNEL
from shiftwork.store.store import Store
from shiftwork.store.task_news import TaskNews
from shiftwork.store.task_rows import TaskRow

_LOOK_SECONDS = 1.0
"""How often a row is read in any case: what PostgreSQL told while a connection was away is lost."""

_BEGUN_SECONDS = 0.1
"""How long the first look at a task waits that has just been begun: most are over by then, and told of."""


_GOES_ON = frozenset(status.value for status in TaskStatus if not status.ended)


class _Told(asyncio.Event):
    """Set when a task changed.

    Args:
        ends: only when it ended.
    """

    def __init__(self, *, ends: bool) -> None:
        super().__init__()
        self.ends = ends
        self.news: TaskNews | None = None
        """The last."""


class TaskWatch:
    """Tells when tasks end; one connection for however many are waited for. Of one event loop.

    Args:
        store: the rows.
        database_url: tells where they are by now.
    """

    def __init__(self, store: Store, database_url: Callable[[], str]) -> None:
        self._store = store
        self._url = database_url
        self._waiting: dict[int, set[_Told]] = {}
        self._connection: asyncpg.Connection | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def listen(self) -> None:
        """Be told from now on; what happens after this is not missed. Raises `StackError`."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                options = {"application_name": "shiftwork watch"}
                connection = await connect(self._url(), server_settings=options)
                try:
                    with answering():
                        await connection.add_listener(CHANNEL, self._told)
                    self._connection = connection
                finally:
                    if self._connection is not connection:
                        connection.terminate()

    async def ended(self, task_id: int, *, begun: bool = False) -> TaskRow:
        """The task, once it has ended; a stack that is away is waited for. Raises `NotFound`.

        Args:
            begun: it has just been begun; it is not looked at before it has had a moment to end.
        """
        async with aclosing(self._looks(task_id, _Told(ends=True), begun=begun)) as looks:
            async for row in looks:
                if row.status.ended:
                    return row
        raise AssertionError("looks go on")  # pragma: no cover

    async def changes(self, task_id: int) -> AsyncGenerator[TaskRow]:
        """The task as it is, and at each change of it, until it has ended.

        A change that is followed by another at once may be left out. Raises `NotFound`.
        """
        last: TaskRow | None = None
        async with aclosing(self._looks(task_id, _Told(ends=False))) as looks:
            async for row in looks:
                if row != last:
                    last = row
                    yield row
                    if row.status.ended:
                        return

    async def _looks(self, task_id: int, told: _Told, *, begun: bool = False) -> AsyncGenerator[TaskRow]:
        """The task as it is, again and again: when it is told of, and every now and then."""
        with self._waiting_for(task_id, told):
            if begun:
                with suppress(StackError):
                    await self.listen()
                await _wait(told, _BEGUN_SECONDS)
            while True:
                told.clear()
                if (row := self._told_row(told) or await self._look(task_id)) is not None:
                    yield row
                await _wait(told, _LOOK_SECONDS)

    @contextmanager
    def _waiting_for(self, task_id: int, told: _Told) -> Iterator[None]:
        self._waiting.setdefault(task_id, set()).add(told)
        try:
            yield
        finally:
            self._waiting[task_id].discard(told)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    async def _look(self, task_id: int) -> TaskRow | None:
        """The task; None while the stack is away."""
        with suppress(StackError):
            await self.listen()
            return await self._read(task_id)
        return None

    async def _read(self, task_id: int) -> TaskRow:
        async with self._store.statements() as tx:
            return await tx.tasks.get(task_id)

    def _told_row(self, told: _Told) -> TaskRow | None:
        """The task, if it was told as it is by now, which saves a question."""
        news, told.news = told.news, None
        if news is None or not news.row or not self._store.own_server:  # of another's, anybody may tell
            return None
        with suppress(ValueError, UnreadableRow):
            return news.task()
        return None

    def _told(self, *message: Any) -> None:
        if (news := TaskNews.read(str(message[-1]))) is None:
            return
        for told in self._waiting.get(news.task_id, ()):
            if not told.ends or news.status not in _GOES_ON:
                told.news = news
                told.set()


async def _wait(told: _Told, seconds: float) -> None:
    """Return once it is, or after so many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(told.wait(), seconds)
