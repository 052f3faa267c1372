"""Starting the workflow of an evaluation whose rows exist."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from shiftwork.contracts.episode import EvaluationStart
from shiftwork.contracts.workflow import Timeouts
from shiftwork.settings import Settings
from shiftwork.store.episodes import EpisodeRow
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.temporal import EVALUATION_WORKFLOW, TASK_QUEUE, evaluation_workflow_id
from shiftwork.text import plain_markdown


async def start_evaluation(
    client: Client, settings: Settings, row: EvaluationRow, episodes: Sequence[EpisodeRow]
) -> None:
    """Start the workflow of an evaluation, unless it runs; raises `RPCError`.

    Args:
        episodes: all of its episodes, in order.
    """
    timings = settings.timings
    unplayed = tuple(each.id for each in episodes if not each.status.ended)
    start = EvaluationStart(
        evaluation_id=row.id,
        episodes=unplayed,
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
            static_summary=plain_markdown(f"{row.environment}: {len(unplayed)} episodes"),
        )
    except WorkflowAlreadyStartedError:
        return
