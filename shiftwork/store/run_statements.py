"""The statements of each run: made once, because building one takes longer than the server does."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.agent import PYTHON
from shiftwork.contracts.task import TaskStatus
from shiftwork.store.tables import LEASE_TOKENS, AgentTable, AgentVersionTable, HandoffTable, TaskTable

CHANNEL = "shiftwork_tasks"
"""Where PostgreSQL tells of each task that changed: its id, its status, and its row, if that is short and
`FINISH_TELLING` ended it, with spaces between them."""

_MOST_TOLD: Final = 7_900
"""Bytes of a row that are told; PostgreSQL takes just under 8,000 in all."""

WRITES = "shiftwork_writes"
"""The execution option of a SELECT that writes all the same."""

OWN_SERVER = "shiftwork_own_server"
"""The execution option of an engine to whose server nobody but a stack's own programs can connect."""

_TASKS: Final = TaskTable.metadata.tables["tasks"]
_BEGINNABLE = (TaskStatus.CREATED, TaskStatus.RUNNING)
"""What an attempt may begin: of a running task an earlier attempt was lost, or somebody moved it by hand."""

_OF_NEW = (
    "provider",
    "user_id",
    "instruction",
    "parameters",
    "request_key",
    "scheduled_at",
    "status",
    "trace",
)
_OF_END = ("status", "result", "error", "error_kind", "duration")
_OF_AGENT = "agent/"
_HANDOFF = "handoff"


def _is(*statuses: TaskStatus) -> ColumnElement[bool]:
    return or_(*(_TASKS.c.status == _constant(status) for status in statuses))


def _constant(value: str | int) -> ColumnElement[Any]:
    """A value of ours that stands in the statement: one that is given is looked through for secrets."""
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def told_of(*more: ColumnElement[Any]) -> ColumnElement[Any]:
    """Has the statement that changes a task tell of it, once it is committed."""
    told = func.concat(_TASKS.c.id, _constant(" "), _TASKS.c.status, *more)
    return func.pg_notify(_constant(CHANNEL), told).label("told")


def _row() -> ColumnElement[Any]:
    """The row of a task that ended, as it is told; nothing of a long one."""
    nothing, most = _constant(""), _constant(_MOST_TOLD)
    row = cast(func.to_jsonb(literal_column("tasks")), Text)
    shown = case((func.octet_length(row) < most, func.concat(_constant(" "), row)), else_=nothing)
    # Of one with a long result the row is not even made.
    short = func.coalesce(func.octet_length(_TASKS.c.result), _constant(0)) < most
    return case((short, shown), else_=nothing)


def agent_columns() -> list[ColumnElement[Any]]:
    """What a row of an agent in one of its versions has."""
    agent, version = AgentTable.__table__.c, AgentVersionTable.__table__.c
    return [
        *(agent[name] for name in ("id", "name", "created_at", "updated_at", "deleted_at")),
        *(version[name] for name in ("version", "kind", "description", "code", "settings", "config")),
    ]


def _value(name: str) -> BindParameter[Any]:
    """What is given when it is executed, of the type of its column; named so that it is no column's."""
    return bindparam(f"new_{name}", type_=_TASKS.c[name].type)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of columns, as `CREATE`, `CREATE_OF_AGENT` and `FINISH` take them."""
    return {f"new_{name}": value for name, value in values.items()}


def _create() -> Any:
    values = {name: _value(name) for name in (*_OF_NEW, "agent_id", "agent_version")}
    new = insert(_TASKS).values(values).on_conflict_do_nothing(index_elements=[_TASKS.c.request_key])
    return new.returning(_TASKS, told_of())


def _create_of_agent() -> Any:
    agent, version = AgentTable.__table__.c, AgentVersionTable.__table__.c
    runnable = or_(version.kind != PYTHON, version.code.is_not(None))
    named = or_(agent.id == bindparam("agent_id"), agent.name == bindparam("agent_name"))
    newest = (version.agent_id == agent.id) & (version.version == agent.version)
    found = select(*agent_columns()).where(named, newest, agent.deleted_at.is_(None), runnable).cte("found")
    new = select(found.c.id, found.c.version, *(_value(name) for name in _OF_NEW))
    created = (
        insert(_TASKS)
        .from_select(["agent_id", "agent_version", *_OF_NEW], new)
        .on_conflict_do_nothing(index_elements=[_TASKS.c.request_key])
        .returning(_TASKS, told_of())
        .cte("created")
    )
    of_agent = (column.label(f"{_OF_AGENT}{column.name}") for column in found.c)
    both = select(*created.c, *of_agent).select_from(created.join(found, true()))
    return both.execution_options(**{WRITES: True})


def _finish(*more: ColumnElement[Any]) -> Any:
    held = _is(TaskStatus.RUNNING) & (_TASKS.c.token == bindparam("held"))
    values = {name: _value(name) for name in _OF_END}
    return (
        update(_TASKS)
        .where(_TASKS.c.id == bindparam("finished"), held)
        .values(
            **values,
            trace=_TASKS.c.trace.op("||")(_value("trace")),
            token=None,
            ended_at=func.clock_timestamp(),
        )
        .returning(_TASKS, told_of(*more))
    )


def _begin() -> Any:
    begun = (
        update(_TASKS)
        .where(_TASKS.c.id == bindparam("begun"), _is(*_BEGINNABLE))
        .values(
            status=_constant(TaskStatus.RUNNING),
            worker=bindparam("begun_by"),
            attempt=_TASKS.c.attempt + _constant(1),
            token=LEASE_TOKENS.next_value(),
            started_at=func.coalesce(_TASKS.c.started_at, func.clock_timestamp()),
            trace=bindparam("noted", type_=_TASKS.c.trace.type).op("||")(_earlier_trace()),
        )
        .returning(_TASKS, told_of())
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
    run = select(*begun.c, *of_agent, latest.c[_HANDOFF]).select_from(joined)
    return run.execution_options(**{WRITES: True})


def _earlier_trace() -> ColumnElement[Any]:
    """What an earlier attempt wrote stays, but for how far that was."""
    trace = _TASKS.c.trace
    return case((_TASKS.c.attempt > _constant(0), trace.op("-")(literal_column("'progress'"))), else_=trace)


CREATE: Final = _create()
"""Makes a task, unless there is one of its `request_key`; of the columns in `given`."""

CREATE_OF_AGENT: Final = _create_of_agent()
"""The same of the agent with this `agent_id` or `agent_name`, if there is one that can be run: both rows."""

BEGIN: Final = _begin()
"""Has an attempt run a task. Its parameters are those of `beginning`."""

FINISH: Final = _finish()
"""Ends the task `finished`, if the attempt with the token `held` runs it."""

FINISH_TELLING: Final = _finish(_row())
"""The same, and tells its row, which saves who waits for it a question: where nobody else can listen."""

GET: Final = select(_TASKS).where(_TASKS.c.id == bindparam("wanted"))
"""The task with the id `wanted`."""


def beginning(task_id: int, worker: str, trace: Mapping[str, Any]) -> dict[str, Any]:
    """What `BEGIN` is executed with."""
    return {"begun": task_id, "begun_by": worker, "noted": dict(trace)}


def parts(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Columns of the task, of its agent (none: it has none), and the latest handoff, if that was read."""
    task = {name: found[name] for name in _TASKS.c.keys()}  # noqa: SIM118 - columns, not a dict
    agent = {
        name.removeprefix(_OF_AGENT): value for name, value in found.items() if name.startswith(_OF_AGENT)
    }
    return task, agent if agent.get("version") is not None else {}, found.get(_HANDOFF)
