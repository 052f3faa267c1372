"""What happened in a project: sessions, transcripts, events, checkpoints, reports."""

from collections import deque
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from client.report import project_report, render_markdown
from client.rest import asking
from client.rest.answering import Checkpoint, Event, Events, Report, Transcript
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import MOST, Page, Paged
from client.rest.problems import documented
from client.rest.routes.projects import CHANGES, READS, Ref
from client.rest.streams import EventStream
from client.rest.working import answered
from shiftwork.store.rows import CheckpointRow, EventRow, SessionRow
from shiftwork.store.store import Transaction
from shiftwork.text import printable

router = APIRouter(prefix="/api/projects/{project}", tags=["history"], responses=READS)

_LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=0, le=2**31 - 1, description="The session's number; 0 is the planning.")]
After = Annotated[int, Query(ge=0, le=_LARGEST, description="Only events after this sequence.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="The most items to return.")]
Last = Annotated[
    int | None,
    Query(ge=1, le=1_000_000, description="Only the newest so many, of which `after` may leave out some."),
]


@router.get("/sessions", summary="List a project's sessions, newest first")
async def list_sessions(shiftwork: Here, project: Ref, window: Paged) -> Page[SessionRow]:
    """What each did, cost, and came to."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        rows = await tx.sessions.list(row.id, window.end)
        total = await tx.sessions.count(row.id)
    return Page.of_newest(rows, window, total)


@router.get("/sessions/{number}", summary="Show a session")
async def get_session(shiftwork: Here, project: Ref, number: Number) -> SessionRow:
    """What it did, cost, and came to; `ended_at` is null while it runs."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        return await tx.sessions.get(row.id, number)


@router.get("/sessions/{number}/transcript", summary="Read what an agent said and did")
async def read_transcript(  # noqa: PLR0917 - FastAPI passes them by name
    shiftwork: Here,
    project: Ref,
    number: Number,
    limit: Limit = MOST,
    after: Annotated[
        str,
        Query(
            pattern=r"^(-1|[0-9]{1,9}):(-1|[0-9]{1,9})$",
            description="`next_after` of the page before: an attempt and a sequence in it.",
        ),
    ] = "-1:-1",
    last: Last = None,
) -> Transcript:
    """All attempts of the session, oldest first."""
    row = await shiftwork.find(project)
    attempt, _, sequence = after.partition(":")
    heard = (int(attempt), int(sequence))
    async with shiftwork.store.transaction() as tx:
        session = await tx.sessions.get(row.id, number)
        if last is not None:
            heard = max(heard, await tx.transcript.before_last(session.id, last))
        found = await tx.transcript.since(session.id, heard, limit + 1)
    items = found[:limit]
    following = f"{items[-1].attempt}:{items[-1].sequence}" if items else after
    return Transcript(items=items, next_after=following, more=len(found) > limit)


@router.get("/events", summary="List what happened")
async def list_events(  # noqa: PLR0917 - FastAPI passes them by name
    shiftwork: Here,
    project: Ref,
    after: After = 0,
    limit: Limit = MOST,
    session: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Only events of this session.")
    ] = None,
    last: Last = None,
) -> Events:
    """Events in their order, oldest first; `events/stream` tells of them as they happen."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        if last is not None:
            after = max(after, await _before_last(tx, row.id, last, session))
        items: list[Event] = []
        more = True
        while more and len(items) < limit:
            page = await tx.events.after(row.id, after, MOST)
            more = len(page) == MOST
            for event in page:
                if len(items) == limit:
                    more = True
                    break
                after = event.sequence
                if _is_of(event, session):
                    items.append(Event.of(event))
    return Events(items=items, next_after=after, more=more)


async def _before_last(tx: Transaction, project_id: str, count: int, session: int | None) -> int:
    """The sequence after which the last so many events of a project, or of one of its sessions, come."""
    newest: deque[int] = deque(maxlen=count + 1)
    page, after = await tx.events.after(project_id, 0, MOST), 0
    while page:
        newest.extend(event.sequence for event in page if _is_of(event, session))
        after = page[-1].sequence
        page = await tx.events.after(project_id, after, MOST)
    return newest[0] if len(newest) > count else 0


def _is_of(event: EventRow, session: int | None) -> bool:
    named = event.reference == f"session:{session}" or event.data.get("session") == session
    return session is None or named


@router.get(
    "/events/stream",
    summary="Follow what happens",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `id` is the sequence, `data` an event as the list has it; "
            "with `agents` also events `said`, without an id, whose data is what an agent said, as its "
            "transcript has it, with the number of its `session`.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 4\ndata: {"sequence": 4, "kind": "landed", "text": "…"}\n\n',
                }
            },
        },
        **documented(404, 429),
    },
)
async def stream_events(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    shiftwork: Here,
    project: Ref,
    after: After = 0,
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=_LARGEST,
            description="Go on after this event; clients send it by themselves.",
        ),
    ] = None,
    until_rest: Annotated[  # noqa: FBT002 - a parameter of a query
        bool,
        Query(
            description="End with the event `rest` and the project's status once nothing happens any more."
        ),
    ] = False,
    agents: Annotated[  # noqa: FBT002 - a parameter of a query
        bool, Query(description="Tell also what the agents of running sessions say and do.")
    ] = False,
) -> Response:
    """Every event after a sequence, then each as it happens, none lost or doubled; heartbeats between."""
    row = await shiftwork.find(project)
    since = after if last_event_id is None else last_event_id
    stream = EventStream(shiftwork, row.id, since, until_rest=until_rest, agents=agents)
    return stream.response(request, request.app.state.streams)


@router.get("/checkpoints", summary="List the checkpoints, newest first")
async def list_checkpoints(shiftwork: Here, project: Ref, window: Paged) -> Page[CheckpointRow]:
    """The commits that one can go back to, and which features passed there."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        rows = await tx.checkpoints.list(row.id, window.end)
        total = await tx.checkpoints.count(row.id)
    return Page.of_newest(rows, window, total)


@router.post(
    "/checkpoints", status_code=201, summary="Make a checkpoint", response_model=Checkpoint, responses=CHANGES
)
async def make_checkpoint(
    shiftwork: Here, once: Once, project: Ref, asked: asking.MakeCheckpoint
) -> Response:
    """Make the tip of main a checkpoint, with what passes there."""

    async def make(_: Making) -> Checkpoint:
        row = await shiftwork.find(project)
        commit = await answered(shiftwork, lambda: shiftwork.checkpoint(row.id, asked.note))
        return Checkpoint(project_id=row.id, commit=commit)

    return await once.once(201, make)


@router.get("/report", summary="Report on a project")
async def get_report(shiftwork: Here, project: Ref) -> Report:
    """Features with the evidence of their steps, sessions, decisions, checkpoints, events of note."""
    row = await shiftwork.find(project)
    return Report(**await project_report(shiftwork.store, row.id))


@router.get(
    "/report.md",
    summary="Report on a project, to be read",
    response_class=Response,
    responses={
        200: {"description": "The report.", "content": {"text/markdown": {"schema": {"type": "string"}}}}
    },
)
async def get_report_markdown(shiftwork: Here, project: Ref) -> Response:
    """The report in Markdown, without control characters."""
    row = await shiftwork.find(project)
    text = render_markdown(await project_report(shiftwork.store, row.id))
    return Response(printable(text), media_type="text/markdown")
