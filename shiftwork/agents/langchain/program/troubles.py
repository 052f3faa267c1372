"""What went wrong with a question to a model, whoever's package says so."""

import email.utils
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from shiftwork.text import truncate

_SENTENCE_CHARACTERS = 500
_OVERFLOWS = (
    "context_length_exceeded",
    "prompt is too long",
    "maximum context length",
    "exceeds the context window",
    "exceed_context_size",
)
"""Parts of the sentences by which servers say it that LangChain's packages don't all know."""

_NOTHING_CAME = ("No generations found in stream", "No generation chunks were returned")
"""By which LangChain says that a stream, or what came in its place, had no piece of an answer."""

_UNPAID = ("insufficient_quota", "credit balance is too low")
"""Parts of what servers say for want of money, whatever the status."""

_TOLD_BY_STATUS = (402, 403)
"""Refusals that people can't tell from those of a key, unless the words do."""

_UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)


class Trouble(Enum):
    """Kinds of trouble, by what helps."""

    PASSING = auto()
    """It may pass by itself: asked again after a pause."""
    RATE = auto()
    """Asked again when the provider says so."""
    OVERFLOW = auto()
    AUTHENTICATION = auto()
    INVALID = auto()
    BUDGET = auto()
    """The gateway's own: what may be spent is spent."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an exception means.

    Attributes:
        sentence: what the provider said.
        until: from when on it takes questions again, if it told.
    """

    trouble: Trouble
    sentence: str
    until: datetime | None = None


def diagnose(error: BaseException, now: datetime) -> Diagnosis | None:
    """What this exception means; None if it has nothing to do with the model."""
    if isinstance(error, ValueError) and str(error).startswith(_NOTHING_CAME):
        return Diagnosis(Trouble.PASSING, "The model's server sent no answer.")
    trouble = _by_gateway(error) or _by_class(error) or _by_status(error)
    if trouble is None:
        return None
    sentence = _sentence(error)
    told = f"{sentence} {getattr(error, 'code', '')}"
    if trouble is Trouble.INVALID and any(part in told for part in _OVERFLOWS):
        trouble = Trouble.OVERFLOW
    if trouble is Trouble.AUTHENTICATION:
        sentence = _with_status(error, sentence)
    return Diagnosis(trouble, sentence, _until(_headers(error), now))


def diagnose_unreadable(error: BaseException) -> Diagnosis | None:
    """What it means that a provider's package stumbles; None if this is not how it does.

    That is over an answer, as packages check what comes less than they might.
    """
    if not isinstance(error, _UNREADABLE):
        return None
    told = truncate(f"{type(error).__name__}: {_sentence(error)}", _SENTENCE_CHARACTERS)
    return Diagnosis(Trouble.PASSING, f"The answer of the model's server can't be read: {told}")


def _by_gateway(error: BaseException) -> Trouble | None:
    match _headers(error).get("x-shiftwork-refused"):
        case None:
            return None
        case "budget":
            return Trouble.BUDGET
        case "credential":
            return Trouble.AUTHENTICATION
        case "busy" | "upstream" | "too-slow" | "internal":
            return Trouble.PASSING
        case "too-large":
            return Trouble.OVERFLOW
        case _:
            return Trouble.INVALID


def _by_class(error: BaseException) -> Trouble | None:  # noqa: PLR0911 - a table
    match error:
        case ContextOverflowError():
            return Trouble.OVERFLOW
        case ModelAuthenticationError() | ModelPermissionDeniedError():
            return Trouble.AUTHENTICATION
        case ModelRateLimitError():
            return Trouble.AUTHENTICATION if _unpaid(error) else Trouble.RATE
        case ModelNotFoundError() | ModelInvalidRequestError():
            return Trouble.AUTHENTICATION if _unpaid(error) else Trouble.INVALID
        case ModelAPIError() | ModelConnectionError() | ModelTimeoutError():
            return Trouble.PASSING
        case ConnectionError() | TimeoutError():
            return Trouble.PASSING
        case _ if _cut_off(error):
            return Trouble.PASSING
        case _:
            return None


def _by_status(error: BaseException) -> Trouble | None:  # noqa: PLR0911 - a table
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        # An error that a provider sends in the middle of a stream has no status of its own.
        return Trouble.PASSING if _told_in_stream(error) else None
    match status:
        case 401 | 402 | 403:
            return Trouble.AUTHENTICATION
        case 429:
            return Trouble.AUTHENTICATION if _unpaid(error) else Trouble.RATE
        case 408 | 409:
            return Trouble.PASSING
        case 413:
            return Trouble.OVERFLOW
        case _ if status >= 500:
            return Trouble.PASSING
        case _ if status >= 400:
            return Trouble.AUTHENTICATION if _unpaid(error) else Trouble.INVALID
        case _:
            return Trouble.PASSING


def _cut_off(error: BaseException) -> bool:
    """Whether an HTTP client lost the connection; several are in use, with the same names."""
    return any(
        kind.__name__ == "TransportError" and kind.__module__.startswith("httpx")
        for kind in type(error).__mro__
    )


def _told_in_stream(error: BaseException) -> bool:
    return type(error).__name__ in {
        "APIError",
        "APIStatusError",
        "APIResponseValidationError",
        "ResponseError",
    }


def _unpaid(error: BaseException) -> bool:
    """Whether an account has no money, which OpenAI tells by the status of a limit, in words beside it."""
    body: Any = getattr(error, "body", None)
    told = (body, getattr(error, "code", None), getattr(error, "type", None), error)
    return any(part in str(each).lower() for each in told for part in _UNPAID)


def _with_status(error: BaseException, sentence: str) -> str:
    """The sentence, with what else tells whether it is the key, the account or the money."""
    status = getattr(error, "status_code", None)
    if _unpaid(error):
        told = "" if any(part in sentence.lower() for part in _UNPAID) else _UNPAID[0]
    else:
        told = str(status) if status in _TOLD_BY_STATUS else ""
    return f"{told}: {sentence}" if told and told not in sentence else sentence


def _headers(error: BaseException) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None)
    return {str(key).lower(): str(value) for key, value in headers.items()} if headers is not None else {}


def _sentence(error: BaseException) -> str:
    body: Any = getattr(error, "body", None)
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            body = None
    for _ in range(2):
        if isinstance(body, Mapping):
            body = body.get("error", body.get("message"))
    told = body if isinstance(body, str) else str(error)
    return truncate(" ".join(told.split()) or type(error).__name__, _SENTENCE_CHARACTERS)


def _until(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the provider takes questions again; headers that can't be read count as not sent."""
    told = headers.get("retry-after", "")
    return _later(now, headers.get("retry-after-ms", ""), 0.001) or _later(now, told, 1.0) or _date(told)


def _date(told: str) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(told)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _later(now: datetime, number: str, unit: float) -> datetime | None:
    try:
        return now + timedelta(seconds=float(number) * unit)
    except (ValueError, OverflowError):
        return None
