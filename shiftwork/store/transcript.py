"""Transcripts: what agents said and did, kept for a time."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnClause, delete, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from shiftwork.store.attempts import Leases
from shiftwork.store.noun import Noun
from shiftwork.store.rows import TranscriptItem, TranscriptRow
from shiftwork.store.tables import TranscriptTable


class Transcript(Noun):
    """The rows of `transcript`."""

    async def append(self, session_id: int, attempt: int, token: int, items: Sequence[TranscriptItem]) -> int:
        """Add those items that are new; how many. Raises `LeaseLost`."""
        await Leases(self._connection).check(session_id, token)
        if not items:
            return 0
        key = {"session_id": session_id, "attempt": attempt}
        rows = [{**key, **item.model_dump(mode="json")} for item in items]
        statement = insert(TranscriptTable).values(rows).on_conflict_do_nothing()
        added = await self._connection.execute(statement.returning(TranscriptTable.sequence))
        return len(added.all())

    async def after(
        self, session_id: int, attempt: int, sequence: int = -1, limit: int = 500
    ) -> list[TranscriptRow]:
        """The items of an attempt after this sequence, in their order."""
        statement = (
            select(TranscriptTable)
            .where(
                TranscriptTable.session_id == session_id,
                TranscriptTable.attempt == attempt,
                TranscriptTable.sequence > sequence,
            )
            .order_by(TranscriptTable.sequence)
            .limit(limit)
        )
        return await self._all(statement, TranscriptRow)

    async def since(self, session_id: int, heard: tuple[int, int], limit: int = 200) -> list[TranscriptRow]:
        """What was said in a session after this (attempt, sequence), in its order, in all attempts."""
        place = tuple_(TranscriptTable.attempt, TranscriptTable.sequence)
        statement = (
            select(TranscriptTable)
            .where(TranscriptTable.session_id == session_id, place > heard)
            .order_by(TranscriptTable.attempt, TranscriptTable.sequence)
            .limit(limit)
        )
        return await self._all(statement, TranscriptRow)

    async def before_last(self, session_id: int, count: int) -> tuple[int, int]:
        """The (attempt, sequence) after which the last so many items of a session were said."""
        statement = (
            select(TranscriptTable)
            .where(TranscriptTable.session_id == session_id)
            .order_by(TranscriptTable.attempt.desc(), TranscriptTable.sequence.desc())
            .offset(count)
            .limit(1)
        )
        found = await self._first(statement, TranscriptRow)
        return (-1, -1) if found is None else (found.attempt, found.sequence)

    async def newest(self, session_id: int) -> TranscriptRow | None:
        """What was said last in a session; None if nothing was."""
        statement = (
            select(TranscriptTable)
            .where(TranscriptTable.session_id == session_id)
            .order_by(TranscriptTable.attempt.desc(), TranscriptTable.sequence.desc())
            .limit(1)
        )
        return await self._first(statement, TranscriptRow)

    async def forget(self, before: datetime, limit: int | None = None) -> int:
        """Delete what was said before this moment, of all projects; how many items, at most `limit`."""
        statement = delete(TranscriptTable).where(TranscriptTable.at < before)
        if limit is not None:
            row: ColumnClause[object] = literal_column("ctid")
            oldest = select(row).select_from(TranscriptTable).where(TranscriptTable.at < before).limit(limit)
            statement = statement.where(row == func.any(func.array(oldest.scalar_subquery())))
        return (await self._connection.execute(statement)).rowcount
