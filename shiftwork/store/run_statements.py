"""Beginning a task: one statement, which also reads what it is run with."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, bindparam, cast, func, or_, select, true, update

from shiftwork.contracts.task import TaskStatus
from shiftwork.store.tables import LEASE_TOKENS, AgentTable, AgentVersionTable, HandoffTable, TaskTable

CHANNEL = "shiftwork_tasks"
"""Where PostgreSQL tells of each task that changed: its id."""

_BEGINNABLE = (TaskStatus.CREATED, TaskStatus.RUNNING)
"""What an attempt may begin: of a running task an earlier attempt was lost, or somebody moved it by hand."""

_OF_AGENT = "agent/"
_HANDOFF = "handoff"


def told_of() -> ColumnElement[Any]:
    """Has the statement that changes a task tell of it, once it is committed."""
    return func.pg_notify(CHANNEL, cast(TaskTable.id, Text)).label("told")


def agent_columns() -> list[ColumnElement[Any]]:
    """What a row of an agent in one of its versions has."""
    agent, version = AgentTable.__table__.c, AgentVersionTable.__table__.c
    return [
        *(agent[name] for name in ("id", "name", "created_at", "updated_at", "deleted_at")),
        *(version[name] for name in ("version", "kind", "description", "code", "settings", "config")),
    ]


def _begin() -> Any:
    begun = (
        update(TaskTable)
        .where(TaskTable.id == bindparam("begun"), TaskTable.status.in_(_BEGINNABLE))
        .values(
            status=TaskStatus.RUNNING.value,
            worker=bindparam("begun_by"),
            attempt=TaskTable.attempt + 1,
            token=LEASE_TOKENS.next_value(),
            started_at=func.coalesce(TaskTable.started_at, func.clock_timestamp()),
            # What an earlier attempt wrote stays.
            trace=bindparam("noted", type_=TaskTable.trace.type).op("||")(TaskTable.trace),
        )
        .returning(TaskTable.__table__, told_of())
        .cte("begun")
    )
    version = AgentVersionTable.__table__
    living = or_(HandoffTable.expires_at.is_(None), HandoffTable.expires_at > func.clock_timestamp())
    latest = (
        select(HandoffTable.context_data.label(_HANDOFF))
        .where(HandoffTable.agent_id == begun.c.agent_id, living)
        .order_by(HandoffTable.created_at.desc(), HandoffTable.id.desc())
        .limit(1)
        .lateral()
    )
    of_run = (version.c.agent_id == begun.c.agent_id) & (version.c.version == begun.c.agent_version)
    joined = (
        begun.outerjoin(AgentTable.__table__, AgentTable.id == begun.c.agent_id)
        .outerjoin(version, of_run)
        .outerjoin(latest, true())
    )
    of_agent = (column.label(f"{_OF_AGENT}{column.name}") for column in agent_columns())
    return select(*begun.c, *of_agent, latest.c[_HANDOFF]).select_from(joined)


BEGIN: Final = _begin()
"""Made once: building it takes longer than the server does. Its parameters are those of `beginning`."""


def beginning(task_id: int, worker: str, trace: Mapping[str, Any]) -> dict[str, Any]:
    """What `BEGIN` is executed with."""
    return {"begun": task_id, "begun_by": worker, "noted": dict(trace)}


def parts(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """What came of `BEGIN`: columns of the task, of its agent (none: it has none), and its latest handoff."""
    task = {name: found[name] for name in TaskTable.__table__.c.keys()}  # noqa: SIM118 - columns, not a dict
    agent = {
        name.removeprefix(_OF_AGENT): value for name, value in found.items() if name.startswith(_OF_AGENT)
    }
    return task, agent if agent["version"] is not None else {}, found[_HANDOFF]
