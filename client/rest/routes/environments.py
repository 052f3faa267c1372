"""Environments, evaluations and their episodes."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from client.environments import Environment
from client.evaluating import Result
from client.rest.answering_environments import (
    EnvironmentPage,
    Episode,
    EpisodeStep,
    Evaluation,
    EvaluationLine,
)
from client.rest.asking import contract
from client.rest.asking_environments import CreateEvaluation
from client.rest.asking_tasks import LARGEST_ID
from client.rest.connections import Here
from client.rest.idempotency import Making, Once
from client.rest.pages import Page, Paged
from client.rest.problems import documented
from client.rest.task_stream import ENDED, ChangeStream, change
from client.rest.working import answered
from shiftwork.contracts.episode import EvaluationSpec
from shiftwork.environments.registry import check_name

router = APIRouter(prefix="/api", tags=["environments"], responses=documented(404))

EnvironmentName = Annotated[
    str,
    Path(
        alias="environment",
        max_length=300,
        description="The environment's name; of another package's, PACKAGE/NAME.",
        examples=["maze", "gymnasium/CartPole-v1"],
    ),
]
EvaluationId = Annotated[
    int, Path(alias="evaluation", ge=1, le=LARGEST_ID, description="The evaluation's id.", examples=[3])
]
EpisodeId = Annotated[
    int, Path(alias="episode", ge=1, le=LARGEST_ID, description="The episode's id.", examples=[12])
]


@router.get("/environments", summary="List the environments of the server's machine")
async def list_environments(request: Request, window: Paged) -> EnvironmentPage:
    """What each is made with and takes, and why others can't be used. Workers elsewhere may have others."""
    told = await request.app.state.catalogue.get()
    page = Page.of(told.environments, window)
    return EnvironmentPage(**page.model_dump(), problems=told.problems, bridges=told.bridges)


@router.get("/environments/{environment:path}", summary="Show an environment")
async def get_environment(request: Request, environment: EnvironmentName) -> Environment:
    """What it is made with, and what can be done in it."""
    page: Environment = await request.app.state.catalogue.page(environment)
    return page


@router.get("/evaluations", summary="List the evaluations, newest first")
async def list_evaluations(
    shiftwork: Here,
    window: Paged,
    environment: Annotated[
        str | None, Query(min_length=1, max_length=300, description="Only those of this environment.")
    ] = None,
) -> Page[EvaluationLine]:
    """What is played in each, by whom, and how far it is; what it came to is told of each by itself."""
    async with shiftwork.store.transaction() as tx:
        rows = await tx.evaluations.list(environment=environment, limit=window.limit, offset=window.offset)
        tallies = await tx.episodes.tallies(row.id for row in rows)
        total = await tx.evaluations.count(environment)
    return Page.of_part([EvaluationLine.line(row, tallies.get(row.id, {})) for row in rows], window, total)


@router.post(
    "/evaluations",
    status_code=201,
    summary="Have an environment played",
    response_model=Evaluation,
    responses=documented(404, 409),
)
async def create_evaluation(shiftwork: Here, once: Once, asked: CreateEvaluation) -> Response:
    """It begins as soon as a worker takes it; the stream of its changes follows it to its end."""

    async def make(making: Making) -> Evaluation:
        check_name(asked.environment, by_path=False)
        spec = contract(EvaluationSpec, **asked.fields())
        row = await shiftwork.evaluate(spec, request_key=making.thing and f"rest/{making.thing}")
        return Evaluation.of(await shiftwork.evaluation_result(row.id))

    return await once.once(201, make)


@router.get("/evaluations/{evaluation}", summary="Show an evaluation")
async def get_evaluation(shiftwork: Here, evaluation: EvaluationId) -> Evaluation:
    """What is played, how far it is, and what it comes to so far."""
    return Evaluation.of(await shiftwork.evaluation_result(evaluation))


@router.get("/evaluations/{evaluation}/episodes", summary="List the episodes of an evaluation")
async def list_episodes(shiftwork: Here, evaluation: EvaluationId, window: Paged) -> Page[Episode]:
    """In their order: each has the seed after that of the one before."""
    async with shiftwork.store.transaction() as tx:
        row = await tx.evaluations.get(evaluation)
        rows = await tx.episodes.of(row.id, limit=window.limit, offset=window.offset)
    return Page.of_part([Episode.of(each) for each in rows], window, row.spec.episodes)


@router.post(
    "/evaluations/{evaluation}/cancel",
    summary="End an evaluation",
    response_model=Evaluation,
    responses=documented(404, 409),
)
async def cancel_evaluation(shiftwork: Here, once: Once, evaluation: EvaluationId) -> Response:
    """What is under way ends as cancelled, and no other episode begins; what was played stays."""

    async def end() -> Result:
        await shiftwork.cancel_evaluation(evaluation)
        return await shiftwork.wait_evaluation(evaluation)

    async def make(making: Making) -> Evaluation:
        row = await shiftwork.evaluation(evaluation)
        if making.retried and row.status.ended:  # by the try that was cut off
            return Evaluation.of(await shiftwork.evaluation_result(evaluation))
        return Evaluation.of(await answered(shiftwork, end))

    return await once.once(200, make)


@router.get(
    "/evaluations/{evaluation}/events/stream",
    summary="Follow an evaluation to its end",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `data` says what the evaluation comes to, first as it is, "
            "then whenever an episode began or ended; the event `end` carries its last status.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'data: {"id": 3, "status": "running"}\n\n',
                }
            },
        },
        204: {"description": "The end was told before: `Last-Event-ID` says so."},
        **documented(404, 429),
    },
)
async def stream_evaluation(
    request: Request,
    shiftwork: Here,
    evaluation: EvaluationId,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=200,
            description="What was heard last; clients send it by themselves.",
        ),
    ] = None,
) -> Response:
    """What it comes to, and each change of it, until it has ended; heartbeats between."""
    row = await shiftwork.evaluation(evaluation)
    if last_event_id == ENDED and row.status.ended:
        return Response(status_code=204)
    stream = ChangeStream(lambda: shiftwork.evaluation_changes(evaluation), _part)
    return stream.response(request, request.app.state.streams)


@router.get("/episodes/{episode}", summary="Show an episode")
async def get_episode(shiftwork: Here, episode: EpisodeId) -> Episode:
    """Where it stands, or what came of it."""
    async with shiftwork.store.transaction() as tx:
        return Episode.of(await tx.episodes.get(episode))


@router.get("/episodes/{episode}/steps", summary="List the steps of an episode")
async def list_steps(shiftwork: Here, episode: EpisodeId, window: Paged) -> Page[EpisodeStep]:
    """In their order; actions that were refused are among them."""
    async with shiftwork.store.transaction() as tx:
        await tx.episodes.get(episode)
        rows = await tx.episodes.steps(episode, after=window.offset, limit=window.limit)
        total = await tx.episodes.count_steps(episode)
    return Page.of_part([EpisodeStep.of(each) for each in rows], window, total)


def _part(result: Result) -> str:
    told = Evaluation.of(result)
    return change(told, told.status, ended=told.status.ended)
