"""Reading what a process prints, in bounded memory, whatever it prints."""

import asyncio
import hashlib
import inspect
from collections import deque
from typing import cast

from shiftwork.runner.spec import OnLine, ProcessSpec, StreamName, StreamResult

_HIGH_WATER = 1_000_000
"""Bytes of lines waiting for `on_line` at which reading pauses; it goes on at a quarter of that."""

_LINE_OVERHEAD = 64
"""What an empty line costs in the queue, about, in bytes."""


class LineQueue:
    """Lines on their way from the streams to `on_line`, which may be slow: then the streams wait."""

    def __init__(self, on_line: OnLine) -> None:
        self._on_line = on_line
        self._batches: deque[tuple[StreamName, list[bytes], int]] = deque()
        self._size = 0
        self._streams: list[StreamCapture] = []
        self._changed = asyncio.Event()

    def attach(self, stream: "StreamCapture") -> None:
        """Count this stream in: `deliver` ends when all attached ones have."""
        self._streams.append(stream)

    def put(self, name: StreamName, lines: list[bytes], size: int) -> None:
        """Add lines of that many bytes; pauses the streams when too much is waiting."""
        size += len(lines) * _LINE_OVERHEAD
        self._batches.append((name, lines, size))
        self._size += size
        self._changed.set()
        if self._size > _HIGH_WATER:
            self._each_stream(paused=True)

    def wake(self) -> None:
        """Have `deliver` look again: a stream ended."""
        self._changed.set()

    async def deliver(self) -> None:
        """Call `on_line` for every line until all streams have ended; raises what it raises."""
        while self._batches or not all(stream.closed.done() for stream in self._streams):
            while self._batches:
                name, lines, size = self._batches.popleft()
                for line in lines:
                    answer = self._on_line(name, line)
                    if answer is not None and inspect.isawaitable(answer):
                        await answer
                self._size -= size
                if self._size < _HIGH_WATER // 4:
                    self._each_stream(paused=False)
            self._changed.clear()
            if not all(stream.closed.done() for stream in self._streams):
                await self._changed.wait()

    def _each_stream(self, *, paused: bool) -> None:
        for stream in self._streams:
            stream.pause(paused=paused)


class StreamCapture(asyncio.Protocol):
    """One output stream: its tail, digest and length, and its lines if somebody wants them.

    Attributes:
        closed: done at the end of the stream.
        length: bytes so far.
        paused: nothing is read, because the line queue is full.
    """

    def __init__(self, name: StreamName, spec: ProcessSpec, queue: LineQueue | None) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.length = 0
        self.paused = False
        self._name = name
        self._keep = spec.keep_bytes
        self._wanted = spec.look_for
        self._found = not spec.look_for
        self._seam = b""
        """The end of what was searched: what is looked for may be cut in two by the chunks."""
        self._queue = queue
        self._splitter = LineSplitter(spec.line_bytes)
        self._tail = bytearray()
        self._digest = hashlib.sha256()
        self._transport: asyncio.ReadTransport | None = None
        if queue is not None:
            queue.attach(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self.length += len(data)
        self._digest.update(data)
        if not self._found:
            searched = self._seam + data
            self._found = self._wanted in searched
            self._seam = searched[1 - len(self._wanted) :] if len(self._wanted) > 1 else b""
        self._tail += data
        if len(self._tail) > 2 * self._keep:
            del self._tail[: -self._keep or None]
        if self._queue is not None and (lines := self._splitter.feed(data)):
            self._queue.put(self._name, lines, len(data))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Part of `asyncio.Protocol`; a read error ends a stream like its end does."""
        if self._queue is not None:
            if rest := self._splitter.finish():
                self._queue.put(self._name, rest, len(rest[0]))
            self._queue.wake()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading."""
        if self._transport is None or paused == self.paused or self._transport.is_closing():
            return
        self.paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Give up on what is not read yet."""
        if self._transport is not None:
            self._transport.close()

    def result(self) -> StreamResult:
        """What was captured so far."""
        tail = bytes(self._tail[-self._keep :]) if self._keep else b""
        return StreamResult(tail, self._digest.hexdigest(), self.length, self._found)


class LineSplitter:
    """Turns chunks into lines; what exceeds the limit of a line is left out, and counted in `cut` (bytes)."""

    def __init__(self, limit: int) -> None:
        self.cut = 0
        self._limit = limit
        self._part = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without their newlines."""
        lines = data.split(b"\n")
        last = lines.pop()
        if lines:
            if self._part:
                self._extend(lines[0])
                lines[0] = bytes(self._part)
                self._part.clear()
            if len(data) > self._limit:
                lines = [self._shorten(line) for line in lines]
        if last:
            self._extend(last)
        return lines

    def finish(self) -> list[bytes]:
        """The last line, if it had no newline."""
        rest = [bytes(self._part)] if self._part else []
        self._part.clear()
        return rest

    def _extend(self, data: bytes) -> None:
        room = max(0, self._limit - len(self._part))
        self.cut += max(0, len(data) - room)
        self._part += data[:room]

    def _shorten(self, line: bytes) -> bytes:
        self.cut += max(0, len(line) - self._limit)
        return line[: self._limit]
