"""Schedules of registered agents: when they run by themselves."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from client.due import MOST_RUNS
from client.rest import asking_tasks as asking
from client.rest.answering_tasks import Runs, Schedule
from client.rest.connections import Here
from client.rest.idempotency import Idempotency, Making, Once
from client.rest.pages import Page, Paged, ReadablePage
from client.rest.problems import documented
from client.rest.routes.agents import CHANGES, GONE, READS, VERSIONED, AgentRef
from client.rest.versions import TAGGED, IfMatch, tag
from client.schedule_names import schedule_id, schedules_of
from shiftwork.contracts.agent import SCHEDULE_ID
from shiftwork.errors import NotFound
from shiftwork.store.agents import AgentRow

router = APIRouter(prefix="/api/agents/{agent}", tags=["schedules"], responses=READS)
everywhere = APIRouter(prefix="/api/schedules", tags=["schedules"], responses=documented())

ScheduleRef = Annotated[
    str,
    Path(
        alias="schedule",
        pattern=SCHEDULE_ID,
        description="The schedule's id; `agent_7` is agent 7's own.",
        examples=["agent_7"],
    ),
]


@everywhere.get("", summary="List the schedules of all agents")
async def list_all_schedules(shiftwork: Here, window: Paged) -> ReadablePage[Schedule]:
    """By their agents, oldest first."""
    agents, unreadable = await shiftwork.readable_agents()
    known = [(row, name) for row in agents for name in _names(row)]
    page = Page.of(known, window)
    items = await _shown(shiftwork, page.items)
    return ReadablePage.but(Page.of_part(items, window, page.total), unreadable)


@router.get("/schedules", summary="List an agent's schedules")
async def list_schedules(shiftwork: Here, agent: AgentRef) -> list[Schedule]:
    """Its own first, then the others; none while it is not enabled."""
    row = await shiftwork.agent(agent)
    return await _shown(shiftwork, [(row, name) for name in _names(row)])


@router.delete("/schedules", status_code=204, summary="Remove all of an agent's schedules", responses=GONE)
async def delete_schedules(shiftwork: Here, matching: IfMatch, agent: AgentRef) -> None:
    """Have it run by none any more; its configuration says so, as a new version. One that has none stays."""
    row = await shiftwork.agent(agent)
    version = matching.version(row)
    if row.config.schedule is not None or row.config.schedules:
        await shiftwork.unset_schedule(row.id, version=version)


@router.get("/schedule", summary="Show an agent's own schedule", responses=TAGGED)
async def get_own_schedule(shiftwork: Here, response: Response, agent: AgentRef) -> Schedule:
    """The one that its configuration has as `schedule`."""
    row = await shiftwork.agent(agent)
    return _tagged(response, await _show(shiftwork, row, _known(row, schedule_id(row.id))))


@router.put("/schedule", summary="Set an agent's own schedule", responses=VERSIONED)
async def put_own_schedule(
    shiftwork: Here, response: Response, matching: IfMatch, agent: AgentRef, asked: asking.PutSchedule
) -> Schedule:
    """Have it run by this from now on; its configuration says so, as a new version."""
    row = await shiftwork.agent(agent)
    return _tagged(response, await _put(shiftwork, row, schedule_id(row.id), asked, matching.version(row)))


@router.delete("/schedule", status_code=204, summary="Remove an agent's own schedule", responses=GONE)
async def delete_own_schedule(shiftwork: Here, matching: IfMatch, agent: AgentRef) -> None:
    """Have it run by this no more; its configuration says so, as a new version."""
    row = await shiftwork.agent(agent)
    await _delete(shiftwork, row, schedule_id(row.id), matching.version(row))


@router.get("/schedules/{schedule}", summary="Show a schedule", responses=TAGGED)
async def get_schedule(
    shiftwork: Here, response: Response, agent: AgentRef, schedule: ScheduleRef
) -> Schedule:
    """When it is due, when it was, and what became of that."""
    row = await shiftwork.agent(agent)
    return _tagged(response, await _show(shiftwork, row, _known(row, schedule)))


@router.put("/schedules/{schedule}", summary="Set a schedule", responses=VERSIONED)
async def put_schedule(  # noqa: PLR0917 - FastAPI passes them by name
    shiftwork: Here,
    response: Response,
    matching: IfMatch,
    agent: AgentRef,
    schedule: ScheduleRef,
    asked: asking.PutSchedule,
) -> Schedule:
    """Have the agent run by this, too; its configuration says so, as a new version."""
    row = await shiftwork.agent(agent)
    return _tagged(response, await _put(shiftwork, row, schedule, asked, matching.version(row)))


@router.delete("/schedules/{schedule}", status_code=204, summary="Remove a schedule", responses=GONE)
async def delete_schedule(shiftwork: Here, matching: IfMatch, agent: AgentRef, schedule: ScheduleRef) -> None:
    """Have the agent run by this no more; its configuration says so, as a new version."""
    row = await shiftwork.agent(agent)
    await _delete(shiftwork, row, schedule, matching.version(row))


@router.get("/schedules/{schedule}/runs", summary="List when a schedule is due next")
async def list_next_runs(
    shiftwork: Here,
    agent: AgentRef,
    schedule: ScheduleRef,
    number: Annotated[int, Query(ge=1, le=MOST_RUNS, description="How many moments.")] = 10,
) -> Runs:
    """The next moments at which it begins, by the agent's clock, as Temporal has them; with its jitter."""
    row = await shiftwork.agent(agent)
    shown = await _show(shiftwork, row, _known(row, schedule))
    due = await shiftwork.next_runs(row.id, number, job_id=schedule)
    return Runs(schedule=shown.schedule, timezone=shown.timezone, paused=shown.paused, next_runs=due)


@router.post(
    "/schedules/{schedule}/pause", summary="Pause a schedule", response_model=Schedule, responses=CHANGES
)
async def pause_schedule(
    shiftwork: Here, once: Once, agent: AgentRef, schedule: ScheduleRef, asked: asking.PauseSchedule
) -> Response:
    """Have nothing run by it until it is unpaused, also of what waits for the end of a run."""

    async def pause(row: AgentRow) -> None:
        await shiftwork.pause_schedule(row.id, asked.note, job_id=schedule)

    return await _told(shiftwork, once, (agent, schedule), 200, pause)


@router.post(
    "/schedules/{schedule}/unpause",
    summary="Go on with a schedule",
    response_model=Schedule,
    responses=CHANGES,
)
async def unpause_schedule(
    shiftwork: Here, once: Once, agent: AgentRef, schedule: ScheduleRef, asked: asking.PauseSchedule
) -> Response:
    """Have the agent run by it again; what was due in the pause is not made up for."""

    async def unpause(row: AgentRow) -> None:
        await shiftwork.unpause_schedule(row.id, asked.note, job_id=schedule)

    return await _told(shiftwork, once, (agent, schedule), 200, unpause)


@router.post(
    "/schedules/{schedule}/trigger",
    status_code=202,
    summary="Run a schedule's agent now",
    response_model=Schedule,
    responses=CHANGES,
)
async def trigger_schedule(shiftwork: Here, once: Once, agent: AgentRef, schedule: ScheduleRef) -> Response:
    """As if it were due now, also while it is paused; what meets another run does as `overlap` says."""

    async def trigger(row: AgentRow) -> None:
        await shiftwork.trigger_schedule(row.id, job_id=schedule)

    return await _told(shiftwork, once, (agent, schedule), 202, trigger)


@router.post(
    "/schedules/{schedule}/backfill",
    status_code=202,
    summary="Make up for a time",
    response_model=Schedule,
    responses=CHANGES,
)
async def backfill_schedule(
    shiftwork: Here, once: Once, agent: AgentRef, schedule: ScheduleRef, asked: asking.Backfill
) -> Response:
    """Run now what was due in a time, as if it were due; what ran already does not run again."""

    async def backfill(row: AgentRow) -> None:
        await shiftwork.backfill_schedule(row.id, asked.start, asked.end, asked.overlap, job_id=schedule)

    return await _told(shiftwork, once, (agent, schedule), 202, backfill)


async def _shown(shiftwork: Here, known: Sequence[tuple[AgentRow, str]]) -> list[Schedule]:
    found = []
    for agent, name in known:
        with suppress(NotFound):  # it was removed meanwhile, or is being made
            found.append(await _show(shiftwork, agent, name))
    return found


def _names(agent: AgentRow) -> list[str]:
    own = schedule_id(agent.id)
    return sorted(schedules_of(agent), key=lambda name: (name != own, name))


async def _told(
    shiftwork: Here,
    once: Idempotency,
    where: tuple[str, str],
    status: int,
    tell: Callable[[AgentRow], Awaitable[None]],
) -> Response:
    """The schedule after it was told something."""
    agent, schedule = where

    async def make(_: Making) -> Schedule:
        row = await shiftwork.agent(agent)
        _known(row, schedule)
        await tell(row)
        return await _show(shiftwork, row, schedule)

    return await once.once(status, make)


def _known(agent: AgentRow, schedule: str) -> str:
    """The schedule's id, if it is one of this agent's: Temporal's are known to all by their ids."""
    if schedule not in schedules_of(agent):
        why = "" if agent.config.enabled else ": the agent is not enabled"
        raise NotFound(f"There is no schedule {schedule!r} of agent {agent.name!r}{why}.")
    return schedule


async def _show(shiftwork: Here, agent: AgentRow, schedule: str) -> Schedule:
    return Schedule.of(await shiftwork.schedule(agent.id, schedule))


def _tagged(response: Response, schedule: Schedule) -> Schedule:
    """The answer; its `ETag` is that of the agent, whose configuration says when it runs."""
    tag(response, schedule.agent_id, schedule.agent_version)
    return schedule


async def _put(
    shiftwork: Here, agent: AgentRow, schedule: str, asked: asking.PutSchedule, version: int | None
) -> Schedule:
    info = await shiftwork.set_schedule(
        agent.id, asked.schedule, schedule, timezone=asked.timezone, version=version
    )
    return Schedule.of(info)


async def _delete(shiftwork: Here, agent: AgentRow, schedule: str, version: int | None) -> None:
    own = agent.config.schedule is not None and schedule == schedule_id(agent.id)
    if not own and schedule not in agent.config.schedules:
        raise NotFound(f"There is no schedule {schedule!r} of agent {agent.name!r}.")
    await shiftwork.unset_schedule(agent.id, schedule, version=version)
