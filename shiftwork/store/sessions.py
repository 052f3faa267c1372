"""Sessions: who works on what, and what they leave for the next."""

from datetime import datetime

from sqlalchemy import Select, Update, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.outbox import Handoff
from shiftwork.contracts.session import Role, RunStatus, SessionPhase
from shiftwork.errors import NotFound
from shiftwork.store.conversations import Conversations
from shiftwork.store.noun import Noun, is_id
from shiftwork.store.rows import SessionRow
from shiftwork.store.tables import SessionTable

_TOO_MANY = 2**31
"""PostgreSQL refuses to compare a session's number with what does not fit."""


class Sessions(Noun):
    """The rows of `sessions`; a session is named by its project and its number."""

    async def begin(
        self,
        project_id: str,
        number: int,
        feature_id: int | None,
        role: Role,
        started_at: datetime,
    ) -> SessionRow:
        """The session's row: inserted the first time, found again after that."""
        values = {
            "project_id": project_id,
            "number": number,
            "feature_id": feature_id,
            "role": role,
            "phase": SessionPhase.PLANNING if role is Role.INITIALIZER else SessionPhase.ORIENTATION,
            "started_at": started_at,
        }
        statement = insert(SessionTable).values(values).on_conflict_do_nothing().returning(SessionTable)
        return await self._first(statement, SessionRow) or await self.get(project_id, number)

    async def phase(self, project_id: str, number: int, phase: SessionPhase) -> bool:
        """Tell what the session is doing; False once it has ended."""
        statement = _update(project_id, number).where(SessionTable.ended_at.is_(None)).values(phase=phase)
        return await self._hits(statement.returning(SessionTable.id))

    async def held_by(self, project_id: str, number: int, sandbox: str) -> bool:
        """Write which sandbox holds the session's agent; False once the session has ended."""
        statement = _update(project_id, number).where(SessionTable.ended_at.is_(None)).values(sandbox=sandbox)
        return await self._hits(statement.returning(SessionTable.id))

    async def handoff(
        self, project_id: str, number: int, handoff: Handoff, *, expires_at: datetime | None = None
    ) -> bool:
        """Keep what the session left for the next; repeated, it writes the same again."""
        memory = handoff.model_dump(mode="json", exclude={"last_action", "recommended_next_action"})
        statement = _update(project_id, number).values(
            working_memory=memory,
            memory_expires_at=expires_at,
            last_action=handoff.last_action,
            recommended_next_action=handoff.recommended_next_action,
        )
        return await self._hits(statement.returning(SessionTable.id))

    async def end(
        self,
        project_id: str,
        number: int,
        *,
        outcome: str,
        error: str | None = None,
        landed_commit: str | None = None,
    ) -> bool:
        """Close the session; the first to do so is the one that counts (False for any later).

        If it was interrupted, the feature's next session may go on with its conversation: the copy of that
        stays until then. All others of the feature are removed.
        """
        statement = (
            _update(project_id, number)
            .where(SessionTable.ended_at.is_(None))
            .values(
                outcome=outcome,
                error=error,
                landed_commit=landed_commit,
                phase=SessionPhase.CLEANUP,
                ended_at=func.clock_timestamp(),
            )
        )
        ended = await self._first(statement.returning(SessionTable), SessionRow)
        if ended is None:
            return False
        conversations = Conversations(self._connection)
        await conversations.forget_before(ended.id)
        if ended.feature_id is None or outcome != RunStatus.INTERRUPTED:
            await conversations.forget(ended.id)
        return True

    async def find(self, project_id: str, number: int) -> SessionRow | None:
        """The session of this number, or None."""
        statement = _select(project_id).where(SessionTable.number == number)
        return await self._first(statement, SessionRow) if 0 <= number < _TOO_MANY else None

    async def get(self, project_id: str, number: int) -> SessionRow:
        """The session of this number; raises `NotFound`."""
        row = await self.find(project_id, number)
        if row is None:
            raise NotFound(f"The project has no session {number}; `shiftwork logs` shows those it has.")
        return row

    async def by_id(self, session_id: int) -> SessionRow:
        """The session with this id; raises `NotFound`."""
        statement = select(SessionTable).where(SessionTable.id == session_id)
        row = await self._first(statement, SessionRow) if is_id(session_id) else None
        if row is None:
            raise NotFound(f"There is no session with id {session_id}.")
        return row

    async def last(self, project_id: str, feature_id: int | None = None) -> SessionRow | None:
        """The newest session, of this feature if one is named; None if there is none."""
        statement = _select(project_id).order_by(SessionTable.number.desc()).limit(1)
        if feature_id is not None:
            statement = statement.where(SessionTable.feature_id == feature_id)
        return await self._first(statement, SessionRow)

    async def last_handoff(
        self, project_id: str, before: int, feature_id: int | None = None
    ) -> Handoff | None:
        """The newest unexpired handoff of a session before this number, of this feature if one is named."""
        statement = (
            _select(project_id)
            .where(
                SessionTable.number < before,
                SessionTable.working_memory.is_not(None),
                or_(
                    SessionTable.memory_expires_at.is_(None),
                    SessionTable.memory_expires_at > func.clock_timestamp(),
                ),
            )
            .order_by(SessionTable.number.desc())
            .limit(1)
        )
        if feature_id is not None:
            statement = statement.where(SessionTable.feature_id == feature_id)
        row = await self._first(statement, SessionRow)
        return None if row is None else row.handoff

    async def last_number(self, project_id: str) -> int | None:
        """The greatest session number, or None before the first."""
        number: int | None = await self._value(
            select(func.max(SessionTable.number)).where(SessionTable.project_id == project_id)
        )
        return number

    async def count(self, project_id: str) -> int:
        """How many sessions the project has."""
        return await self._number_of(_select(project_id))

    async def list(self, project_id: str, limit: int | None = None) -> list[SessionRow]:
        """The project's sessions, newest first."""
        statement = _select(project_id).order_by(SessionTable.number.desc()).limit(limit)
        return await self._all(statement, SessionRow)


def _select(project_id: str) -> Select[SessionTable]:
    return select(SessionTable).where(SessionTable.project_id == project_id)


def _update(project_id: str, number: int) -> Update:
    return update(SessionTable).where(SessionTable.project_id == project_id, SessionTable.number == number)
