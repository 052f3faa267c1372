"""What the server tells of a queue of activities."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

_ANSWER = timedelta(seconds=5)

_POLLING = timedelta(seconds=70)
"""Whoever has not asked for a task for so long is gone: a worker without tasks asks once a minute."""


def oldest_waiting(client: Client, task_queue: str) -> Callable[[], Awaitable[float]]:
    """What tells for how many seconds the oldest activity of a queue has waited; raises `RPCError`."""

    async def ask() -> float:
        found = await _describe(client, task_queue)
        return found.stats.approximate_backlog_age.ToTimedelta().total_seconds()

    return ask


def is_alone(client: Client, task_queue: str) -> Callable[[], Awaitable[bool]]:
    """What tells whether no worker of another process takes activities of a queue; raises `RPCError`."""

    async def ask() -> bool:
        found = await _describe(client, task_queue)
        since = datetime.now(UTC) - _POLLING
        return all(
            poller.identity == client.identity or poller.last_access_time.ToDatetime(UTC) < since
            for poller in found.pollers
        )

    return ask


async def _describe(client: Client, task_queue: str) -> DescribeTaskQueueResponse:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    return await client.workflow_service.describe_task_queue(request, timeout=_ANSWER)
