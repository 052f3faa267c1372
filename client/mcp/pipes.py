"""The server on standard input and output: nothing but the protocol ever goes through them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage

from client.mcp.incoming import MisunderstoodError, understood


async def serve_pipes(server: "Server[Any, Any]") -> None:
    """Serve the one client at the other end, until it closes its end."""
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception]()
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage]()
    with _taken_aside() as (source, sink):
        lines = _Lines(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, source, to_server, lines)
            tasks.start_soon(_write, from_server, lines)
            await server.run(incoming, outgoing, server.create_initialization_options())


class _Lines:
    """Lines to the client, whole ones."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = anyio.wrap_file(sink)
        self._turn = anyio.Lock()

    async def write(self, line: str) -> None:
        async with self._turn:
            await self._sink.write(line.encode() + b"\n")
            await self._sink.flush()


async def _read(
    source: BinaryIO, to_server: MemoryObjectSendStream[SessionMessage | Exception], lines: _Lines
) -> None:
    async with to_server:
        async for line in anyio.wrap_file(source):
            if not line.strip():
                continue
            try:
                message = understood(line)
            except MisunderstoodError as error:
                await lines.write(error.answer)
                continue
            try:
                await to_server.send(SessionMessage(message))
            except anyio.BrokenResourceError:
                return  # the server has ended


async def _write(from_server: MemoryObjectReceiveStream[SessionMessage], lines: _Lines) -> None:
    async with from_server:
        async for each in from_server:
            await lines.write(each.message.model_dump_json(by_alias=True, exclude_none=True))


@contextmanager
def _taken_aside() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The pipes as files of their own.

    In their place there is nothing to read, and standard error to write to: so a line that is printed, or a
    program that we start, such as git, can't take or spoil a message.
    """
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    # Not closed: a thread may still be reading, and would hold up the end of the process.
    yield os.fdopen(source, "rb", closefd=False), os.fdopen(sink, "wb", closefd=False)
