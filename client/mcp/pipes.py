"""The server on standard input and output: nothing but the protocol ever goes through them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server


async def serve_pipes(server: "Server[Any, Any]") -> None:
    """Serve the one client at the other end, until it closes its end."""
    with _taken_aside() as (source, sink):
        async with stdio_server(anyio.wrap_file(source), anyio.wrap_file(sink)) as (read, write):
            await server.run(read, write, server.create_initialization_options())


@contextmanager
def _taken_aside() -> Iterator[tuple[TextIOWrapper, TextIOWrapper]]:
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
    yield (
        TextIOWrapper(os.fdopen(source, "rb", closefd=False), encoding="utf-8", errors="replace"),
        TextIOWrapper(os.fdopen(sink, "wb", closefd=False), encoding="utf-8", write_through=True),
    )
