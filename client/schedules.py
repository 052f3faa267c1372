"""Schedules of registered agents, as people and programs look at them and direct them."""

import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.client import ScheduleDescription, ScheduleHandle
from temporalio.service import RPCError, RPCStatusCode

from client.backfills import check_backfill, check_beside, check_number
from client.due import MOST_RUNS, backfill_of, due_between, next_due
from client.reconciling import AGENT, ScheduleReconciliation
from client.schedule_names import check_schedule_id, configured, owner_of, schedule_id, schedules_of
from client.schedule_specs import OVERLAPS, action_of
from client.temporal_errors import unanswered
from shiftwork.contracts.agent import Overlap
from shiftwork.errors import InvalidInput, NotFound, ShiftworkError
from shiftwork.schedules import Recurrence
from shiftwork.store.agents import AgentRow
from shiftwork.temporal import agent_attributes
from shiftwork.text import plain_markdown

Told = TypeVar("Told")

_PAUSED, _UNPAUSED = "Paused without a reason.", "Unpaused."
"""Notes where nobody gives one; the SDK would name itself."""


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


class ScheduleControl(ScheduleReconciliation):
    """The schedules of a stack's agents."""

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
                agent = await owner_of(tx, str(ref))
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

        Args:
            number: 1 to 1,000.
            job_id: see `schedule`.

        Raises:
            NotFound: as `schedule`.
            InvalidInput: that can't be the number.
        """
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_RUNS:
            raise InvalidInput(f"number is {number!r:.80}; it must be a whole number from 1 to {MOST_RUNS}.")
        agent, handle, _ = await self._scheduled(ref, job_id)
        recurrence = Recurrence.parse(schedules_of(agent)[handle.id], agent.config.timezone)
        return await _told(agent, next_due(await self.temporal(), handle.id, recurrence, number))

    async def pause_schedule(self, ref: str | int, note: str = "", *, job_id: str | None = None) -> None:
        """Have no occurrence run until it is unpaused, also of those that wait for a run's end.

        Raises as `schedule`.
        """
        agent, handle, _ = await self._scheduled(ref, job_id)
        await _told(agent, handle.pause(note=note or _PAUSED))

    async def unpause_schedule(self, ref: str | int, note: str = "", *, job_id: str | None = None) -> None:
        """Have occurrences run again; those of the pause are not made up for. Raises as `schedule`."""
        agent, handle, _ = await self._scheduled(ref, job_id)
        await _told(agent, handle.unpause(note=note or _UNPAUSED))

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
    ) -> int:
        """Have the occurrences of a time run now as if they were due; those that ran already don't again.

        Args:
            start, end: moments with time zones, which have passed; occurrences at both are among them.
            overlap: what becomes of those that meet a run of the agent, whatever its configuration says.

        Returns:
            How many occurrences that time has.

        Raises:
            InvalidInput: the moments can't be, more than `MOST_OCCURRENCES` were due between them, or the
                agent's runs can't go beside each other.
            NotFound: as `schedule`.
        """
        check_backfill(start, end, overlap)
        agent, handle, _ = await self._scheduled(ref, job_id)
        check_beside(agent, overlap)
        check_number(agent, handle.id, schedules_of(agent)[handle.id], start, end)
        jitter = timedelta(seconds=agent.config.jitter_seconds)
        client = await self.temporal()
        backfill = await _told(agent, backfill_of(client, handle.id, (start, end), jitter, OVERLAPS[overlap]))
        due = await _told(agent, due_between(client, handle.id, backfill.start_at, backfill.end_at))
        if due:
            async with self.store.transaction() as tx:
                await tx.schedules.add_backfill(agent.id, handle.id, start, end, Overlap(overlap))
            await _told(agent, handle.backfill(backfill))
        return len(due)

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
        if await description.memo_value(AGENT, default=None) != agent.id:
            raise NotFound(
                f"There is no schedule {named!r} of agent {agent.name!r}: the one of this id is not its own; "
                "give its own another id."
            )
        return agent, handle, description


async def _told(agent: AgentRow, telling: Awaitable[Told]) -> Told:
    try:
        return await telling
    except RPCError as error:
        raise _missing(agent, error) from error


def _missing(agent: AgentRow, error: RPCError) -> ShiftworkError:
    if error.status is not RPCStatusCode.NOT_FOUND:
        return unanswered(error)
    return NotFound(
        f"Agent {agent.name!r} has a schedule that Temporal does not know yet; the next worker makes it."
    )


def _none(agent: AgentRow, named: str) -> NotFound:
    config = agent.config
    has = named in config.schedules or (named == schedule_id(agent.id) and config.schedule is not None)
    if has:
        return NotFound(
            f"There is no schedule of agent {agent.name!r} now: it is not enabled; "
            f"`shiftwork agents edit {agent.id} --enable` has its schedules run it."
        )
    others = configured(agent)
    why = f"it has none of the id {named!r}, but {', '.join(sorted(others))}" if others else "it has none"
    return NotFound(
        f"There is no schedule of agent {agent.name!r}: {why}; `shiftwork schedules set` sets one."
    )
