"""Watching a project: what happens, as it happens, until nothing does until a person acts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from client.cli.output import duration
from client.resting import POLL_SECONDS, RESTS, at_rest, read_patiently
from client.telling import tell, worth_watching
from shiftwork.store.rows import EventRow, ProjectRow
from shiftwork.store.store import Store, Transaction


@dataclass(frozen=True, slots=True)
class Moment:
    """A project's status, and the events that are new since the moment before."""

    status: dict[str, Any]
    events: Sequence[EventRow]
    at_rest: bool


async def moments(
    store: Store, project_id: str, *, after: int = 0, rest_after: int | None = None
) -> AsyncIterator[Moment]:
    """What happens, until the project is at rest: paused with nothing running, completed or abandoned.

    Args:
        after: the sequence of the last event that is known already.
        rest_after: only a rest whose event comes after this sequence counts; None: any, also an old one.
    """
    while True:
        status, rested, events = await read_patiently(
            store, partial(_look, project_id=project_id, after=after)
        )
        after = events[-1].sequence if events else after
        fresh = rest_after is None or (bool(rested) and rested[0].sequence > rest_after)
        over = at_rest(status) and fresh and not events
        yield Moment(status, events, over)
        if over:
            return
        if not events:
            await asyncio.sleep(POLL_SECONDS)


async def _look(
    tx: Transaction, *, project_id: str, after: int
) -> tuple[dict[str, Any], list[EventRow], list[EventRow]]:
    # In this order: what the status tells has its events in what is read after it.
    status = await tx.projects.status(project_id)
    rested = await tx.events.last(project_id, kinds=RESTS)
    return status, rested, await tx.events.after(project_id, after)


async def watch_plainly(
    store: Store, project: ProjectRow, *, after: int = 0, rest_after: int | None = None
) -> dict[str, Any]:
    """Print a line for whatever happens; returns the status at rest.

    A line begins with the project's age and the features that pass.
    """
    status: dict[str, Any] = {}
    async for moment in moments(store, project.id, after=after, rest_after=rest_after):
        status = moment.status
        for event in filter(worth_watching, moment.events):
            print(plain_line(event, project, status), flush=True)
    return status


def plain_line(event: EventRow, project: ProjectRow, status: dict[str, Any]) -> str:
    """Age of the project, features that pass, and the sentence."""
    age = duration((event.at - project.created_at).total_seconds())
    figures = f"{status['passing_features']}/{status['total_features']}"
    return f"{age:>8}  {figures:>7}  {tell(event)}"
