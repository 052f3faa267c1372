"""Removing the schedules of an agent whose configuration can't be read, so nobody knows their names."""

from collections.abc import AsyncIterator
from contextlib import suppress

from temporalio.client import Client, ScheduleListActionStartWorkflow

from client.reconciling import AGENT
from client.schedule_changes import suppress_missing
from client.temporal_errors import answering
from shiftwork.errors import CodecError
from shiftwork.store.store import Store
from shiftwork.temporal import SCHEDULED_RUN_WORKFLOW


async def remove_schedules(store: Store, client: Client, agent_id: int) -> None:
    """Remove every schedule that says that it is this agent's; raises `StackError`."""
    with answering():
        async for named in _schedules(client, agent_id):
            async with store.transaction() as tx:
                await tx.agents.hold_schedule(named)
                handle = client.get_schedule_handle(named)
                with suppress_missing():
                    if await (await handle.describe()).memo_value(AGENT, default=None) == agent_id:
                        await handle.delete()


async def _schedules(client: Client, agent_id: int) -> AsyncIterator[str]:
    async for found in await client.list_schedules():
        action = found.schedule.action if found.schedule else None
        # Others may use the namespace too.
        if isinstance(action, ScheduleListActionStartWorkflow) and action.workflow == SCHEDULED_RUN_WORKFLOW:
            with suppress(CodecError):  # of a stack with other keys
                if await found.memo_value(AGENT, default=None) == agent_id:
                    yield found.id
