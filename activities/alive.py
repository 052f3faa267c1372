"""Heartbeats, and what may end a long activity before its work is done."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio import activity
from temporalio.client import (
    AsyncActivityCancelledError,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
)
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities.error_types import WORKER_STOPPING
from activities.orphans import WorkerRecord

Result = TypeVar("Result")

_SLOWEST_BEAT = 1.0
"""Seconds: how long a cancellation may take to arrive."""

_MOMENT = timedelta(seconds=5)
"""For how long the server is waited for when it is asked something."""


@asynccontextmanager
async def heartbeating(
    record: WorkerRecord, progress: Callable[[], object] | None = None
) -> AsyncIterator[None]:
    """Tell the server that this activity lives, from a task of its own.

    Four times per heartbeat timeout and at least once a second: cancellations arrive with the answers. The
    server waits from the start on, so that what ends at once costs it nothing.

    Args:
        progress: what to show of the work in Temporal's tools; it may stay in the history.

    Raises:
        ApplicationError: the server has given this attempt up before it began here; nothing was done.
    """
    info = activity.info()
    timeout = info.heartbeat_timeout
    assert timeout is not None, "long activities are scheduled with a heartbeat timeout"
    if datetime.now(UTC) - info.started_time > timeout / 2:
        await _check_awaited(info.task_token)
    beating = asyncio.create_task(_beat(min(timeout.total_seconds() / 4, _SLOWEST_BEAT), progress))
    try:
        with record.running(info.task_token):
            yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat(interval: float, progress: Callable[[], object] | None) -> None:
    while True:
        await asyncio.sleep(interval)
        activity.heartbeat(*([progress()] if progress else []))


async def _check_awaited(task_token: bytes) -> None:
    """What a worker is given just as it falls asleep is another's when it wakes, or to be begun once more."""
    handle = activity.client().get_async_activity_handle(task_token=task_token)
    try:
        await handle.heartbeat(rpc_timeout=_MOMENT)
    except AsyncActivityCancelledError:
        return  # the heartbeats tell of it, and whose wish it is
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise attempt_over() from None


async def is_cancelled() -> bool:
    """Whether the work is to end, since its attempt was told to; else it is this attempt alone that is over.

    That is so when the worker stops, when somebody pauses or resets the activity in Temporal's tools, and
    when the server has given the attempt up, because this process did not run for a while.
    """
    details = activity.cancellation_details()
    if details is None or details.cancel_requested:
        return True
    return details.not_found and not await workflow_runs()


async def workflow_runs() -> bool:
    """Whether our workflow goes on, perhaps by another run, after a reset of the workflow."""
    info = activity.info()
    assert info.workflow_id is not None, "activities of ours are of workflows"
    client = activity.client()
    try:
        newest = await client.get_workflow_handle(info.workflow_id).describe(rpc_timeout=_MOMENT)
        if newest.status is not WorkflowExecutionStatus.RUNNING or newest.run_id == info.workflow_run_id:
            return newest.status is WorkflowExecutionStatus.RUNNING
        own = client.get_workflow_handle(info.workflow_id, run_id=info.workflow_run_id)
        return _chain(newest) == _chain(await own.describe(rpc_timeout=_MOMENT))
    except RPCError as error:
        return error.status is not RPCStatusCode.NOT_FOUND


async def is_pending(name: str) -> bool:
    """Whether our workflow waits for an activity of this name; a server that can't tell has none."""
    info = activity.info()
    assert info.workflow_id is not None, "activities of ours are of workflows"
    try:
        newest = await activity.client().get_workflow_handle(info.workflow_id).describe(rpc_timeout=_MOMENT)
    except RPCError:
        return False
    return any(one.activity_type.name == name for one in newest.raw_description.pending_activities)


def _chain(run: WorkflowExecutionDescription) -> str:
    """What a run has in common with those that came of it."""
    first: str = run.raw_description.workflow_execution_info.first_run_id
    return first or run.run_id


def attempt_over() -> ApplicationError:
    """Ends an attempt of which nothing counts; there is another, or there will be."""
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(
        "this attempt is over; another does the work", type="AttemptOver", category=benign
    )


def worker_stopping() -> ApplicationError:
    """Gives the task back: another worker, or this one after its restart, takes it up at once."""
    return ApplicationError("the worker is stopping; the task goes to another", type=WORKER_STOPPING)


async def given_back_on_shutdown(work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work; when the worker is told to stop, cancel it and give the task back."""
    task = asyncio.ensure_future(work)
    shutdown = asyncio.ensure_future(activity.wait_for_worker_shutdown())
    try:
        await asyncio.wait((task, shutdown), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise worker_stopping()
        return task.result()
    finally:
        shutdown.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
