"""Watching a project: its events in their order, and its rests."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from client.connection import Connection
from client.resting import POLL_SECONDS, RESTS, at_rest
from shiftwork.errors import Conflict
from shiftwork.store.rows import EventRow, ProjectRow, SessionRow
from shiftwork.store.store import Transaction


class Following(Connection):
    """Reading what happens, from the rows; a stack that is away for a while is waited for."""

    async def events(self, ref: str, after: int = 0, *, follow: bool = False) -> AsyncIterator[EventRow]:
        """Events in their order; with `follow`, until the project is at rest."""
        project = await self.find(ref)
        while True:
            status, rows = await self.store.read(
                partial(_status_and_events, project_id=project.id, after=after)
            )
            for row in rows:
                after = row.sequence
                yield row
            if not rows and (not follow or at_rest(status)):
                return
            if not rows:
                await asyncio.sleep(POLL_SECONDS)

    async def last_event(self, ref: str) -> int:
        """The sequence of the newest event: what `wait` and `events` may begin after."""
        return (await self.find(ref)).event_sequence

    async def wait(self, ref: str, after: int = 0) -> dict[str, Any]:
        """Wait until the project is at rest (completed, abandoned, or paused with nothing running).

        Args:
            after: an event's sequence; a rest that was reached before it does not count.

        Returns:
            The status.
        """
        project = await self.find(ref)
        while True:
            status, rests = await self.store.read(lambda tx: _status_and_rests(tx, project.id))
            if at_rest(status) and rests and rests[0].sequence > after:
                return status
            await asyncio.sleep(POLL_SECONDS)

    async def wait_session(self, ref: str, number: int) -> dict[str, Any]:
        """Wait until a session has ended and is recorded; returns its row."""
        project = await self.find(ref)
        while True:
            row = await self.store.read(lambda tx: _ended_session(tx, project.id, number))
            if row is not None:
                return row.model_dump(mode="json")
            await asyncio.sleep(POLL_SECONDS)

    async def session_begun(self, ref: str, number: int) -> SessionRow:
        """Wait until a promised session has begun; its row. Raises `Conflict` if it was dropped."""
        project = await self.find(ref)
        while True:
            row = await self.store.read(lambda tx: tx.sessions.find(project.id, number))
            if row is not None:
                return row
            dropped = await self.store.read(lambda tx: tx.events.last(project.id, ("session_dropped",), 200))
            if any(event.reference == f"session:{number}" for event in dropped):
                raise Conflict(f"session {number} was dropped: its feature passes or is blocked by now.")
            await asyncio.sleep(POLL_SECONDS)

    async def acknowledged(self, before: ProjectRow, kind: str, seconds: float = 5.0) -> int | None:
        """The sequence of the event by which a worker told that it took a signal; None if none did in time.

        What was on its way before the signal has an earlier sequence.

        Args:
            before: the project as it was before the signal was sent.
            seconds: how long to wait at most.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = await self.store.read(lambda tx: tx.events.last(before.id, kinds=(kind,)))
            if found and found[0].sequence > before.event_sequence:
                return found[0].sequence
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.05)


async def _status_and_events(
    tx: Transaction, project_id: str, after: int
) -> tuple[dict[str, Any], list[EventRow]]:
    return await tx.projects.status(project_id), await tx.events.after(project_id, after)


async def _status_and_rests(tx: Transaction, project_id: str) -> tuple[dict[str, Any], list[EventRow]]:
    rests = await tx.events.last(project_id, kinds=RESTS)
    return await tx.projects.status(project_id), rests


async def _ended_session(tx: Transaction, project_id: str, number: int) -> SessionRow | None:
    rows = await tx.events.last(project_id, kinds=("session_ended", "session_dropped"), limit=200)
    if all(row.reference != f"session:{number}" for row in rows):
        return None
    return await tx.sessions.get(project_id, number)
