"""The workflows of evaluations, as clients start, find and cancel them."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.lost_evaluations import OPEN, LostEvaluations, workflow_status
from shiftwork.contracts.episode import EvaluationStart
from shiftwork.contracts.workflow import Timeouts
from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.store.store import Store
from shiftwork.temporal import EVALUATION_WORKFLOW, TASK_QUEUE, evaluation_workflow_id
from shiftwork.text import plain_markdown


async def begin(client: Client, settings: Settings, row: EvaluationRow, episodes: Sequence[int]) -> None:
    """Start the workflow of an evaluation, unless it runs; raises `StackError`."""
    timings = settings.timings
    start = EvaluationStart(
        evaluation_id=row.id,
        episodes=tuple(episodes),
        parallel=row.spec.parallel,
        timeout=row.spec.timeout,
        timeouts=Timeouts(heartbeat=timings.heartbeat_timeout, retry_interval=timings.retry_interval),
    )
    try:
        await client.start_workflow(
            EVALUATION_WORKFLOW,
            start,
            id=evaluation_workflow_id(row.id),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=timedelta(seconds=timings.workflow_task),
            static_summary=plain_markdown(f"{row.environment}: {len(episodes)} episodes"),
        )
    except WorkflowAlreadyStartedError:
        return
    except RPCError as error:
        raise _unreached(error) from error


async def cancel(client: Client, evaluation_id: int) -> bool:
    """Cancel its workflow; False if none is open, so that nothing will come of it. Raises `StackError`."""
    try:
        if await workflow_status(client, evaluation_id) not in OPEN:
            return False
        await client.get_workflow_handle(evaluation_workflow_id(evaluation_id)).cancel()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise _unreached(error) from error
        return False  # it ended meanwhile
    return True


async def settle(client: Client, store: Store, row: EvaluationRow) -> None:
    """Write the end of an evaluation whose workflow was ended by Temporal's own means; else nothing.

    Raises:
        StackError: Temporal can't be reached.
    """
    try:
        await LostEvaluations(store, client).end_if_lost(row)
    except RPCError as error:
        raise _unreached(error) from error


def _unreached(error: RPCError) -> StackError:
    return StackError(f"Temporal did not answer: {error.message}; try again.")
