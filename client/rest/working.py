"""Waiting for a worker's answer: not at all where none runs, and not for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from client.api import Shiftwork
from shiftwork.errors import StackError

ANSWER_SECONDS = 20.0
Result = TypeVar("Result")


async def require_worker(shiftwork: Shiftwork) -> None:
    """Raise `StackError` where no worker runs."""
    if not await shiftwork.has_worker(0.0):
        raise StackError("No worker runs, and nothing was asked; `shiftwork worker` runs one.")


async def answered(shiftwork: Shiftwork, ask: Callable[[], Awaitable[Result]]) -> Result:
    """What the project's workflow answers.

    Raises:
        StackError: no worker runs, or none answered in time.
    """
    await require_worker(shiftwork)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await ask()
    except TimeoutError:
        raise StackError(
            f"No worker answered within {ANSWER_SECONDS:.0f} seconds, and it may still be done: "
            "look before you ask again, or ask with the same Idempotency-Key."
        ) from None
