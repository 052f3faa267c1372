"""The workflows of tasks, as clients start, find and cancel them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from client.temporal_errors import unanswered
from shiftwork.contracts.task import TaskStart
from shiftwork.errors import Conflict, NotFound
from shiftwork.store.schedules import OCCURRENCE
from shiftwork.store.task_rows import TaskRow
from shiftwork.temporal import PROCESS_QUEUE, TASK_WORKFLOW, agent_attributes, task_workflow_id
from shiftwork.text import plain_markdown

_TASK = "task_id"
"""Where a workflow says which task it runs."""

_MOMENT = 5.0


async def start_workflow(
    client: Client, task: TaskRow, start: TaskStart, name: str, task_seconds: float
) -> bool:
    """Start the workflow of a task; False if one of its id runs. Raises `StackError`."""
    try:
        await client.start_workflow(
            TASK_WORKFLOW,
            start,
            id=task_workflow_id(task.id, task.agent_id),
            task_queue=PROCESS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=timedelta(seconds=task_seconds),
            static_summary=plain_markdown(f"{name}: task {task.id}"),
            search_attributes=agent_attributes(name),
            memo={_TASK: task.id},
        )
    except WorkflowAlreadyStartedError:
        return False
    except RPCError as error:
        raise unanswered(error) from error
    return True


async def begin(
    client: Client,
    task: TaskRow,
    name: str,
    start: Callable[[], Awaitable[bool]],
    look: Callable[[int], Awaitable[TaskRow]],
) -> bool:
    """Start the workflow of a task, unless somebody did; whether it was we.

    Args:
        name: whose run it is, for people.
        start: does so, unless one of its id runs.
        look: reads another task.

    Raises:
        Conflict: its agent runs another task.
        StackError: Temporal does not answer.
    """
    deadline = time.monotonic() + _MOMENT
    workflow_id, what = task_workflow_id(task.id, task.agent_id), "another run"
    while not await start():
        found = await _running(client, workflow_id)
        if found is not None:  # else it has ended meanwhile, and another may have been started, too
            workflow, running = found
            if running == task.id:
                return False  # whoever asked before, and got no answer, had it begin
            if running is not None:
                what = f"task {running}"
                if await _goes_on(running, look):
                    raise Conflict(
                        f"{name!r} runs already ({what}), and has one run at a time; wait for its end."
                    )
            # The task has ended, and its workflow does in a moment, unless somebody ended the task by hand.
            await _closed(workflow, deadline - time.monotonic())
        if time.monotonic() > deadline:
            raise Conflict(f"{name!r} is still being ended ({what}); try again in a moment.")
    return True


async def _goes_on(task_id: int, look: Callable[[int], Awaitable[TaskRow]]) -> bool:
    try:
        return not (await look(task_id)).status.ended
    except NotFound:  # its workflow ends as it finds none
        return False


async def workflow_of(client: Client, task: TaskRow) -> WorkflowHandle[Any, Any] | None:
    """The run of a workflow that has this very task, and runs; None if there is none. Raises `StackError`."""
    own = task_workflow_id(task.id, task.agent_id)
    for workflow_id in (own, f"{own}-task-{task.id}"):
        found = await _running(client, workflow_id)
        if found is not None and found[1] == task.id:
            return found[0]
    return None


async def occurrence_goes_on(client: Client, task: TaskRow) -> bool:
    """Whether the workflow of an occurrence is still to have this task run. Raises `StackError`."""
    occurrence = task.trace.get(OCCURRENCE)
    return isinstance(occurrence, str) and await _running(client, occurrence) is not None


async def cancel(workflow: WorkflowHandle[Any, Any]) -> None:
    """Cancel it; harmless if it has ended meanwhile. Raises `StackError`."""
    try:
        await workflow.cancel()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise unanswered(error) from error


async def _closed(workflow: WorkflowHandle[Any, Any], seconds: float) -> None:
    """Wait for the end of a workflow, for so many seconds."""
    with suppress(WorkflowFailureError, RPCError, TimeoutError):
        async with asyncio.timeout(seconds):  # an answer that is late is asked for again by the client
            await workflow.result(follow_runs=False)


async def _running(client: Client, workflow_id: str) -> tuple[WorkflowHandle[Any, Any], int | None] | None:
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise unanswered(error) from error
    if found.status is not WorkflowExecutionStatus.RUNNING:
        return None
    task_id: int | None = await found.memo_value(_TASK, default=None, type_hint=int)
    return client.get_workflow_handle(workflow_id, run_id=found.run_id), task_id
