"""What a client sends, read so that whoever waits for an answer gets one, whatever it holds."""

import json
import re
from math import isfinite
from typing import Any, Final, get_args

from mcp import types
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from client.wording import first_problem
from shiftwork.text import one_line, truncate

_SHOWN = 200
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*'
# One that is never closed goes on to the end, so that each character is looked at once.
_TOKENS = re.compile(_STRING + r'(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ID = re.compile(rf'\s*:\s*({_STRING}"|-?\d{{1,4000}}(?![\d.eE]))', re.DOTALL)
_CUT_ESCAPE = "half of a character stands alone (a lone surrogate), or an escape is cut"


class MisunderstoodError(Exception):
    """A message that can't be taken.

    Attributes:
        answer: what the client is told, as JSON on one line; it names the request where that has a name.
    """

    def __init__(self, code: int, sentence: str, request: str | int | None) -> None:
        super().__init__(sentence)
        error = {"code": code, "message": truncate(one_line(sentence), 2 * _SHOWN)}
        self.answer = json.dumps({"jsonrpc": "2.0", "id": request, "error": error})


def understood(data: bytes) -> types.JSONRPCMessage:
    """The message in the data; raises `MisunderstoodError`."""
    try:
        value = from_json(data)
    except ValueError as error:
        said = str(error)
        said = f"{_CUT_ESCAPE}: {said}" if "hex escape" in said else said
        sentence = f"The message is no JSON in UTF-8 that can be read: {said}."
        raise MisunderstoodError(types.PARSE_ERROR, sentence, _request_in(data)) from error
    if not isinstance(value, dict):
        raise MisunderstoodError(
            types.INVALID_REQUEST, "A message is one JSON object; send one at a time.", None
        )
    request = value.get("id")
    if not isinstance(request, str | int) or isinstance(request, bool):
        request = None
    if where := _unbounded(value):
        sentence = f"{where}: must be a number that JSON has: not NaN, not infinite, not as large as 1e999."
        raise MisunderstoodError(types.INVALID_PARAMS, sentence, request)
    if "method" in value and "id" in value:
        _check_request(value, request)
    try:
        return types.JSONRPCMessage.model_validate(value)
    except ValidationError as error:
        sentence = "The message is no request, notification or response of JSON-RPC 2.0."
        raise MisunderstoodError(types.INVALID_REQUEST, sentence, request) from error


def too_large(data: bytes, largest: int) -> MisunderstoodError:
    """What is said of a message that has more bytes than these."""
    sentence = f"The message has more than {largest:,} bytes."
    return MisunderstoodError(types.INVALID_REQUEST, sentence, _request_in(data))


def _requests() -> dict[str, type[BaseModel]]:
    kinds = get_args(types.ClientRequestType)
    return {get_args(kind.model_fields["method"].annotation)[0]: kind for kind in kinds}


_REQUESTS: Final = _requests()


def _check_request(value: dict[str, Any], request: str | int | None) -> None:
    """Raise `MisunderstoodError` for a request that nothing here can take."""
    method = value["method"]
    if request is None:
        sentence = "id: must be text or a whole number in a request; leave it out in a notification."
        raise MisunderstoodError(types.INVALID_REQUEST, sentence, None)
    if not isinstance(method, str) or method not in _REQUESTS:
        named = truncate(repr(method), _SHOWN)
        raise MisunderstoodError(types.METHOD_NOT_FOUND, f"There is no method {named} here.", request)
    try:
        _REQUESTS[method].model_validate({key: value[key] for key in ("method", "params") if key in value})
    except ValidationError as error:
        raise MisunderstoodError(types.INVALID_PARAMS, first_problem(error), request) from error


def _unbounded(message: dict[str, Any]) -> str:
    """Where a number stands that is none, or without a bound; '' if there is none.

    Later it would be written as null, which reads as if nothing was given.
    """
    # A place holds the one above it: texts of names would take as much room as names times values.
    found: list[tuple[Any, Any]] = [((None, ""), message)]
    while found:
        place, value = found.pop()
        match value:
            case dict():
                found += [((place, name), each) for name, each in value.items()]
            case list():
                found += [((place, number), each) for number, each in enumerate(value)]
            case float() if not isfinite(value):
                return _named(place)
    return ""


def _named(place: Any) -> str:
    names = []
    while place[0] is not None:
        place, name = place
        names.append(truncate(str(name), _SHOWN))
    return ".".join(reversed(names)).removeprefix("params.arguments.")


def _request_in(data: bytes) -> str | int | None:
    """The id of a request in what is no JSON, so that its sender learns of it; None if there is none."""
    text = data.decode("utf-8", "replace")
    depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        elif depth == 1 and token[0] == '"id"' and (found := _ID.match(text, token.end())):
            return _plain(found[1])
    return None


def _plain(written: str) -> str | int | None:
    try:
        value = json.loads(written)
    except ValueError:
        return None
    return value if isinstance(value, str | int) else None
