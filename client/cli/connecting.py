"""Commands that speak to Temporal."""

import asyncio
from collections.abc import Awaitable, Callable

from client.api import Shiftwork
from client.patience import SilenceLines
from client.temporal_errors import answering
from shiftwork.settings import Settings


def connected(command: Callable[[Shiftwork], Awaitable[int]], settings: Settings | None = None) -> int:
    """Run a command on an open `Shiftwork`; of the stack that the environment says, unless settings do."""
    return asyncio.run(_connected(command, settings))


async def _connected(command: Callable[[Shiftwork], Awaitable[int]], settings: Settings | None) -> int:
    with answering():
        async with Shiftwork(settings) as shiftwork:
            shiftwork.store.on_silence = SilenceLines()
            return await command(shiftwork)
