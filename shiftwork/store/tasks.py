"""Tasks: created once, begun by one attempt at a time, ended by the attempt that runs them."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Executable, Select, delete, func, literal, select, true, update

from shiftwork.contracts.task import TRANSITIONS, TaskStatus
from shiftwork.errors import Conflict, LeaseLost, NotFound, UnreadableRow
from shiftwork.store.agents import AgentRow
from shiftwork.store.noun import Noun, is_id, read_row
from shiftwork.store.pending import REQUESTED, PendingTask, left, pending
from shiftwork.store.run_statements import (
    BEGIN,
    CREATE,
    CREATE_OF_AGENT,
    FINISH,
    FINISH_TELLING,
    GET,
    OWN_SERVER,
    beginning,
    given,
    parts,
    told_of,
)
from shiftwork.store.tables import TaskTable
from shiftwork.store.task_rows import (
    MOST_OF_A_LINE,
    Begun,
    NewTask,
    TaskFilter,
    TaskLine,
    TaskOutcome,
    TaskRow,
)


class Tasks(Noun):
    """The rows of `tasks`."""

    async def create(self, task: NewTask) -> TaskRow:
        """The task, created; one with the same `request_key` is found again instead."""
        new = await self._changed(CREATE, given(_values(task)))
        if new is not None:
            return new
        assert task.request_key is not None
        return await self.by_key(task.request_key)

    async def create_of_agent(self, task: NewTask, ref: str) -> tuple[TaskRow, AgentRow] | None:
        """The task of the agent of this name or id, and the agent, by one statement.

        None if that did not do: no such agent can be run, or there is a task with the same `request_key`.

        Raises:
            UnreadableRow: what is stored of the agent can't be read; no task was made.
        """
        number = int(ref) if ref.isascii() and ref.isdigit() else None  # which is no name
        if number is not None and not is_id(number):
            return None
        of = {"agent_id": number, "agent_name": ref if number is None else None}
        result = await self._connection.execute(CREATE_OF_AGENT, {**given(_values(task)), **of})
        found = result.mappings().first()
        if found is None:
            return None
        row, agent, _ = parts(dict(found))
        created = read_row(TaskRow, row)
        try:
            return created, read_row(AgentRow, agent)
        except UnreadableRow:
            await self.remove_unbegun(created.id)
            raise

    async def get(self, task_id: int) -> TaskRow:
        """The task with this id; raises `NotFound`."""
        row = await self._first(GET, TaskRow, {"wanted": task_id}) if is_id(task_id) else None
        if row is None:
            raise NotFound(f"There is no task {task_id}; `shiftwork tasks list` shows those there are.")
        return row

    async def hold(self, task_id: int) -> TaskRow:
        """The task, which nobody else moves until the transaction ends; raises `NotFound`."""
        return await self._locked(task_id)

    async def by_key(self, request_key: str) -> TaskRow:
        """The task that was made under this key; raises `NotFound`."""
        row = await self._first(_select().where(TaskTable.request_key == request_key), TaskRow)
        if row is None:
            raise NotFound(f"There is no task of the request {request_key!r}.")
        return row

    async def by_uuid(self, uuid: str) -> TaskRow:
        """The task with this public id; raises `NotFound`."""
        row = await self._first(_select().where(TaskTable.uuid == uuid), TaskRow)
        if row is None:
            raise NotFound(f"There is no task {uuid}; `shiftwork tasks list` shows those there are.")
        return row

    async def readable(
        self, wanted: TaskFilter, *, before: int | None = None, limit: int = 50
    ) -> tuple[list[TaskRow], list[UnreadableRow]]:
        """Tasks like this that can be read, newest first, and what is wrong with the others.

        Args:
            before: only those with a smaller id, which is how the next page is had.
        """
        return await self._readable(_page(wanted, before, limit), TaskRow)

    async def lines(
        self, wanted: TaskFilter, *, limit: int, offset: int = 0
    ) -> tuple[list[TaskLine], list[UnreadableRow]]:
        """Tasks as a list has them, newest first, and what is wrong with those that can't be read.

        Of long texts there are the first `MOST_OF_A_LINE` characters.
        """
        columns = TaskTable.__table__.c
        statement = select(
            *(columns[name] for name in TaskLine.model_fields if name not in _LONG),
            *(func.left(columns[name], MOST_OF_A_LINE).label(name) for name in _LONG),
        ).where(*wanted.conditions())
        page = statement.order_by(TaskTable.id.desc()).limit(limit).offset(offset)
        return await self._readable(page, TaskLine)

    async def count(self, wanted: TaskFilter) -> int:
        """How many tasks are like this."""
        statement = select(func.count()).select_from(TaskTable).where(*wanted.conditions())
        return int(await self._value(statement))

    async def pending(
        self, limit: int = 1_000, *, without: Collection[int] = (), newest: int | None = None
    ) -> list[PendingTask]:
        """Those that nothing has run yet: what was moved to `running` by hand first, then oldest first.

        Occurrences have workflows of their own, and what was made to be run at once is its maker's to begin.

        Args:
            limit: the most, of every agent as many as of any other.
            without: ids of tasks to leave out.
            newest: only those with this id, or a smaller one.
        """
        result = await self._connection.execute(pending(limit, without, newest))
        return [PendingTask(row.id, row.agent_id) for row in result]

    async def newest(self) -> int:
        """The id of the task that was made last; 0: there is none."""
        return int(await self._value(select(func.coalesce(func.max(TaskTable.id), 0))))

    async def left(self, limit: int = 1_000) -> list[int]:
        """Those to be run at once that their makers have not had begun within a minute, oldest first."""
        result = await self._connection.execute(left(limit))
        return list(result.scalars())

    async def begin(self, task_id: int, worker: str, trace: Mapping[str, JsonValue]) -> Begun:
        """Run it from now on: an attempt of its own, which alone may end it; an earlier one may no longer.

        Args:
            trace: added to its trace, as far as no earlier attempt wrote the same.

        Raises:
            NotFound: there is no such task.
            Conflict: it has ended.
        """
        if not is_id(task_id):
            raise _refusal(await self.get(task_id), TaskStatus.RUNNING)
        result = await self._connection.execute(BEGIN, beginning(task_id, worker, trace))
        found = result.mappings().first()
        if found is None:
            raise _refusal(await self.get(task_id), TaskStatus.RUNNING)
        task, agent, handoff = parts(dict(found))
        return Begun(
            task=read_row(TaskRow, task),
            agent=read_row(AgentRow, agent) if agent else None,
            handoff=handoff,
        )

    async def note(self, task_id: int, token: int, trace: Mapping[str, JsonValue]) -> None:
        """Add to the trace of a running task; raises `LeaseLost` if another attempt runs it, or it ended."""
        await self._write_held(task_id, token, {"trace": TaskTable.trace.op("||")(_json(trace))})

    async def finish(self, task_id: int, token: int, outcome: TaskOutcome) -> TaskRow:
        """End it, as the attempt that has this token.

        Raises:
            LeaseLost: another attempt runs it, or it has ended; nothing was changed.
        """
        values = {**_known(outcome), "trace": outcome.trace}
        held = {"finished": task_id, "held": token}
        own = self._connection.sync_engine.get_execution_options().get(OWN_SERVER)
        finish = FINISH_TELLING if own else FINISH
        row = await self._changed(finish, {**given(values), **held}) if is_id(task_id) else None
        return row or await self._refuse_held(task_id)

    async def move(self, task_id: int, outcome: TaskOutcome) -> TaskRow:
        """Give it another status, whoever runs it; its attempt can no longer end it.

        Raises:
            NotFound: there is no such task.
            Conflict: that status can't follow the one it has; nothing was changed.
        """
        row = await self._locked(task_id)
        _check(row, outcome.status)
        if outcome.status is TaskStatus.RUNNING:
            # Nobody runs it yet: it has no worker, and this is no attempt.
            trace = TaskTable.trace.op("||")(_json(outcome.trace))
            started = {"started_at": func.clock_timestamp(), "trace": trace}
            return await self._write(task_id, {"status": outcome.status.value, **started})
        return await self._write(task_id, _ended(outcome))

    async def remove_unbegun(self, task_id: int) -> bool:
        """Remove a task that nothing has run; whether there was one.

        A workflow may be about to: look for it first, while the task is held.
        """
        waiting = (TaskTable.id == task_id) & (TaskTable.status == TaskStatus.CREATED)
        statement = delete(TaskTable).where(waiting)
        return await self._hits(statement.returning(TaskTable.id))

    async def _locked(self, task_id: int) -> TaskRow:
        statement = _select().where(TaskTable.id == task_id).with_for_update()
        row = await self._first(statement, TaskRow) if is_id(task_id) else None
        return row or await self.get(task_id)

    async def _write_held(self, task_id: int, token: int, values: Mapping[str, Any]) -> TaskRow:
        """Change what the attempt with this token runs: one statement, which waits for who has the row."""
        held = (TaskTable.status == TaskStatus.RUNNING) & (TaskTable.token == token)
        return await self._written(task_id, held, values) or await self._refuse_held(task_id)

    async def _refuse_held(self, task_id: int) -> NoReturn:
        found = await self.get(task_id)
        raise LeaseLost(f"Task {task_id} is {found.status}, and another attempt's by now.")

    async def _write(self, task_id: int, values: Mapping[str, Any]) -> TaskRow:
        row = await self._written(task_id, true(), values)
        assert row is not None
        return row

    async def _written(
        self, task_id: int, condition: ColumnElement[bool], values: Mapping[str, Any]
    ) -> TaskRow | None:
        """The task as it is by now; None if there is none that this is true of."""
        if not is_id(task_id):
            return None
        changing = update(TaskTable).where(TaskTable.id == task_id, condition).values(**values)
        return await self._changed(changing.returning(TaskTable.__table__, told_of()))

    async def _changed(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> TaskRow | None:
        """The row that it made or changed, if there is one; who listens is told by the same statement."""
        result = await self._connection.execute(statement, values)
        found = result.mappings().first()
        return None if found is None else read_row(TaskRow, parts(dict(found))[0])


_LONG = ("instruction", "result", "error")


def _select() -> Select[Any]:
    return select(TaskTable.__table__)


def _page(wanted: TaskFilter, before: int | None, limit: int) -> Select[Any]:
    statement = _select().where(*wanted.conditions()).order_by(TaskTable.id.desc()).limit(limit)
    return statement if before is None else statement.where(TaskTable.id < before)


def _json(value: Mapping[str, JsonValue]) -> ColumnElement[Any]:
    return literal(dict(value), TaskTable.trace.type)


def _values(task: NewTask) -> dict[str, Any]:
    """The columns of a task that is made."""
    trace = {REQUESTED: datetime.now(UTC).isoformat()} if task.at_once else {}
    return {**task.model_dump(exclude={"at_once"}), "status": TaskStatus.CREATED.value, "trace": trace}


def _known(outcome: TaskOutcome) -> dict[str, Any]:
    """The columns of which the outcome says what becomes of them."""
    return {
        "status": outcome.status.value,
        "result": outcome.result,
        "error": outcome.error,
        "error_kind": outcome.error_kind and outcome.error_kind.value,
        "duration": outcome.duration,
    }


def _ended(outcome: TaskOutcome) -> dict[str, Any]:
    """What becomes of the columns of a task that ends so."""
    return {
        **_known(outcome),
        "trace": TaskTable.trace.op("||")(_json(outcome.trace)),
        "token": None,
        "ended_at": func.clock_timestamp(),
    }


def _check(row: TaskRow, status: TaskStatus) -> None:
    if status not in TRANSITIONS[row.status]:
        raise _refusal(row, status)


def _refusal(row: TaskRow, status: TaskStatus) -> Conflict:
    return Conflict(f"Task {row.id} is {row.status}, which {status} can't follow; nothing was changed.")
