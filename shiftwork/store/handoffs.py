"""Handoffs: what a run of an agent, or a session, leaves for the next one, until it expires."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from shiftwork.contracts.base import Message
from shiftwork.errors import NotFound, UnreadableRow
from shiftwork.store.noun import Noun, is_id, unreadable
from shiftwork.store.types import storable

Told = TypeVar("Told")

# Plain SQL, because building statements would take longer than the server does.
_SAVE = """
INSERT INTO handoff_artifacts (agent_id, task_id, session_id, context_data, summary, expires_at)
SELECT $1, $2, $3, $4, $5, clock_timestamp() + $6::interval
WHERE num_nonnulls($1::bigint, $3::bigint) = 1
    AND ($1::bigint IS NULL OR EXISTS (SELECT FROM agents WHERE id = $1))
    AND ($2::bigint IS NULL OR EXISTS (SELECT FROM tasks WHERE id = $2 AND agent_id = $1))
    AND ($3::bigint IS NULL OR EXISTS (SELECT FROM sessions WHERE id = $3))
ON CONFLICT (session_id) DO NOTHING
RETURNING *
"""
_OF_SESSION = "SELECT * FROM handoff_artifacts WHERE session_id = $1"
_LIVING = """
SELECT * FROM handoff_artifacts
WHERE agent_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3
"""
_ONE = """
SELECT * FROM handoff_artifacts
WHERE agent_id = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""
_NUMBER = """
SELECT count(*) AS number FROM handoff_artifacts
WHERE agent_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""
_FROM_PROJECT = """
FROM handoff_artifacts JOIN sessions ON sessions.id = session_id
WHERE project_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""
_OF_PROJECT = f"SELECT handoff_artifacts.* {_FROM_PROJECT} ORDER BY number DESC LIMIT $2 OFFSET $3"
_NUMBER_OF_PROJECT = f"SELECT count(*) AS number {_FROM_PROJECT}"
_EXPIRED = "DELETE FROM handoff_artifacts WHERE expires_at <= clock_timestamp() RETURNING id"


class HandoffArtifact(Message):
    """A stored handoff; of an agent (and the task that left it), or of a session.

    Attributes:
        context_data: the context as JSON; see `shiftwork.handoffs.HandoffContext`.
        summary: for people, at most 2,000 characters.
        expires_at: from when on it is never loaded again; None: never.
    """

    id: int
    agent_id: int | None
    task_id: int | None
    session_id: int | None
    context_data: str
    summary: str
    created_at: datetime
    expires_at: datetime | None

    def parts(self) -> dict[str, Any]:
        """The parts of the context as they are stored; raises `UnreadableRow`."""
        try:
            found = json.loads(self.context_data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise unreadable(f"handoff {self.id}", "context_data: must be an object of JSON", self.id)
        return found


def readable(
    artifacts: Iterable[HandoffArtifact], of: Callable[[HandoffArtifact], Told]
) -> tuple[list[Told], list[UnreadableRow]]:
    """What is told of each, and what is wrong with those that can't be read."""
    told: list[Told] = []
    left: list[UnreadableRow] = []
    for each in artifacts:
        try:
            told.append(of(each))
        except UnreadableRow as error:
            left.append(error)
    return told, left


class Handoffs(Noun):
    """The rows of `handoff_artifacts`."""

    async def save(
        self,
        context_data: str,
        summary: str,
        *,
        agent_id: int | None = None,
        task_id: int | None = None,
        session_id: int | None = None,
        ttl: timedelta | None = None,
    ) -> HandoffArtifact:
        """Keep one, of an agent or of a session; a session's is kept once, and found again after that.

        Raises:
            NotFound: there is no such agent or session, or the task is none of the agent's; the transaction
                goes on.
        """
        owner = (agent_id, task_id, session_id)
        rows: list[Mapping[str, Any]] = []
        if all(one is None or is_id(one) for one in owner):
            rows = await self._run(_SAVE, *owner, storable(context_data), storable(summary), ttl)
            if not rows and session_id is not None:
                rows = await self._run(_OF_SESSION, session_id)
        if not rows:
            raise NotFound(f"There is no {_owner(*owner)} to hand over from{_where(agent_id, task_id)}.")
        return HandoffArtifact.model_validate(rows[0])

    async def latest(self, agent_id: int) -> HandoffArtifact | None:
        """The agent's newest that has not expired, or None."""
        rows = await self.history(agent_id, 1)
        return rows[0] if rows else None

    async def get(self, agent_id: int, handoff_id: int) -> HandoffArtifact:
        """One of the agent's that has not expired; raises `NotFound`."""
        rows = await self._run(_ONE, agent_id, handoff_id) if is_id(handoff_id) else []
        if not rows:
            raise NotFound(
                f"Agent {agent_id} has no handoff {handoff_id}, or it has expired; "
                f"`shiftwork handoffs list {agent_id}` shows those there are."
            )
        return HandoffArtifact.model_validate(rows[0])

    async def history(self, agent_id: int, limit: int = 10, offset: int = 0) -> list[HandoffArtifact]:
        """The agent's that have not expired, newest first, without the first `offset`."""
        rows = await self._run(_LIVING, agent_id, limit, offset) if is_id(agent_id) else []
        return [HandoffArtifact.model_validate(row) for row in rows]

    async def count(self, agent_id: int) -> int:
        """How many the agent has that have not expired."""
        rows = await self._run(_NUMBER, agent_id) if is_id(agent_id) else []
        return int(rows[0]["number"]) if rows else 0

    async def of_project(self, project_id: str, limit: int = 10, offset: int = 0) -> list[HandoffArtifact]:
        """Those of a project's sessions that have not expired, newest first, without the first `offset`."""
        rows = await self._run(_OF_PROJECT, project_id, limit, offset)
        return [HandoffArtifact.model_validate(row) for row in rows]

    async def count_of_project(self, project_id: str) -> int:
        """How many a project's sessions left that have not expired."""
        rows = await self._run(_NUMBER_OF_PROJECT, project_id)
        return int(rows[0]["number"])

    async def remove_expired(self) -> int:
        """Delete what has expired; how many that were."""
        return len(await self._run(_EXPIRED))


def _where(agent_id: int | None, task_id: int | None) -> str:
    """What shows the owners that there are."""
    if agent_id is None:
        return ""
    if task_id is None:
        return "; `shiftwork agents list` shows those there are"
    return f"; `shiftwork tasks list --agent {agent_id}` shows its tasks"


def _owner(agent_id: int | None, task_id: int | None, session_id: int | None) -> str:
    named = {"agent": agent_id, "task": task_id, "session": session_id}
    said = " with ".join(f"{noun} {number}" for noun, number in named.items() if number is not None)
    return said or "agent or session"
