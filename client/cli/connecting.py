"""Commands that speak to Temporal."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.service import RPCError

from client.api import Shiftwork
from client.patience import SilenceLines
from shiftwork.errors import StackError


def connected(command: Callable[[Shiftwork], Awaitable[int]]) -> int:
    """Run a command on an open `Shiftwork`."""
    return asyncio.run(_connected(command))


async def _connected(command: Callable[[Shiftwork], Awaitable[int]]) -> int:
    try:
        async with Shiftwork() as shiftwork:
            shiftwork.store.on_silence = SilenceLines()
            return await command(shiftwork)
    except RPCError as error:
        raise StackError(f"Temporal refused or did not answer: {error.message}; try again.") from error
