"""Handoffs: what a run of an agent, or a session of a project, leaves for the next one."""

import json
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from client.rest import asking_tasks as asking
from client.rest.answering_tasks import CleanedUp, Handoff
from client.rest.asking_tasks import LARGEST_ID
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import Page, PartlyReadablePage, Window
from client.rest.problems import documented
from client.rest.routes.agents import CHANGES, READS, AgentRef
from client.rest.routes.projects import Ref
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.handoffs import HandoffContext
from shiftwork.store.handoffs import HandoffArtifact, readable

router = APIRouter(prefix="/api/agents/{agent}/handoffs", tags=["handoffs"], responses=READS)
of_projects = APIRouter(prefix="/api/projects", tags=["handoffs"], responses=READS)
everywhere = APIRouter(prefix="/api/handoffs", tags=["handoffs"], responses=documented())

_MOST = 50
"""Of a page: each may have 256 KiB."""

Limit = Annotated[int, Query(ge=1, le=_MOST, description="The most items to return.")]
Offset = Annotated[
    int, Query(ge=0, le=100_000, description="How many to skip: `next_offset` of the page before.")
]


@router.get("", summary="List an agent's handoffs, newest first")
async def list_handoffs(
    shiftwork: Here,
    agent: AgentRef,
    limit: Limit = 10,
    offset: Offset = 0,
) -> PartlyReadablePage[Handoff]:
    """What its runs left, without what has expired."""
    row = await shiftwork.agent(agent)
    async with shiftwork.store.transaction() as tx:
        found = await tx.handoffs.history(row.id, limit, offset)
        total = await tx.handoffs.count(row.id)
    return _page(found, Window(limit=limit, offset=offset), total)


@router.get("/latest", summary="Show what an agent's next run is given")
async def get_latest_handoff(shiftwork: Here, agent: AgentRef) -> Handoff:
    """The newest that has not expired."""
    row = await shiftwork.agent(agent)
    async with shiftwork.store.transaction() as tx:
        found = await tx.handoffs.latest(row.id)
    if found is None:
        raise NotFound(f"Agent {row.name!r} has no handoff, or none that has not expired.")
    return Handoff.of(found)


@router.get("/{handoff}", summary="Show a handoff")
async def get_handoff(
    shiftwork: Here,
    agent: AgentRef,
    handoff: Annotated[int, Path(ge=1, le=LARGEST_ID, description="The handoff's id.")],
) -> Handoff:
    """What one run left, if it has not expired."""
    row = await shiftwork.agent(agent)
    async with shiftwork.store.transaction() as tx:
        return Handoff.of(await tx.handoffs.get(row.id, handoff))


@router.post("", status_code=201, summary="Save a handoff", response_model=Handoff, responses=CHANGES)
async def save_handoff(shiftwork: Here, once: Once, agent: AgentRef, asked: asking.SaveHandoff) -> Response:
    """What the agent's next run is given instead of what its last one left."""
    text = HandoffContext.from_json(json.dumps(asked.parts())).to_json()
    ttl = None if asked.ttl_days is None else timedelta(days=asked.ttl_days)

    async def make(making: Making) -> Handoff:
        row = await shiftwork.agent(agent)
        async with shiftwork.store.transaction() as tx:
            if asked.task_id is not None and (await tx.tasks.get(asked.task_id)).agent_id != row.id:
                raise InvalidInput(f"task_id: task {asked.task_id} is no run of agent {row.name!r}.")
            saved = await tx.handoffs.save(
                text, asked.summary, agent_id=row.id, task_id=asked.task_id, ttl=ttl
            )
            made = Handoff.of(saved)
            await making.settle(tx, 201, made)
        return made

    return await once.once(201, make)


@of_projects.get("/{project}/handoffs", summary="List what a project's sessions left, newest first")
async def list_project_handoffs(
    shiftwork: Here,
    project: Ref,
    limit: Limit = 10,
    offset: Offset = 0,
) -> PartlyReadablePage[Handoff]:
    """What each handed over to the next, without what has expired."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        found = await tx.handoffs.of_project(row.id, limit, offset)
        total = await tx.handoffs.count_of_project(row.id)
    return _page(found, Window(limit=limit, offset=offset), total)


@everywhere.post(
    "/cleanup", summary="Delete the handoffs that have expired", response_model=CleanedUp, responses=CHANGES
)
async def clean_up_handoffs(shiftwork: Here, once: Once) -> Response:
    """Of all agents; they are loaded no more in any case, and are deleted by themselves in time."""

    async def make(_: Making) -> CleanedUp:
        async with shiftwork.store.transaction() as tx:
            return CleanedUp(deleted=await tx.handoffs.remove_expired())

    return await once.once(200, make)


def _page(found: list[HandoffArtifact], window: Window, total: int) -> PartlyReadablePage[Handoff]:
    items, unreadable = readable(found, Handoff.of)
    return PartlyReadablePage.with_left_out(Page.of_part(items, window, total), unreadable)
