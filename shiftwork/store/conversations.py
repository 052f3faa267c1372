"""Copies of conversations: the latest state of each session's, sealed by whoever writes it."""

from datetime import datetime

from pydantic import Field
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.base import Message
from shiftwork.store.attempts import Leases
from shiftwork.store.noun import Noun
from shiftwork.store.tables import ConversationTable, SessionTable


class ConversationRow(Message):
    """The latest copy of a session's conversation; `body` is sealed, `bytes` is its size before that."""

    session_id: int
    attempt: int
    sequence: int
    body: bytes = Field(repr=False)
    bytes: int
    at: datetime


class Conversations(Noun):
    """The rows of `conversations`; at most one a session."""

    async def keep(
        self, session_id: int, attempt: int, token: int, sequence: int, body: bytes, *, size: int
    ) -> bool:
        """Replace the session's copy by a newer one; False if there is one as new, or the session has ended.

        Args:
            sequence: which state of the conversation it is, counted by the attempt.
            body: sealed; see `shiftwork.codec.sealing`.
            size: bytes of the conversation itself.

        Raises:
            LeaseLost: another attempt took over.
        """
        await Leases(self._connection).check(session_id, token)
        ended = select(SessionTable.id).where(
            SessionTable.id == session_id, SessionTable.ended_at.is_not(None)
        )
        if await self._hits(ended):
            return False
        values = {"attempt": attempt, "sequence": sequence, "body": body, "bytes": size}
        statement = insert(ConversationTable).values(session_id=session_id, **values)
        newer = tuple_(ConversationTable.attempt, ConversationTable.sequence) < (attempt, sequence)
        statement = statement.on_conflict_do_update(
            index_elements=[ConversationTable.session_id],
            set_={**values, "at": func.clock_timestamp()},
            where=newer,
        )
        return await self._hits(statement.returning(ConversationTable.session_id))

    async def find(self, session_id: int) -> ConversationRow | None:
        """The session's copy, or None."""
        statement = select(ConversationTable).where(ConversationTable.session_id == session_id)
        return await self._first(statement, ConversationRow)

    async def forget(self, session_id: int) -> None:
        """Remove the session's copy, if there is one."""
        statement = delete(ConversationTable).where(ConversationTable.session_id == session_id)
        await self._connection.execute(statement)
