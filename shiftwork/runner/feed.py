"""Feeding a process's standard input."""

import asyncio
from typing import cast


class Feed(asyncio.BaseProtocol):
    """Writes bytes to a pipe and closes it; a reader that goes away early is no error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.BaseProtocol`."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def start(self) -> None:
        """Write everything, then close; call it once `connect_write_pipe` is through, not earlier."""
        if self._transport is not None:
            self._transport.write(self._data)
            self._transport.write_eof()  # takes effect once everything is written
        self._data = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Part of `asyncio.BaseProtocol`."""
        self._transport = None

    def close(self) -> None:
        """Give up on what is not written yet."""
        if self._transport is not None:
            self._transport.abort()
