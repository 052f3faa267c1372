"""The server's connection to its stack: one, made at the first request, and anew for another stack."""

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from client.api import Shiftwork
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, read_stack


class Connections:
    """Holds a `Shiftwork` for all requests; a stack that was started again is connected to anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()
        self._shiftwork: Shiftwork | None = None
        self._stack: StackFile | None = None

    async def get(self) -> Shiftwork:
        """The open connection.

        Raises:
            StackError: no stack runs, or its database can't be reached.
        """
        stack = read_stack(self._settings)
        if self._shiftwork is not None and stack == self._stack:
            return self._shiftwork
        async with self._turn:
            if self._shiftwork is None or stack != self._stack:
                await self.close()
                self._shiftwork = await Shiftwork(self._settings).__aenter__()
                self._stack = stack
            return self._shiftwork

    async def close(self) -> None:
        """Disconnect; requests that are under way are told that the stack is away."""
        shiftwork, self._shiftwork = self._shiftwork, None
        if shiftwork is not None:
            await shiftwork.__aexit__(None, None, None)


async def _connected(request: Request) -> Shiftwork:
    connections: Connections = request.app.state.connections
    return await connections.get()


Here = Annotated[Shiftwork, Depends(_connected)]
"""What a route works with: an open connection."""
