"""Progress: the log of work, as the next session reads it."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shiftwork.store.noun import Noun
from shiftwork.store.rows import ProgressRow
from shiftwork.store.tables import ProgressTable, SessionTable
from shiftwork.text import one_line


class Progress(Noun):
    """The rows of `progress`."""

    async def log(
        self,
        project_id: str,
        action: str,
        *,
        outcome: str = "",
        files_changed: Sequence[str] = (),
        commit: str | None = None,
        tokens: int = 0,
        session_id: int | None = None,
        attempt: int = 0,
        sequence: int = 0,
    ) -> ProgressRow:
        """The entry: inserted the first time; a session's is found again by its key after that."""
        key = {"session_id": session_id, "attempt": attempt, "sequence": sequence}
        values = {
            **key,
            "project_id": project_id,
            "action": action,
            "outcome": outcome,
            "files_changed": list(files_changed),
            "commit": commit,
            "tokens": tokens,
        }
        statement = insert(ProgressTable).values(values).on_conflict_do_nothing().returning(ProgressTable)
        row = await self._first(statement, ProgressRow)
        if row is None:
            row = await self._first(select(ProgressTable).filter_by(**key), ProgressRow)
        assert row is not None
        return row

    async def count(self, project_id: str) -> int:
        """How many entries the project has."""
        return await self._number_of(select(ProgressTable.id).where(ProgressTable.project_id == project_id))

    async def list(self, project_id: str, limit: int = 50) -> list[ProgressRow]:
        """The project's entries, newest first."""
        statement = (
            select(ProgressTable)
            .where(ProgressTable.project_id == project_id)
            .order_by(ProgressTable.id.desc())
            .limit(limit)
        )
        return await self._all(statement, ProgressRow)

    async def as_text(self, project_id: str, limit: int = 50) -> str:
        """The newest entries as plain text, oldest first, one line each; empty before the first."""
        statement = (
            select(ProgressTable, SessionTable.number)
            .outerjoin(SessionTable, SessionTable.id == ProgressTable.session_id)
            .where(ProgressTable.project_id == project_id)
            .order_by(ProgressTable.id.desc())
            .limit(limit)
        )
        found = (await self._connection.execute(statement)).mappings().all()
        lines = [_line(ProgressRow.model_validate(dict(entry)), entry["number"]) for entry in found]
        return "\n".join(reversed(lines))


def _line(entry: ProgressRow, number: int | None) -> str:
    who = "person" if number is None else f"session {number}"
    text = f"[{entry.created_at:%Y-%m-%d %H:%M}] {who}: {one_line(entry.action)}"
    if entry.outcome:
        text += f": {one_line(entry.outcome)}"
    if entry.files_changed:
        text += f" ({', '.join(one_line(path) for path in entry.files_changed)})"
    return f"{text} [{entry.commit[:10]}]" if entry.commit else text
