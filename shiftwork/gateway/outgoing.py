"""What a client is sent: one answer after the other, each byte as soon as it is there."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus

from shiftwork.gateway.incoming import ClientGone
from shiftwork.gateway.policy import Bounds

_LINGER = 2.0
_LINGER_BYTES = 128 * 1024 * 1024
"""Programs that still send when they are refused see the refusal only once they have sent all."""


class AnswerBroken(Exception):  # noqa: N818 - it names what happened
    """The provider broke off in the middle of its answer, which then can't be made good."""


class Outgoing:
    """The answers of one client's connection.

    Attributes:
        status: of the present answer; 0 before it begins.
        sent: bytes of its body.
        closing: whether the connection carries no further one.
    """

    def __init__(self, writer: asyncio.StreamWriter, bounds: Bounds) -> None:
        self.status = 0
        self.sent = 0
        self.closing = False
        self._writer = writer
        self._bounds = bounds
        self._chunked = False
        self._bodyless = False
        self._held = b""

    @property
    def lost(self) -> bool:
        """Whether the client's connection is closed, or being closed."""
        return self._writer.is_closing()

    def begin(self) -> None:
        """Forget the answer before."""
        self.status = self.sent = 0

    async def go_on(self) -> None:
        """Tell a client that waits for it to send its body."""
        await self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def start(
        self,
        status: int,
        headers: Iterable[tuple[str, str]],
        *,
        length: int | None,
        bodyless: bool = False,
        close: bool = False,
    ) -> None:
        """Begin an answer; without a length the body goes in chunks, and the head at once.

        A body whose length is known is there already: it goes together with the head.
        """
        self.status = status
        self.closing = self.closing or close
        self._bodyless = bodyless or status in {204, 304}
        self._chunked = length is None and not self._bodyless
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in headers)]
        if self._chunked:
            lines.append("transfer-encoding: chunked")
        elif length is not None and status != 204:
            lines.append(f"content-length: {length}")
        if close:
            lines.append("connection: close")
        self._held = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if self._chunked:
            await self._send(b"")

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        if self._bodyless or not data:
            return
        self.sent += len(data)
        await self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def finish(self) -> None:
        """End the answer."""
        if self._chunked or self._held:
            await self._send(b"0\r\n\r\n" if self._chunked else b"")

    async def raw(self, data: bytes) -> None:
        """Send bytes that are framed already."""
        self.sent += len(data)
        await self._send(data)

    def end(self) -> None:
        """Say that nothing more comes."""
        self.closing = True
        if self._writer.can_write_eof() and not self._writer.is_closing():
            with suppress(OSError):
                self._writer.write_eof()

    def abort(self) -> None:
        """Break the connection, so that the client sees that its answer is not whole."""
        self.closing = True
        self._writer.transport.abort()

    async def linger(self, reader: asyncio.StreamReader) -> None:
        """Let a client that still sends read its answer, before the connection is closed."""
        self.end()
        left = _LINGER_BYTES
        with suppress(OSError):  # TimeoutError is one: it had its time.
            async with asyncio.timeout(_LINGER):
                while left > 0 and (data := await reader.read(64 * 1024)):
                    left -= len(data)

    async def _send(self, data: bytes) -> None:
        held, self._held = self._held, b""
        try:
            self._writer.write(held + data)
            async with asyncio.timeout(self._bounds.stall):
                await self._writer.drain()
        except OSError as error:
            self.abort()
            raise ClientGone from error


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
