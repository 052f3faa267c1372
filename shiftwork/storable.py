"""What programs send to be kept: stored as it is, or refused before anything is stored.

The columns replace what PostgreSQL and JSON can't hold (see `shiftwork.store.types`), so that nothing an
agent left makes a transaction fail. What a person or a program sends must not become something else.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from shiftwork.errors import InvalidInput

MOST_DEPTH = 64
"""How deep JSON may be nested."""

MOST_BYTES = 4 * 1024 * 1024
"""How much it may take, written as UTF-8."""

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_MOST_BITS = 10_000
"""Of an integer: Python itself refuses to write one of more than 4,300 digits."""


def check_text(what: str, value: object) -> None:
    """Raise `InvalidInput` for what is no text, or can't be stored as it is; `what` begins the sentence."""
    if not isinstance(value, str):
        raise InvalidInput(f"{what} must be text, not {type(value).__name__}.")
    if problem := unfit(value):
        raise InvalidInput(f"{what} {problem}.")


def given_path(what: str, value: str | Path) -> Path:
    """The path that is given, with the home folder that it names; raises `InvalidInput` for what is none."""
    check_text(what, str(value))
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise InvalidInput(f"{what} is {str(value)!r}, and there is no such home folder.") from error


def check_mapping(what: str, value: object) -> None:
    """Raise `InvalidInput` for what is no mapping of texts to values that JSON holds as they are."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{what} must be a mapping of names to values, not {type(value).__name__}.")
    _check(value, what, 0)
    size = len(json.dumps(value, ensure_ascii=False, default=dict).encode())
    if size > MOST_BYTES:
        raise InvalidInput(f"{what} takes {size:,} bytes as JSON, and may take {MOST_BYTES:,}.")


def _check(value: object, where: str, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise InvalidInput(f"{where:.200} is nested deeper than {MOST_DEPTH} levels.")
    match value:
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidInput(f"{where:.200} has the key {key!r:.60}; keys must be text.")
                if problem := unfit(key):
                    raise InvalidInput(f"A key of {where:.200} {problem}.")
                _check(item, f"{where}.{key}", depth + 1)
        case list() | tuple():
            for number, item in enumerate(value):
                _check(item, f"{where}.{number}", depth + 1)
        case _ if problem := unfit(value):
            raise InvalidInput(f"{where:.200} {problem}.")


def unfit(value: object) -> str | None:
    """What is wrong with a single value, as the end of a sentence; None if it is kept as it is."""
    match value:
        case str():
            found = _UNFIT.search(value)
            if found is None:
                return None
            held = "a NUL character" if found[0] == "\0" else "half of a character (a lone surrogate)"
            return f"holds {held}, which can't be stored; remove it"
        case None | bool():
            return None
        case int():
            return "has too many digits" if value.bit_length() > _MOST_BITS else None
        case float():
            return None if math.isfinite(value) else f"is {value}, which JSON has no number for"
    return f"is of the type {type(value).__name__}, which JSON can't hold"
