"""The context of a handoff, and its form as JSON, in which moments stay moments."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from shiftwork.errors import InvalidInput

MOST_BYTES: Final = 256 * 1024
"""How much a context may take as JSON."""

_DEEPEST: Final = 64
_MOMENT: Final = "$datetime"
"""`{"$datetime": "2026-01-01T00:00:00+00:00"}` stands for a moment."""
_VERBATIM: Final = "$value"
"""`{"$value": {...}}` stands for an object that only looks like one of ours."""

_LARGEST_INTEGER: Final = 2**63 - 1
"""What others who read JSON (PostgreSQL, JavaScript) make of a larger one is not the same number."""


@dataclass(frozen=True)
class HandoffContext:
    """What an agent noticed, did and wants to know again.

    Values are what JSON knows (None, booleans, numbers, text, lists and dictionaries with text as keys), and
    `datetime`. Tuples become lists.

    Attributes:
        observations: what it observed.
        actions: what it did, one dictionary each.
        state: what its next run goes on from.
        metadata: about the run itself.

    Raises:
        InvalidInput: a part is of another type.
    """

    observations: dict[str, Any] = field(default_factory=dict)
    actions: list[dict[str, Any]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no context."""
        for name in ("observations", "state", "metadata"):
            if not isinstance(getattr(self, name), dict):
                raise _wrong(name, "a dictionary", getattr(self, name))
        if not isinstance(self.actions, list):
            raise _wrong("actions", "a list of dictionaries", self.actions)
        for number, action in enumerate(self.actions):
            if not isinstance(action, dict):
                raise _wrong(f"actions[{number}]", "a dictionary", action)

    def to_json(self) -> str:
        """The context as JSON.

        Raises:
            InvalidInput: it holds what JSON can't, is nested too deeply, or takes more than `MOST_BYTES`;
                the error says where.
        """
        parts = {name: _encoded(getattr(self, name), name, 0) for name in _PARTS}
        text = json.dumps(parts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
        if size > MOST_BYTES:
            largest = max(_PARTS, key=lambda name: len(json.dumps(parts[name])))
            raise InvalidInput(
                f"The handoff takes {size:,} bytes as JSON, most of them in its {largest}, and may take "
                f"{MOST_BYTES:,}: keep what is large in a file, and its path in the handoff."
            )
        return text

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The context of which `to_json` made this; raises `InvalidInput` if it is none."""
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            raise InvalidInput(f"The handoff is nested more than {_DEEPEST} levels deep.") from None
        except ValueError as error:
            raise InvalidInput(f"The handoff is not valid JSON: {error}.") from None
        if not isinstance(value, Mapping):
            raise InvalidInput(
                "The handoff must be a JSON object with observations, actions, state, metadata."
            )
        if unknown := sorted(set(value) - set(_PARTS)):
            raise InvalidInput(f"The handoff has no field {unknown[0]!r}; it has {', '.join(_PARTS)}.")
        return cls(**{name: _decoded(part, name, 0) for name, part in value.items()})


_PARTS: Final = ("observations", "actions", "state", "metadata")


def _wrong(where: str, wanted: str, found: object) -> InvalidInput:
    return InvalidInput(f"{where} of a handoff must be {wanted}, not {type(found).__name__}.")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _encoded(value: object, where: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise InvalidInput(f"The handoff is nested more than {_DEEPEST} levels deep, in its {where[:100]}.")
    match value:
        case datetime():
            return {_MOMENT: value.isoformat()}
        case list() | tuple():
            return [_encoded(item, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
        case Mapping():
            return _object(value, where, depth)
        case str():
            return _text(value, where)
        case _:
            return _simple(value, where)


def _simple(value: object, where: str) -> bool | int | float | None:
    match value:
        case None | bool():
            return value
        case int() if abs(value) > _LARGEST_INTEGER:
            why = "is an integer of more than 63 bits: keep it as text"
        case float() if not math.isfinite(value):
            why = f"is {value}, which JSON has no number for"
        case int() | float():
            return value
        case _:
            kind = type(value).__name__
            why = f"is a {kind}, which JSON can't hold: use text, numbers, lists, dictionaries or moments"
    raise InvalidInput(f"{where[:100]} of a handoff {why}.")


def _object(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str):
            raise InvalidInput(f"{where[:100]} of a handoff has the key {key!r:.60}; keys must be text.")
    encoded = {_text(key, where): _encoded(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    return {_VERBATIM: encoded} if len(encoded) == 1 and {_MOMENT, _VERBATIM} & encoded.keys() else encoded


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{where[:100]} of a handoff holds half a character (a lone surrogate).") from None
    if "\x00" in value:
        raise InvalidInput(f"{where[:100]} of a handoff holds a NUL character, which can't be stored.")
    return value


def _decoded(value: Any, where: str, depth: int) -> Any:
    if depth > 2 * _DEEPEST:
        raise InvalidInput(f"The handoff is nested more than {_DEEPEST} levels deep.")
    match value:
        case list():
            return [_decoded(item, where, depth + 1) for item in value]
        case dict() if list(value) == [_MOMENT]:
            return _moment(value[_MOMENT], where)
        case dict() if list(value) == [_VERBATIM] and isinstance(value[_VERBATIM], dict):
            inner = value[_VERBATIM]
            return {key: _decoded(item, where, depth + 1) for key, item in inner.items()}
        case dict():
            return {key: _decoded(item, where, depth + 1) for key, item in value.items()}
        case _:
            return value


def _moment(text: object, where: str) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise InvalidInput(f"{where} of a handoff holds {text!r:.60} as a moment, which is none.") from None
