"""The workflows of evaluations, as clients start, find and cancel them."""

from collections.abc import Sequence

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from client.temporal_errors import unanswered
from shiftwork.settings import Settings
from shiftwork.store.episodes import EpisodeRow
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.store.store import Store
from shiftwork.temporal import evaluation_workflow_id


async def begin(
    client: Client, settings: Settings, row: EvaluationRow, episodes: Sequence[EpisodeRow]
) -> None:
    """Start the workflow of an evaluation, unless it runs; raises `StackError`."""
    from activities.starting_evaluations import start_evaluation  # noqa: PLC0415 - most commands need none

    try:
        await start_evaluation(client, settings, row, episodes)
    except RPCError as error:
        raise unanswered(error) from error


async def cancel(client: Client, evaluation_id: int) -> bool:
    """Cancel its workflow; False if none is open, so that nothing will come of it. Raises `StackError`."""
    from activities.lost_evaluations import OPEN, workflow_status  # noqa: PLC0415 - as above

    try:
        if await workflow_status(client, evaluation_id) not in OPEN:
            return False
        await client.get_workflow_handle(evaluation_workflow_id(evaluation_id)).cancel()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise unanswered(error) from error
        return False  # it ended meanwhile
    return True


async def settle(client: Client, store: Store, settings: Settings, row: EvaluationRow) -> None:
    """Write the end of an evaluation whose workflow was ended by Temporal's own means, or start one's that
    never was; else nothing.

    Raises:
        StackError: Temporal can't be reached.
    """
    from activities.lost_evaluations import LostEvaluations  # noqa: PLC0415 - as above

    try:
        await LostEvaluations(store, client, settings).settle(row)
    except RPCError as error:
        raise unanswered(error) from error
