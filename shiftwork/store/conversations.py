"""Copies of conversations: the latest state of each session's, sealed by whoever writes it."""

from datetime import datetime

from pydantic import Field
from sqlalchemy import and_, delete, select
from sqlalchemy.orm import aliased

from shiftwork.contracts.base import Message
from shiftwork.store.attempts import Leases
from shiftwork.store.noun import Noun
from shiftwork.store.tables import ConversationTable, SessionTable

_REPLACE = """
WITH held AS MATERIALIZED (
    SELECT FROM leases WHERE session_id = $1 AND token = $2 AND expires_at > clock_timestamp() FOR SHARE
), running AS MATERIALIZED (
    SELECT FROM held, sessions WHERE id = $1 AND ended_at IS NULL
)
INSERT INTO conversations (session_id, attempt, sequence, body, bytes)
SELECT $1, $3, $4, $5, $6 FROM running
ON CONFLICT (session_id) DO UPDATE
SET attempt = $3, sequence = $4, body = $5, bytes = $6, at = clock_timestamp()
WHERE (conversations.attempt, conversations.sequence) < ($3, $4)
RETURNING session_id
"""
"""Holds the lease as `Leases.check` does: whoever takes that over waits for this to be committed."""

_ADD = """
WITH held AS MATERIALIZED (
    SELECT FROM leases WHERE session_id = $1 AND token = $2 AND expires_at > clock_timestamp() FOR SHARE
), running AS MATERIALIZED (
    SELECT FROM held, sessions WHERE id = $1 AND ended_at IS NULL
)
UPDATE conversations SET sequence = $4, body = body || $5, bytes = $6, at = clock_timestamp()
FROM running WHERE session_id = $1 AND attempt = $3 AND sequence = $7
RETURNING session_id
"""


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
        self,
        session_id: int,
        attempt: int,
        token: int,
        sequence: int,
        body: bytes,
        *,
        size: int,
        follows: int | None = None,
    ) -> bool:
        """Put a newer state in the place of the session's copy, or add what changed since that.

        One statement, as an agent waits for it.

        Args:
            sequence: which state of the conversation it is, counted by the attempt.
            body: sealed; see `shiftwork.codec.parts`.
            size: bytes of the conversation itself.
            follows: the state of the same attempt that `body` is added to; None: it is a whole.

        Returns:
            False if there is one as new, there is not the one to be added to, or the session has ended.

        Raises:
            LeaseLost: another attempt took over.
        """
        if follows is None:
            kept = await self._run(_REPLACE, session_id, token, attempt, sequence, body, size)
        else:
            kept = await self._run(_ADD, session_id, token, attempt, sequence, body, size, follows)
        if not kept:
            await Leases(self._connection).check(session_id, token)
        return bool(kept)

    async def find(self, session_id: int) -> ConversationRow | None:
        """The session's copy, or None."""
        statement = select(ConversationTable).where(ConversationTable.session_id == session_id)
        return await self._first(statement, ConversationRow)

    async def forget_before(self, session_id: int) -> None:
        """Remove the copies of earlier sessions of the same feature: nobody goes on with those any more."""
        later = aliased(SessionTable)
        earlier = select(SessionTable.id).join(
            later,
            and_(
                later.id == session_id,
                later.project_id == SessionTable.project_id,
                later.feature_id == SessionTable.feature_id,
                later.number > SessionTable.number,
            ),
        )
        await self._connection.execute(
            delete(ConversationTable).where(ConversationTable.session_id.in_(earlier))
        )

    async def forget_project(self, project_id: str) -> None:
        """Remove the copies of all sessions of a project that has ended."""
        sessions = select(SessionTable.id).where(SessionTable.project_id == project_id)
        await self._connection.execute(
            delete(ConversationTable).where(ConversationTable.session_id.in_(sessions))
        )

    async def forget(self, session_id: int) -> None:
        """Remove the session's copy, if there is one."""
        statement = delete(ConversationTable).where(ConversationTable.session_id == session_id)
        await self._connection.execute(statement)
