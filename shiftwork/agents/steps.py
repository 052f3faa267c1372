"""The steps of a cassette: what each is called, what it needs, and how leniently it may be written.

Used by the loader that validates and by the player, which must start quickly: nothing heavy is imported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from shiftwork.agents.yamlplace import Place


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a step: how it is read, and whether it may be left out (then it is absent)."""

    read: Callable[[Place], Any]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step.

    Attributes:
        fields: its keys; none means that anything may stand there and nothing is read.
        short: the key that is meant when a plain value stands where the mapping would.
    """

    fields: Mapping[str, Field]
    short: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its kind, its values by key, and where it stands."""

    kind: str
    values: Mapping[str, Any]
    place: Place


Attempt = tuple[Step, ...]
"""What the agent does in one run of a feature."""


def _path(place: Place) -> str:
    path = place.text()
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        place.fail(f"path {path!r} must be relative and stay inside the workspace")
    return path


def _mode(place: Place) -> int:
    text = place.text()
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        place.fail(f'mode must be octal, as in "755", not {text!r}')
    return mode


def _status(place: Place) -> int:
    status = place.whole_number()
    if status > 255:
        place.fail(f"status must be between 0 and 255, not {status}")
    return status


def _old(place: Place) -> str:
    text = place.text()
    if not text:
        place.fail('must not be empty: "" is found everywhere')
    return text


def _texts(place: Place) -> list[str]:
    return [item.text() for item in place.items()] if place.is_sequence else [place.text()]


_PATH, _TEXT, _NUMBER = Field(_path), Field(Place.text), Field(Place.number)
_OPTIONAL_TEXT = Field(Place.text, required=False)
_OPTIONAL_TEXTS = Field(_texts, required=False)
_OPTIONAL_ANY = Field(Place.plain, required=False)
_OPTIONAL_COUNT = Field(Place.whole_number, required=False)

KINDS: Mapping[str, Kind] = {
    "write": Kind(
        {
            "path": _PATH,
            "content": _TEXT,
            "mode": Field(_mode, required=False),
            "executable": Field(Place.boolean, required=False),
        }
    ),
    "append": Kind({"path": _PATH, "content": _TEXT}),
    "replace": Kind({"path": _PATH, "old": Field(_old), "new": _TEXT}),
    "delete": Kind({"path": _PATH}, short="path"),
    "run": Kind({"command": _TEXT}, short="command"),
    "say": Kind({"text": _TEXT}, short="text"),
    "sleep": Kind({"seconds": _NUMBER}, short="seconds"),
    "decision": Kind(
        {
            "decision": _TEXT,
            "context": _OPTIONAL_TEXT,
            "reasoning": _OPTIONAL_TEXT,
            "tags": _OPTIONAL_TEXTS,
        },
        short="decision",
    ),
    "progress": Kind(
        {"action": _TEXT, "outcome": _OPTIONAL_TEXT, "files_changed": _OPTIONAL_TEXTS}, short="action"
    ),
    "handoff": Kind(
        {
            "summary": _OPTIONAL_TEXT,
            "observations": _OPTIONAL_ANY,
            "actions": _OPTIONAL_ANY,
            "state": _OPTIONAL_ANY,
            "metadata": _OPTIONAL_ANY,
            "last_action": _OPTIONAL_TEXT,
            "recommended_next_action": _OPTIONAL_TEXT,
        },
        short="summary",
    ),
    "usage": Kind(
        {
            "input_tokens": _OPTIONAL_COUNT,
            "output_tokens": _OPTIONAL_COUNT,
            "cost_usd": Field(Place.number, required=False),
        }
    ),
    "ask": Kind({"question": _TEXT}, short="question"),
    "rate_limit": Kind({"seconds": _NUMBER}, short="seconds"),
    "flood": Kind({"megabytes": _NUMBER}, short="megabytes"),
    "spawn": Kind({"command": _TEXT}, short="command"),
    "hang": Kind({}),
    "exit": Kind({"status": Field(_status)}, short="status"),
}


def read_attempts(place: Place) -> tuple[Attempt, ...]:
    """The attempts of one feature; there is at least one."""
    items = place.items()
    if not items:
        place.fail("holds no attempt; write [[]] for one that does nothing")
    return tuple(_read_attempt(item) for item in items)


def _read_attempt(place: Place) -> Attempt:
    if place.is_null:
        return ()
    if place.is_mapping:
        keys = place.mapping()
        if set(keys) != {"steps"}:
            place.fail("an attempt must be a list of steps")
        place = keys["steps"]
    if not place.is_sequence:
        place.fail("an attempt must be a list of steps")
    return tuple(_read_step(item) for item in place.items())


def _read_step(place: Place) -> Step:
    if not place.is_mapping:
        return _read_word(place)
    keys = place.mapping()
    if len(keys) != 1:
        place.fail(f"a step has exactly one key that says what to do, not {len(keys)} ({_names(keys)})")
    ((name, value),) = keys.items()
    kind = _kind(place, name)
    return Step(name, _read_values(value, kind), value)


def _read_word(place: Place) -> Step:
    """A step that is a word alone: `- hang`."""
    word = place.text() if isinstance(place.node.value, str) and not place.is_null else ""
    if _kind(place, word).fields:
        place.fail(f"{word} says nothing; write `{word}: …`")
    return Step(word, {}, place)


def _kind(place: Place, name: str) -> Kind:
    if name not in KINDS:
        place.fail(f"step {name!r} is not known; known are {_names(KINDS)}")
    return KINDS[name]


def _read_values(place: Place, kind: Kind) -> dict[str, Any]:
    if not kind.fields:
        return {}
    if not place.is_mapping:
        return _read_short(place, kind)
    keys = place.mapping()
    for name, value in keys.items():
        if name not in kind.fields:
            value.fail(f"key {name!r} is not known here; known are {_names(kind.fields)}")
    for name, field in kind.fields.items():
        if field.required and (name not in keys or keys[name].is_null):
            place.fail(f"{name} is missing")
    return {name: kind.fields[name].read(value) for name, value in keys.items() if not value.is_null}


def _read_short(place: Place, kind: Kind) -> dict[str, Any]:
    if place.is_null and any(field.required for field in kind.fields.values()):
        place.fail(f"{next(iter(kind.fields))} is missing")
    if kind.short is None:
        place.fail(f"must be a mapping with {_names(kind.fields)}")
    return {} if place.is_null else {kind.short: kind.fields[kind.short].read(place)}


def _names(names: Mapping[str, object]) -> str:
    return ", ".join(names)
