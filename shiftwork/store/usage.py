"""Usage: tokens and money, written while the agent runs."""

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from shiftwork.errors import Conflict, InvalidInput
from shiftwork.store.attempts import Leases
from shiftwork.store.noun import Noun
from shiftwork.store.rows import Estimates, Totals
from shiftwork.store.tables import ProjectTable, SessionTable, UsageTable

_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

_MOST_TOKENS = 2**53 - 1
_MOST_DOLLARS = 1e9
"""Where sums stop: what agents report is theirs to invent, and a sum that does not fit would end no run."""


class Usage(Noun):
    """The rows of `usage`, and the totals of sessions and projects that follow them."""

    async def add(
        self,
        session_id: int,
        attempt: int,
        token: int,
        sequence: int,
        *,
        cli_session: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        cost_usd: float = 0.0,
        estimated: bool = False,
    ) -> bool:
        """Add what was used since the previous row; False if this row is there already.

        Args:
            estimated: whether some of it is a guess, since the model's provider did not tell.

        Raises:
            LeaseLost: the token does not hold the session's lease.
            Conflict: there is such a row, and it says something else.
            InvalidInput: a number that is negative or far too large, or a cost that is none.
        """
        body = {
            "cli_session": cli_session,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cache_read_tokens": cache_read_tokens,
            "cache_write_tokens": cache_write_tokens,
            "cost_usd": round(cost_usd, 8),
            "estimated": estimated,
        }
        _check(body)
        await Leases(self._connection).check(session_id, token)
        key = {"session_id": session_id, "attempt": attempt, "sequence": sequence}
        statement = insert(UsageTable).values(**key, **body).on_conflict_do_nothing()
        if await self._hits(statement.returning(UsageTable.sequence)):
            tokens = input_tokens + output_tokens + cache_read_tokens + cache_write_tokens
            await self._count(session_id, tokens, round(cost_usd, 8))
            return True
        await self._compare(key, body)
        return False

    async def _count(self, session_id: int, tokens: int, cost_usd: float) -> None:
        project_id = await self._value(
            update(SessionTable)
            .where(SessionTable.id == session_id)
            .values(
                total_tokens=func.least(SessionTable.total_tokens + tokens, _MOST_TOKENS),
                total_cost_usd=func.least(SessionTable.total_cost_usd + cost_usd, _MOST_DOLLARS),
            )
            .returning(SessionTable.project_id)
        )
        await self._connection.execute(
            update(ProjectTable)
            .where(ProjectTable.id == project_id)
            .values(
                total_tokens=func.least(ProjectTable.total_tokens + tokens, _MOST_TOKENS),
                total_cost_usd=func.least(ProjectTable.total_cost_usd + cost_usd, _MOST_DOLLARS),
            )
        )

    async def _compare(self, key: dict[str, int], body: dict[str, object]) -> None:
        columns = UsageTable.__table__.c
        statement = select(*(columns[name] for name in body)).where(
            *(columns[name] == value for name, value in key.items())
        )
        found = (await self._connection.execute(statement)).mappings().one()
        if dict(found) != body:
            raise Conflict(
                f"Usage {key['sequence']} of attempt {key['attempt']} of session {key['session_id']} is "
                "recorded already, and says something else."
            )

    async def of_conversation(self, session_id: int, conversation: str) -> Totals:
        """What is recorded of one conversation of an agent's program, in all attempts of a session."""
        sums = (func.coalesce(func.sum(UsageTable.__table__.c[name]), 0).label(name) for name in _TOKENS)
        cost = func.coalesce(func.sum(UsageTable.cost_usd), 0).label("cost_usd")
        statement = select(*sums, cost).where(
            UsageTable.session_id == session_id, UsageTable.cli_session == conversation
        )
        totals = await self._first(statement, Totals)
        assert totals is not None
        return totals

    async def spent(self, project_id: str) -> float:
        """What the project has cost so far, in US dollars."""
        return (await self.budget(project_id))[1]

    async def budget(self, project_id: str) -> tuple[float | None, float]:
        """What the project may cost (None: no limit) and what it has cost so far, in US dollars."""
        statement = select(ProjectTable.budget_usd, ProjectTable.total_cost_usd).where(
            ProjectTable.id == project_id
        )
        found = (await self._connection.execute(statement)).one()
        return found.budget_usd, found.total_cost_usd

    async def of_session(self, session_id: int) -> Totals:
        """What one session used, all attempts together."""
        sums = (func.coalesce(func.sum(UsageTable.__table__.c[name]), 0).label(name) for name in _TOKENS)
        cost = func.coalesce(func.sum(UsageTable.cost_usd), 0).label("cost_usd")
        statement = select(*sums, cost).where(UsageTable.session_id == session_id)
        totals = await self._first(statement, Totals)
        assert totals is not None
        return totals.model_copy(update={"sessions": 1})

    async def estimates(self, project_id: str) -> dict[int, Estimates]:
        """What of each session's sums is a guess, by the session's id; those without a guess are left out."""
        tokens = sum(
            (UsageTable.__table__.c[name] for name in _TOKENS[1:]), UsageTable.__table__.c[_TOKENS[0]]
        )
        statement = (
            select(
                UsageTable.session_id,
                func.count().label("calls"),
                func.sum(tokens).label("tokens"),
                func.sum(UsageTable.cost_usd).label("cost_usd"),
            )
            .join(SessionTable, SessionTable.id == UsageTable.session_id)
            .where(SessionTable.project_id == project_id, UsageTable.estimated)
            .group_by(UsageTable.session_id)
        )
        rows = (await self._connection.execute(statement)).mappings()
        return {
            row["session_id"]: Estimates(**{k: v for k, v in row.items() if k != "session_id"})
            for row in rows
        }


def _check(body: dict[str, object]) -> None:
    for name, value in body.items():
        if isinstance(value, int | float) and not 0 <= value <= _MOST_TOKENS:
            raise InvalidInput(f"The usage says {name} {value!r}; it must be zero or more, and not too much.")
