"""Tokens that are secrets beyond doubt: of an unmistakable shape, and no placeholders."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shiftwork.secrets.scanner import Hit, Scanner

_EXAMPLE = re.compile(rb"example|placeholder|redacted|your[_-]", re.IGNORECASE)
_FEW = 5
"""Different characters in the second half of what is a placeholder: xxxx, 0000, abcabc."""


_PIECE = 1 << 16
"""Bytes that one call looks at while no other thread can run."""


def _untimed() -> None:
    """Never too late."""


def tokens(
    unmistakable: Scanner, data: bytes, tick: Callable[[], None] = _untimed
) -> Iterator[tuple[Hit, int]]:
    """The tokens in the data, each with its end; calls `tick` for each, placeholders too."""
    position = 0
    hits = unmistakable.hits(data)
    while hit := hits.after(position):
        tick()
        position = hit.end
        while hit.tail and (tail := hit.tail.match(data, position, position + _PIECE)):
            tick()
            position = tail.end()
        if not _is_placeholder(data[hit.start : position]):
            yield hit, position


def _is_placeholder(token: bytes) -> bool:
    """Whether it says so itself, or repeats itself; much too long ones by a part."""
    half = len(token) // 2
    return bool(_EXAMPLE.search(token[:_PIECE])) or len(set(token[half : half + _PIECE])) <= _FEW


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
