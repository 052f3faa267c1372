"""Blocking walks over files, run in a thread without ever being left running."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread.

    A cancelled caller still waits for the thread: what follows a cancellation is clean-up of the same
    folder, which must not meet a walk that goes on.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen, and less important than the cancellation
        raise
