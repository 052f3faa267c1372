"""Schedules of registered agents: Temporal's, kept as the agents' configurations say."""

import re
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from client.connection import Connection
from shiftwork.contracts.agent import SCHEDULE_ID, AgentConfiguration, Overlap
from shiftwork.contracts.task import ScheduledRun
from shiftwork.errors import Conflict, InvalidInput, NotFound, ShiftworkError, StackError
from shiftwork.schedules import Recurrence
from shiftwork.store.agents import AgentRow
from shiftwork.store.store import Transaction
from shiftwork.temporal import SCHEDULED_RUN_WORKFLOW, TASK_QUEUE, agent_attributes
from shiftwork.text import plain_markdown

MOST_OCCURRENCES = 1_000
"""Of a backfill: Temporal keeps no more of them waiting, and drops the rest without a word."""

_AGENT = "agent_id"
"""Where a schedule says whose it is."""

_OWN = re.compile(r"agent_([0-9]+)")
"""The ids of agents' own schedules, also of agents that are still to come."""

_OVERLAPS = {
    Overlap.SKIP: ScheduleOverlapPolicy.SKIP,
    Overlap.BUFFER_ONE: ScheduleOverlapPolicy.BUFFER_ONE,
    Overlap.BUFFER_ALL: ScheduleOverlapPolicy.BUFFER_ALL,
    Overlap.ALLOW_ALL: ScheduleOverlapPolicy.ALLOW_ALL,
}


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A schedule of an agent, as Temporal has it.

    Attributes:
        agent_version: the version of the agent whose configuration says so.
        next_runs: the next moments, at most ten; none while it is paused.
        recent: of the last occurrences, when each was due.
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
            agents: these alone; None: all of them. One that was deleted has none in the end.
        """
        client = await self.temporal()
        if agents is None:
            async with self.store.transaction() as tx:
                agents = await tx.agents.all()
        for agent in agents:
            await self._reconcile(client, agent)

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
        agent, handle = await self._scheduled(ref, job_id)
        try:
            description = await handle.describe()
        except RPCError as error:
            raise _missing(agent, error) from error
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
            recent=tuple(action.scheduled_at for action in info.recent_actions),
            runs=info.num_actions,
            skipped=info.num_actions_skipped_overlap,
            missed=info.num_actions_missed_catchup_window,
        )

    async def pause_schedule(self, ref: str | int, note: str = "", *, job_id: str | None = None) -> None:
        """Have no occurrence run until it is unpaused; raises as `schedule`."""
        agent, handle = await self._scheduled(ref, job_id)
        await _told(agent, handle.pause(note=note or None))

    async def unpause_schedule(self, ref: str | int, note: str = "", *, job_id: str | None = None) -> None:
        """Have occurrences run again; those of the pause are not made up for. Raises as `schedule`."""
        agent, handle = await self._scheduled(ref, job_id)
        await _told(agent, handle.unpause(note=note or None))

    async def trigger_schedule(self, ref: str | int, *, job_id: str | None = None) -> None:
        """Have an occurrence run now; raises as `schedule`."""
        agent, handle = await self._scheduled(ref, job_id)
        await _told(agent, handle.trigger())

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
            start, end: moments with time zones; occurrences at both are among them.

        Raises:
            InvalidInput: the moments don't fit together, or more than `MOST_OCCURRENCES` are between them.
            NotFound: as `schedule`.
        """
        if overlap not in _OVERLAPS:
            raise InvalidInput(f"{overlap!r:.60} is no policy of overlap; they are {', '.join(Overlap)}.")
        if not (_has_zone(start) and _has_zone(end)):
            raise InvalidInput("The moments of a backfill need a time zone, such as 2026-01-01T00:00:00Z.")
        if start >= end:
            raise InvalidInput(f"A backfill from {start.isoformat()} to {end.isoformat()} has no time in it.")
        agent, handle = await self._scheduled(ref, job_id)
        _check_number(agent, handle.id, start, end)
        # Temporal leaves out what is due at the very start.
        before = start - timedelta(milliseconds=1)
        backfill = ScheduleBackfill(start_at=before, end_at=end, overlap=_OVERLAPS[overlap])
        await _told(agent, handle.backfill(backfill))

    async def _scheduled(self, ref: str | int, job_id: str | None) -> tuple[AgentRow, ScheduleHandle]:
        agent, named = await self.scheduled_agent(ref, job_id)
        if named not in schedules_of(agent):
            raise _none(agent, named)
        return agent, (await self.temporal()).get_schedule_handle(named)


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


def _has_zone(at: object) -> bool:
    return isinstance(at, datetime) and at.tzinfo is not None


def _check_number(agent: AgentRow, named: str, start: datetime, end: datetime) -> None:
    recurrence = Recurrence.parse(schedules_of(agent)[named], agent.config.timezone)
    due = recurrence.next_runs(MOST_OCCURRENCES + 1, start - timedelta(milliseconds=1))
    if len(due) > MOST_OCCURRENCES and due[-1] <= end:
        raise InvalidInput(
            f"More than {MOST_OCCURRENCES} occurrences of {named!r} are between {start.isoformat()} and "
            f"{end.isoformat()}: make up for less time at once, up to {due[-2].isoformat()} for example, and "
            "for the rest when those have run."
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
    wanted = _wanted(agent, named, task_seconds)

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


def _wanted(agent: AgentRow, named: str, task_seconds: float) -> Schedule:
    config = agent.config
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SCHEDULED_RUN_WORKFLOW,
            ScheduledRun(agent_id=agent.id, schedule_id=named, overlap=config.overlap),
            id=f"scheduled-{named}",
            task_queue=TASK_QUEUE,
            task_timeout=timedelta(seconds=task_seconds),
            static_summary=plain_markdown(agent.name),
            typed_search_attributes=agent_attributes(agent.name),
        ),
        spec=_spec(schedules_of(agent)[named], config),
        policy=SchedulePolicy(
            overlap=_OVERLAPS[config.overlap], catchup_window=timedelta(seconds=config.catch_up_seconds)
        ),
        state=ScheduleState(note=plain_markdown(agent.description)[:1_000] or None),
    )


def _spec(expression: str, config: AgentConfiguration) -> ScheduleSpec:
    recurrence = Recurrence.parse(expression, config.timezone)
    jitter = timedelta(seconds=config.jitter_seconds) if config.jitter_seconds else None
    if recurrence.interval is not None:
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(recurrence.interval)], jitter=jitter)
    return ScheduleSpec(
        cron_expressions=recurrence.cron_expressions(), time_zone_name=config.timezone, jitter=jitter
    )


@contextmanager
def _suppress_missing() -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _told(agent: AgentRow, telling: Awaitable[None]) -> None:
    try:
        await telling
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
    return NotFound(f"There is no schedule of agent {agent.name!r}: {why}; `shiftwork agents edit` sets one.")
