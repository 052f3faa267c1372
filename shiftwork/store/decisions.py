"""Decisions: what was chosen and why, what came of it, and which of them matter now."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Update,
    all_,
    and_,
    any_,
    case,
    cast,
    exists,
    func,
    not_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import aliased

from shiftwork.contracts.decision import REVERTED_SCORE, DecisionOutcome, Judge, Judgement
from shiftwork.contracts.outbox import DecisionNote
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.noun import Noun, is_id
from shiftwork.store.recall import RECALL, Subject, recall_arguments
from shiftwork.store.rows import DecisionRow
from shiftwork.store.tables import DecisionTable, FeatureTable, SessionTable

_OUR_OWN = {"search", "outcome_before", "score_before"}
"""Columns that only statements read."""
_COLUMNS = tuple(column for column in DecisionTable.__table__.c if column.key not in _OUR_OWN)
_UNJUDGED = DecisionTable.judged_by.is_(None)
_ALL = 2**31


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
        inserted = insert(DecisionTable).values(values).on_conflict_do_nothing().returning(DecisionTable.id)
        new = await self._value(inserted)
        same = and_(*(DecisionTable.__table__.c[name] == value for name, value in key.items()))
        found = _select().where(same if new is None else DecisionTable.id == new)
        row = await self._first(found, DecisionRow)
        assert row is not None
        return row

    async def get(self, decision_id: int) -> DecisionRow:
        """The decision with this id; raises `NotFound`."""
        statement = _select().where(DecisionTable.id == decision_id)
        row = await self._first(statement, DecisionRow) if is_id(decision_id) else None
        if row is None:
            raise NotFound(f"There is no decision {decision_id}; take one of the list of decisions.")
        return row

    async def relevant(
        self, project_id: str, tags: Sequence[str] = (), text: str = "", limit: int = 10
    ) -> list[DecisionRow]:
        """The decisions that share a tag with `tags` or a word with `text`; any, if neither is given.

        Those with a lesson come first, people's before the harness's; then see `shiftwork.store.recall`.
        """
        asked = bool(tags) or bool(text.strip())
        subject = Subject(text=text, tags=tuple(tags))
        return await self.recall(project_id, subject, newest=0 if asked else _ALL, limit=limit)

    async def count(self, project_id: str, tags: Sequence[str] = (), text: str = "") -> int:
        """How many there are; with `tags` or `text`, how many `relevant` finds for them."""
        if not (tags or text.strip()):
            return await self._number_of(_of(project_id))
        arguments = recall_arguments(project_id, Subject(text=text, tags=tuple(tags)), 0, _ALL)
        counting = f"SELECT count(*) AS number FROM ({RECALL}) AS found"  # noqa: S608 - both are ours
        rows = await self._run(counting, *arguments)
        return int(rows[0]["number"])

    async def recall(
        self, project_id: str, subject: Subject, *, newest: int = 0, limit: int = 10
    ) -> list[DecisionRow]:
        """The decisions that matter most to a subject, best first; see `shiftwork.store.recall`.

        Args:
            newest: so many of the newest follow even if nothing relates them to the subject.
        """
        arguments = recall_arguments(project_id, subject, newest, limit)
        ids = [row["id"] for row in await self._run(RECALL, *arguments)]
        rows = await self._all(_select().where(DecisionTable.id.in_(ids)), DecisionRow)
        return sorted(rows, key=lambda row: ids.index(row.id))

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
        """Write what a person says became of a decision; from now on the harness leaves it alone.

        A score beyond -1 to 1 is cut there. None leaves what there is, but no score that the harness gave.

        Raises:
            NotFound: there is no such decision.
            InvalidInput: the score is not a number.
        """
        by_person = DecisionTable.judged_by == Judge.PERSON
        values: dict[str, Any] = {
            "outcome": outcome,
            "score": case((by_person, DecisionTable.score)) if score is None else _clamp(score),
            "judged_by": Judge.PERSON,
            "judged_at": func.clock_timestamp(),
        }
        if lesson is not None:
            values |= {"lesson": lesson, "lesson_by": Judge.PERSON}
        await self.get(decision_id)
        await self._connection.execute(
            update(DecisionTable).where(DecisionTable.id == decision_id).values(values)
        )
        return await self.get(decision_id)

    async def judge_session(self, session_id: int, judgement: Judgement) -> int:
        """Judge what was decided in a session, and before it for the same feature; how many that were.

        Only decisions that nobody judged yet: so those of earlier sessions that were interrupted, as their
        work went on into this one, and none of a session that came to its own end.
        """
        this = select(SessionTable).where(SessionTable.id == session_id).cte("this")
        of_feature = select(SessionTable.id).join(
            this, (SessionTable.feature_id == this.c.feature_id) & (SessionTable.number <= this.c.number)
        )
        mine = (DecisionTable.session_id == session_id) | DecisionTable.session_id.in_(of_feature)
        return await self._judge(mine, judgement)

    async def judge_feature(self, feature_id: int, judgement: Judgement) -> int:
        """Judge what was decided for a feature, where nobody did yet; how many decisions that were."""
        sessions = select(SessionTable.id).where(SessionTable.feature_id == feature_id)
        return await self._judge(DecisionTable.session_id.in_(sessions), judgement)

    async def follow_revert(self, project_id: str, gone: Sequence[str]) -> tuple[int, int]:
        """Have outcomes follow what stands on main after a revert; how many that marked, and gave back.

        The decisions behind landings that are gone become `reverted`: those of the sessions that landed
        and of the earlier ones for the same features, back to a landing that stands. All others that a revert
        marked get back what they had: their landings stand again. Those that people judged stay as they
        are; a lesson stays, and a score that was lower.

        Args:
            gone: the commits of main whose work is in it no more.
        """
        behind = DecisionTable.session_id.in_(_sessions_behind(project_id, gone))
        by_harness = DecisionTable.judged_by.is_distinct_from(Judge.PERSON)
        reverted = DecisionTable.outcome == DecisionOutcome.REVERTED
        marked = update(DecisionTable).values(
            outcome=DecisionOutcome.REVERTED,
            score=func.least(DecisionTable.score, REVERTED_SCORE),
            outcome_before=DecisionTable.outcome,
            score_before=DecisionTable.score,
            judged_by=Judge.HARNESS,
            judged_at=func.clock_timestamp(),
        )
        given_back = update(DecisionTable).values(
            outcome=DecisionTable.outcome_before,
            score=DecisionTable.score_before,
            judged_by=case((DecisionTable.outcome_before.is_not(None), Judge.HARNESS)),
            judged_at=case((DecisionTable.outcome_before.is_not(None), func.clock_timestamp())),
        )
        mine = DecisionTable.project_id == project_id
        return (
            await self._count(
                marked.where(
                    behind, by_harness, DecisionTable.outcome.is_distinct_from(DecisionOutcome.REVERTED)
                )
            ),
            await self._count(given_back.where(mine, not_(behind), by_harness, reverted)),
        )

    async def _judge(self, which: ColumnElement[bool], judgement: Judgement) -> int:
        values: dict[str, Any] = {
            **judgement.model_dump(exclude_none=True),
            "judged_by": Judge.HARNESS,
            "judged_at": func.clock_timestamp(),
        }
        if judgement.lesson is not None:
            values["lesson_by"] = Judge.HARNESS
        return await self._count(update(DecisionTable).where(which, _UNJUDGED).values(values))

    async def _count(self, statement: Update) -> int:
        return len((await self._connection.execute(statement.returning(DecisionTable.id))).all())


def _select() -> Select[Any]:
    """Decisions, with the number of their session and the name of its feature."""
    return (
        select(*_COLUMNS, SessionTable.number.label("session"), FeatureTable.name.label("feature"))
        .outerjoin(SessionTable, SessionTable.id == DecisionTable.session_id)
        .outerjoin(FeatureTable, FeatureTable.id == SessionTable.feature_id)
    )


def _of(project_id: str) -> Select[Any]:
    return _select().where(DecisionTable.project_id == project_id)


def _sessions_behind(project_id: str, commits: Sequence[str]) -> Select[Any]:
    """The ids of the sessions whose work came to main by these commits."""
    gone = cast(list(commits), ARRAY(Text))
    landed, standing = aliased(SessionTable), aliased(SessionTable)
    kept = exists().where(
        standing.feature_id == landed.feature_id,
        standing.number.between(SessionTable.number, landed.number),
        standing.landed_commit != all_(gone),
    )
    before = (
        (SessionTable.feature_id == landed.feature_id) & (SessionTable.number < landed.number) & not_(kept)
    )
    return (
        select(SessionTable.id)
        .join(landed, (SessionTable.id == landed.id) | before)
        .where(landed.project_id == project_id, landed.landed_commit == any_(gone))
    )


def _clamp(score: float) -> float:
    if math.isnan(score):
        raise InvalidInput("The score is not a number; give one from -1 (bad) to 1 (good).")
    return max(-1.0, min(1.0, score))
