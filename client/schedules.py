"""Schedules of registered agents: Temporal's, kept as the agents' configurations say."""

import logging
import re
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.client import (
    Client,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from client.backfills import check_backfill, check_beside, check_number
from client.connection import Connection
from client.due import backfill_of, next_due
from client.schedule_specs import OVERLAPS, action_of, wanted_schedule
from shiftwork.contracts.agent import SCHEDULE_ID, AgentConfiguration, Overlap
from shiftwork.errors import Conflict, InvalidInput, NotFound, ShiftworkError, StackError
from shiftwork.schedules import Recurrence
from shiftwork.store.agents import AgentRow
from shiftwork.store.store import Transaction
from shiftwork.temporal import agent_attributes
from shiftwork.text import plain_markdown

log = logging.getLogger("shiftwork.schedules")

Told = TypeVar("Told")

_AGENT = "agent_id"
"""Where a schedule says whose it is."""

_OWN = re.compile(r"agent_([0-9]+)")
"""The ids of agents' own schedules, also of agents that are still to come."""


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A schedule of an agent, as Temporal has it.

    Attributes:
        agent_version: the version of the agent whose configuration says so.
        next_runs: the next moments, at most ten; none while it is paused.
        recent: of the last occurrences that have a task, when each was due.
        runs: how many occurrences were run; `skipped` those that met one that went on.
        missed: occurrences that came too late to be made up for.
    """

    id: str
    agent_id: int
    agent_version: int
    schedule: str
    timezone: str
    paused: bool
    note: str
    next_runs: tuple[datetime, ...]
    recent: tuple[datetime, ...]
    runs: int
    skipped: int
    missed: int


class ScheduleControl(Connection):
    """The schedules of a stack's agents."""

    async def reconcile_schedules(self, agents: Sequence[AgentRow] | None = None) -> None:
        """Have Temporal's schedules be as the agents' configurations say; any number of us may at once.

        Args:
            agents: these alone; None: all of them, and one whose schedules can't be is told of in the log.
                One that was deleted has none in the end.

        Raises:
            Conflict: a schedule that one of `agents` is to have is another's.
            StackError: Temporal does not answer.
        """
        client = await self.temporal()
        if agents is not None:
            for agent in agents:
                await self._reconcile(client, agent)
            return
        async with self.store.transaction() as tx:
            every = await tx.agents.all()
        for agent in every:
            try:
                await self._reconcile(client, agent)
            except (ShiftworkError, RPCError) as error:
                if isinstance(error, RPCError) and error.status is RPCStatusCode.UNAVAILABLE:
                    raise StackError(f"Temporal does not answer: {error.message}; try again.") from error
                log.warning("the schedules of agent %r could not be made: %s", agent.name, error)

    async def _reconcile(self, client: Client, agent: AgentRow) -> None:
        """Until nobody changed the agent meanwhile: the newest configuration is the one that stays."""
        while True:
            async with self.store.transaction() as tx:
                versions = await tx.agents.versions(agent.id)
            wanted = schedules_of(versions[0])
            for named in sorted({name for version in versions for name in schedules_of(version)} - {*wanted}):
                await _remove(client, agent, named)
            for named in wanted:
                await _write(client, versions[0], named, self.settings.timings.workflow_task)
            async with self.store.transaction() as tx:
                now = (await tx.agents.versions(agent.id))[0]
            if (now.version, now.deleted_at) == (versions[0].version, versions[0].deleted_at):
                return

    async def check_schedule_ids(self, name: str, config: AgentConfiguration, agent_id: int | None) -> None:
        """Raise `Conflict` if an agent's configuration names a schedule that is not its own.

        Args:
            agent_id: of the agent; None: it is to be registered.
        """
        for named in config.schedules if config.enabled else ():
            if _OWN.fullmatch(named) and (agent_id is None or named != schedule_id(agent_id)):
                raise _foreign(named, name)
            with _suppress_missing():
                description = await (await self.temporal()).get_schedule_handle(named).describe()
                if agent_id is None or await description.memo_value(_AGENT, default=None) != agent_id:
                    raise _foreign(named, name)

    async def scheduled_agent(self, ref: str | int, job_id: str | None = None) -> tuple[AgentRow, str]:
        """The agent of this name or id, or that has the schedule of this id; and which schedule is meant.

        Args:
            job_id: which of the agent's schedules; None: that of which `ref` is the id, else the one that has
                no id of its own.

        Raises:
            NotFound: there is no such agent, nor a schedule of that id.
            InvalidInput: a schedule can't have the id `job_id`.
        """
        check_schedule_id(job_id)
        async with self.store.transaction() as tx:
            try:
                agent = await tx.agents.find(str(ref))
                return agent, job_id or schedule_id(agent.id)
            except NotFound:
                agent = await _owner(tx, str(ref))
        return agent, job_id or str(ref)

    async def schedule(self, ref: str | int, job_id: str | None = None) -> ScheduleInfo:
        """One of the agent's schedules; the agent may also be named by a schedule's id alone.

        Args:
            job_id: its id; None: that which has no id of its own.

        Raises:
            NotFound: there is no such agent, or it has no schedule.
        """
        agent, handle, description = await self._scheduled(ref, job_id)
        async with self.store.transaction() as tx:
            tally = await tx.schedules.tally(agent.id, handle.id)
        info, state = description.info, description.schedule.state
        return ScheduleInfo(
            id=handle.id,
            agent_id=agent.id,
            agent_version=agent.version,
            schedule=schedules_of(agent).get(handle.id, ""),
            timezone=agent.config.timezone,
            paused=state.paused,
            note=state.note or "",
            next_runs=() if state.paused else tuple(info.next_action_times),
            # Temporal counts what it began, also what was skipped then, or had been run before.
            recent=tally.recent,
            runs=tally.runs,
            skipped=tally.skipped + info.num_actions_skipped_overlap,
            missed=info.num_actions_missed_catchup_window,
        )

    async def next_runs(
        self, ref: str | int, number: int = 10, *, job_id: str | None = None
    ) -> list[datetime]:
        """When the next so many occurrences begin, by the agent's clock, as if it were not paused.

        Raises:
            NotFound: as `schedule`.
        """
        agent, handle, _ = await self._scheduled(ref, job_id)
        recurrence = Recurrence.parse(schedules_of(agent)[handle.id], agent.config.timezone)
        return await _told(agent, next_due(await self.temporal(), handle.id, recurrence, number))

    async def pause_schedule(self, ref: str | int, note: str = "", *, job_id: str | None = None) -> None:
        """Have no occurrence run until it is unpaused; raises as `schedule`."""
        agent, handle, _ = await self._scheduled(ref, job_id)
        await _told(agent, handle.pause(note=note or None))

    async def unpause_schedule(self, ref: str | int, note: str = "", *, job_id: str | None = None) -> None:
        """Have occurrences run again; those of the pause are not made up for. Raises as `schedule`."""
        agent, handle, _ = await self._scheduled(ref, job_id)
        await _told(agent, handle.unpause(note=note or None))

    async def trigger_schedule(self, ref: str | int, *, job_id: str | None = None) -> None:
        """Have an occurrence run now, whatever else was triggered; raises as `schedule`."""
        agent, handle, _ = await self._scheduled(ref, job_id)
        action = action_of(agent, handle.id, self.settings.timings.workflow_task)
        # Temporal's own trigger knows whole seconds only: of several within one it would run one.
        starting = (await self.temporal()).start_workflow(
            action.workflow,
            args=action.args,
            id=f"{action.id}-{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}-{uuid.uuid4().hex[:12]}",
            task_queue=action.task_queue,
            task_timeout=action.task_timeout,
            static_summary=plain_markdown(agent.name),
            search_attributes=agent_attributes(agent.name),
        )
        await _told(agent, starting)

    async def backfill_schedule(
        self,
        ref: str | int,
        start: datetime,
        end: datetime,
        overlap: Overlap = Overlap.BUFFER_ALL,
        *,
        job_id: str | None = None,
    ) -> None:
        """Have the occurrences of a time run now as if they were due; those that ran already don't again.

        Args:
            start, end: moments with time zones, which have passed; occurrences at both are among them.
            overlap: what becomes of those that meet a run of the agent, whatever its configuration says.

        Raises:
            InvalidInput: the moments can't be, more than `MOST_OCCURRENCES` were due between them, or the
                agent's runs can't go beside each other.
            NotFound: as `schedule`.
        """
        check_backfill(start, end, overlap)
        agent, handle, _ = await self._scheduled(ref, job_id)
        check_beside(agent, overlap)
        check_number(agent, handle.id, schedules_of(agent)[handle.id], start, end)
        async with self.store.transaction() as tx:
            await tx.schedules.add_backfill(agent.id, handle.id, start, end, Overlap(overlap))
        jitter = timedelta(seconds=agent.config.jitter_seconds)
        client = await self.temporal()
        asking = backfill_of(client, handle.id, (start, end), jitter, OVERLAPS[overlap])
        await _told(agent, handle.backfill(await _told(agent, asking)))

    async def _scheduled(
        self, ref: str | int, job_id: str | None
    ) -> tuple[AgentRow, ScheduleHandle, ScheduleDescription]:
        """A schedule of the agent, which Temporal says is its own."""
        agent, named = await self.scheduled_agent(ref, job_id)
        if named not in schedules_of(agent):
            raise _none(agent, named)
        handle = (await self.temporal()).get_schedule_handle(named)
        try:
            description = await handle.describe()
        except RPCError as error:
            raise _missing(agent, error) from error
        if await description.memo_value(_AGENT, default=None) != agent.id:
            raise NotFound(
                f"There is no schedule {named!r} of agent {agent.name!r}: the one of this id is not its own; "
                "give its own another id."
            )
        return agent, handle, description


def schedule_id(agent_id: int) -> str:
    """The id of an agent's schedule, of those that have no other."""
    return f"agent_{agent_id}"


def check_schedule_id(job_id: object) -> None:
    """Raise `InvalidInput` for what can't be the id of a schedule; None is none, and may be."""
    if job_id is not None and not (isinstance(job_id, str) and re.fullmatch(SCHEDULE_ID, job_id)):
        raise InvalidInput(
            f"{job_id!r:.120} can't be the id of a schedule: it must be 1 to 100 letters (of ASCII), digits, "
            "'_', '.' and '-', the first a letter or digit; leave it out for the agent's own schedule."
        )


async def _owner(tx: Transaction, named: str) -> AgentRow:
    """The agent that has the schedule of this id; raises `NotFound`."""
    if own := _OWN.fullmatch(named):
        return await tx.agents.get(int(own[1]))
    for agent in await tx.agents.all():
        if named in agent.config.schedules:
            return agent
    raise NotFound(
        f"There is no agent {named!r:.120}, nor a schedule of that id; `shiftwork agents list` and "
        "`shiftwork schedules list` show those there are."
    )


def schedules_of(agent: AgentRow) -> dict[str, str]:
    """The expressions of an agent's schedules, by their ids; none of one that is not to run by itself."""
    config = agent.config
    if agent.deleted_at is not None or not config.enabled:
        return {}
    own = {} if config.schedule is None else {schedule_id(agent.id): config.schedule}
    return {**config.schedules, **own}


async def _write(client: Client, agent: AgentRow, named: str, task_seconds: float) -> None:
    wanted = wanted_schedule(agent, named, schedules_of(agent)[named], task_seconds)

    async def change(now: ScheduleUpdateInput) -> ScheduleUpdate:
        if await now.description.memo_value(_AGENT, default=None) != agent.id:
            raise _foreign(named, agent.name)
        # A pause is a person's, and stays.
        return ScheduleUpdate(replace(wanted, state=now.description.schedule.state))

    try:
        await client.create_schedule(
            named, wanted, memo={_AGENT: agent.id}, search_attributes=agent_attributes(agent.name)
        )
    except ScheduleAlreadyRunningError:
        with _suppress_missing():
            await client.get_schedule_handle(named).update(change)


def _foreign(named: str, name: str) -> Conflict:
    return Conflict(f"The schedule {named!r} is not of agent {name!r}; choose another id.")


async def _remove(client: Client, agent: AgentRow, named: str) -> None:
    handle = client.get_schedule_handle(named)
    with _suppress_missing():
        if await (await handle.describe()).memo_value(_AGENT, default=None) == agent.id:
            await handle.delete()


@contextmanager
def _suppress_missing() -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _told(agent: AgentRow, telling: Awaitable[Told]) -> Told:
    try:
        return await telling
    except RPCError as error:
        raise _missing(agent, error) from error


def _missing(agent: AgentRow, error: RPCError) -> ShiftworkError:
    if error.status is not RPCStatusCode.NOT_FOUND:
        return StackError(f"Temporal refused or did not answer: {error.message}; try again.")
    return NotFound(
        f"Agent {agent.name!r} has a schedule that Temporal does not know yet; the next worker makes it."
    )


def _none(agent: AgentRow, named: str) -> NotFound:
    config = agent.config
    has = named in config.schedules or (named == schedule_id(agent.id) and config.schedule is not None)
    why = "it is not enabled" if has else "it has none of this id" if config.schedules else "it has none"
    return NotFound(
        f"There is no schedule of agent {agent.name!r}: {why}; `shiftwork schedules set` sets one."
    )
