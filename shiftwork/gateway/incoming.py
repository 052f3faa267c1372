"""What a client sends: heads, bodies and its going away, each within bounds."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator

from shiftwork.gateway.head import MAX_HEAD, Head, malformed
from shiftwork.gateway.policy import Bounds
from shiftwork.gateway.refusals import Reason, Refused

_READ = 64 * 1024
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_TURN = 0.01
"""Seconds for which a body of tiny chunks is read on before others have their turn."""
_HALF_CLOSED = 1.0
"""Seconds that a client which sends nothing more may still wait for its answer: most are dead."""


class ClientGone(Exception):  # noqa: N818 - it names what happened
    """The client closed its connection, broke off, or does not take what it is sent."""


class Incoming:
    """The bytes of one client's connection."""

    def __init__(self, reader: asyncio.StreamReader, bounds: Bounds) -> None:
        self.received = 0
        self._reader = reader
        self._bounds = bounds
        self._buffer = bytearray()
        self._body_read = asyncio.Event()

    @property
    def body_read(self) -> bool:
        """Whether the body of the last request was read to its end."""
        return self._body_read.is_set()

    async def begin(self) -> bool:
        """Wait for a request's first byte; False if none comes."""
        self.received = 0
        self._body_read.clear()
        try:
            if not self._buffer:
                await self._fill(self._bounds.idle)
        except (ClientGone, TimeoutError):
            return False
        return True

    async def head(self) -> bytes:
        """The head that has begun, with its empty line; raises `Refused` or `ClientGone`."""
        try:
            async with asyncio.timeout(self._bounds.head):
                return await self._until(b"\r\n\r\n", MAX_HEAD)
        except TimeoutError:
            raise Refused(408, Reason.TOO_SLOW, "the request's head took too long.") from None

    async def body(self, head: Head) -> AsyncGenerator[bytes, None]:
        """The body, in pieces as they come; raises `Refused` or `ClientGone`."""
        pieces = self._chunks() if head.length is None else self._plain(head.length)
        since = time.perf_counter()
        try:
            async for piece in pieces:
                self.received += len(piece)
                if self.received > self._bounds.body:
                    raise too_large(self._bounds.body)
                yield piece
                if time.perf_counter() - since > _TURN:
                    await asyncio.sleep(0)
                    since = time.perf_counter()
        except TimeoutError:
            raise Refused(408, Reason.TOO_SLOW, "the request's body came to a standstill.") from None
        self._body_read.set()

    def skip_body(self) -> None:
        """Say that there is no body to be read."""
        self._body_read.set()

    async def gone(self) -> None:
        """Return once the client is gone; looks from the end of the body on, and keeps what follows it."""
        await self._body_read.wait()
        try:
            while len(self._buffer) < MAX_HEAD:
                await self._fill(None)
        except ClientGone as gone:
            if gone.__cause__ is None:
                await asyncio.sleep(_HALF_CLOSED)
            return
        await asyncio.Event().wait()

    async def raw(self, seconds: float) -> bytes:
        """Whatever comes next; empty at the end. Raises `ClientGone` or `TimeoutError`."""
        if not self._buffer:
            try:
                await self._fill(seconds)
            except ClientGone as gone:
                if gone.__cause__ is not None:
                    raise
                return b""
        return self._take(len(self._buffer))

    async def _plain(self, length: int) -> AsyncIterator[bytes]:
        while length:
            if not self._buffer:
                await self._fill(self._bounds.stall)
            piece = self._take(min(length, len(self._buffer)))
            length -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := await self._chunk_size():
            async for piece in self._plain(size):
                yield piece
            await self._line_end()
        await self._line_end()  # Trailers would be headers that nobody looked at.

    async def _chunk_size(self) -> int:
        line = (await self._until(b"\r\n", 10, self._bounds.stall))[:-2]
        if not _CHUNK_SIZE.fullmatch(line):
            raise malformed("a chunk of the body is malformed.")
        return int(line, 16)

    async def _line_end(self) -> None:
        while len(self._buffer) < 2:
            await self._fill(self._bounds.stall)
        if self._take(2) != b"\r\n":
            raise malformed("a chunk of the body is malformed.")

    async def _until(self, end: bytes, limit: int, seconds: float | None = None) -> bytes:
        searched = 0
        while (at := self._buffer.find(end, searched)) < 0:
            if len(self._buffer) > limit:
                break
            searched = max(0, len(self._buffer) - len(end) + 1)
            await self._fill(seconds)
        if at < 0 or at + len(end) > limit:
            raise malformed("a line or the head of the request is too long.", 431)
        return self._take(at + len(end))

    async def _fill(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                data = await self._reader.read(_READ)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise
            raise ClientGone from error
        if not data:
            raise ClientGone
        self._buffer += data

    def _take(self, number: int) -> bytes:
        taken = bytes(self._buffer[:number])
        del self._buffer[:number]
        return taken


def too_large(bound: int) -> Refused:
    """What is raised for a body over the bound."""
    return Refused(413, Reason.TOO_LARGE, f"the request's body is larger than {bound} bytes.")
