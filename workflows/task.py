"""One task: one run of one registered agent, or one instruction for a provider."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.tasks import TaskActivities
    from shiftwork.contracts.task import TaskEnd, TaskErrorKind, TaskGivenUp, TaskStart
    from shiftwork.temporal import PROCESS_QUEUE, TASK_WORKFLOW
    from workflows.options import NOT_RETRYABLE, book_keeping


@workflow.defn(name=TASK_WORKFLOW)
class TaskWorkflow:
    """Runs a task whose row exists. Its id is the agent's: of one agent, one at a time."""

    @workflow.run
    async def run(self, start: TaskStart) -> TaskEnd:
        """Run it to its end; Cancel ends it as failed, of kind `cancelled`."""
        try:
            return await self._attempts(start)
        except (ActivityError, asyncio.CancelledError) as error:
            # No attempt could end it: cancelled before or between attempts, or none can succeed.
            cancelled = is_cancelled_exception(error)
            given_up = TaskGivenUp(
                task_id=start.task_id,
                error="The task was cancelled." if cancelled else f"It could not be run: {error.__cause__}",
                error_kind=TaskErrorKind.CANCELLED if cancelled else TaskErrorKind.LOST,
            )
        return await workflow.execute_local_activity_method(
            TaskActivities.give_up_task, given_up, **book_keeping("no attempt ended it")
        )

    async def _attempts(self, start: TaskStart) -> TaskEnd:
        return await workflow.execute_activity_method(
            TaskActivities.run_task,
            start,
            task_queue=PROCESS_QUEUE,
            # The attempt itself keeps to its timeout; this is for one that can't.
            start_to_close_timeout=timedelta(seconds=start.timeout) + timedelta(minutes=10),
            heartbeat_timeout=timedelta(seconds=start.timeouts.heartbeat),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=start.timeouts.retry_interval),
                maximum_interval=timedelta(seconds=30),
                non_retryable_error_types=NOT_RETRYABLE,
            ),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary="the agent runs",
        )
