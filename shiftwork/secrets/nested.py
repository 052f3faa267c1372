"""Redacting nested values: every text in them, keys too."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_DEPTH = 100
"""Levels of a nested value beyond which nothing of it is kept."""

_HEADER = re.compile(r"(?:proxy-)?authorization|x-(?:api-key|auth-token|goog-api-key)", re.IGNORECASE)

Redact = Callable[[Any], Any]
"""Takes secrets out of a text, or of bytes."""


def redact_nested(value: Any, redact: Redact, depth: int = 0) -> Any:
    """A copy of the value in which every text is redacted; numbers stay as they are."""
    if isinstance(value, str | bytes):
        return redact(value)
    if depth >= MAX_DEPTH:
        return None if value is None else "[nested too deeply to be kept]"
    if isinstance(value, Mapping):
        return _mapping(value, redact, depth + 1)
    if isinstance(value, Sequence | set | frozenset):
        return [redact_nested(item, redact, depth + 1) for item in value]
    return value


def _mapping(value: Mapping[Any, Any], redact: Redact, depth: int) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, item in value.items():
        name = redact(key) if isinstance(key, str | bytes) else key
        while name in result:  # two secrets as keys must not become one entry
            name = name + b"'" if isinstance(name, bytes) else f"{name}'"
        result[name] = _field(key, item, redact, depth)
    return result


def _field(key: Any, item: Any, redact: Redact, depth: int) -> Any:
    """A field of a mapping; some values are known for secrets by their keys alone."""
    if isinstance(key, str) and isinstance(item, str) and _HEADER.fullmatch(key):
        named = f"{key}: {item}"
        done = redact(named)
        return item if done is named else done.removeprefix(f"{key}: ")
    return redact_nested(item, redact, depth)
