"""The forward proxy of sessions that may reach listed hosts: `CONNECT`, and plain HTTP in absolute form."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from shiftwork.gateway.call import Outcome
from shiftwork.gateway.context import Context
from shiftwork.gateway.egress import check_listed
from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.headers import proxied_headers
from shiftwork.gateway.hosts import split_authority
from shiftwork.gateway.incoming import ClientGone, Incoming, too_large
from shiftwork.gateway.outgoing import Outgoing
from shiftwork.gateway.record import Record
from shiftwork.gateway.refusals import Reason, Refused

_ABSOLUTE = re.compile(r"http://([^/?#@\\]+)((?:/[^?#\\]*)?(?:\?[^#\\]*)?)", re.IGNORECASE)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_READ = 64 * 1024
_CLOSING = 1.0
"""Seconds that the end of a connection to a host may take."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) ")


class Forward:
    """One request of the forward proxy; its connection carries no other."""

    def __init__(self, context: Context, incoming: Incoming, outgoing: Outgoing, record: Record) -> None:
        self._context = context
        self._bounds = context.policy.bounds
        self._incoming = incoming
        self._outgoing = outgoing
        self._record = record
        self._moved = time.monotonic()

    async def tunnel(self, head: Head) -> None:
        """Answer `CONNECT host:port`; raises `Refused` or `ClientGone`."""
        self._record.kind = "tunnel"
        host, port = self._authority(head, head.target)
        if port is None or head.length != 0:
            raise malformed("CONNECT takes host:port, and no body.")
        reader, writer = await self._connect(head, host, port, 443)
        self._incoming.skip_body()
        async with _closing(writer):
            self._outgoing.status = 200
            await self._outgoing.raw(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._record.began()
            await _both(self._up(writer), self._down(reader))

    async def plain(self, head: Head) -> None:
        """Answer `GET http://host/…`; raises `Refused` or `ClientGone`."""
        self._record.kind = "http"
        match = _ABSOLUTE.fullmatch(head.target)
        if match is None or head.method not in _METHODS:
            raise malformed("only http://host/… is proxied so; https goes by CONNECT.")
        host, port = self._authority(head, match[1])
        if head.length is not None and head.length > self._bounds.body:
            raise too_large(self._bounds.body)
        reader, writer = await self._connect(head, host, port or 80, 80)
        async with _closing(writer):
            path = match[2] if match[2].startswith("/") else f"/{match[2]}"
            lines = [f"{head.method} {path} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in proxied_headers(head, match[1])]
            writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
            await self._body(head, writer)
            await self._down(reader)

    def _authority(self, head: Head, text: str) -> tuple[str, int | None]:
        found = split_authority(text)
        if found is None:
            raise malformed("the host is no plain name.")
        self._record.target = text.lower()
        told = head.get("host")
        if told is None and head.minor == 0:  # Old clients open tunnels so.
            return found
        if told is None or told.lower() not in {text.lower(), found[0]}:
            raise malformed("the header host and the request's target differ.")
        return found

    async def _connect(
        self, head: Head, host: str, port: int, default: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._context.check_proxy_token(head)
        check_listed(self._context.policy.patterns(), host, port, default)
        return await self._context.egress.connect(host, port, self._bounds.connect)

    async def _body(self, head: Head, writer: asyncio.StreamWriter) -> None:
        if head.expects_continue:
            await self._outgoing.go_on()
        async for piece in self._incoming.body(head):
            await self._give(
                writer, piece if head.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece)
            )
        await self._give(writer, b"0\r\n\r\n" if head.length is None else b"")

    async def _up(self, writer: asyncio.StreamWriter) -> None:
        while data := await self._piece(self._incoming.raw):
            self._incoming.received += len(data)
            await self._give(writer, data)
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader) -> None:
        async def read(seconds: float) -> bytes:
            async with asyncio.timeout(seconds):
                try:
                    return await reader.read(_READ)
                except ConnectionError:
                    return b""

        while data := await self._piece(read):
            if not self._outgoing.status and (match := _STATUS.match(data)):
                self._outgoing.status = int(match[1])
            self._record.began()
            await self._outgoing.raw(data)
        self._record.outcome = Outcome.ANSWERED if self._outgoing.status else Outcome.FAILED
        self._outgoing.end()

    async def _piece(self, read: Callable[[float], Awaitable[bytes]]) -> bytes:
        """The next piece; empty at the end, or when nothing moved in either direction for too long."""
        while True:
            left = self._moved + self._bounds.idle - time.monotonic()
            if left <= 0:
                return b""
            with suppress(TimeoutError):
                data = await read(left)
                self._moved = time.monotonic()
                return data

    async def _give(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        try:
            writer.write(data)
            async with asyncio.timeout(self._bounds.stall):
                await writer.drain()
        except OSError:
            if self._outgoing.status:
                raise ClientGone from None
            raise Refused(502, Reason.UPSTREAM, "the host broke off.") from None


async def _both(up: Awaitable[None], down: Awaitable[None]) -> None:
    """Wait for both directions; a failure of one ends the other."""
    tasks = [asyncio.ensure_future(up), asyncio.ensure_future(down)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close the connection to a host at the end, also of one that takes nothing any more."""
    done = False
    try:
        yield
        done = not writer.transport.get_write_buffer_size()
    finally:
        # An orderly end waits until the host has taken all, which may be never.
        writer.close() if done else writer.transport.abort()
        with suppress(OSError):  # TimeoutError is one.
            async with asyncio.timeout(_CLOSING):
                await writer.wait_closed()
