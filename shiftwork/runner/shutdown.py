"""Ending an agent as gently as time allows."""

import asyncio
import time
from collections.abc import Awaitable

from shiftwork.runner.config import AgentSignal, ExitStatus
from shiftwork.runner.failures import InvalidContext, Timeout
from shiftwork.runner.handle import AgentHandle


async def uninterrupted(work: Awaitable[object]) -> None:
    """Wait for the end of some work whatever happens; a cancellation of the caller counts after that."""
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


class GracefulShutdown:
    """Asks every process of an agent to end (TERM), waits, and kills what is left.

    An agent whose backend wants that is interrupted (INT) first, and gets half of the time for it.

    Args:
        timeout: seconds before it is killed.

    Raises:
        InvalidContext: the timeout is negative.
    """

    def __init__(self, timeout: float = 5.0) -> None:
        if timeout < 0:
            raise InvalidContext(f"The timeout is {timeout!r} s; it can't be negative.", field="timeout")
        self.timeout = timeout

    async def shutdown(self, handle: AgentHandle) -> ExitStatus:
        """End it, and wait until no process of it lives; harmless if it has ended."""
        deadline = time.monotonic() + self.timeout
        if handle.interrupt_first and (
            ended := await self._ask(handle, AgentSignal.INTERRUPT, self.timeout / 2)
        ):
            return ended
        left = max(0.0, deadline - time.monotonic())
        if ended := await self._ask(handle, AgentSignal.TERMINATE, left):
            return ended
        return await handle.kill()

    async def _ask(self, handle: AgentHandle, number: AgentSignal, seconds: float) -> ExitStatus | None:
        if handle.exit is not None:
            return handle.exit
        handle.signal(number)
        handle.signal(AgentSignal.RESUME)  # A paused one would not hear of it.
        try:
            return await handle.wait(seconds)
        except Timeout:
            return None
