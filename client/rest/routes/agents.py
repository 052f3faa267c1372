"""Registered agents: made, changed by new versions, deleted."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from client.agents import definition_of
from client.rest import asking_tasks as asking
from client.rest.answering_tasks import Agent, AgentLine
from client.rest.asking import contract
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import Page, Paged, ReadablePage
from client.rest.problems import documented
from client.rest.versions import TAGGED, IfMatch, tag, tag_made
from shiftwork.errors import Conflict, InvalidInput
from shiftwork.store.agents import AgentDefinition, AgentRow

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=documented())

READS = documented(404)
CHANGES = documented(404, 409)
GONE = documented(404, 409, 412)
VERSIONED = {**GONE, **TAGGED}
AgentRef = Annotated[
    str,
    Path(
        alias="agent",
        min_length=1,
        max_length=200,
        description="Id, or name where that has no slash.",
        examples=["price-watcher"],
    ),
]


@router.get("", summary="List the registered agents, oldest first")
async def list_agents(shiftwork: Here, window: Paged) -> ReadablePage[AgentLine]:
    """Each in its newest version, without its code and settings."""
    rows, unreadable = await shiftwork.readable_agents()
    return ReadablePage.but(Page.of([AgentLine.line(row) for row in rows], window), unreadable)


@router.post(
    "", status_code=201, summary="Register an agent", response_model=Agent, responses=documented(409)
)
async def register_agent(shiftwork: Here, once: Once, asked: asking.RegisterAgent) -> Response:
    """Register an agent in its first version; if its configuration has a schedule, it runs by that."""
    definition = contract(AgentDefinition, **asked.model_dump(exclude={"name"}))

    async def make(making: Making) -> Agent:
        try:
            return Agent.of(await shiftwork.register_agent(asked.name, definition))
        except Conflict:
            found = await _made(shiftwork, asked.name, definition) if making.retried else None
            if found is None:
                raise
            return Agent.of(found)

    return tag_made(await once.once(201, make))


async def _made(shiftwork: Here, name: str, definition: AgentDefinition) -> AgentRow | None:
    """What an earlier try, which was cut off, has registered; its schedules are made again."""
    found = await shiftwork.agent(name)
    if found.version != 1 or AgentDefinition.model_validate(found.model_dump()) != definition:
        return None
    return await shiftwork.change_agent(found.id, definition)


@router.get("/{agent}", summary="Show an agent", responses={**READS, **TAGGED})
async def get_agent(
    shiftwork: Here,
    response: Response,
    agent: AgentRef,
    version: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="In this version; else in its newest.")
    ] = None,
) -> Agent:
    """What it is: kind, code or settings, configuration."""
    row = await shiftwork.agent(agent)
    if version is not None:
        async with shiftwork.store.transaction() as tx:
            row = await tx.agents.get(row.id, version)
    return _tagged(response, row)


@router.patch("/{agent}", summary="Change an agent", responses=VERSIONED)
async def change_agent(
    shiftwork: Here, response: Response, matching: IfMatch, agent: AgentRef, asked: asking.ChangeAgent
) -> Agent:
    """Give it a new version, which its next runs take: what is given changes, by name at every depth."""
    if not asked.model_fields_set:
        raise InvalidInput("Nothing to change: give a field of the agent.")
    row = await shiftwork.agent(agent)
    version = matching.version(row)
    changed = asked.of(row)
    if "config" in changed:
        changed["config"] = asking.patched(changed["config"], asked)
    definition = definition_of(row, **changed)
    return _tagged(response, await shiftwork.change_agent(row.id, definition, version=version))


@router.delete("/{agent}", status_code=204, summary="Delete an agent", responses=GONE)
async def delete_agent(shiftwork: Here, matching: IfMatch, agent: AgentRef) -> None:
    """It runs no more; its tasks and handoffs stay."""
    row = await shiftwork.agent_identity(agent)
    await shiftwork.delete_agent(row.id, version=matching.version(row))


@router.get("/{agent}/versions", summary="List an agent's versions, newest first", responses=READS)
async def list_agent_versions(shiftwork: Here, agent: AgentRef, window: Paged) -> ReadablePage[AgentLine]:
    """What it was when, without code and settings: `GET …?version=` has those."""
    rows, unreadable = await shiftwork.readable_agent_versions(agent)
    return ReadablePage.but(Page.of([AgentLine.line(row) for row in rows], window), unreadable)


def _tagged(response: Response, row: AgentRow) -> Agent:
    tag(response, row.id, row.version)
    return Agent.of(row)


async def agent_id_of(shiftwork: Here, ref: str) -> int:
    """The id of the agent of this name or id, also of one that was deleted, by its id."""
    async with shiftwork.store.transaction() as tx:
        if ref.isascii() and ref.isdigit():
            return (await tx.agents.identity(int(ref), deleted=True)).id
        return (await tx.agents.identify(ref)).id
