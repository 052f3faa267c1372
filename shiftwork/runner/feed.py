"""Feeding a process's standard input."""

import asyncio
import io
import os
from collections import deque
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
        self._taken = 0
        """Bytes that the pipe took so far."""
        self._writers: deque[tuple[int, asyncio.Future[None]]] = deque()
        """Those who wait, with what `_taken` will be when their own bytes are written; in that order."""
        self._last = False
        """Close it once everything is written."""
        self._full = False
        self._loop = asyncio.get_running_loop()

    def put(self, data: bytes) -> None:
        """Write what the pipe takes now, and the rest as it takes more.

        Raises:
            BrokenPipeError: it is closed, or about to be.
        """
        if self.closed or self._last:
            raise BrokenPipeError
        self._waiting += data
        if not self._full:
            self._flush()

    async def write(self, data: bytes) -> None:
        """Write all of it; returns when the pipe has taken it.

        Raises:
            BrokenPipeError: it is closed, or was before all of this was written.
        """
        self.put(data)
        mark = self._taken + len(self._waiting)
        if self._waiting and not self.closed:
            written: asyncio.Future[None] = self._loop.create_future()
            self._writers.append((mark, written))
            await written
        if self._taken < mark:
            raise BrokenPipeError

    def finish(self) -> None:
        """Close it once everything is written."""
        self._last = True
        if not self._full:
            self.close()

    def close(self) -> None:
        """Close it now; what is not written yet is given up."""
        if self.closed:
            return
        self.closed = True
        self._wait_for_room(full=False)
        self._wake(self._taken + len(self._waiting))
        self._file.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                # A copy of a bounded part: the whole of a large queue would be copied for each write.
                written = os.write(self._fd, bytes(self._waiting[:65_536]))
                del self._waiting[:written]
                self._taken += written
        except BlockingIOError:
            self._wait_for_room(full=True)
            self._wake(self._taken)
            return
        except OSError:  # The reader is gone, which is no error of the program's.
            self.close()
            return
        self._wait_for_room(full=False)
        self._wake(self._taken)
        if self._last:
            self.close()

    def _wait_for_room(self, *, full: bool) -> None:
        if full and not self._full:
            self._loop.add_writer(self._fd, self._flush)
        elif self._full and not full:
            self._loop.remove_writer(self._fd)
        self._full = full

    def _wake(self, taken: int) -> None:
        """Have those go on whose bytes are within this number."""
        while self._writers and self._writers[0][0] <= taken:
            _, written = self._writers.popleft()
            if not written.done():  # else who waited was cancelled
                written.set_result(None)
