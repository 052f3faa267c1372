"""A request to a model's provider: the body before it leaves."""

import json
import math
from typing import Any, NoReturn

from shiftwork.gateway.head import Head, malformed
from shiftwork.gateway.refusals import Reason, Refused
from shiftwork.text import one_line, truncate

_MODEL_CHARACTERS = 200


def parse_question(data: bytes) -> dict[str, Any]:
    """The JSON object of a body; raises `Refused` if it is none that every reader reads alike."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unambiguous,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        raise malformed("the request's body is no plain JSON object.") from None
    if not isinstance(value, dict):
        raise malformed("the request's body is no plain JSON object.")
    return value


def check_encoding(head: Head) -> None:
    """Raise `Refused` for a body that can't be looked at."""
    if (head.get("content-encoding") or "identity").lower() != "identity":
        raise malformed("a body with a content-encoding can't be looked at.", 415)


def model_of(question: dict[str, Any]) -> str:
    """The model that is asked."""
    model = question.get("model")
    return truncate(one_line(model), _MODEL_CHARACTERS) if isinstance(model, str) else ""


def metered_chat(question: dict[str, Any], data: bytes) -> bytes:
    """A chat completion that tells its tokens also when it streams."""
    options = question.get("stream_options")
    if not question.get("stream") or (isinstance(options, dict) and options.get("include_usage") is True):
        return data
    kept = options if isinstance(options, dict) else {}
    question["stream_options"] = {**kept, "include_usage": True}
    return json.dumps(question, allow_nan=False).encode()


def check_foreground(question: dict[str, Any]) -> None:
    """Raise `Refused` for an answer that would be made, and cost, after the request has ended."""
    if question.get("background"):
        raise Refused(403, Reason.FORBIDDEN, "answers in the background can't be metered.")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
