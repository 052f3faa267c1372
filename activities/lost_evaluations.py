"""Evaluations that no workflow plays, and that nobody else would end or begin."""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.starting_evaluations import start_evaluation
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus
from shiftwork.settings import Settings
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.store.store import Store
from shiftwork.temporal import evaluation_workflow_id

OPEN = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)

_PAGE = 500
_PATIENCE = timedelta(seconds=10)
_TO_BEGIN = timedelta(seconds=30)
"""For so long whoever asked for an evaluation may be about to start its workflow."""


class LostEvaluations:
    """Has the evaluations fail whose workflows were ended by Temporal's own means; may run twice at once.

    Those whose workflow was never started, as their client died before that, are started.
    """

    def __init__(self, store: Store, client: Client, settings: Settings) -> None:
        self._store = store
        self._client = client
        self._settings = settings

    async def settle_all(self) -> int:
        """End or start them all; how many that were. Raises `RPCError`."""
        count, before = 0, None
        while True:
            async with self._store.transaction() as tx:
                rows = await tx.evaluations.unended(before=before, limit=_PAGE)
            for row in rows:
                count += await self.settle(row)
            if len(rows) < _PAGE:
                return count
            before = rows[-1].id

    async def settle(self, row: EvaluationRow) -> bool:
        """Whether nothing played it, and it was ended or started here; raises `RPCError`."""
        status = await workflow_status(self._client, row.id)
        if status in OPEN:
            return False
        if status is None and row.status is EpisodeStatus.CREATED:
            return await self._start_if_left(row)
        how = "is not there any more" if status is None else f"has ended ({status.name.lower()})"
        why = f"The workflow of its evaluation {how}, and plays it no more."
        async with self._store.transaction() as tx:
            return await tx.evaluations.fail(row.id, why, EpisodeErrorKind.LOST)

    async def _start_if_left(self, row: EvaluationRow) -> bool:
        """Start one that whoever asked for it has left; started twice, its id makes it one."""
        if datetime.now(UTC) - row.created_at < _TO_BEGIN:
            return False
        async with self._store.transaction() as tx:
            episodes = await tx.episodes.of(row.id)
        await start_evaluation(self._client, self._settings, row, episodes)
        return True


async def workflow_status(client: Client, evaluation_id: int) -> WorkflowExecutionStatus | None:
    """Where the newest workflow of an evaluation stands; None if there is none. Raises `RPCError`."""
    handle = client.get_workflow_handle(evaluation_workflow_id(evaluation_id))
    try:
        return (await handle.describe(rpc_timeout=_PATIENCE)).status
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
