"""Tasks: runs of registered agents, and instructions for providers."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from client.rest import asking_tasks as asking
from client.rest.answering_tasks import Resources, Task
from client.rest.answers import Answer
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import Page, Paged, PartlyReadablePage
from client.rest.problems import documented
from client.rest.routes.agents import AgentRef, agent_id_of
from client.rest.task_stream import ENDED, TaskStream
from client.rest.working import answered, require_worker
from shiftwork.contracts.agent import PYTHON
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.store.task_rows import TaskFilter, TaskLine, TaskRow

router = APIRouter(prefix="/api", tags=["tasks"], responses=documented(404))

CHANGES = documented(404, 409)
TaskRef = Annotated[
    str,
    Path(
        alias="task",
        pattern=r"^([0-9]{1,19}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$",
        description="The task's id, or its UUID.",
        examples=["7"],
    ),
]
_Status = Annotated[TaskStatus | None, Query(description="Only those in this status.")]
_WAITED: dict[int | str, dict[str, Any]] = {200: {"description": "It has ended.", "model": Task}}


@router.get("/tasks", summary="List the tasks, newest first")
async def list_tasks(  # noqa: PLR0917 - FastAPI passes them by name
    shiftwork: Here,
    window: Paged,
    status: _Status = None,
    agent: Annotated[
        str | None, Query(min_length=1, max_length=200, description="Only runs of this agent, by name or id.")
    ] = None,
    provider: Annotated[str | None, Query(max_length=200, description="Only those of this provider.")] = None,
    user: Annotated[str | None, Query(max_length=200, description="Only those for this user.")] = None,
) -> PartlyReadablePage[TaskLine]:
    """What each was, and came to; of long texts the beginning."""
    wanted = TaskFilter(
        statuses=(status,) if status else (),
        agent_id=None if agent is None else await agent_id_of(shiftwork, agent),
        provider=provider,
        user_id=user,
    )
    return await _page(shiftwork, wanted, window)


@router.get("/tasks/agents/{agent}/tasks", summary="List an agent's tasks, newest first")
async def list_tasks_of_agent(
    shiftwork: Here, agent: AgentRef, window: Paged, status: _Status = None
) -> PartlyReadablePage[TaskLine]:
    """Its history, by its id also if it was deleted; of long texts the beginning."""
    wanted = TaskFilter(statuses=(status,) if status else (), agent_id=await agent_id_of(shiftwork, agent))
    return await _page(shiftwork, wanted, window)


async def _page(shiftwork: Here, wanted: TaskFilter, window: Paged) -> PartlyReadablePage[TaskLine]:
    async with shiftwork.store.transaction() as tx:
        rows, unreadable = await tx.tasks.lines(wanted, limit=window.limit, offset=window.offset)
        total = await tx.tasks.count(wanted)
    return PartlyReadablePage.with_left_out(Page.of_part(rows, window, total), unreadable)


@router.post("/tasks", status_code=201, summary="Make a task", response_model=Task, responses=CHANGES)
async def create_task(shiftwork: Here, once: Once, asked: asking.CreateTask) -> Response:
    """Make a task that nothing runs yet; `POST …/start` runs it."""

    async def make(making: Making) -> Task:
        row = await shiftwork.create_task(**asked.model_dump(), request_key=_key(making))
        return Task.of(row)

    return await once.once(201, make)


@router.post(
    "/tasks/execute",
    status_code=202,
    summary="Run an agent now",
    response_model=Task,
    responses={**CHANGES, **_WAITED},
)
async def execute_agent(
    request: Request, shiftwork: Here, once: Once, asked: asking.ExecuteAgent
) -> Response:
    """Its task, which runs, or has ended if that is waited for. An agent has one run at a time."""

    async def make(making: Making) -> Task:
        agent = await shiftwork.agent(asked.agent)
        if agent.kind == PYTHON and agent.code is None:
            raise InvalidInput(f"Agent {agent.name!r} has no code; give it some before it is run.")
        await require_worker(shiftwork)
        row = await shiftwork.run_agent(
            agent.id,
            parameters=asked.parameters,
            instruction=asked.instruction,
            timeout=asked.timeout,
            request_key=_key(making),
        )
        return Task.of(row)

    return await _waited(request, shiftwork, await once.once(202, make), asked.wait)


@router.get("/tasks/{task}", summary="Show a task")
async def get_task(shiftwork: Here, task: TaskRef) -> Task:
    """What was asked for, where it stands, and what came of it."""
    return Task.of(await _find(shiftwork, task))


@router.post(
    "/tasks/{task}/start",
    status_code=202,
    summary="Run a task",
    response_model=Task,
    responses={**CHANGES, **_WAITED},
)
async def start_task(
    request: Request, shiftwork: Here, once: Once, task: TaskRef, asked: asking.StartTask
) -> Response:
    """Run what was made and not run yet."""

    async def make(making: Making) -> Task:
        row = await _find(shiftwork, task)
        if making.retried and row.status is not TaskStatus.CREATED:
            return Task.of(row)  # by the try that was cut off
        await require_worker(shiftwork)
        return Task.of(await shiftwork.start_task(row.id, timeout=asked.timeout))

    return await _waited(request, shiftwork, await once.once(202, make), asked.wait)


@router.post("/tasks/{task}/cancel", summary="End a task", response_model=Task, responses=CHANGES)
async def cancel_task(shiftwork: Here, once: Once, task: TaskRef) -> Response:
    """It fails as cancelled, and what it runs is ended; one that has ended stays as it is."""

    async def make(_: Making) -> Task:
        row = await _find(shiftwork, task)
        if row.status is TaskStatus.RUNNING:
            return Task.of(await answered(shiftwork, lambda: shiftwork.cancel_task(row.id)))
        return Task.of(await shiftwork.cancel_task(row.id))

    return await once.once(200, make)


@router.get(
    "/tasks/{task}/events/stream",
    summary="Follow a task to its end",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `data` says where the task stands, first as it is, then at "
            "each change; the event `end` carries its last status.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'data: {"id": 7, "status": "running", "trace": {}}\n\n',
                }
            },
        },
        204: {"description": "The end was told before: `Last-Event-ID` says so."},
        **documented(404, 429),
    },
)
async def stream_task(
    request: Request,
    shiftwork: Here,
    task: TaskRef,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=200,
            description="What was heard last; clients send it by themselves.",
        ),
    ] = None,
) -> Response:
    """Where it stands, and each change of it, until it has ended; heartbeats between."""
    row = await _find(shiftwork, task)
    if last_event_id == ENDED and row.status.ended:
        return Response(status_code=204)
    return TaskStream(shiftwork, row.id).response(request, request.app.state.streams)


@router.get("/resources", tags=["server"], summary="Show what of this machine is used")
async def get_resources(request: Request, shiftwork: Here) -> Resources:
    """Of the machine on which the server runs, or of its container."""
    usage = await asyncio.to_thread(request.app.state.resources.get_usage)
    async with shiftwork.store.transaction() as tx:
        running = await tx.tasks.count(TaskFilter(statuses=(TaskStatus.RUNNING,)))
    return Resources.of(usage, running)


async def _find(shiftwork: Here, ref: str) -> TaskRow:
    async with shiftwork.store.transaction() as tx:
        return await (tx.tasks.get(int(ref)) if ref.isdigit() else tx.tasks.by_uuid(ref.lower()))


def _key(making: Making) -> str | None:
    """By which a try that was cut off finds what it made."""
    return making.thing and f"rest/{making.thing}"


async def _waited(request: Request, shiftwork: Here, answer: Response, seconds: float) -> Response:
    """The answer; or the ended task, if it ends within so many seconds, or before the server does."""
    if answer.status_code != 202 or not seconds:
        return answer
    task_id = json.loads(bytes(answer.body))["id"]
    works: list[Awaitable[object]] = [shiftwork.wait_task(task_id), request.app.state.streams.closing.wait()]
    ended, closing = (asyncio.ensure_future(work) for work in works)
    try:
        await asyncio.wait({ended, closing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        row = ended.result() if ended.done() else await shiftwork.task(task_id)
    finally:
        ended.cancel()
        closing.cancel()
    assert isinstance(row, TaskRow)
    again = {name: value for name, value in answer.headers.items() if name == "idempotency-replayed"}
    return Answer(Task.of(row).model_dump(mode="json"), 200 if row.status.ended else 202, again)
