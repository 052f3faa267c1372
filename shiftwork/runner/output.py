"""One output stream of a running agent: what is not read yet, in bounded memory."""

import asyncio
import contextlib
import fcntl
import io
import os
from collections import deque
from collections.abc import AsyncIterator, Callable

from shiftwork.runner.capture import LineSplitter

_CHUNK = 256 * 1024
"""Bytes of one read."""

_PIPE = 1024 * 1024
"""Bytes of the pipe of a program that prints much, where the system allows that."""

_USUAL_PIPE = 64 * 1024
"""What a pipe holds at first: a read of so much shows a program that prints faster than it is read."""

_TURN = 3
"""Reads that a reader may do itself before it lets the event loop see to others."""

_SMALL = 4096
"""Chunks are joined up to this size, so that a program that prints little at a time costs no more memory."""

_STRANGER = 2.0
"""Seconds in which a pipe is read after its process, if something else holds it open."""


class OutputStream:
    """Reads a pipe as it fills, and keeps what nobody has read yet.

    Attributes:
        total: bytes that came.
        dropped_lines: those that were given up because nobody read them in time.
        ended: nothing more will come.
        tail: the last bytes that came, whether they were read or not.
    """

    def __init__(
        self, file: io.FileIO, *, limit: int, wait: bool, on_data: Callable[[], None], tail: int = 0
    ) -> None:
        self.total = 0
        self.ended = False
        self.dropped_lines = 0
        self.tail = b""
        self._keep = tail
        self._dropped = 0
        self._lines = 0
        self._file = file
        self._fd = file.fileno()
        self._limit = limit
        self._wait = wait
        self._on_data = on_data
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._gap = False
        """Something was dropped since the last read: what is left of the line before it is worthless."""
        self._mid_line = False
        """What was dropped last did not end with a newline."""
        self._ahead: deque[bytes] = deque()
        """Lines that an iteration made ready; whoever reads next takes from them first."""
        self._splitter = LineSplitter(limit)
        self._news = asyncio.Event()
        self._listeners = 0
        """Readers that wait for news."""
        self._loop = asyncio.get_running_loop()
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None
        os.set_blocking(self._fd, False)
        self._large = False
        self._turn = 0
        self._resume()

    @property
    def dropped_bytes(self) -> int:
        """Bytes that were given up."""
        return self._dropped + self._splitter.cut

    @property
    def full(self) -> bool:
        """Nothing is read, because the limit is reached and the program is to wait."""
        return not self._reading and not self.ended

    @property
    def lines(self) -> int:
        """Lines that came, the dropped ones included."""
        return self._lines + self.dropped_lines + sum(chunk.count(b"\n") for chunk in self._chunks)

    def read(self) -> bytes | None:
        """Everything that is there and not read yet; None if there is nothing."""
        if self._gap:
            self._splitter.finish()
            self._gap = self._mid_line = False
        begun = [line + b"\n" for line in self._ahead]
        self._ahead.clear()
        data = b"".join((*self._splitter.finish(), *self._chunks))
        self._lines += data.count(b"\n")
        self._chunks.clear()
        self._consumed(self._size)
        return b"".join((*begun, data)) or None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Everything as it comes, to the end of the stream: the fast way to read what has no lines."""
        while True:
            if (data := self.read()) is not None:
                yield data
            elif self.ended:
                return
            else:
                self._news.clear()
                await self._news.wait()

    async def batches(self) -> AsyncIterator[list[bytes]]:
        """Lists of lines without their newlines, as they come, to the end of the stream."""
        while (lines := await self._next_batch()) is not None:
            yield lines

    async def each_line(self) -> AsyncIterator[bytes]:
        """One line after the other; when it is left early, the next one who reads goes on from there."""
        ahead = self._ahead
        while True:
            while ahead:
                yield ahead.popleft()
            lines = await self._next_batch()
            if lines is None:
                return
            ahead.extend(lines)
            if self._listeners:
                self._news.set()

    def drain(self) -> None:
        """Take what is left in the pipe after its process has ended, whatever the policy."""
        # As many reads as fill the largest pipe: a stranger that holds the pipe open may write for ever.
        for _ in range(8):
            if self.ended or not self._read():
                break
        if not self.ended:
            self._resume()
            self._timer = self._loop.call_later(_STRANGER, self.close)

    def close(self) -> None:
        """Read no more; what was read stays."""
        if self.ended:
            return
        self._pause()
        self.ended = True
        if self._mid_line and not any(b"\n" in chunk for chunk in self._chunks):
            self.dropped_lines += 1  # The last line has no newline by which its loss would be counted.
        if self._timer is not None:
            self._timer.cancel()
        self._file.close()
        self._news.set()

    def _read(self) -> bool:
        """One read; false if there was nothing to read."""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # A pipe that can't be read any more ends like one that was closed.
            data = b""
        if not data:
            self.close()
            return False
        if not self._large and len(data) >= _USUAL_PIPE:
            self._enlarge()
        self._take(data)
        return True

    def _enlarge(self) -> None:
        """Give a program that prints much a larger pipe; all users' pipes share a bounded memory."""
        self._large = True
        # Refused beyond a user's share, and unknown outside of Linux: then it stays small.
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE)

    def _take(self, data: bytes) -> None:
        self.total += len(data)
        if self._keep:
            self.tail = data[-self._keep :] if len(data) >= self._keep else (self.tail + data)[-self._keep :]
        self._size += len(data)
        if self._chunks and len(self._chunks[-1]) + len(data) <= _SMALL:
            self._chunks[-1] += data
        else:
            self._chunks.append(data)
        if self._size > self._limit:
            if self._wait:
                self._pause()
            else:
                self._drop(self._size - self._limit)
        self._on_data()
        self._news.set()

    def _drop(self, excess: int) -> None:
        """Give up the oldest bytes: at least these, and not byte by byte."""
        excess = max(excess, self._limit // 8)
        self._size -= excess
        self._dropped += excess
        self._gap = True
        while excess:
            head = self._chunks.popleft()
            if len(head) > excess:
                self._chunks.appendleft(head[excess:])
                head = head[:excess]
            excess -= len(head)
            self.dropped_lines += head.count(b"\n")
            self._mid_line = not head.endswith(b"\n")

    async def _next_batch(self) -> list[bytes] | None:
        """The next lines, as soon as there are any; None at the end."""
        while True:
            if self._ahead:
                lines = list(self._ahead)
                self._ahead.clear()
                return lines
            while self._chunks:
                if lines := self._next_lines():
                    return lines
            if self.ended:
                self._lines += len(rest := self._splitter.finish())
                return rest or None
            # Reading here saves a turn of the event loop, of which the others get theirs now and then.
            self._turn += 1
            if self._turn <= _TURN and (self._read() or self.ended):
                continue
            self._turn = 0
            self._news.clear()
            self._listeners += 1
            try:
                await self._news.wait()
            finally:
                self._listeners -= 1

    def _next_lines(self) -> list[bytes]:
        data = self._chunks.popleft()
        self._consumed(len(data))
        if self._gap:
            data = self._after_gap(data)
        lines = self._splitter.feed(data)
        self._lines += len(lines)
        return lines

    def _after_gap(self, data: bytes) -> bytes:
        """Without the rest of the line whose beginning was dropped."""
        self._splitter.finish()
        if self._mid_line:
            rest, newline, data = data.partition(b"\n")
            self._dropped += len(rest) + len(newline)
            self.dropped_lines += len(newline)
            self._mid_line = not newline
        self._gap = self._mid_line
        return data

    def _consumed(self, size: int) -> None:
        self._size -= size
        if self._wait and self._size <= self._limit // 2:
            self._resume()

    def _resume(self) -> None:
        if not self._reading and not self.ended:
            self._reading = True
            self._loop.add_reader(self._fd, self._read)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)
