"""Events: what happened to a project, append-only, the one source of watch, logs and audit."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Insert, exists, insert, literal, select, update

from shiftwork.store.noun import Noun
from shiftwork.store.rows import EventRow
from shiftwork.store.tables import EventTable, ProjectTable


class Events(Noun):
    """The rows of `events`."""

    async def append(
        self,
        project_id: str,
        kind: str,
        *,
        key: str | None = None,
        actor: str = "",
        reference: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> int | None:
        """Append an event; its sequence, or None if the project already has one with this key.

        The sequence is taken from the project's row, which stays locked until the transaction ends. So events
        appear in the order of their sequences, without gaps: whoever reads `after` the last one they saw
        misses none. Append last in a transaction, so that the lock is short and always taken in one order.
        """
        # Locked by a statement of its own, so that the next one sees what others committed meanwhile.
        lock = select(ProjectTable.id).where(ProjectTable.id == project_id).with_for_update(key_share=True)
        await self._connection.execute(lock)
        values = {
            "project_id": project_id,
            "key": key,
            "kind": kind,
            "actor": actor,
            "reference": reference,
            "data": dict(data or {}),
        }
        sequence: int | None = await self._value(_append(project_id, key, values))
        return sequence

    async def after(self, project_id: str, sequence: int = 0, limit: int = 500) -> list[EventRow]:
        """The events after this sequence, oldest first."""
        statement = (
            select(EventTable)
            .where(EventTable.project_id == project_id, EventTable.sequence > sequence)
            .order_by(EventTable.sequence)
            .limit(limit)
        )
        return await self._all(statement, EventRow)

    async def last(
        self, project_id: str, kinds: Sequence[str] | None = None, limit: int = 1
    ) -> list[EventRow]:
        """The newest events, of these kinds if any are named, newest first."""
        statement = select(EventTable).where(EventTable.project_id == project_id)
        if kinds is not None:
            statement = statement.where(EventTable.kind.in_(kinds))
        return await self._all(statement.order_by(EventTable.sequence.desc()).limit(limit), EventRow)


def _append(project_id: str, key: str | None, values: Mapping[str, Any]) -> Insert:
    condition = ProjectTable.id == project_id
    if key is not None:
        condition &= ~exists().where(EventTable.project_id == project_id, EventTable.key == key)
    advance = (
        update(ProjectTable)
        .where(condition)
        .values(event_sequence=ProjectTable.event_sequence + 1)
        .returning(ProjectTable.event_sequence)
        .cte("advance")
    )
    columns = EventTable.__table__.c
    row = select(
        advance.c.event_sequence, *(literal(value, columns[name].type) for name, value in values.items())
    )
    return insert(EventTable).from_select(["sequence", *values], row).returning(EventTable.sequence)
