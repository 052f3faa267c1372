"""Server-sent events: what happens to a project, as it happens, without a gap or a double."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from client.api import Shiftwork
from client.rest.problems import problem
from client.resting import POLL_SECONDS, at_rest
from client.telling import as_json, tell
from client.watch import Listener
from shiftwork.errors import ShiftworkError
from shiftwork.store.rows import EventRow, TranscriptRow
from shiftwork.store.store import Transaction
from shiftwork.text import printable_json

MOST_STREAMS = 32
"""Open at once; each asks the database several times a second."""
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 2000
"""After how long a client that lost its stream asks anew."""


class Streams:
    """Counts the streams that are open, and ends them with the server."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self.open = 0
        self.closing = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return self.open >= self._most


class CountedStream(StreamingResponse):
    """A stream that is refused where there are too many, and counted as long as it is sent.

    It is never interrupted in the midst of a look into the store, which would cost a connection to it: the
    parts themselves end where, between two looks, the client has gone.
    """

    def __init__(self, streams: Streams, parts: AsyncGenerator[str], headers: dict[str, str]) -> None:
        super().__init__(parts, media_type="text/event-stream", headers=headers)
        self._streams = streams
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or a problem where there is no room for one more."""
        if self._streams.full:
            await problem(429, "Too many streams are open; close one first.")(scope, receive, send)
            return
        self._streams.open += 1
        try:
            async with aclosing(self._parts):
                await self.stream_response(send)
        finally:
            self._streams.open -= 1


class EventStream:
    """The events of one project after a sequence, until the client goes, or the project rests.

    Args:
        until_rest: end with the event `rest`, which carries the status, once nothing happens any more.
        agents: also what agents say and do, as events `said`; who comes again hears their last words again.
        heartbeat: seconds of silence after which a comment says that the stream is alive.
    """

    def __init__(
        self,
        shiftwork: Shiftwork,
        project_id: str,
        after: int,
        *,
        until_rest: bool,
        agents: bool = False,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._shiftwork = shiftwork
        self._project_id = project_id
        self._after = after
        self._until_rest = until_rest
        self._listener = Listener() if agents else None
        self._heartbeat = heartbeat
        self._heard = time.monotonic()

    def response(self, request: Request, streams: Streams) -> StreamingResponse:
        """The response; the stream is counted as long as it lasts."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return CountedStream(streams, self.parts(request, streams), headers=headers)

    async def parts(self, request: Request, streams: Streams) -> AsyncGenerator[str]:
        """The stream itself, until the client goes or the server ends."""
        yield f"retry: {RETRY_MS}\n\n"
        while not streams.closing.is_set() and not await request.is_disconnected():
            try:
                status, events, said = await self._look()
            except ShiftworkError as error:
                # Deleted, or the stack is away for long: the client asks anew, and is told.
                yield f": {printable_json(str(error))}\n\n"
                return
            for number, item in said:
                yield _said(number, item)
            for event in events:
                self._after = event.sequence
                yield _part(event)
                # Sending does not wait: without this a long history would keep everyone else waiting.
                await asyncio.sleep(0)
            if events or said:
                self._heard = time.monotonic()
            elif self._until_rest and at_rest(status):
                yield f"event: rest\ndata: {printable_json(status)}\n\n"
                return
            else:
                if time.monotonic() > self._heard + self._heartbeat:
                    self._heard = time.monotonic()
                    yield ": still here\n\n"
                await pause(streams.closing)

    async def _look(self) -> "_Look":
        return await self._shiftwork.store.read(self._read)

    async def _read(self, tx: Transaction) -> "_Look":
        # In this order: what the status tells has its events in what is read after it.
        standing = await tx.projects.status(self._project_id) if self._until_rest else {}
        said = await self._listener.hear(tx, self._project_id) if self._listener else []
        events = await tx.events.after(self._project_id, self._after)
        if not events:
            await tx.projects.get(self._project_id)  # raises `NotFound` for one that was deleted meanwhile
        return standing, events, said


_Look = tuple[dict[str, Any], list[EventRow], list[tuple[int, TranscriptRow]]]
"""A status, new events, and what was said in which session since the last look."""


async def pause(closing: asyncio.Event) -> None:
    """A moment, or until the server ends."""
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await closing.wait()
    except TimeoutError:
        return


def _said(session: int, item: TranscriptRow) -> str:
    told = {"session": session, **item.model_dump(mode="json")}
    return f"event: said\ndata: {printable_json(told)}\n\n"


def _part(event: EventRow) -> str:
    # JSON on one line: a line break in what an agent wrote must not begin an event of its own.
    return f"id: {event.sequence}\ndata: {printable_json({**as_json(event), 'text': tell(event)})}\n\n"
