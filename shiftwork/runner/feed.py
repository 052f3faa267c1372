"""Feeding a process's standard input."""

import asyncio
import io
import os
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


class InputPipe:
    """The write end of a process's standard input, for many writes; it needs no task of its own.

    Attributes:
        closed: nothing more can be written: it was closed by us, or its reader went away.
    """

    def __init__(self, file: io.FileIO) -> None:
        os.set_blocking(file.fileno(), False)
        self.closed = False
        self._file = file
        self._fd = file.fileno()
        self._waiting = bytearray()
        self._last = False
        """Close it once everything is written."""
        self._written: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    def put(self, data: bytes) -> None:
        """Write what the pipe takes now, and the rest as it takes more.

        Raises:
            BrokenPipeError: it is closed, or about to be.
        """
        if self.closed or self._last:
            raise BrokenPipeError
        self._waiting += data
        if self._written is None:
            self._flush()

    async def write(self, data: bytes) -> None:
        """Write all of it; returns when the pipe has taken it.

        Raises:
            BrokenPipeError: it is closed, or was while this waited.
        """
        self.put(data)
        # Not cancelled with one of those who wait: the others' bytes are in the same queue.
        if self._written is not None:
            await asyncio.shield(self._written)
        if self._waiting:
            raise BrokenPipeError

    def finish(self) -> None:
        """Close it once everything is written."""
        self._last = True
        if self._written is None:
            self.close()

    def close(self) -> None:
        """Close it now; what is not written yet is given up."""
        if self.closed:
            return
        self.closed = True
        if self._written is not None:
            self._loop.remove_writer(self._fd)
            self._written.set_result(None)
            self._written = None
        self._file.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                # A copy of a bounded part: the whole of a large queue would be copied for each write.
                del self._waiting[: os.write(self._fd, bytes(self._waiting[:65_536]))]
        except BlockingIOError:
            if self._written is None:
                self._written = self._loop.create_future()
                self._loop.add_writer(self._fd, self._flush)
            return
        except OSError:  # The reader is gone, which is no error of the program's.
            self.close()
            return
        if self._written is not None:
            self._loop.remove_writer(self._fd)
            self._written.set_result(None)
            self._written = None
        if self._last:
            self.close()
