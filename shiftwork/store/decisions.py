"""Decisions: what was chosen and why, what came of it, and which of them matter now."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TSQUERY, insert

from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.outbox import DecisionNote
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.noun import Noun, is_id
from shiftwork.store.rows import DecisionRow
from shiftwork.store.tables import DecisionTable
from shiftwork.store.types import storable

# Without the search vector: only the database reads it.
_COLUMNS = tuple(column for column in DecisionTable.__table__.c if column.key != "search")


class Decisions(Noun):
    """The rows of `decisions`."""

    async def record(
        self,
        project_id: str,
        session_id: int | None,
        attempt: int,
        sequence: int,
        note: DecisionNote,
    ) -> DecisionRow:
        """The decision: inserted the first time; of a session, found again by its key after that."""
        key = {"session_id": session_id, "attempt": attempt, "sequence": sequence}
        values = {**note.model_dump(mode="json"), **key, "project_id": project_id}
        statement = insert(DecisionTable).values(values).on_conflict_do_nothing().returning(*_COLUMNS)
        row = await self._first(statement, DecisionRow)
        if row is None:
            row = await self._first(select(*_COLUMNS).filter_by(**key), DecisionRow)
        assert row is not None
        return row

    async def get(self, decision_id: int) -> DecisionRow:
        """The decision with this id; raises `NotFound`."""
        statement = select(*_COLUMNS).where(DecisionTable.id == decision_id)
        row = await self._first(statement, DecisionRow) if is_id(decision_id) else None
        if row is None:
            raise NotFound(f"There is no decision {decision_id}; `shiftwork decisions` lists them.")
        return row

    async def relevant(
        self, project_id: str, tags: Sequence[str] = (), text: str = "", limit: int = 10
    ) -> list[DecisionRow]:
        """The decisions that share a tag with `tags` or a word with `text`; any, if neither is given.

        Those whose lesson or score is known come first, then by shared tags, by full-text rank, newest first.
        """
        matches, rank = _search(text)
        wanted = []
        if tags:
            wanted.append(DecisionTable.tags.overlap(list(tags)))
        if text.strip():
            wanted.append(matches)
        known = or_(DecisionTable.lesson.is_not(None), DecisionTable.score.is_not(None))
        statement = _of(project_id).order_by(
            known.desc(), _shared(tags).desc(), rank.desc(), DecisionTable.id.desc()
        )
        if wanted:
            statement = statement.where(or_(*wanted))
        return await self._all(statement.limit(limit), DecisionRow)

    async def since(self, project_id: str, at: datetime) -> list[DecisionRow]:
        """The decisions recorded after this moment, oldest first."""
        statement = _of(project_id).where(DecisionTable.created_at > at).order_by(DecisionTable.id)
        return await self._all(statement, DecisionRow)

    async def history(self, project_id: str, limit: int = 20) -> list[DecisionRow]:
        """The project's decisions, newest first."""
        return await self._all(_of(project_id).order_by(DecisionTable.id.desc()).limit(limit), DecisionRow)

    async def feedback(
        self,
        decision_id: int,
        outcome: DecisionOutcome,
        score: float | None = None,
        lesson: str | None = None,
    ) -> DecisionRow:
        """Write what became of a decision; a score beyond -1 to 1 is cut there, None leaves what there is.

        Raises:
            NotFound: there is no such decision.
            InvalidInput: the score is not a number.
        """
        values: dict[str, Any] = {"outcome": outcome, "judged_at": func.clock_timestamp()}
        if score is not None:
            values["score"] = _clamp(score)
        if lesson is not None:
            values["lesson"] = lesson
        await self.get(decision_id)
        await self._connection.execute(
            update(DecisionTable).where(DecisionTable.id == decision_id).values(values)
        )
        return await self.get(decision_id)

    async def mark_reverted(self, project_id: str, since: datetime) -> int:
        """Give the decisions recorded after this moment the outcome `reverted`; how many there were."""
        statement = (
            update(DecisionTable)
            .where(DecisionTable.project_id == project_id, DecisionTable.created_at > since)
            .values(outcome=DecisionOutcome.REVERTED, judged_at=func.clock_timestamp())
            .returning(DecisionTable.id)
        )
        return len((await self._connection.execute(statement)).all())


def _of(project_id: str) -> Select[Any]:
    return select(*_COLUMNS).where(DecisionTable.project_id == project_id)


def _shared(tags: Sequence[str]) -> ColumnElement[int]:
    """How many of these tags a decision has."""
    tag = func.unnest(DecisionTable.tags).column_valued("tag")
    return select(func.count(tag)).where(tag.in_(list(tags))).scalar_subquery()


def _search(text: str) -> tuple[ColumnElement[bool], ColumnElement[float]]:
    """Whether a decision has any word of the text, and how well it fits."""
    english: ColumnElement[Any] = literal_column("'english'::regconfig")
    # plainto_tsquery asks for all words; a feature's description shares a few with a decision, never all.
    every = cast(func.plainto_tsquery(english, literal(storable(text), Text)), Text)
    query = cast(func.replace(every, " & ", " | "), TSQUERY)
    return DecisionTable.search.op("@@", return_type=Boolean)(query), func.ts_rank(
        DecisionTable.search, query
    )


def _clamp(score: float) -> float:
    if math.isnan(score):
        raise InvalidInput("The score is not a number; give one from -1 (bad) to 1 (good).")
    return max(-1.0, min(1.0, score))
