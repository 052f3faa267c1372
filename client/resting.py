"""When a project is at rest, and how those who wait for it read the rows meanwhile. Imports no Temporal."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from shiftwork.errors import StackError
from shiftwork.store.store import Store, Transaction

Answered = TypeVar("Answered")

RESTS = ("paused", "completed", "abandoned")
"""The statuses in which a project rests, and the kinds of the events that tell of it."""

POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0


def at_rest(status: dict[str, Any]) -> bool:
    """Whether nothing happens to a project until a person acts."""
    return status["status"] in RESTS and not status["current_sessions"]


async def read_patiently(store: Store, read: Callable[[Transaction], Awaitable[Answered]]) -> Answered:
    """Read in a transaction of its own; a database that is away for a while is waited for."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            async with store.transaction() as tx:
                return await read(tx)
        except StackError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(POLL_SECONDS)
