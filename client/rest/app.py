"""The application: every router, behind the guard and the checks of bodies."""

import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from client.rest.answering import Health
from client.rest.answers import Answer
from client.rest.bodies import Bodies
from client.rest.catalogue import Catalogue
from client.rest.connections import Connections
from client.rest.json_types import check_types
from client.rest.problems import Problem, answer_with_problems, refusal
from client.rest.routes import (
    agents,
    environments,
    features,
    handoffs,
    history,
    memory,
    projects,
    schedules,
    tasks,
)
from client.rest.streams import Streams
from client.serving import Guard
from client.tokens import API_TOKEN_FILE
from shiftwork.errors import ShiftworkError
from shiftwork.resources import ResourceManager
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url

HEALTH = "/api/health"
SCHEMA = "/api/openapi.json"

ROUTERS: tuple[APIRouter, ...] = (
    projects.router,
    features.router,
    history.router,
    memory.router,
    tasks.router,
    agents.router,
    schedules.router,
    schedules.everywhere,
    handoffs.router,
    handoffs.of_projects,
    handoffs.everywhere,
    environments.router,
)
"""One for each noun."""

_DESCRIPTION = """\
Projects that agents build over many sessions: make them, direct them, follow them, and read what came of it.
Agents that run by themselves: register them, run them now or by schedules, and read what their tasks came to.
Environments: have them played by agents, commands or chance, and read what they score.

Every request bears `Authorization: Bearer TOKEN`, with the token that `shiftwork token` prints. Errors are
problems (RFC 9457) of one sentence, and nothing was changed then, unless it says so. Whatever agents wrote is
text in strings. Every POST takes an `Idempotency-Key`.
"""


def create_app(
    settings: Settings, *, token: str, hosts: Collection[str], streams: Streams | None = None
) -> ASGIApp:
    """The REST interface of a stack, as an ASGI application.

    Args:
        settings: which stack; it need not run yet.
        token: what requests must bear.
        hosts: what the header `Host` may be: this server's addresses with their ports.
        streams: what counts the streams of events, and ends them.
    """
    app = make_application(settings, streams or Streams())
    return Guard(Bodies(app), hosts, token, API_TOKEN_FILE, open_to_all=[("GET", HEALTH)], refuse=refusal)


class Application(FastAPI):
    """FastAPI, with a description of its own."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, complete."""
        document: dict[str, Any] = self.state.document
        return document


def make_application(settings: Settings, streams: Streams) -> FastAPI:
    """The application without anything before it: it lets everybody in."""
    connections = Connections(settings)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        yield
        await connections.close()

    app = Application(
        title="Shiftwork",
        version=version("shiftwork"),
        description=_DESCRIPTION,
        lifespan=living,
        openapi_url=SCHEMA,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=Answer,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(_known_parameters), Depends(check_types)],
    )
    app.state.connections = connections
    app.state.streams = streams
    app.state.catalogue = Catalogue()
    app.state.resources = ResourceManager()
    _add_health(app, settings)
    for router in ROUTERS:
        app.include_router(router)
    answer_with_problems(app, LazyRedactor(os.environ, []))
    _describe(app)
    return app


def _add_health(app: FastAPI, settings: Settings) -> None:
    @app.get(HEALTH, tags=["server"], summary="Whether the server runs", openapi_extra={"security": []})
    async def get_health() -> Health:
        """Answers without a token, and nothing else does."""
        try:
            database_url(settings)
        except ShiftworkError:
            return Health(status="ok", stack=False)
        return Health(status="ok", stack=True)


async def _known_parameters(request: Request) -> None:
    """Refuse parameters that are not known: whoever misspells one means something by it."""
    route = request.scope["route"]
    known = request.app.state.parameters.get((request.method, route.path), frozenset())
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        listed = f"; known are: {', '.join(sorted(known))}" if known else ""
        message = f"is not known{listed}"
        raise RequestValidationError([{"type": "unknown", "loc": ("query", unknown[0]), "msg": message}])


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI document: security, problems, and what parameters each operation knows."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"), Problem=problem)
    scheme = {"type": "http", "scheme": "bearer", "description": "The token that `shiftwork token` prints."}
    document["components"]["securitySchemes"] = {"token": scheme}
    document["security"] = [{"token": []}]
    app.state.parameters = {
        (method.upper(), path): frozenset(
            each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    app.state.document = _with_plain_numbers(document)


_BOUNDS = ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum")


def _with_plain_numbers(part: Any) -> Any:
    """The document with its bounds as people write them: FastAPI makes 16777216.0 of 16777216."""
    match part:
        case dict():
            plain = {name: _with_plain_numbers(value) for name, value in part.items()}
            whole = {
                name: int(plain[name])
                for name in _BOUNDS
                if isinstance(value := plain.get(name), float) and value.is_integer()
            }
            return {**plain, **whole}
        case list():
            return [_with_plain_numbers(value) for value in part]
        case _:
            return part
