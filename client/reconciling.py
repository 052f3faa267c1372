"""Temporal's schedules, kept as the agents' configurations say."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from temporalio.client import (
    Client,
    ScheduleDescription,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleSpec,
)
from temporalio.service import RPCError

from client.connection import Connection
from client.schedule_changes import change_schedule, suppress_missing, write_schedule
from client.schedule_names import OWN, configured, foreign, schedule_id, schedules_of
from client.schedule_specs import wanted_schedule
from client.temporal_errors import SILENT, answering, unanswered
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.errors import CodecError, NotFound, ShiftworkError, UnreadableRow
from shiftwork.store.agents import AgentRow
from shiftwork.store.store import Transaction
from shiftwork.temporal import SCHEDULED_RUN_WORKFLOW, agent_attributes

log = logging.getLogger("shiftwork.schedules")

AGENT = "agent_id"
"""Where a schedule says whose it is."""


class ScheduleReconciliation(Connection):
    """Has the schedules of a stack's agents made, changed and removed."""

    async def reconcile_schedules(self, agents: Sequence[AgentRow] | None = None) -> None:
        """Have Temporal's schedules be as the agents' configurations say; any number of us may at once.

        Args:
            agents: these alone; None: all of them, and one whose schedules can't be is told of in the log;
                schedules of agents that there are no more go too.
                One that was deleted has none in the end.

        Raises:
            Conflict: a schedule that one of `agents` is to have is another's.
            StackError: Temporal does not answer.
        """
        client = await self.temporal()
        if agents is not None:
            with answering():
                for agent in agents:
                    await self._reconcile(client, agent)
            return
        async with self.store.transaction() as tx:
            every, unreadable = await tx.agents.readable()
        for each in unreadable:
            log.warning("its schedules stay as they are: %s", each)
        for agent in every:
            try:
                await self._reconcile(client, agent)
            except (ShiftworkError, RPCError) as error:
                _check_answers(error)
                log.warning("the schedules of agent %r could not be made: %s", agent.name, error)
        try:
            await self._remove_left(client, every)
        except (ShiftworkError, RPCError) as error:
            _check_answers(error)
            log.warning("the schedules of deleted agents could not be removed: %s", error)

    async def check_schedule_ids(self, name: str, config: AgentConfiguration, agent_id: int | None) -> None:
        """Raise `Conflict` if an agent's configuration names a schedule that is not its own.

        Args:
            agent_id: of the agent; None: it is to be registered.
        """
        for named in config.schedules if config.enabled else ():
            if OWN.fullmatch(named) and (agent_id is None or named != schedule_id(agent_id)):
                raise foreign(named, name)
            with answering(), suppress_missing():
                description = await (await self.temporal()).get_schedule_handle(named).describe()
                if agent_id is None or await description.memo_value(AGENT, default=None) != agent_id:
                    raise foreign(named, name)

    async def _reconcile(self, client: Client, agent: AgentRow) -> None:
        async with self.store.transaction() as tx:
            # Of one that can't be read, schedules are removed when a worker starts.
            versions, _ = await tx.agents.readable_versions(agent.id)
        names = {name for version in versions for name in configured(version)}
        wanted = schedules_of(agent)
        for named in sorted(names, key=lambda name: (name in wanted, name)):
            await self._settle(client, agent.id, named)

    async def _remove_left(self, client: Client, agents: Sequence[AgentRow]) -> None:
        """Remove what is no agent's any more: whoever deleted it may have been ended before this was done."""
        known = {(agent.id, named) for agent in agents for named in configured(agent)}
        async for found in await client.list_schedules():
            with suppress(CodecError):  # of a stack with other keys, which keeps its own
                agent_id = await found.memo_value(AGENT, default=None) if _is_occurrences(found) else None
                if isinstance(agent_id, int) and (agent_id, found.id) not in known:
                    with suppress(UnreadableRow):  # told of already
                        await self._settle(client, agent_id, found.id)

    async def _settle(self, client: Client, agent_id: int, named: str) -> None:
        """Have one schedule be as its agent says by now, which nobody else has done to it meanwhile."""
        async with self.store.transaction() as tx:
            await tx.agents.hold_schedule(named)
            agent = await _living(tx, agent_id)
            if agent is None or named not in configured(agent):
                await _remove(client, agent_id, named)
                return
            task_seconds = self.settings.timings.workflow_task
            wanted = wanted_schedule(agent, named, configured(agent)[named], task_seconds)

            async def check(description: ScheduleDescription) -> None:
                if await description.memo_value(AGENT, default=None) != agent_id:
                    raise foreign(named, agent.name)

            if not agent.config.enabled:
                # It stays, and with it a person's pause, but is never due.
                await change_schedule(client, named, replace(wanted, spec=ScheduleSpec()), check=check)
                return
            memo, attributes = {AGENT: agent_id}, agent_attributes(agent.name)
            await write_schedule(client, named, wanted, memo=memo, attributes=attributes, check=check)


async def _living(tx: Transaction, agent_id: int) -> AgentRow | None:
    """The agent; None if there is none, or none any more."""
    try:
        return await tx.agents.get(agent_id)
    except NotFound:
        return None


async def _remove(client: Client, agent_id: int, named: str) -> None:
    handle = client.get_schedule_handle(named)
    with suppress_missing():
        if await (await handle.describe()).memo_value(AGENT, default=None) == agent_id:
            await handle.delete()


def _is_occurrences(found: ScheduleListDescription) -> bool:
    """Whether it is one of ours: others may use the namespace too."""
    action = found.schedule.action if found.schedule else None
    return isinstance(action, ScheduleListActionStartWorkflow) and action.workflow == SCHEDULED_RUN_WORKFLOW


def _check_answers(error: Exception) -> None:
    if isinstance(error, RPCError) and error.status in SILENT:
        raise unanswered(error) from error
