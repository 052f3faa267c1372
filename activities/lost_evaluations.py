"""Evaluations that no workflow plays any more, and that nobody else would end."""

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.store.store import Store
from shiftwork.temporal import evaluation_workflow_id

OPEN = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)

_PAGE = 500
_PATIENCE = timedelta(seconds=10)


class LostEvaluations:
    """Has the evaluations fail whose workflows were ended by Temporal's own means; may run twice at once."""

    def __init__(self, store: Store, client: Client) -> None:
        self._store = store
        self._client = client

    async def end(self) -> int:
        """End them all; how many that were. Raises `RPCError`."""
        count, before = 0, None
        while True:
            async with self._store.transaction() as tx:
                rows = await tx.evaluations.unended(before=before, limit=_PAGE)
            for row in rows:
                count += await self.end_if_lost(row)
            if len(rows) < _PAGE:
                return count
            before = rows[-1].id

    async def end_if_lost(self, row: EvaluationRow) -> bool:
        """Whether nothing played it any more, and it was ended here; raises `RPCError`.

        One that nobody has taken up may have no workflow yet: whoever asked for it is about to start it.
        """
        status = await workflow_status(self._client, row.id)
        if status in OPEN or (status is None and row.status is EpisodeStatus.CREATED):
            return False
        how = "is not there any more" if status is None else f"has ended ({status.name.lower()})"
        why = f"The workflow of its evaluation {how}, and plays it no more."
        async with self._store.transaction() as tx:
            return await tx.evaluations.fail(row.id, why, EpisodeErrorKind.LOST)


async def workflow_status(client: Client, evaluation_id: int) -> WorkflowExecutionStatus | None:
    """Where the newest workflow of an evaluation stands; None if there is none. Raises `RPCError`."""
    handle = client.get_workflow_handle(evaluation_workflow_id(evaluation_id))
    try:
        return (await handle.describe(rpc_timeout=_PATIENCE)).status
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
