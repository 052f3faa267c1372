"""Until when a provider wants no more: told in headers and bodies, by each in its own way."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_FARTHEST = timedelta(days=40)
_ANTHROPIC = "anthropic-ratelimit-"
_OPENAI = "x-ratelimit-"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LIMITS = frozenset(
    {
        "rate_limit_error",
        "overloaded_error",
        "rate_limit_exceeded",
        "usage_limit_reached",
        "server_is_overloaded",
        "slow_down",
        "RESOURCE_EXHAUSTED",
    }
)
_STATUSES = frozenset({429, 503, 529})
_LONGEST = 64
"""Characters of a time that is read."""


def is_limit(status: int, error: Mapping[str, Any]) -> bool:
    """Whether an answer says that a limit is reached, or that the provider has too much to do.

    An account that can't pay is no limit of time, although OpenAI tells it by the same status.
    """
    facts = _error(error)
    told = (facts.get("type"), facts.get("code"), facts.get("status"))
    names = {each for each in told if isinstance(each, str)}
    return "insufficient_quota" not in names and (status in _STATUSES or bool(names & _LIMITS))


def limited_until(headers: Mapping[str, str], error: Mapping[str, Any], now: datetime) -> datetime | None:
    """When the limit ends, if the answer says so: the latest of what it says, at most 40 days ahead.

    Args:
        headers: of the answer, with names in lower case.
        error: the answer's JSON body.
        now: with a time zone.
    """
    # A usage limit's own end counts, not the pauses between requests that are told beside it.
    for told in ((*_unified(headers), *_told_in_body(error, now)), _told_in_headers(headers, now)):
        future = [min(each, now + _FARTHEST) for each in told if each > now]
        if future:
            return max(future)
    return None


def _unified(headers: Mapping[str, str]) -> Iterator[datetime]:
    prefix = f"{_ANTHROPIC}unified-"
    for name, value in headers.items():
        if name.startswith(prefix) and name.endswith("status") and value == "rejected":
            yield from _epoch(headers.get(f"{name.removesuffix('status')}reset"))


def _told_in_headers(headers: Mapping[str, str], now: datetime) -> Iterator[datetime]:
    milliseconds = _float(headers.get("retry-after-ms"))
    after = headers.get("retry-after", "")
    if milliseconds is not None:
        yield from _later(now, milliseconds / 1000)
    elif (seconds := _float(after)) is not None:
        yield from _later(now, seconds)
    elif after:
        yield from _date(after)
    for name, value in headers.items():
        if value == "0" and name.startswith((_ANTHROPIC, _OPENAI)) and "remaining" in name:
            yield from _reset(headers.get(name.replace("remaining", "reset"), ""), now)


def _told_in_body(body: Mapping[str, Any], now: datetime) -> Iterator[datetime]:
    error = _error(body)
    yield from _epoch(error.get("resets_at"))
    seconds = _float(error.get("resets_in_seconds"))
    if seconds is not None:
        yield from _later(now, seconds)
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("RetryInfo"):
            yield from _reset(str(detail.get("retryDelay", "")), now)


def _error(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error of a body; Gemini may put its own into a list."""
    error = body.get("error")
    return error if isinstance(error, dict) else {}


def _reset(text: str, now: datetime) -> Iterator[datetime]:
    """A time, or a duration as `6m0s`."""
    if len(text) > _LONGEST:
        return
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        yield from _later(now, sum(float(number) * _SECONDS[unit] for number, unit in parts))
        return
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return
    yield at if at.tzinfo else at.replace(tzinfo=UTC)


def _later(now: datetime, seconds: float) -> Iterator[datetime]:
    yield now + timedelta(seconds=min(max(seconds, 0.0), _FARTHEST.total_seconds()))


def _epoch(value: object) -> Iterator[datetime]:
    seconds = _float(value)
    if seconds is not None and 0 < seconds < 253_402_214_400:  # the last day of the year 9999
        yield datetime.fromtimestamp(seconds, UTC)


def _date(text: str) -> Iterator[datetime]:
    try:
        at = parsedate_to_datetime(text[:_LONGEST])
    except (ValueError, OverflowError):
        return
    yield at if at.tzinfo else at.replace(tzinfo=UTC)


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _LONGEST:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
