"""Evaluations: each is created with its episodes."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shiftwork.contracts.base import Message
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from shiftwork.errors import Conflict, NotFound
from shiftwork.store.earnings import by_kept_steps
from shiftwork.store.noun import Noun, is_id
from shiftwork.store.tables import EpisodeTable, EvaluationTable

CHANNEL = "shiftwork_episodes"
"""Where PostgreSQL tells of each evaluation of which something changed: its id."""

CANCELLED = "The evaluation was cancelled before this episode had ended."

_OPEN = (EpisodeStatus.CREATED.value, EpisodeStatus.RUNNING.value)


class EvaluationRow(Message):
    """Episodes of one kind; `spec` says what is played, by whom, from which seeds."""

    id: int
    uuid: str
    environment: str
    player: str
    spec: EvaluationSpec
    status: EpisodeStatus
    request_key: str | None
    created_at: datetime
    ended_at: datetime | None


class Evaluations(Noun):
    """The rows of `evaluations`."""

    async def create(self, spec: EvaluationSpec, request_key: str | None = None) -> EvaluationRow:
        """The evaluation with its episodes, none played yet; one of the same `request_key` is found again.

        Raises:
            Conflict: the one of this `request_key` plays something else.
        """
        values = {
            "environment": spec.environment,
            "player": spec.player.kind.value,
            "spec": spec.model_dump(mode="json"),
            "status": EpisodeStatus.CREATED.value,
            "request_key": request_key,
        }
        statement = upsert(EvaluationTable).values(values)
        statement = statement.on_conflict_do_nothing(index_elements=[EvaluationTable.request_key])
        new = await self._first(statement.returning(EvaluationTable.__table__), EvaluationRow)
        if new is None:
            return await self._found(spec, request_key)
        episodes = [
            {"evaluation_id": new.id, "number": number, "seed": spec.seed + number - 1, "status": "created"}
            for number in range(1, spec.episodes + 1)
        ]
        await self._connection.execute(insert(EpisodeTable), episodes)
        return new

    async def _found(self, spec: EvaluationSpec, request_key: str | None) -> EvaluationRow:
        keyed = select(EvaluationTable.__table__).where(EvaluationTable.request_key == request_key)
        row = await self._first(keyed, EvaluationRow)
        assert row is not None
        # The database keeps 1e23 as a whole number, which Python finds unequal; it does not itself.
        same = keyed.where(EvaluationTable.spec == spec.model_dump(mode="json"))
        if row.spec != spec and await self._first(same, EvaluationRow) is None:
            raise Conflict(
                f"The key {request_key!r:.80} is evaluation {row.id}'s, which was asked for otherwise; ask "
                "for the same again, or give another key."
            )
        return row

    async def get(self, evaluation_id: int) -> EvaluationRow:
        """The evaluation with this id; raises `NotFound`."""
        statement = select(EvaluationTable.__table__).where(EvaluationTable.id == evaluation_id)
        row = await self._first(statement, EvaluationRow) if is_id(evaluation_id) else None
        if row is None:
            raise NotFound(
                f"There is no evaluation {evaluation_id}; `shiftwork env stats` shows those there are."
            )
        return row

    async def unended(self, *, before: int | None = None, limit: int = 50) -> list[EvaluationRow]:
        """Those that have not ended, newest first: of ids below this one (any)."""
        statement = _evaluations(None).where(EvaluationTable.status.in_(_OPEN))
        if before is not None:
            statement = statement.where(EvaluationTable.id < before)
        return await self._all(statement.order_by(EvaluationTable.id.desc()).limit(limit), EvaluationRow)

    async def list(
        self, *, environment: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[EvaluationRow]:
        """Evaluations of this environment (any), newest first."""
        statement = _evaluations(environment).order_by(EvaluationTable.id.desc())
        return await self._all(statement.limit(limit).offset(offset), EvaluationRow)

    async def count(self, environment: str | None = None) -> int:
        """How many there are, of this environment (any)."""
        return await self._number_of(_evaluations(environment))

    async def player_key(self, evaluation_id: int) -> bytes:
        """Its secret, of which the seeds are made that its players get: drawn once, shown nowhere."""
        its = EvaluationTable.id == evaluation_id
        key = await self._connection.scalar(select(EvaluationTable.player_key).where(its))
        if key is None:
            first = func.coalesce(EvaluationTable.player_key, secrets.token_bytes(32))
            drawn = update(EvaluationTable).where(its).values(player_key=first)
            key = await self._connection.scalar(drawn.returning(EvaluationTable.player_key))
        assert isinstance(key, bytes), "it has episodes"
        return key

    async def move(self, evaluation_id: int, status: EpisodeStatus) -> None:
        """Give it another status; one that has ended keeps its own. It fails by being cancelled."""
        if status is EpisodeStatus.FAILED:
            await self.fail(evaluation_id, CANCELLED, EpisodeErrorKind.CANCELLED)
        else:
            await self._write(evaluation_id, status)

    async def fail(self, evaluation_id: int, error: str, kind: EpisodeErrorKind) -> bool:
        """End it, and each of its open episodes, for this reason; False: it had ended, and stays as it is."""
        if not await self._write(evaluation_id, EpisodeStatus.FAILED):
            return False
        values = {
            "status": EpisodeStatus.FAILED.value,
            "error": error,
            "error_kind": kind.value,
            "token": None,
            **by_kept_steps(),
        }
        opened = EpisodeTable.status.in_(_OPEN)
        changed = update(EpisodeTable).where(EpisodeTable.evaluation_id == evaluation_id).where(opened)
        await self._connection.execute(changed.values(**values, ended_at=func.clock_timestamp()))
        return True

    async def _write(self, evaluation_id: int, status: EpisodeStatus) -> bool:
        """Whether it was open."""
        ended = {"ended_at": func.clock_timestamp()} if status.ended else {}
        changed = (
            update(EvaluationTable)
            .where(EvaluationTable.id == evaluation_id)
            .where(EvaluationTable.status.in_(_OPEN))
            .values(status=status.value, **ended)
        )
        written = await self._connection.execute(changed)
        await self._connection.execute(select(func.pg_notify(CHANNEL, str(evaluation_id))))
        return bool(written.rowcount)


def _evaluations(environment: str | None) -> Select[Any]:
    statement = select(EvaluationTable.__table__)
    return statement if environment is None else statement.where(EvaluationTable.environment == environment)
