"""Where a conversation is that somebody goes on with: in a home that is here, or in its copy."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from activities.conversations import bring_copy
from activities.homes import noted_attempt
from activities.services import Services
from shiftwork.agents.home import PrivateHome
from shiftwork.store.rows import AttemptRow, SessionRow


class Place(StrEnum):
    """Where a conversation was found."""

    HERE = "here"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Source:
    """A conversation as a session left it.

    Attributes:
        last: the last attempt that was in it.
        attempts: all that were.
    """

    session: SessionRow
    last: AttemptRow
    attempts: Collection[int]


async def find_conversation(services: Services, source: Source, home: Path, file: str | None) -> Place | None:
    """Whether it can be gone on with in this home, to which it is brought from its copy where need be.

    Args:
        home: of the session that left it, or that goes on with it.
        file: which holds all of it, in the home; None: it is no single one, and there is no copy.
    """
    if await is_here(services, source, home, file):
        return Place.HERE
    if file is None:
        return None
    brought = await bring_copy(services, source.session, source.attempts, home, file)
    return Place.COPY if brought else None


async def is_here(services: Services, source: Source, home: Path, file: str | None) -> bool:
    """Whether the home holds its newest state."""
    if not await asyncio.to_thread(_has, home, file):
        return False
    noted = await asyncio.to_thread(noted_attempt, home)
    if noted is None:
        return source.last.host == services.host
    session, attempt = noted
    if session != source.session.number or attempt not in source.attempts:
        return False
    return attempt == source.last.attempt or not await _went_on(services, source.session.id, attempt)


async def _went_on(services: Services, session_id: int, attempt: int) -> bool:
    """Whether a later attempt had anything to store: then what this one left is older."""
    async with services.store.transaction() as tx:
        row = await tx.conversations.find(session_id)
    return row is not None and row.attempt > attempt


def _has(home: Path, file: str | None) -> bool:
    return home.is_dir() if file is None else PrivateHome(home).changed(file) is not None
