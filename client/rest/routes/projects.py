"""Projects: making, listing and ending them, and what directs them."""

from collections.abc import Awaitable, Callable
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from client.rest import asking
from client.rest.answering import CreatedProject, Reverted, Standing, Taken
from client.rest.connections import Here
from client.rest.idempotency import Idempotency, Making, Once
from client.rest.pages import Page, Paged, ReadablePage
from client.rest.problems import documented
from client.rest.working import answered
from shiftwork.contracts.project import ProjectStatus
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.rows import ProjectRow

router = APIRouter(prefix="/api/projects", tags=["projects"], responses=documented())

Ref = Annotated[
    str,
    Path(
        alias="project",
        min_length=1,
        max_length=200,
        description="Id, beginning of an id (4 characters or more), or name.",
        examples=["linkshelf"],
    ),
]
"""Which project a path names."""

CHANGES = documented(404, 409)
READS = documented(404)


@router.get("", summary="List the projects, newest first")
async def list_projects(
    shiftwork: Here,
    window: Paged,
    status: Annotated[ProjectStatus | None, Query(description="Only those in this status.")] = None,
    name: Annotated[str, Query(max_length=200, description="Only those whose name holds this text.")] = "",
) -> ReadablePage[Standing]:
    """Where each of them stands."""
    async with shiftwork.store.transaction() as tx:
        found, unreadable = await tx.projects.readable(status)
        rows = [row for row in reversed(found) if name.lower() in row.name.lower()]
        page = Page.of(rows, window)
        items = [Standing(**await tx.projects.status(row.id)) for row in page.items]
    return ReadablePage.but(Page.of_part(items, window, page.total), unreadable)


@router.post(
    "", status_code=201, summary="Make a project", response_model=CreatedProject, responses=documented(409)
)
async def create_project(shiftwork: Here, once: Once, asked: asking.CreateProject) -> Response:
    """Make a project and start it: an agent plans it, and sessions build it, as `options` say."""
    repository = _place(asked.repository)

    async def make(making: Making) -> CreatedProject:
        project = await _made(shiftwork, making.thing) or await shiftwork.create(
            asked.name,
            asked.spec,
            repository=repository,
            description=asked.description,
            options=asked.options,
            allow_dirty=asked.allow_dirty,
            project_id=making.thing,
            start=asked.start,
        )
        if asked.start:
            await shiftwork.open(project.id)
        return CreatedProject(
            project_id=project.id,
            name=project.name,
            repository=project.repository,
            branch=project.branch,
            started=asked.start,
        )

    return await once.once(201, make)


async def _made(shiftwork: Here, project_id: str | None) -> ProjectRow | None:
    """What an earlier try, which was cut off, has made."""
    if project_id is None:
        return None
    try:
        async with shiftwork.store.transaction() as tx:
            return await tx.projects.get(project_id)
    except NotFound:
        return None


def _place(repository: str | None) -> str | None:
    """The repository: an address as it is, else a folder that is the same from everywhere."""
    if repository is None or ":" in repository:
        return repository
    if not FilePath(repository).is_absolute():
        raise InvalidInput(
            f"repository is {repository!r}; give an absolute path: nobody knows what it is relative to."
        )
    return repository


@router.get("/{project}", summary="Show a project", responses=READS)
async def get_project(shiftwork: Here, project: Ref) -> ProjectRow:
    """What it is: specification, options, totals."""
    return await shiftwork.find(project)


@router.get("/{project}/status", summary="Show where a project stands", responses=READS)
async def get_project_status(shiftwork: Here, project: Ref) -> Standing:
    """Features by status, running sessions, open questions, newest progress, cost."""
    return Standing(**await shiftwork.status(project))


@router.delete("/{project}", status_code=204, summary="Delete a project", responses=CHANGES)
async def delete_project(shiftwork: Here, project: Ref) -> None:
    """Delete the rows and the private repository of a project that does not run; yours is left as it is."""
    await shiftwork.delete(project)


@router.post(
    "/{project}/start", status_code=202, summary="Start a project", response_model=Taken, responses=CHANGES
)
async def start_project(shiftwork: Here, once: Once, project: Ref) -> Response:
    """Start what was made with `start: false`; nothing happens if it runs."""
    return await _tell(shiftwork, once, project, shiftwork.open)


@router.post(
    "/{project}/pause", status_code=202, summary="Pause a project", response_model=Taken, responses=CHANGES
)
async def pause_project(shiftwork: Here, once: Once, project: Ref, asked: asking.Pause) -> Response:
    """Pause after the running sessions, or at once with their work kept."""
    return await _tell(
        shiftwork, once, project, lambda found: shiftwork.pause(found, mode=asked.mode, reason=asked.reason)
    )


@router.post(
    "/{project}/resume",
    status_code=202,
    summary="Go on after a pause",
    response_model=Taken,
    responses=CHANGES,
)
async def resume_project(shiftwork: Here, once: Once, project: Ref, asked: asking.Resume) -> Response:
    """Go on; also brings a project back whose workflow was lost."""
    return await _tell(shiftwork, once, project, lambda found: shiftwork.resume(found, **asked.model_dump()))


@router.post(
    "/{project}/abandon",
    status_code=202,
    summary="End a project for good",
    response_model=Taken,
    responses=CHANGES,
)
async def abandon_project(shiftwork: Here, once: Once, project: Ref, asked: asking.Abandon) -> Response:
    """Running sessions are interrupted; everything that landed stays."""
    return await _tell(shiftwork, once, project, lambda found: shiftwork.abandon(found, asked.reason))


@router.post(
    "/{project}/steer", status_code=202, summary="Give guidance", response_model=Taken, responses=CHANGES
)
async def steer_project(shiftwork: Here, once: Once, project: Ref, asked: asking.Steer) -> Response:
    """Guidance for the sessions to come; it can't be taken back, but what is told later may say otherwise."""
    return await _tell(
        shiftwork, once, project, lambda found: shiftwork.steer(found, asked.text, feature=asked.feature)
    )


@router.post(
    "/{project}/revert",
    summary="Take main back to a checkpoint",
    response_model=Reverted,
    responses=CHANGES,
)
async def revert_project(shiftwork: Here, once: Once, project: Ref, asked: asking.Revert) -> Response:
    """By a commit that undoes what came after, so that nothing is lost. Commits of people need consent."""

    async def make(_: Making) -> Reverted:
        row = await shiftwork.find(project)
        done = await answered(
            shiftwork, lambda: shiftwork.revert(row.id, asked.commit, consent=asked.consent)
        )
        return Reverted(commit=done.commit, passing=list(done.passing))

    return await once.once(200, make)


@router.put("/{project}/budget", summary="Change what a project may cost", responses=CHANGES)
async def set_budget(shiftwork: Here, project: Ref, asked: asking.Budget) -> Standing:
    """A higher budget lifts the pause that the old one caused."""
    row = await shiftwork.find(project)
    await answered(shiftwork, lambda: shiftwork.set_budget(row.id, asked.budget_usd))
    return Standing(**await shiftwork.status(row.id))


async def _tell(
    shiftwork: Here, once: Idempotency, project: str, tell: Callable[[str], Awaitable[object]]
) -> Response:
    """What of a project was told something by its id, to be done as soon as a worker takes it."""

    async def make(_: Making) -> Taken:
        row = await shiftwork.find(project)
        await tell(row.id)
        return Taken(project_id=row.id, after=row.event_sequence)

    return await once.once(202, make)
