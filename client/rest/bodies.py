"""Bodies of requests: bounded in size, depth and time, and JSON that everything behind can store."""

import asyncio
import json
import logging
import math
import re
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from client.rest.problems import FieldProblem, pointer, problem, unexpected
from client.serving import lingering

MOST_BYTES = 4 * 1024 * 1024
MOST_DEPTH = 64
MOST_VALUES = 200_000
"""More than fit into anything that is kept; each is looked at, and nobody else is answered meanwhile."""
_SECONDS = 30.0
_log = logging.getLogger(__name__)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[][{}]")
_UNFIT = re.compile("[\x00\ud800-\udfff]")


class _RefusedError(Exception):
    """The request is answered with this problem."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Bodies:
    """Reads a request's body whole, and hands on what is fit; every other request gets a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it in one sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False
        coming = True

        async def taken() -> Message:
            nonlocal coming
            message = await receive()
            coming = message.get("more_body", False)
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            _check_address(scope)
            body = await _read(Headers(scope=scope), taken)
            await self._app(scope, _again(body, receive), watched)
        except _RefusedError as refused:
            answer = refused.response
            await (lingering(answer, scope, receive, send) if coming else answer(scope, receive, send))
        except Exception as error:  # noqa: BLE001 - the outermost frame: nobody is told our frames
            _log.error("unexpected error in a request", exc_info=error)
            if not begun:
                await unexpected(error)(scope, receive, send)


def _check_address(scope: Scope) -> None:
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise _RefusedError(problem(400, "The address holds a NUL character; leave it out."))


async def _read(headers: Headers, receive: Receive) -> bytes:
    """The body, if it is JSON that is fit, or empty."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > MOST_BYTES:
        raise _too_large()
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _RefusedError(problem(415, "Send the body as it is, without a Content-Encoding."))
    try:
        async with asyncio.timeout(_SECONDS):
            body = await _whole(receive)
    except TimeoutError:
        raise _RefusedError(problem(408, f"The body did not come within {_SECONDS:.0f} seconds.")) from None
    if body:
        # A page may send any other type to any address, without asking first.
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise _RefusedError(problem(415, "Send the body as application/json."))
        _check(body)
    return body


async def _whole(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client has gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large() -> _RefusedError:
    return _RefusedError(problem(413, f"The body is larger than {MOST_BYTES:,} bytes; shorten it."))


def _check(body: bytes) -> None:
    """Refuse what is no JSON, and JSON that PostgreSQL could not store."""
    bare = _STRING.sub(b"", body)
    if _depth(bare) > MOST_DEPTH:
        raise _RefusedError(problem(413, f"The body is nested deeper than {MOST_DEPTH} levels."))
    if bare.count(b",") >= MOST_VALUES:
        raise _RefusedError(problem(413, f"The body holds more than {MOST_VALUES:,} values."))
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _RefusedError(problem(400, f"The body is not UTF-8 (byte {error.start}).")) from error
    except json.JSONDecodeError as error:
        said = f"The body is no JSON (line {error.lineno}, column {error.colno})."
        raise _RefusedError(problem(400, said)) from error
    except ValueError as error:  # a constant that is none of JSON's, or a number of too many digits
        said = "The body holds a number that is none of JSON's, or has too many digits."
        raise _RefusedError(problem(400, said)) from error
    place = _unfit(value, [])
    if place is not None:
        said = "must not hold a NUL character, half of a surrogate pair, or a number beyond measure"
        where = ".".join(map(str, place)) or "the body"
        fields = [FieldProblem(pointer=pointer(place), detail=said)]
        raise _RefusedError(problem(422, f"{where}: {said}.", errors=fields))


def _depth(bare: bytes) -> int:
    """How deep a body is nested whose strings were taken out."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_number(name: str) -> None:
    raise ValueError(name)


def _unfit(value: Any, place: list[Any]) -> list[Any] | None:
    """The place of a text that can't be stored, or of a number that is too large to be one."""
    match value:
        case str():
            return place if _UNFIT.search(value) else None
        case float():
            return None if math.isfinite(value) else place
        case dict():
            items = list(value.items())
            if any(_UNFIT.search(key) for key in value):
                return place
        case list():
            items = list(enumerate(value))
        case _:
            return None
    return next((found for key, each in items if (found := _unfit(each, [*place, key])) is not None), None)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, and after it what still comes: that the client has gone."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
