"""Attempts and their leases: who may write for a session, by fencing token and the server's clock."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.outbox import Outbox
from shiftwork.errors import LeaseLost
from shiftwork.store.noun import Noun, dump
from shiftwork.store.rows import Attempt, AttemptRow
from shiftwork.store.tables import LEASE_TOKENS, AttemptTable, LeaseTable
from shiftwork.store.types import Exact


class Leases(Noun):
    """The rows of `leases`. A lease that expired is lost, also if nobody else has taken it yet."""

    async def renew(self, session_id: int, token: int, ttl_seconds: float) -> bool:
        """Hold the lease for this long from now; False if it is lost."""
        statement = (
            update(LeaseTable)
            .where(LeaseTable.session_id == session_id, LeaseTable.token == token, _alive())
            .values(expires_at=_in(ttl_seconds))
            .returning(LeaseTable.token)
        )
        return await self._hits(statement)

    async def check(self, session_id: int, token: int) -> None:
        """Raise `LeaseLost` unless this token holds the lease; keeps it so until the transaction ends.

        The row is locked for sharing: whoever takes the lease over waits for this transaction to commit, and
        one that comes later finds it gone.
        """
        statement = (
            select(LeaseTable.token, _alive().label("alive"))
            .where(LeaseTable.session_id == session_id)
            .with_for_update(read=True)
        )
        lease = (await self._connection.execute(statement)).first()
        if lease is None or lease.token != token:
            raise LeaseLost(f"Another attempt took over session {session_id}; this one writes nothing more.")
        if not lease.alive:
            raise LeaseLost(f"The lease on session {session_id} expired; this attempt writes nothing more.")

    async def release(self, session_id: int, token: int) -> bool:
        """Give the lease back; False if it was lost before."""
        statement = (
            update(LeaseTable)
            .where(LeaseTable.session_id == session_id, LeaseTable.token == token, _alive())
            .values(expires_at=func.clock_timestamp())
            .returning(LeaseTable.token)
        )
        return await self._hits(statement)


class Attempts(Noun):
    """The rows of `attempts`."""

    async def begin(self, session_id: int, host: str, ttl_seconds: float) -> Attempt:
        """Start the session's next attempt and take its lease, whoever held it until now.

        The lease's row counts the attempts, and is locked by this first statement; so concurrent callers get
        different attempts, and the one that comes last holds the lease.
        """
        take = (
            insert(LeaseTable)
            .values(
                session_id=session_id,
                attempt=1,
                token=LEASE_TOKENS.next_value(),
                host=host,
                expires_at=_in(ttl_seconds),
            )
            .on_conflict_do_update(
                index_elements=[LeaseTable.session_id],
                # Not `excluded`: those values were computed before the lock was waited for.
                set_={
                    "attempt": LeaseTable.attempt + 1,
                    "token": LEASE_TOKENS.next_value(),
                    "host": host,
                    "expires_at": _in(ttl_seconds),
                },
            )
            .returning(LeaseTable.attempt, LeaseTable.token)
        )
        attempt = await self._first(take, Attempt)
        assert attempt is not None
        await self._connection.execute(
            insert(AttemptTable).values(
                session_id=session_id, attempt=attempt.attempt, host=host, token=attempt.token
            )
        )
        return attempt

    async def start(self, session_id: int, attempt: int, token: int, *, base: str) -> None:
        """Write from which commit the attempt starts. Raises `LeaseLost`."""
        await self._write(session_id, attempt, token, base=base)

    async def converse(self, session_id: int, attempt: int, token: int, conversation: str) -> None:
        """Write which session of its own the agent's program is in. Raises `LeaseLost`."""
        await self._write(session_id, attempt, token, conversation=conversation)

    async def _write(self, session_id: int, attempt: int, token: int, **columns: str) -> None:
        await Leases(self._connection).check(session_id, token)
        statement = update(AttemptTable).where(
            AttemptTable.session_id == session_id, AttemptTable.attempt == attempt
        )
        await self._connection.execute(statement.values(**columns))

    async def lose(self, session_id: int, attempt: int, token: int, kept_commit: str | None) -> bool:
        """Close an earlier attempt whose worker was lost; False if it ended otherwise.

        Args:
            token: of the attempt that took over.
            kept_commit: the work that was found of it.

        Raises:
            LeaseLost: yet another attempt took over.
        """
        await Leases(self._connection).check(session_id, token)
        statement = (
            update(AttemptTable)
            .where(
                AttemptTable.session_id == session_id,
                AttemptTable.attempt == attempt,
                AttemptTable.ended_at.is_(None),
            )
            .values(outcome="lost", kept_commit=kept_commit, ended_at=func.clock_timestamp())
            .returning(AttemptTable.attempt)
        )
        return await self._hits(statement)

    async def finish(
        self,
        session_id: int,
        attempt: int,
        token: int,
        *,
        outcome: str,
        candidate: str | None = None,
        kept_commit: str | None = None,
        outbox: Outbox | None = None,
    ) -> bool:
        """Write how the attempt ended; False if that is written already. Raises `LeaseLost`."""
        await Leases(self._connection).check(session_id, token)
        statement = (
            update(AttemptTable)
            .where(
                AttemptTable.session_id == session_id,
                AttemptTable.attempt == attempt,
                AttemptTable.token == token,
                AttemptTable.ended_at.is_(None),
            )
            .values(
                outcome=outcome,
                candidate=candidate,
                kept_commit=kept_commit,
                outbox=_stored(outbox),
                ended_at=func.clock_timestamp(),
            )
            .returning(AttemptTable.attempt)
        )
        return await self._hits(statement)

    async def list(self, session_id: int) -> list[AttemptRow]:
        """The session's attempts in their order."""
        statement = select(AttemptTable).where(AttemptTable.session_id == session_id)
        return await self._all(statement.order_by(AttemptTable.attempt), AttemptRow)


def _stored(outbox: Outbox | None) -> Any:
    """The outbox as JSON; its plan becomes features, so it must not be altered."""
    if outbox is None or outbox.plan is None:
        return dump(outbox)
    dumped = dump(outbox)
    return {**dumped, "plan": Exact(dumped["plan"])}


def _alive() -> ColumnElement[bool]:
    return LeaseTable.expires_at > func.clock_timestamp()


def _in(seconds: float) -> ColumnElement[object]:
    return func.clock_timestamp() + timedelta(seconds=seconds)
