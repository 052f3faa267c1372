"""Errors as problems (RFC 9457): every answer that is none is one of these, in one sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope
from temporalio.service import RPCError

from client.temporal_errors import unanswered
from client.wording import said_of
from shiftwork.errors import (
    CodecError,
    InvalidInput,
    NotFound,
    PeopleCommitsAtRisk,
    RepositoryError,
    ShiftworkError,
    StackError,
    Stale,
    UnreadableRow,
)
from shiftwork.secrets import LazyRedactor
from shiftwork.text import one_line, printable_json, truncate

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
_MOST_FIELDS = 20
_MOST_CHARACTERS = 2000

_STATUSES: tuple[tuple[type[ShiftworkError], int], ...] = (
    (NotFound, 404),
    (InvalidInput, 422),
    (StackError, 503),
    (CodecError, 503),
    (PeopleCommitsAtRisk, 409),
    (RepositoryError, 422),
    (Stale, 412),
    (UnreadableRow, 500),
    (ShiftworkError, 409),
)
"""The first class that fits; whatever else a person can act on is a state that does not allow it."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    pointer: str | None = Field(None, description="JSON Pointer to the field of the body.")
    parameter: str | None = Field(None, description="The parameter or header, if it is none of the body.")
    detail: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:shiftwork:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="One sentence that says what, which and what to do.",
        examples=["No project has the id or name 'shelf'; take one of the list of projects."],
    )
    errors: list[FieldProblem] = Field([], description="The fields that are wrong, if that is what it is.")
    commits: list[str] | None = Field(None, description="Commits of people that a revert would undo.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says in OpenAPI of the problems that it may answer with."""
    known = (400, 401, 403, 408, 413, 415, 421, 422, 500, 503, *statuses)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": content} for status in sorted(set(known))
    }


_TITLES = {
    400: "Malformed",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Too Slow",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Too Large",
    415: "Unsupported Media Type",
    421: "Misdirected",
    422: "Invalid Input",
    429: "Too Many Streams",
    500: "Unexpected",
    503: "Stack Unavailable",
}
_DESCRIPTIONS = {
    400: "The request is malformed: its body is no JSON, for example.",
    401: "The token is missing or wrong.",
    403: "A web page of another origin asks.",
    404: "There is no such thing.",
    405: "There is no such method here.",
    408: "The body took too long to come.",
    409: "The state of things does not allow it, or the same request is being carried out.",
    412: "It is no longer as `If-Match` says; nothing was changed.",
    413: "The body is too large, too deep, or holds too much.",
    415: "The body is not `application/json`.",
    421: "The `Host` is not this server's.",
    422: "A field or parameter is wrong; nothing was changed.",
    429: "Too many streams are open.",
    500: "Unexpected, and the server's log says more; or what is stored of it can't be read by this version.",
    503: "The stack does not answer, or does not run; try again after `Retry-After` seconds.",
}


def problem(
    status: int,
    detail: str,
    *,
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
    commits: list[str] | None = None,
) -> Response:
    """The response for a problem."""
    title = _TITLES.get(status, "Error")
    body = Problem(
        type=f"urn:shiftwork:problem:{title.lower().replace(' ', '-')}",
        title=title,
        status=status,
        detail=truncate(one_line(detail), _MOST_CHARACTERS),
        errors=errors or [],
        commits=commits,
    ).model_dump(exclude_none=True)
    later = {"Retry-After": str(RETRY_SECONDS)} if status in (429, 503) else {}
    return Response(printable_json(body), status, {**later, **(headers or {})}, MEDIA_TYPE)


def refusal(status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    """A problem, as `client.serving.Guard` makes one."""
    return problem(status, sentence, headers=headers)


def of_error(error: ShiftworkError) -> Response:
    """The problem for an error of ours."""
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    commits = list(error.commits) if isinstance(error, PeopleCommitsAtRisk) else None
    return problem(status, str(error), commits=commits)


def answer_with_problems(app: FastAPI, redactor: LazyRedactor) -> None:
    """Have every error of an application answered as a problem, without a secret that we know."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, ShiftworkError)
        error.args = (redactor.redact(str(error)), *error.args[1:])
        return of_error(error)

    async def temporals(_: Request, error: Exception) -> Response:
        assert isinstance(error, RPCError)
        return problem(503, redactor.redact(str(unanswered(error))))

    async def https(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = {"Allow": allowed(app, request.scope)} if error.status_code == 405 else error.headers
        return problem(error.status_code, _HTTP.get(error.status_code, error.detail), headers=headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = [_field(each, error.body) for each in error.errors()[:_MOST_FIELDS]]
        first = fields[0]
        where = (first.pointer or "").removeprefix("/").replace("/", ".") or first.parameter or "the body"
        return problem(422, redactor.redact(f"{where}: {first.detail}."), errors=fields)

    async def unforeseen(_: Request, error: Exception) -> Response:
        return unexpected(error)

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(ShiftworkError, ours)
    app.add_exception_handler(RPCError, temporals)
    app.add_exception_handler(HTTPException, https)
    app.add_exception_handler(RequestValidationError, invalid)


PATCHED = "patched"
"""The kind of what a validation finds in what a patch makes: it may be in no field of the patch."""

_AFTER = ("missing", PATCHED)

WITHIN = "within"
"""Where what a validator of ours refuses says what part of its value is wrong."""

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

_HTTP = {
    404: "There is nothing here; /api/openapi.json says what there is.",
    405: "There is no such method here; the header Allow says which there are.",
}


def unexpected(error: Exception) -> Response:
    """The problem for what nobody foresaw: people are told its kind; whoever catches it logs the rest."""
    return problem(500, f"Unexpected {type(error).__name__}; the log of the server says more.")


def allowed(app: FastAPI, scope: Scope) -> str:
    """Every method of this path, as the header `Allow` has them: each is a route of its own."""
    return ", ".join(
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    )


def _field(error: Mapping[str, Any], body: object) -> FieldProblem:
    """A problem that a validation found, by its place."""
    kind, *place = error["loc"]
    detail = said_of(error)
    if kind != "body":
        return FieldProblem(parameter=".".join(map(str, place)), detail=detail)
    within = [*place, *error.get("ctx", {}).get(WITHIN, ())]
    return FieldProblem(pointer=pointer(_place_in(body, within, error["type"])), detail=detail)


def _place_in(body: Any, place: Sequence[Any], kind: str) -> list[Any]:
    """The parts of a place that are in the body; the others say which kind of value was tried there."""
    found: list[Any] = []
    for part in place:
        there = isinstance(body, list) and isinstance(part, int) and 0 <= part < len(body)
        if there or (isinstance(body, dict) and part in body):
            body = body[part]
        elif kind not in _AFTER or part is not place[-1]:
            continue
        found.append(part)
    return found


def pointer(place: list[Any]) -> str:
    """A place in a JSON document as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
