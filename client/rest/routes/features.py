"""Features of a project, and the sessions that are asked for."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from client.rest import asking
from client.rest.answering import BegunSession, Feature
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import Page, Paged
from client.rest.routes.projects import CHANGES, READS, Ref
from client.rest.working import answered
from shiftwork.contracts.feature import FeatureCategory, FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.errors import InvalidInput
from shiftwork.store.rows import EvidenceRow

router = APIRouter(prefix="/api/projects/{project}", tags=["features"], responses=READS)

FeatureRef = Annotated[
    str,
    Path(
        alias="feature",
        min_length=1,
        max_length=200,
        description="Id, or name where that has no slash.",
        examples=["7"],
    ),
]


@router.get("/features", summary="List a project's features")
async def list_features(
    shiftwork: Here,
    project: Ref,
    window: Paged,
    status: Annotated[FeatureStatus | None, Query(description="Only those in this status.")] = None,
    category: Annotated[FeatureCategory | None, Query(description="Only those of this category.")] = None,
) -> Page[Feature]:
    """In the order in which they were added."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        rows = await tx.features.list(row.id, status, category)
    return Page.of([Feature.of(each) for each in rows], window)


@router.post("/features", status_code=201, summary="Add a feature", response_model=Feature, responses=CHANGES)
async def add_feature(shiftwork: Here, once: Once, project: Ref, asked: asking.AddFeature) -> Response:
    """Add a feature; a completed project is opened again by this."""
    spec = asking.contract(FeatureSpec, **asked.model_dump())

    async def make(making: Making) -> Feature:
        return await _changed(
            shiftwork, project, lambda found: shiftwork.add_feature(found, spec, request_id=making.thing)
        )

    return await once.once(201, make)


@router.get("/features/{feature}", summary="Show a feature")
async def get_feature(shiftwork: Here, project: Ref, feature: FeatureRef) -> Feature:
    """Its definition, and where it stands."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        return Feature.of(await tx.features.find(row.id, feature))


@router.patch("/features/{feature}", summary="Change a feature", responses=CHANGES)
async def edit_feature(
    shiftwork: Here, project: Ref, feature: FeatureRef, asked: asking.EditFeature
) -> Feature:
    """Change what is given; lifts `blocked`. New verification steps replace those it has."""
    changed = asking.changes(asked)
    if not changed:
        raise InvalidInput("Nothing to change: give a field of the feature.")
    edit = asking.contract(FeatureEdit, feature=feature, **changed)
    return await _changed(shiftwork, project, lambda found: shiftwork.edit_feature(found, edit))


@router.put("/features/{feature}/status", summary="Change a feature's status", responses=CHANGES)
async def set_feature_status(
    shiftwork: Here, project: Ref, feature: FeatureRef, asked: asking.SetStatus
) -> Feature:
    """Block a feature, or have it tried again; `passing` has what landed verified, and no more."""
    return await _changed(
        shiftwork,
        project,
        lambda found: shiftwork.set_feature_status(found, feature, asked.status, asked.reason),
    )


@router.post(
    "/features/{feature}/answer",
    summary="Answer a feature's question",
    response_model=Feature,
    responses=CHANGES,
)
async def answer_question(
    shiftwork: Here, once: Once, project: Ref, feature: FeatureRef, asked: asking.AnswerQuestion
) -> Response:
    """Answer what its agent wanted to know; it is tried again."""

    async def make(_: Making) -> Feature:
        return await _changed(shiftwork, project, lambda found: shiftwork.answer(found, feature, asked.text))

    return await once.once(200, make)


@router.get("/features/{feature}/evidence", summary="Show a feature's evidence")
async def list_evidence(
    shiftwork: Here, project: Ref, feature: FeatureRef, window: Paged
) -> Page[EvidenceRow]:
    """The newest execution of each of its verification steps."""
    row = await shiftwork.find(project)
    async with shiftwork.store.transaction() as tx:
        found = await tx.features.find(row.id, feature)
        evidence = await tx.evidence.latest(found.id)
    return Page.of(evidence, window)


@router.post(
    "/sessions", status_code=202, summary="Run one session", response_model=BegunSession, responses=CHANGES
)
async def run_session(shiftwork: Here, once: Once, project: Ref, asked: asking.RunSession) -> Response:
    """Run one session now, of this feature or of the next; its number is known at once."""

    async def make(making: Making) -> BegunSession:
        row = await shiftwork.find(project)
        number = await answered(
            shiftwork, lambda: shiftwork.run_session(row.id, asked.feature, request_id=making.thing)
        )
        return BegunSession(project_id=row.id, number=number)

    return await once.once(202, make)


async def _changed(shiftwork: Here, project: str, change: Callable[[str], Awaitable[int]]) -> Feature:
    """The feature whose number the project's workflow answers, asked by the project's id."""
    row = await shiftwork.find(project)
    number = await answered(shiftwork, lambda: change(row.id))
    async with shiftwork.store.transaction() as tx:
        changed = await tx.features.get(number)
    return await Feature.of(changed).looked_at()
