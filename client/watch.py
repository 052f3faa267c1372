"""Watching a project: what happens, as it happens, until nothing does until a person acts."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from client.cli.folding import folded
from client.cli.output import duration
from client.cli.status import OPEN, waits
from client.patience import PatientStore
from client.resting import POLL_SECONDS, RESTS, at_rest
from client.saying import said_line
from client.telling import tell, worth_watching
from shiftwork.store.rows import EventRow, ProjectRow, TranscriptRow
from shiftwork.store.store import Transaction

_BESIDE = 19
"""Characters of a line before its sentence."""

_BEFORE = 3
"""How much of what a running agent said before is shown to whoever begins to watch."""


NO_WORKER = (
    "No worker seems to run; `shiftwork dev` or `shiftwork worker` runs one, and the project goes on then."
)
_IDLE_SECONDS = 8.0
"""A project that could go on, and with which nothing happens for so long, has no worker."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A project's status, and what is new since the moment before.

    Attributes:
        said: what agents said and did, as (number of the session, item), if that was asked for.
    """

    status: dict[str, Any]
    events: Sequence[EventRow]
    at_rest: bool
    said: Sequence[tuple[int, TranscriptRow]] = ()


class Idleness:
    """Notices that nothing happens with a project that could go on, for so many seconds."""

    def __init__(self, seconds: float = _IDLE_SECONDS) -> None:
        self._seconds = seconds
        self._since = time.monotonic()

    def noticed(self, moment: Moment) -> bool:
        """Whether this moment is one of a long silence."""
        status = moment.status
        goes_on = status["status"] in OPEN and status["not_before"] is None
        if moment.events or moment.said or status["current_sessions"] or not goes_on:
            self._since = time.monotonic()
        return time.monotonic() - self._since > self._seconds


class Listener:
    """Hears what the agents of running sessions say and do, each item once."""

    def __init__(self) -> None:
        self._heard: dict[int, tuple[int, int]] = {}
        self._open: dict[int, int] = {}

    async def hear(self, tx: Transaction, project_id: str) -> list[tuple[int, TranscriptRow]]:
        """What is new; a session that ended since the last time is listened to once more."""
        rows = await tx.sessions.list(project_id, limit=100)
        running = {row.id: row.number for row in rows if row.ended_at is None}
        wanted, self._open = {**self._open, **running}, running
        said: list[tuple[int, TranscriptRow]] = []
        for session_id, number in sorted(wanted.items()):
            heard = self._heard.get(session_id)
            if heard is None and (newest := await tx.transcript.newest(session_id)):
                # Whoever begins to watch in the middle of a session wants to see what comes.
                heard = (newest.attempt, max(0, newest.sequence - _BEFORE))
            for item in await tx.transcript.since(session_id, heard or (0, 0)):
                self._heard[session_id] = (item.attempt, item.sequence)
                said.append((number, item))
        return said


async def moments(
    store: PatientStore,
    project_id: str,
    *,
    after: int = 0,
    rest_after: int | None = None,
    listener: Listener | None = None,
) -> AsyncIterator[Moment]:
    """What happens, until the project is at rest: paused with nothing running, completed or abandoned.

    Args:
        after: the sequence of the last event that is known already.
        rest_after: only a rest whose event comes after this sequence counts; None: any, also an old one.
        listener: hears what agents say, for `Moment.said`.
    """
    while True:
        status, rested, events, said = await store.read(
            partial(_look, project_id=project_id, after=after, listener=listener)
        )
        after = events[-1].sequence if events else after
        fresh = rest_after is None or (bool(rested) and rested[0].sequence > rest_after)
        over = at_rest(status) and fresh and not events and not said
        yield Moment(status, events, over, said)
        if over:
            return
        if not (events or said):
            await asyncio.sleep(POLL_SECONDS)


async def _look(
    tx: Transaction, *, project_id: str, after: int, listener: Listener | None
) -> tuple[dict[str, Any], list[EventRow], list[EventRow], list[tuple[int, TranscriptRow]]]:
    # In this order: what the status tells has its events in what is read after it.
    status = await tx.projects.status(project_id)
    rested = await tx.events.last(project_id, kinds=RESTS)
    said = await listener.hear(tx, project_id) if listener else []
    return status, rested, await tx.events.after(project_id, after), said


async def watch_plainly(
    store: PatientStore,
    project: ProjectRow,
    *,
    after: int = 0,
    rest_after: int | None = None,
    agents: bool = False,
) -> dict[str, Any]:
    """Print a line for whatever happens; returns the status at rest.

    A line begins with the project's age and the features that pass by then, if that is known. With
    `agents`, what they say and do has lines of its own.
    """
    status: dict[str, Any] = {}
    listener = Listener() if agents else None
    waited, idleness, idle = "", Idleness(), False
    async for moment in moments(store, project.id, after=after, rest_after=rest_after, listener=listener):
        status = moment.status
        for number, item in moment.said:
            _print(f"{'':>8}  {'':>7}    session {number} {said_line(item)}")
        shown = [event for event in moment.events if worth_watching(event)]
        for event in shown:
            # How many passed earlier is not known, as of what happened before somebody watched.
            _print(plain_line(event, project, status if event is shown[-1] else None))
        if idleness.noticed(moment) and not idle:
            print(NO_WORKER, file=sys.stderr, flush=True)
            idle = True
        waits_for = waits(status, datetime.now(UTC))
        if waits_for not in ("", waited):
            _print(f"{'':>8}  {'':>7}  {waits_for}")
        waited = waits_for
    return status


def _print(line: str) -> None:
    """What a narrow terminal folds stands under the sentence, beside age and figures."""
    print(folded(line, hang=_BESIDE), flush=True)


def plain_line(event: EventRow, project: ProjectRow, status: dict[str, Any] | None) -> str:
    """Age of the project, features that pass if the status is that of the event, and the sentence."""
    age = duration((event.at - project.created_at).total_seconds())
    figures = f"{status['passing_features']}/{status['total_features']}" if status else ""
    return f"{age:>8}  {figures:>7}  {tell(event)}"
