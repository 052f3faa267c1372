"""Saving handoffs and finding them again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from shiftwork.errors import InvalidInput
from shiftwork.handoffs.context import HandoffContext
from shiftwork.storable import check_text
from shiftwork.store.handoffs import HandoffArtifact, Handoffs
from shiftwork.store.own import OwnStore
from shiftwork.store.store import Store

MOST_CHARACTERS = 2_000
"""How long a summary may be."""

TTL_DAYS = 30.0

Session = AsyncSession | AsyncConnection


class HandoffManager:
    """The handoffs of agents. It works bare: on the running stack, to which it connects at the first use.

    Each method takes a `session` to work in, whose transaction is the caller's to end; without one it works
    by itself. Use as `async with HandoffManager() as manager`, or `close` it.

    Args:
        store: the rows; None: those of the running stack.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = OwnStore(store)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that it opened itself."""
        await self._store.close()

    async def save_handoff(  # noqa: PLR0917 - callers know the order
        self,
        agent_id: int,
        task_id: int | None,
        context: HandoffContext,
        summary: str,
        session: Session | None = None,
        ttl_days: float | None = TTL_DAYS,
    ) -> HandoffArtifact:
        """Keep what a run of an agent leaves.

        Args:
            task_id: the run; None: nobody knows.
            ttl_days: after so many days it is never loaded again; None: it is for ever.

        Raises:
            InvalidInput: the context or its summary is too large, or no context; nothing is stored.
            NotFound: there is no such agent or task.
        """
        check_text("The summary of a handoff", summary)
        if len(summary) > MOST_CHARACTERS:
            raise InvalidInput(
                f"The summary of a handoff has {len(summary):,} characters, and may have "
                f"{MOST_CHARACTERS:,}; shorten it."
            )
        if not isinstance(context, HandoffContext):
            raise InvalidInput(f"A handoff is a HandoffContext, not {type(context).__name__}.")
        _check_ttl(ttl_days)
        _check_ids(agent_id, *([] if task_id is None else [task_id]))
        text = context.to_json()
        ttl = None if ttl_days is None else timedelta(days=ttl_days)
        async with self._handoffs(session) as handoffs:
            return await handoffs.save(text, summary, agent_id=agent_id, task_id=task_id, ttl=ttl)

    async def load_latest_handoff(
        self, agent_id: int, session: Session | None = None
    ) -> HandoffContext | None:
        """What the agent's last run left, if it has not expired; None if there is nothing."""
        _check_ids(agent_id)
        async with self._handoffs(session) as handoffs:
            artifact = await handoffs.latest(agent_id)
        return None if artifact is None else HandoffContext.from_json(artifact.context_data)

    async def load_handoff_history(
        self, agent_id: int, session: Session | None = None, limit: int = 10
    ) -> list[tuple[HandoffArtifact, HandoffContext]]:
        """What the agent's last runs left, newest first, without what has expired.

        Raises:
            InvalidInput: the limit is negative, or no number.
        """
        _check_ids(agent_id)
        _check_limit(limit)
        async with self._handoffs(session) as handoffs:
            artifacts = await handoffs.history(agent_id, limit)
        return [(artifact, HandoffContext.from_json(artifact.context_data)) for artifact in artifacts]

    async def load_project_handoffs(
        self, project_id: str, session: Session | None = None, limit: int = 10
    ) -> list[tuple[HandoffArtifact, HandoffContext]]:
        """What a project's last sessions left, newest session first, without what has expired.

        Raises:
            InvalidInput: the limit is negative, or no number.
        """
        _check_limit(limit)
        async with self._handoffs(session) as handoffs:
            artifacts = await handoffs.of_project(project_id, limit)
        return [(artifact, HandoffContext.from_json(artifact.context_data)) for artifact in artifacts]

    async def cleanup_expired(self, session: Session | None = None) -> int:
        """Delete what has expired, of all agents; how many that were."""
        async with self._handoffs(session) as handoffs:
            return await handoffs.remove_expired()

    @asynccontextmanager
    async def _handoffs(self, session: Session | None) -> AsyncIterator[Handoffs]:
        if session is not None:
            yield Handoffs(await connection_of(session))
            return
        async with (await self._store.open()).statements() as tx:  # each method is one
            yield tx.handoffs


def _check_ttl(days: object) -> None:
    number = isinstance(days, int | float) and not isinstance(days, bool)
    if days is not None and not (number and 0 < days <= 36_500):  # type: ignore[operator]  # it is a number
        raise InvalidInput(f"ttl_days is {days!r:.60}; it must be more than 0 and at most 36500, or None.")


def _check_limit(limit: object) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInput(f"limit is {limit!r:.60}; it must be a whole number, 0 or more.")


def _check_ids(*ids: object) -> None:
    for each in ids:
        if isinstance(each, bool) or not isinstance(each, int):
            raise InvalidInput(f"{each!r:.60} is no id of an agent or a task; ids are integers.")


async def connection_of(session: Session) -> AsyncConnection:
    """The connection that a caller's session works on."""
    return await session.connection() if isinstance(session, AsyncSession) else session
