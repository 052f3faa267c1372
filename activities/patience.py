"""Servers that are just coming back are waited for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shiftwork.errors import StackError

Result = TypeVar("Result")

_AGAIN = 0.5
"""Seconds between two tries."""

log = logging.getLogger("shiftwork.worker")


async def patiently(attempt: Callable[[], Awaitable[Result]], seconds: float = 60.0) -> Result:
    """Try until it works, for so many seconds; then raise the `StackError` that says why it does not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await attempt()
        except StackError as error:
            if time.monotonic() > deadline:
                raise
            log.info("waiting: %s", error)
            await asyncio.sleep(_AGAIN)
