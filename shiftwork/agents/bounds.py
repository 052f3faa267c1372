"""Bounds on what agents say: one number, date or text of theirs must not wedge or empty a project."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shiftwork.text import printable, truncate

MOST_TOKENS = 2**53 - 1
"""Most tokens in one count: what every JSON reader can hold."""

MOST_DOLLARS = 1_000_000.0
"""Most that one event can cost."""

_SOONEST = timedelta(seconds=10)
_LATEST = timedelta(days=8)
"""The longest usage limits are weekly."""

_NAME_CHARACTERS = 200
_DATA_DEPTH = 6
_DATA_ITEMS = 200
_DATA_CHARACTERS = 20_000
_DATA_TOTAL_CHARACTERS = 60_000
_SURROGATES = re.compile("[\ud800-\udfff]")


def tokens(value: object) -> int:
    """A count of tokens; 0 for what can't be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= MOST_TOKENS else 0


def dollars(value: object) -> float | None:
    """A cost; None for what can't be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MOST_DOLLARS else None


def moment(seconds: object) -> datetime | None:
    """The time that many seconds after the epoch; None for what can't be one."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def aware(at: datetime) -> datetime:
    """The time with a zone; without one it is taken for UTC."""
    return at.replace(tzinfo=UTC) if at.utcoffset() is None else at


def resume_time(until: datetime, now: datetime) -> datetime:
    """When work may go on, in UTC: never so soon that it is a hot loop, never so late that it is never."""
    return min(max(aware(until), now + _SOONEST), now + _LATEST).astimezone(UTC)


def storable(text: object) -> object:
    """Text without lone surrogates, which programs make by cutting a character in two."""
    return _SURROGATES.sub("\ufffd", text) if isinstance(text, str) and not text.isascii() else text


def name(text: str) -> str:
    """The name of a model or conversation, bounded."""
    return truncate(text, _NAME_CHARACTERS)


def small(data: dict[str, Any]) -> dict[str, Any]:
    """Facts that fit into a row: neither deep, nor many, nor long, nor with numbers that JSON lacks."""
    left = [_DATA_TOTAL_CHARACTERS]

    def text(value: str) -> str:
        cut = truncate(str(storable(value)), min(_DATA_CHARACTERS, max(0, left[0])))
        left[0] -= len(cut)
        return cut

    return _facts(data, text, _DATA_DEPTH)


def shown(value: object, limit: int) -> str:
    """A value of JSON as text of at most `limit` characters; text as it is."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "…"
    return truncate(printable(text), limit)


def _facts(data: dict[Any, Any], text: Callable[[str], str], depth: int) -> dict[str, Any]:
    items = list(data.items())[:_DATA_ITEMS]
    return {text(str(key)): _fact(value, text, depth - 1) for key, value in items}


def _fact(value: Any, text: Callable[[str], str], depth: int) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int | float):  # True and False are numbers too, and stay
        return value if -MOST_TOKENS <= value <= MOST_TOKENS else None
    if isinstance(value, dict):
        return _facts(value, text, depth) if depth > 0 else "…"
    if isinstance(value, list | tuple):
        return [_fact(item, text, depth - 1) for item in value[:_DATA_ITEMS]] if depth > 0 else "…"
    return None
