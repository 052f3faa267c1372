"""Where a project stands, as one dictionary.

The SQL is here and nowhere else: `Projects.status` runs it through SQLAlchemy, and a command that only wants
to show it runs it through asyncpg, without the imports that would take longer than the answer.
"""

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import asyncpg

from shiftwork.errors import InvalidInput, NotFound, StackError
from shiftwork.store.connect import answering, connect

NAMES_SQL = "SELECT name FROM projects ORDER BY created_at DESC LIMIT 200"
"""Whoever misspells a name means one of these."""

FIND_SQL = """
SELECT id::text AS id, name, (id::text = lower($1) OR name = $1) AS exact
FROM projects
WHERE id::text = lower($1) OR name = $1 OR ($2::boolean AND starts_with(id::text, lower($1)))
ORDER BY exact DESC, created_at DESC
LIMIT 5
"""

NEWEST_SQL = "SELECT id::text AS id FROM projects ORDER BY created_at DESC LIMIT 1"

STATUS_SQL = """
SELECT json_build_object(
    'project_id', p.id,
    'name', p.name,
    'status', p.status,
    'reason', p.status_reason,
    'feature_breakdown', (
        SELECT json_object_agg(status, count)
        FROM (SELECT status, count(*) FROM features WHERE project_id = p.id GROUP BY status) counts
    ),
    'recent_progress', (
        SELECT json_agg(json_build_object(
            'at', entry.created_at, 'session', entry.number, 'action', entry.action,
            'outcome', entry.outcome, 'commit', entry.commit
        ) ORDER BY entry.id DESC)
        FROM (
            SELECT progress.*, sessions.number
            FROM progress LEFT JOIN sessions ON sessions.id = progress.session_id
            WHERE progress.project_id = p.id ORDER BY progress.id DESC LIMIT 10
        ) entry
    ),
    'current_sessions', (
        SELECT json_agg(json_build_object(
            'number', s.number, 'role', s.role, 'phase', s.phase, 'feature', f.name,
            'started_at', s.started_at
        ) ORDER BY s.number)
        FROM sessions s LEFT JOIN features f ON f.id = s.feature_id
        WHERE s.project_id = p.id AND s.ended_at IS NULL
    ),
    'questions', (
        SELECT json_agg(json_build_object('feature_id', f.id, 'feature', f.name, 'question', f.question)
            ORDER BY f.id)
        FROM features f WHERE f.project_id = p.id AND f.waiting
    ),
    'not_before', CASE WHEN p.not_before > clock_timestamp() THEN p.not_before END,
    'sessions', (SELECT count(*) FROM sessions WHERE project_id = p.id),
    'tokens', p.total_tokens,
    'cost_usd', p.total_cost_usd,
    'budget_usd', p.budget_usd,
    'estimated', (
        SELECT json_build_object(
            'calls', count(*),
            'tokens', coalesce(sum(
                u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens), 0),
            'cost_usd', coalesce(sum(u.cost_usd), 0)
        )
        FROM usage u JOIN sessions s ON s.id = u.session_id
        WHERE s.project_id = p.id AND u.estimated
    ),
    'repository', p.repository,
    'branch', p.branch,
    'updated_at', p.updated_at
)::text AS status
FROM projects p
WHERE p.id::text = $1
"""

FEATURE_STATUSES = ("not_started", "in_progress", "passing", "failing", "blocked")

_WORDS = re.compile(r"[\W_]+")
"""What stands between words."""

_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{3,35}", re.IGNORECASE)


async def project_status(database_url: str, ref: str | None = None) -> dict[str, Any]:
    """The status of the project with this id, unique id prefix or name; None: of the newest project.

    Imports nothing but asyncpg, and opens one connection for the one answer.

    Raises:
        NotFound: there is no such project.
        InvalidInput: the prefix fits several projects.
        StackError: the database can't be reached, or has no tables yet.
    """
    connection = await connect(database_url)
    try:
        with answering():
            return await read_status(connection, ref)
    except asyncpg.UndefinedTableError as error:
        raise StackError("The database holds no Shiftwork tables yet; start Shiftwork once.") from error
    finally:
        await connection.close()


async def read_status(connection: asyncpg.Connection, ref: str | None = None) -> dict[str, Any]:
    """As `project_status`, on a connection that is open."""
    if ref is None:
        project_id = await connection.fetchval(NEWEST_SQL)
        if project_id is None:
            raise NotFound("There is no project yet; start one with `shiftwork start`.")
    else:
        found = await connection.fetch(FIND_SQL, *find_arguments(ref))
        project_id = choose(ref, found, () if found else await connection.fetch(NAMES_SQL))
    return shape(await connection.fetchval(STATUS_SQL, project_id))


def find_arguments(ref: str) -> tuple[str, bool]:
    """What `FIND_SQL` takes: the reference, and whether it may be the beginning of an id."""
    return ref.replace("\0", ""), _PREFIX.fullmatch(ref) is not None


def choose(ref: str, found: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]] = ()) -> str:
    """The id of the one project that `ref` means, out of the rows of `FIND_SQL`; `known`: of `NAMES_SQL`."""
    if not found:
        near = _nearest(ref, [row["name"] for row in known])
        hint = f"did you mean {near!r}?" if near else "take one of the list of projects."
        raise NotFound(f"No project has the id or name {ref!r}; {hint}")
    if len(found) > 1 and not found[0]["exact"]:
        names = ", ".join(f"{row['name']!r}" for row in found)
        raise InvalidInput(f"The id {ref!r} could mean several projects ({names}); write more of it.")
    project_id: str = found[0]["id"]
    return project_id


def _nearest(ref: str, names: Sequence[str]) -> str | None:
    """The name that is written most like this, whatever its case and what stands between its words."""
    folded = {_WORDS.sub(" ", name.lower()): name for name in names}
    near = get_close_matches(_WORDS.sub(" ", ref[:200].lower()), folded, n=1, cutoff=0.8)
    return folded[near[0]] if near else None


def shape(text: str) -> dict[str, Any]:
    """The status as it is shown, from what `STATUS_SQL` gave."""
    status: dict[str, Any] = json.loads(text)
    counts = {name: (status["feature_breakdown"] or {}).get(name, 0) for name in FEATURE_STATUSES}
    total, passing = sum(counts.values()), counts["passing"]
    lists = {key: status[key] or [] for key in ("recent_progress", "current_sessions", "questions")}
    head = {key: status[key] for key in ("project_id", "name", "status", "reason")}
    figures = {
        "total_features": total,
        "passing_features": passing,
        "progress_percent": round(100 * passing / total, 1) if total else 0.0,
        "feature_breakdown": counts,
    }
    return {**status, **head, **figures, **lists}
