"""What went wrong when Codex gives up, from the sentence it gives up with; it says nothing in codes.

The sentences are those of codex 0.163; one that no rule knows is a failure of no particular kind.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.text import printable, truncate

TIME_ZONE = "UTC"
"""The zone that Codex has to run in: it tells the end of a usage limit in local time, without the zone."""

_TEXT_CHARACTERS = 2_000
_UNTOLD_LIMIT = timedelta(minutes=15)
"""How long to wait out a usage limit that ends "later": it is one of hours, but may be near its end."""

_SLACK = timedelta(hours=1)

_STATUS = re.compile(r"\bstatus:? (\d{3})\b")
_AT = re.compile(
    r"try again at (?:(\w{3} \d{1,2})(?:st|nd|rd|th), (\d{4}) )?(\d{1,2}:\d{2} [AP]M)", re.IGNORECASE
)
_UNIT = r"ms|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?"
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_IN = re.compile(rf"try again in ((?:{_NUMBER} ?(?:{_UNIT})(?![a-z]),? ?)+)", re.IGNORECASE)
_PART = re.compile(rf"({_NUMBER}) ?({_UNIT})(?![a-z])", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST_PAUSE = 7 * 86_400.0

_STATUSES = {
    400: Problem.INVALID,
    401: Problem.AUTHENTICATION,
    402: Problem.AUTHENTICATION,
    403: Problem.AUTHENTICATION,
    404: Problem.INVALID,
    408: Problem.UNAVAILABLE,
    409: Problem.UNAVAILABLE,
    413: Problem.LIMIT,
    422: Problem.INVALID,
    425: Problem.UNAVAILABLE,
}
_CODES = {
    "context_length_exceeded": Problem.LIMIT,
    "insufficient_quota": Problem.AUTHENTICATION,
    "invalid_api_key": Problem.AUTHENTICATION,
    "invalid_prompt": Problem.REFUSED,
    "content_policy_violation": Problem.REFUSED,
    "cyber_policy": Problem.REFUSED,
}
# In this order: a filtered answer is told as a broken stream.
_PHRASES = (
    ("content_filter", Problem.REFUSED),
    ("flagged", Problem.REFUSED),
    ("usage policy", Problem.REFUSED),
    ("context window", Problem.LIMIT),
    ("max_output_tokens", Problem.LIMIT),
    ("quota exceeded", Problem.AUTHENTICATION),
    ("missing environment variable", Problem.AUTHENTICATION),
    ("to use codex with your chatgpt plan", Problem.AUTHENTICATION),
    ("access token", Problem.AUTHENTICATION),
    ("log in", Problem.AUTHENTICATION),
    ("high demand", Problem.UNAVAILABLE),
    ("at capacity", Problem.UNAVAILABLE),
    ("stream disconnected", Problem.UNAVAILABLE),
    ("error sending request", Problem.UNAVAILABLE),
    ("connection failed", Problem.UNAVAILABLE),
    ("timeout", Problem.UNAVAILABLE),
    ("timed out", Problem.UNAVAILABLE),
)


@dataclass(frozen=True, slots=True)
class _Trouble:
    text: str
    problem: Problem | None = None
    limited: bool = False
    until: datetime | None = None


def end_of(message: str, now: datetime) -> AgentEvent:
    """The terminal event for the sentence that Codex gave up with: `rate_limited` or `finished`."""
    trouble = _understand(message, now)
    text = truncate(printable(trouble.text), _TEXT_CHARACTERS)
    if trouble.limited:
        return AgentEvent(kind=AgentEventKind.RATE_LIMITED, text=text, until=trouble.until)
    return AgentEvent(kind=AgentEventKind.FINISHED, ok=False, text=text, problem=trouble.problem)


def _understand(message: str, now: datetime) -> _Trouble:
    body = _body(message)
    if body is not None:
        return _of_body(body, message)
    lower = message.lower()
    if "hit your usage limit" in lower:
        return _Trouble(message, limited=True, until=_usage_limit_end(message, now))
    if "rate limit exceeded" in lower:
        return _Trouble(message, limited=True, until=_pause(message, now))
    status = _STATUS.search(message)
    if status is not None:
        return _of_status(int(status[1]), message, now)
    problem = next((problem for phrase, problem in _PHRASES if phrase in lower), None)
    return _Trouble(message, problem)


def _of_status(status: int, message: str, now: datetime) -> _Trouble:
    if status == 429:
        return _Trouble(message, limited=True, until=_pause(message, now))
    return _Trouble(message, Problem.UNAVAILABLE if status >= 500 else _STATUSES.get(status))


def _of_body(body: dict[str, Any], message: str) -> _Trouble:
    """Codex prints the body of a 400 as it came."""
    error = body.get("error")
    facts = error if isinstance(error, dict) else body
    said = facts.get("message") or facts.get("detail") or message
    codes = (str(facts.get("code")), str(facts.get("type")))
    problem = next((_CODES[code] for code in codes if code in _CODES), Problem.INVALID)
    return _Trouble(str(said), problem)


def _body(message: str) -> dict[str, Any] | None:
    if not message.startswith("{"):
        return None
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _usage_limit_end(message: str, now: datetime) -> datetime:
    return _reset(message, now) or _pause(message, now) or now + _UNTOLD_LIMIT


def _reset(message: str, now: datetime) -> datetime | None:
    """The end of a usage limit. It is told to the minute, so the end of that minute is meant."""
    told = _AT.search(message)
    if told is None:
        return None
    day = f"{told[1]} {told[2]}" if told[1] else f"{now.astimezone(UTC):%b %d %Y}"
    try:
        minute = datetime.strptime(f"{day} {told[3]}", "%b %d %Y %I:%M %p").replace(tzinfo=UTC)
        # Without a day it is the next such time, unless the clocks differ a little.
        tomorrow = told[1] is None and now - minute > _SLACK
        return minute + timedelta(days=1 if tomorrow else 0, minutes=1)
    except (ValueError, OverflowError):
        return None


def _pause(message: str, now: datetime) -> datetime | None:
    told = _IN.search(message)
    if told is None:
        return None
    parts = ((float(number), unit.lower()) for number, unit in _PART.findall(told[1]))
    seconds = sum(number * _SECONDS[unit if unit == "ms" else unit[0]] for number, unit in parts)
    return now + timedelta(seconds=min(seconds, _LONGEST_PAUSE))
