"""Heartbeats, and what may end a long activity before its work is done."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.orphans import WorkerRecord

Result = TypeVar("Result")

_SLOWEST_BEAT = 1.0
"""Seconds: how long a cancellation may take to arrive."""


@asynccontextmanager
async def heartbeating(
    record: WorkerRecord, progress: Callable[[], object] | None = None
) -> AsyncIterator[None]:
    """Tell the server that this activity lives, from a task of its own.

    Four times per heartbeat timeout and at least once a second: cancellations arrive with the answers. The
    server waits from the start on, so that what ends at once costs it nothing.

    Args:
        progress: what to show of the work in Temporal's tools; it may stay in the history.
    """
    info = activity.info()
    timeout = info.heartbeat_timeout
    assert timeout is not None, "long activities are scheduled with a heartbeat timeout"
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


def worker_stopping() -> ApplicationError:
    """Gives the task back: another worker, or this one after its restart, takes it up at once."""
    return ApplicationError("the worker is stopping; the task goes to another", type="WorkerStopping")


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
