"""Telling a program what happens in a project while it waits for something of it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from client.following import Following
from shiftwork.store.rows import EventRow

OnProgress = Callable[[str, dict[str, Any]], Awaitable[None] | None]
"""Is called with an event's name and its facts, in order; what it raises ends the call that it belongs to."""

Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_NAMES = {"session_started": "session_starting", "session_ended": "session_complete"}


class Progress:
    """Reports the events of projects; `told`: to whom, if to anybody."""

    def __init__(self, shiftwork: Following, told: OnProgress | None) -> None:
        self._shiftwork = shiftwork
        self._told = told

    async def until(self, project_id: str, after: int, end: Coroutine[Any, Any, Result]) -> Result:
        """Wait for the end, and report every event after `after` that led to it."""
        waiting = asyncio.ensure_future(end)
        try:
            while True:
                # Asked before the events are read: what brought the end about is among them.
                over = waiting.done()
                async for event in self._shiftwork.events(project_id, after):
                    after = event.sequence
                    await self._tell(event)
                if over:
                    return await waiting
                await asyncio.wait((waiting,), timeout=_POLL_SECONDS)
        finally:
            waiting.cancel()

    async def _tell(self, event: EventRow) -> None:
        if self._told is None:
            return
        facts = {
            **event.data,
            "project_id": event.project_id,
            "reference": event.reference,
            "at": event.at.isoformat(),
        }
        told = self._told(_NAMES.get(event.kind, event.kind), facts)
        if told is not None:
            await told
