"""One task: one run of one registered agent, or one instruction for a provider."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.tasks import TaskActivities
    from shiftwork.contracts.task import TaskEnd, TaskErrorKind, TaskGivenUp, TaskStart
    from shiftwork.temporal import TASK_WORKFLOW
    from workflows.options import book_keeping, whole_attempt


# Outside the SDK's sandbox, which would import this file anew for each run: milliseconds, of a task that may
# be as short. What it guards against has no place in these lines, and recorded histories are replayed.
@workflow.defn(name=TASK_WORKFLOW, sandboxed=False)
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
            **whole_attempt(start.timeouts, start.timeout, "the agent runs"),
        )
