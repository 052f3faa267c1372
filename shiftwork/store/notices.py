"""What is to be told of the ends of tasks: each end is found, and stays due until it was told."""

from datetime import datetime
from typing import Final

from shiftwork.contracts.base import Message
from shiftwork.store.noun import Noun

TRIES: Final = 80
"""How often one end is tried to be told: for three days."""

_FIRST_PAUSE: Final = 30.0
"""Seconds to the second try, for which the first is another's alone; each further pause is twice as long."""

_LONGEST_PAUSE: Final = 3600.0

_LAG: Final = 3600.0
"""Seconds after its moment in which the end of a task can be seen at the latest."""

_JOIN = "INSERT INTO webhooks (endpoint) VALUES ($1) ON CONFLICT DO NOTHING RETURNING endpoint"

# Oldest first, so that what is left for the next time is newer than what is found. What another worker noted
# at the same time counts, too: it would look as if nothing were left. `since` is a question of its own, as
# joined it has PostgreSQL look through the ends of years.
_FIND = """
WITH ends AS (
    SELECT id FROM tasks
    WHERE ended_at >= (SELECT since FROM webhooks WHERE endpoint = $1) AND NOT EXISTS (
        SELECT FROM task_notices WHERE endpoint = $1 AND task_id = tasks.id
    )
    ORDER BY ended_at, id LIMIT $2
), noted AS (
    INSERT INTO task_notices (endpoint, task_id) SELECT $1, id FROM ends ON CONFLICT DO NOTHING
)
SELECT id FROM ends
"""

_SEEN = """
UPDATE webhooks SET since = clock_timestamp() - make_interval(secs => $2)
WHERE endpoint = $1 AND since < clock_timestamp() - make_interval(secs => 2 * $2) RETURNING endpoint
"""

# What was told, or given up, of ends that are not looked for any more.
_FORGET = """
DELETE FROM task_notices USING webhooks, tasks
WHERE webhooks.endpoint = $1 AND task_notices.endpoint = $1 AND task_id = tasks.id AND ended_at < since
    AND (delivered_at IS NOT NULL OR attempts >= $2)
RETURNING task_id
"""

_CLAIM = """
WITH mine AS (
    SELECT task_id FROM task_notices
    WHERE endpoint = $1 AND delivered_at IS NULL AND due_at <= clock_timestamp() AND attempts < $2
    ORDER BY due_at, task_id LIMIT $3 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE task_notices
    SET attempts = attempts + 1,
        due_at = clock_timestamp() + make_interval(secs => least($4 * 2 ^ least(attempts, 20), $5))
    FROM mine WHERE endpoint = $1 AND task_notices.task_id = mine.task_id
    RETURNING task_notices.task_id, attempts
)
SELECT tasks.id, uuid::text AS uuid, provider, agent_id, name AS agent, agent_version, status,
    error, error_kind, duration, attempt, scheduled_at, tasks.created_at, started_at, ended_at, attempts
FROM claimed JOIN tasks ON tasks.id = claimed.task_id LEFT JOIN agents ON agents.id = agent_id
WHERE ended_at IS NOT NULL
ORDER BY ended_at, tasks.id
"""

_DELIVERED = """
UPDATE task_notices SET delivered_at = clock_timestamp()
WHERE endpoint = $1 AND task_id = $2 RETURNING task_id
"""


class EndedTask(Message):
    """What is told of a task that has ended; its result is not.

    Attributes:
        status, error_kind: words that a newer version may know more of.
        agent: its name; None: the task has no agent.
        duration: seconds that its last attempt took.
    """

    id: int
    uuid: str
    provider: str
    agent_id: int | None
    agent: str | None
    agent_version: int | None
    status: str
    error: str | None
    error_kind: str | None
    duration: float | None
    attempt: int
    scheduled_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime


class Notice(EndedTask):
    """The same; and how often it was tried to be told, with this time."""

    attempts: int


class Notices(Noun):
    """The rows of `webhooks` and `task_notices`."""

    async def join(self, endpoint: str) -> None:
        """Have this address be told of what ends from now on; may be said again."""
        await self._run(_JOIN, endpoint)

    async def find(self, endpoint: str, limit: int) -> int:
        """Note what has ended since; how many ends of at most so many."""
        found = len(await self._run(_FIND, endpoint, limit))
        if found < limit and await self._run(_SEEN, endpoint, _LAG):
            await self._run(_FORGET, endpoint, TRIES)
        return found

    async def claim(self, endpoint: str, limit: int) -> list[Notice]:
        """Ends that are to be told now, and are nobody else's for half a minute."""
        rows = await self._run(_CLAIM, endpoint, TRIES, limit, _FIRST_PAUSE, _LONGEST_PAUSE)
        return [Notice.model_validate(row) for row in rows]

    async def delivered(self, endpoint: str, task_id: int) -> None:
        """The address took it."""
        await self._run(_DELIVERED, endpoint, task_id)
