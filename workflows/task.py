"""One task: one run of one registered agent, or one instruction for a provider."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.at_hand import RunsAtHand
    from activities.tasks import TaskActivities
    from shiftwork.contracts.task import TaskEnd, TaskErrorKind, TaskGivenUp, TaskStart
    from shiftwork.temporal import TASK_WORKFLOW
    from workflows.options import at_hand, attended, book_keeping, whole_attempt


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
        except (FailureError, asyncio.CancelledError) as error:
            # No attempt could end it: cancelled before or between attempts, or none can succeed.
            cancelled = _is_cancelled(error)
            given_up = TaskGivenUp(
                task_id=start.task_id,
                error="The task was cancelled." if cancelled else f"It could not be run: {error.__cause__}",
                error_kind=TaskErrorKind.CANCELLED if cancelled else TaskErrorKind.LOST,
            )
        return await workflow.execute_local_activity_method(
            TaskActivities.give_up_task, given_up, **book_keeping("no attempt ended it")
        )

    async def _attempts(self, start: TaskStart) -> TaskEnd:
        if start.at_hand and (end := await self._at_hand(start)):
            return end
        return await workflow.execute_activity_method(
            TaskActivities.run_task,
            start,
            **whole_attempt(start.timeouts, start.timeout, "the agent runs"),
        )

    async def _at_hand(self, start: TaskStart) -> TaskEnd | None:
        """How a run ended that began in the worker of this step; None: it takes another attempt."""
        try:
            here = await workflow.execute_local_activity_method(
                RunsAtHand.run_at_hand, start, **at_hand("the agent runs, if there is room here")
            )
            if here.end is not None or not here.queue:
                return here.end
            return await workflow.execute_activity_method(
                RunsAtHand.attend_task,
                start,
                **attended(start.timeouts, here.queue, start.timeout, "the agent runs on"),
            )
        except FailureError as error:
            if _is_cancelled(error):
                raise
            return None  # the worker is lost, or gave it back


def _is_cancelled(error: BaseException) -> bool:
    """Whether somebody wants the run to end; the worker that was told may have been lost before it did so."""
    return is_cancelled_exception(error) or workflow.cancellation_reason() is not None
