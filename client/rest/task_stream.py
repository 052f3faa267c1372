"""Server-sent events: what happens to a task, or to what else ends, until it has."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from client.api import Shiftwork
from client.rest.answering_tasks import TaskState
from client.rest.streams import HEARTBEAT_SECONDS, RETRY_MS, CountedStream, Streams
from shiftwork.errors import ShiftworkError
from shiftwork.store.task_rows import TaskRow
from shiftwork.text import printable_json

ENDED = "ended"
"""The id of the last event: whoever asks anew after it is told that there is nothing more."""
_LOOK_SECONDS = 1.0
"""How often somebody looks whether the client has gone, or the server ends."""


Row = TypeVar("Row")


class ChangeStream(Generic[Row]):
    """Where something stands, and each change of it, until it has ended.

    Args:
        begin: what tells of the changes, and ends with them.
        part: what is sent for each.
    """

    def __init__(
        self,
        begin: Callable[[], AsyncGenerator[Row]],
        part: Callable[[Row], str],
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._begin = begin
        self._part = part
        self._heartbeat = heartbeat

    def response(self, request: Request, streams: Streams) -> Response:
        """The response; the stream is counted as long as it lasts."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return CountedStream(streams, self.parts(request, streams), headers=headers)

    async def parts(self, request: Request, streams: Streams) -> AsyncGenerator[str]:
        """The stream itself."""
        yield f"retry: {RETRY_MS}\n\n"
        heard = time.monotonic()
        async with aclosing(self._changes()) as changes:
            async for row in changes:
                if row is not None:
                    heard = time.monotonic()
                    yield self._part(row)
                if streams.closing.is_set() or await request.is_disconnected():
                    return
                if time.monotonic() > heard + self._heartbeat:
                    heard = time.monotonic()
                    yield ": still here\n\n"

    async def _changes(self) -> AsyncGenerator[Row | None]:
        """Each change; None every moment in which there is none."""
        changes = self._begin()
        coming: asyncio.Task[Row] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(_next(changes))
                done, _ = await asyncio.wait({coming}, timeout=_LOOK_SECONDS)
                if not done:
                    yield None
                    continue
                finished, coming = coming, None
                try:
                    row = finished.result()
                except (StopAsyncIteration, ShiftworkError):
                    return  # it ended, or was removed: whoever asks anew is told
                yield row
        finally:
            if coming is not None:
                coming.cancel()
                with suppress(asyncio.CancelledError, ShiftworkError):
                    await coming
            await changes.aclose()


class TaskStream(ChangeStream[TaskRow]):
    """Where a task stands, and each change of it, until it has ended."""

    def __init__(self, shiftwork: Shiftwork, task_id: int, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        super().__init__(lambda: shiftwork.task_changes(task_id), _part, heartbeat=heartbeat)


def change(data: BaseModel, status: str, *, ended: bool) -> str:
    """One change as it is sent, and the end after the last."""
    # JSON on one line: a line break in what an agent wrote must not begin an event of its own.
    told = printable_json(data.model_dump(mode="json"))
    if not ended:
        return f"data: {told}\n\n"
    return f"id: {ENDED}\ndata: {told}\n\nid: {ENDED}\nevent: end\ndata: {printable_json(status)}\n\n"


async def _next(changes: AsyncGenerator[Row]) -> Row:
    return await anext(changes)


def _part(row: TaskRow) -> str:
    return change(TaskState.of(row), row.status, ended=row.status.ended)
