"""Tokens that are secrets beyond doubt: of an unmistakable shape, and no placeholders."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shiftwork.secrets.scanner import Hit, Scanner

_EXAMPLE = re.compile(rb"example|placeholder|redacted|your[_-]", re.IGNORECASE)
_FEW = 5
"""Different characters in the second half of what is a placeholder: xxxx, 0000, abcabc."""


def tokens(unmistakable: Scanner, data: bytes) -> Iterator[tuple[Hit, int]]:
    """The tokens in the data, each with its end."""
    position = 0
    hits = unmistakable.hits(data)
    while hit := hits.after(position):
        tail = hit.tail.match(data, hit.end) if hit.tail else None
        position = tail.end() if tail else hit.end
        if not _is_placeholder(data[hit.start : position]):
            yield hit, position


def _is_placeholder(token: bytes) -> bool:
    return bool(_EXAMPLE.search(token)) or len(set(token[len(token) // 2 :])) <= _FEW


def texts(value: Any) -> Iterator[str]:
    """Every text in a nested value, keys too."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case Mapping() as mapping:
                waiting += [*mapping.keys(), *mapping.values()]
            case bytes():
                pass
            case Sequence() | set() | frozenset() as items:
                waiting += items
