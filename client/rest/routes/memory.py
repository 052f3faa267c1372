"""What is remembered of a project: progress and decisions; and what agents are told of their roles."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from client.rest import asking
from client.rest.answering import Prompt
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import Page, Paged
from client.rest.problems import documented
from client.rest.routes.projects import CHANGES, READS, Ref
from client.rest.working import answered
from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.base import Tag
from shiftwork.contracts.outbox import DecisionNote, ProgressNote
from shiftwork.contracts.session import Role
from shiftwork.secrets.refusing import refuse_in_words
from shiftwork.store.rows import DecisionRow, ProgressRow

router = APIRouter(prefix="/api", tags=["memory"], responses=documented())


@router.get("/projects/{project}/progress", summary="Read the log of work, newest first", responses=READS)
async def list_progress(shiftwork: Here, project: Ref, window: Paged) -> Page[ProgressRow]:
    """What was done, by sessions and by people."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        rows = await tx.progress.list(row.id, window.end)
        total = await tx.progress.count(row.id)
    return Page.of_newest(rows, window, total)


@router.post(
    "/projects/{project}/progress",
    status_code=201,
    summary="Log progress",
    response_model=ProgressRow,
    responses=CHANGES,
)
async def log_progress(shiftwork: Here, once: Once, project: Ref, asked: asking.LogProgress) -> Response:
    """Log a step of work that you did; the sessions to come read it."""
    note = asking.contract(ProgressNote, **asked.model_dump())
    words = "\n".join((note.action, note.outcome, *note.files_changed))
    refuse_in_words("The progress", words, await shiftwork.guard())

    async def make(making: Making) -> ProgressRow:
        row = await shiftwork.find(project)
        async with shiftwork.store.transaction() as tx:
            made = await tx.progress.log(
                row.id, note.action, outcome=note.outcome, files_changed=note.files_changed
            )
            await making.settle(tx, 201, made)
        return made

    return await once.once(201, make)


@router.get("/projects/{project}/decisions", summary="List or find decisions, newest first", responses=READS)
async def list_decisions(
    shiftwork: Here,
    project: Ref,
    window: Paged,
    tag: Annotated[list[Tag], Query(max_length=20, description="Only with one of these tags.")] = [],  # noqa: B006 - FastAPI copies it
    text: Annotated[str, Query(max_length=10_000, description="What they should be about, in words.")] = "",
) -> Page[DecisionRow]:
    """All of them; with `tag` or `text` those that matter to that, the most relevant first."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        if tag or text.strip():
            rows = await tx.decisions.relevant(row.id, tag, text, window.end)
        else:
            rows = await tx.decisions.history(row.id, window.end)
        total = await tx.decisions.count(row.id, tag, text)
    return Page.of_newest(rows, window, total)


@router.post(
    "/projects/{project}/decisions",
    status_code=201,
    summary="Record a decision",
    response_model=DecisionRow,
    responses=CHANGES,
)
async def record_decision(
    shiftwork: Here, once: Once, project: Ref, asked: asking.RecordDecision
) -> Response:
    """Record a choice and why it was made; the sessions to which it matters are told."""
    note = asking.contract(DecisionNote, **asked.model_dump())
    words = "\n".join((note.context, note.decision, note.reasoning, *note.tags))
    refuse_in_words("The decision", words, await shiftwork.guard())

    async def make(making: Making) -> DecisionRow:
        row = await shiftwork.find(project)
        async with shiftwork.store.transaction() as tx:
            made = await tx.decisions.record(row.id, None, 0, 0, note)
            await making.settle(tx, 201, made)
        return made

    return await once.once(201, make)


@router.put("/decisions/{decision}/feedback", summary="Judge a decision", responses=CHANGES)
async def judge_decision(
    shiftwork: Here,
    decision: Annotated[int, Path(ge=1, le=2**63 - 1, description="The decision's id.")],
    asked: asking.Feedback,
) -> DecisionRow:
    """Say what became of it, and what is to be learnt; later sessions are shown it."""
    async with shiftwork.store.transaction() as tx:
        await tx.decisions.get(decision)
    await answered(
        shiftwork,
        lambda: shiftwork.feedback(decision, asked.outcome, score=asked.score, lesson=asked.lesson),
    )
    async with shiftwork.store.transaction() as tx:
        return await tx.decisions.get(decision)


@router.get("/prompts", summary="Read what agents are told of their roles")
async def list_prompts(
    role: Annotated[Role | None, Query(description="Only of this role.")] = None,
) -> list[Prompt]:
    """What Shiftwork says to the agent of each role, unless a project says something else."""
    found = [prompt_for(each, {}) for each in ([role] if role else Role)]
    return [Prompt(role=each.role, version=each.version, text=each.text) for each in found]
