"""Handoffs: what a run of an agent, or a session, leaves for the next one, until it expires."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from shiftwork.contracts.base import Message
from shiftwork.errors import NotFound
from shiftwork.store.noun import Noun
from shiftwork.store.tables import HandoffTable


class HandoffArtifact(Message):
    """A stored handoff; of an agent (and the task that left it), or of a session.

    Attributes:
        context_data: the context as JSON; see `shiftwork.handoffs.HandoffContext`.
        summary: for people, at most 2,000 characters.
        expires_at: from when on it is never loaded again; None: never.
    """

    id: int
    agent_id: int | None
    task_id: int | None
    session_id: int | None
    context_data: str
    summary: str
    created_at: datetime
    expires_at: datetime | None


class Handoffs(Noun):
    """The rows of `handoff_artifacts`."""

    async def save(
        self,
        context_data: str,
        summary: str,
        *,
        agent_id: int | None = None,
        task_id: int | None = None,
        session_id: int | None = None,
        ttl: timedelta | None = None,
    ) -> HandoffArtifact:
        """Keep one, of an agent or of a session; a session's is kept once, and found again after that.

        Raises:
            NotFound: there is no such agent, task or session.
        """
        values = {
            "agent_id": agent_id,
            "task_id": task_id,
            "session_id": session_id,
            "context_data": context_data,
            "summary": summary,
            "expires_at": None if ttl is None else func.clock_timestamp() + ttl,
        }
        statement = insert(HandoffTable).values(values)
        statement = statement.on_conflict_do_nothing(index_elements=[HandoffTable.session_id])
        try:
            row = await self._first(statement.returning(HandoffTable.__table__), HandoffArtifact)
        except IntegrityError as error:
            raise NotFound(
                f"There is no {_owner(agent_id, task_id, session_id)} to hand over from."
            ) from error
        if row is None:
            found = select(HandoffTable.__table__).where(HandoffTable.session_id == session_id)
            row = await self._first(found, HandoffArtifact)
        assert row is not None
        return row

    async def latest(self, agent_id: int) -> HandoffArtifact | None:
        """The agent's newest that has not expired, or None."""
        rows = await self.history(agent_id, 1)
        return rows[0] if rows else None

    async def history(self, agent_id: int, limit: int = 10) -> list[HandoffArtifact]:
        """The agent's that have not expired, newest first."""
        statement = (
            select(HandoffTable.__table__)
            .where(HandoffTable.agent_id == agent_id, _lives())
            .order_by(HandoffTable.created_at.desc(), HandoffTable.id.desc())
            .limit(limit)
        )
        return await self._all(statement, HandoffArtifact)

    async def remove_expired(self) -> int:
        """Delete what has expired; how many that were."""
        statement = delete(HandoffTable).where(~_lives()).returning(HandoffTable.id)
        return len((await self._connection.execute(statement)).all())


def _lives() -> ColumnElement[bool]:
    return or_(HandoffTable.expires_at.is_(None), HandoffTable.expires_at > func.clock_timestamp())


def _owner(agent_id: int | None, task_id: int | None, session_id: int | None) -> str:
    named = {"agent": agent_id, "task": task_id, "session": session_id}
    return " or ".join(f"{noun} {number}" for noun, number in named.items() if number is not None)
