"""Tasks that no workflow runs any more, and that nobody else would end."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import Conflict, NotFound, UnreadableRow
from shiftwork.store.schedules import OCCURRENCE
from shiftwork.store.store import Store
from shiftwork.store.task_rows import TaskFilter, TaskOutcome, TaskRow
from shiftwork.temporal import TASK_WORKFLOW, task_workflow_id

_PAGE = 500
_ENDED_BY_PEOPLE = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.CANCELED)
_CUT_OFF = ("Terminated", "Canceled", "Failed", "TimedOut")


log = logging.getLogger("shiftwork.worker")


class LostTasks:
    """Has the tasks fail whose workflows ended without them; it may run twice at once."""

    def __init__(self, store: Store, client: Client) -> None:
        self._store = store
        self._client = client

    async def end(self) -> int:
        """End them all; how many that were."""
        ended = await self._end_running() + await self._end_unbegun() + await self._end_occurrences()
        return ended + await self._remove_left()

    async def _end_running(self) -> int:
        count, before = 0, None
        running = TaskFilter((TaskStatus.RUNNING,))
        while True:
            async with self._store.transaction() as tx:
                rows, unreadable = await tx.tasks.readable(running, before=before, limit=_PAGE)
            for row in rows:
                count += await self._end_if_lost(row)
            seen = _seen(rows, unreadable)
            if len(seen) < _PAGE:
                return count
            before = min(seen)

    async def _end_if_lost(self, row: TaskRow) -> bool:
        """Whether nothing ran it any more, and it was ended here."""
        status = await self._status(row)
        if status is WorkflowExecutionStatus.RUNNING:
            return False
        if status is None and not row.worker:
            return False  # moved by hand: it waits for a runner, and never had one
        with suppress(Conflict):  # its attempt ended it meanwhile
            async with self._store.transaction() as tx:
                await tx.tasks.move(row.id, _failed(status))
            return True
        return False

    async def _end_unbegun(self) -> int:
        """Those that a workflow was to run which was ended before any worker began them.

        They are found by the workflows that were cut off: many tasks may wait on purpose, and never had one.
        """
        count = 0
        async for execution in self._cut_off():
            task_id = await execution.memo_value("task_id", default=0, type_hint=int)
            try:
                count += await self._end_if_unbegun(task_id, execution.status)
            except NotFound:
                continue
            except UnreadableRow as error:
                _tell(error)
        return count

    async def _end_occurrences(self) -> int:
        """Those of occurrences whose workflow was ended before it had them run."""
        count, after = 0, 0
        while True:
            async with self._store.transaction() as tx:
                rows, unreadable = await tx.schedules.waiting(after, _PAGE)
            for row in rows:
                occurrence = row.trace.get(OCCURRENCE)
                found = await self._describe(occurrence) if isinstance(occurrence, str) else None
                if found is None or found.status is not WorkflowExecutionStatus.RUNNING:
                    with suppress(NotFound):
                        count += await self._end_if_unbegun(row.id, found.status if found else None)
            seen = _seen(rows, unreadable)
            if len(seen) < _PAGE:
                return count
            after = max(seen)

    async def _remove_left(self) -> int:
        """Those that were to be run at once, whose makers were lost before they had them begun.

        They go, as those do whose makers could not have them begun; nobody waits for them.
        """
        async with self._store.transaction() as tx:
            left = await tx.tasks.left()
        return sum([await self._remove_if_left(task_id) for task_id in left])

    async def _remove_if_left(self, task_id: int) -> bool:
        with suppress(NotFound, UnreadableRow):
            async with self._store.transaction() as tx:
                row = await tx.tasks.hold(task_id)  # as below
                return await self._status(row) is None and await tx.tasks.remove_unbegun(task_id)
        return False

    async def _end_if_unbegun(self, task_id: int, status: WorkflowExecutionStatus | None) -> bool:
        async with self._store.transaction() as tx:
            # Locked: whoever starts it anew does so before this, and is seen, or after it, and is refused.
            row = await tx.tasks.hold(task_id)
            if row.status is not TaskStatus.CREATED:
                return False
            if await self._status(row) is WorkflowExecutionStatus.RUNNING:
                return False
            await tx.tasks.move(row.id, _failed(status))
        return True

    async def _cut_off(self) -> AsyncIterator[WorkflowExecution]:
        statuses = ", ".join(f"'{status}'" for status in _CUT_OFF)
        query = f"WorkflowType = '{TASK_WORKFLOW}' AND ExecutionStatus IN ({statuses})"
        async for execution in self._client.list_workflows(query):
            yield execution

    async def _status(self, row: TaskRow) -> WorkflowExecutionStatus | None:
        """How the newest workflow of the task stands; None: there is none, or its agent has run since."""
        own = task_workflow_id(row.id, row.agent_id)
        for workflow_id in (own, f"{own}-task-{row.id}"):
            found = await self._describe(workflow_id)
            if found and await found.memo_value("task_id", default=0, type_hint=int) == row.id:
                return found.status
        return None

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            return await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None


def _seen(rows: Sequence[TaskRow], unreadable: Sequence[UnreadableRow]) -> list[int]:
    """The ids of a page; what can't be read is told of, and stays as it is."""
    for each in unreadable:
        _tell(each)
    return [*(row.id for row in rows), *(each.row_id for each in unreadable if each.row_id is not None)]


def _tell(unreadable: UnreadableRow) -> None:
    log.warning("its workflow is not looked for: %s", unreadable)


def _failed(status: WorkflowExecutionStatus | None) -> TaskOutcome:
    by_people = status in _ENDED_BY_PEOPLE
    return TaskOutcome(
        status=TaskStatus.FAILED,
        error="Its workflow was ended in Temporal." if by_people else "No workflow runs it any more.",
        error_kind=TaskErrorKind.CANCELLED if by_people else TaskErrorKind.LOST,
        trace={f"{TaskStatus.FAILED}_at": datetime.now(UTC).isoformat()},
    )
