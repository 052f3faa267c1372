"""What programs give us, looked at before anything is made of it."""

import uuid
from typing import TypeGuard

from shiftwork.errors import InvalidInput

_LARGEST = 2**63 - 1
"""What a row can hold."""


def session_limit(name: str, given: object) -> int | None:
    """A number of sessions, or None for no limit; raises `InvalidInput`, which names the argument."""
    if given is None or (_is_whole(given) and given >= 1):
        return given
    raise InvalidInput(f"{name} is {_said(given)}; give a whole number from 1 on, or None for no limit.")


def event_sequence(name: str, given: object) -> int | None:
    """The sequence of an event, or None; raises `InvalidInput`, which names the argument."""
    if given is None or (_is_whole(given) and 0 <= given <= _LARGEST):
        return given
    raise InvalidInput(f"{name} is {_said(given)}; give the sequence of an event, from 0 on, or None.")


def project_ref(given: object) -> str:
    """What names a project; raises `InvalidInput` for what is no text."""
    if isinstance(given, str):
        return given
    raise InvalidInput(f"{_said(given)} names no project; give its id, the beginning of it, or its name.")


def new_project_id(given: object) -> str | None:
    """The id that a project is to get, or None for any; raises `InvalidInput` for what is no UUID."""
    if given is None:
        return None
    try:
        return str(uuid.UUID(given if isinstance(given, str) else ""))
    except ValueError as error:
        said = f"{given!r:.60}" if isinstance(given, str) else _said(given)
        raise InvalidInput(f"project_id is {said}; give a UUID as text, or None for a new one.") from error


def kind_of(given: object) -> str:
    """What it is, for a sentence."""
    return f"an object of type {type(given).__name__!r}"


def _is_whole(given: object) -> TypeGuard[int]:
    return isinstance(given, int) and not isinstance(given, bool)


def _said(given: object) -> str:
    return repr(given) if given is None or isinstance(given, float | int) else kind_of(given)
