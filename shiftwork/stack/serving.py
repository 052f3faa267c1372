"""Serving the stack of a state folder wherever it is, for as long as its servers are started again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from shiftwork.errors import ShiftworkError, StackError
from shiftwork.settings import Settings
from shiftwork.stack.file import temporal_is_external
from shiftwork.stack.following import RunningStack, is_same

_LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for where the stack is."""

log = logging.getLogger("shiftwork.worker")


async def serve_on(
    settings: Settings, stop: asyncio.Event, serve: Callable[[asyncio.Event, asyncio.Event], Awaitable[None]]
) -> None:
    """Serve until `stop` is set, wherever the stack of the state folder is started again.

    Args:
        serve: serves the stack where it is by now, until the first of the events that it is given is set; it
            sets the second once it has reached it.

    Raises:
        StackError: it can't be reached. Once it was, it is waited for.
    """
    if temporal_is_external() and settings.database_url:  # no server is the state folder's
        await serve(stop, asyncio.Event())
        return
    running, reached = RunningStack(settings), asyncio.Event()
    while not stop.is_set():
        enough = asyncio.Event()
        following = asyncio.create_task(_follow(running, stop, enough))
        try:
            await serve(enough, reached)
        except StackError as error:
            if not reached.is_set() and not enough.is_set():
                raise
            log.warning("%s", error)
            await _rest(stop)
        finally:
            following.cancel()


async def _follow(running: RunningStack, stop: asyncio.Event, enough: asyncio.Event) -> None:
    """Set `enough` once `stop` is set, or the stack was started again."""
    before = None
    while not stop.is_set():
        with suppress(ShiftworkError):  # it is away
            stack = running.now()
            if before is not None and not is_same(before, stack):
                log.info("the stack was started again; it is served where it is by now")
                break
            before = stack
        await _rest(stop)
    enough.set()


async def _rest(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
