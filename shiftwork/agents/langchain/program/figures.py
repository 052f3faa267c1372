"""Numbers as models and their servers write them: some can be neither kept nor sent again."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

_LARGEST: Final = 2**63
"""Integers from here on fit neither the file of a conversation nor most servers."""

_MOST_TOKENS: Final = 10**9
"""Of one answer; who tells more has miscounted, and the sum of all answers must stay within what is kept."""


def keepable(value: Any) -> bool:
    """Whether all numbers in this value of JSON can be kept, and sent to a model again."""
    match value:
        case bool():
            return True
        case int():
            return -_LARGEST <= value < _LARGEST
        case float():
            return isfinite(value)
        case dict():
            return all(keepable(key) and keepable(item) for key, item in value.items())
        case list() | tuple():
            return all(keepable(item) for item in value)
        case _:
            return True


def tokens(value: object) -> int:
    """A count of tokens as it was told; 0 if that is none."""
    return value if isinstance(value, int) and 0 < value <= _MOST_TOKENS else 0


def counted(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of tokens as they can be kept: what is none counts as not said."""
    return {
        key: counted(value) if isinstance(value, Mapping) else tokens(value) for key, value in usage.items()
    }
