"""The choices that actions leave, numbered, for players who know numbers only."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shiftwork.environments.parameters import parameter_schema
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.environments.trajectory import Choice

MOST_CHOICES: Final = 2_000
"""More are not numbered."""


def enumerated(actions: Iterable[ActionDefinition]) -> tuple[Choice, ...] | None:
    """Every action with every value of its parameters; None where there are no end of them, or too many.

    A parameter that may be left out is left out where its values can't be enumerated.

    Raises:
        BadParameters: a definition holds what is no JSON schema.
    """
    found: list[Choice] = []
    for action in actions:
        values = _values({"type": "object", **parameter_schema(action)})
        if values is None or len(found) + len(values) > MOST_CHOICES:
            return None
        found += [Choice(action=action.name, parameters=each) for each in values]
    return tuple(found)


def numbers_of(choices: Sequence[Choice]) -> dict[str, int]:
    """The number of each choice, by `key_of` it."""
    return {key_of(each): number for number, each in enumerate(choices)}


def key_of(choice: Choice) -> str:
    """The same for two choices that are the same."""
    return json.dumps([choice.action, choice.parameters], sort_keys=True)


def _values(schema: Any) -> list[Any] | None:  # noqa: PLR0911 - a table of kinds
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            branches = [_values(each) for each in schema[keyword]]
            return None if None in branches else [each for branch in branches for each in branch or ()]
    match schema.get("type"):
        case "boolean":
            return [False, True]
        case "null":
            return [None]
        case "integer":
            return _integers(schema)
        case "object":
            return _objects(schema)
    return None


def _integers(schema: Mapping[str, Any]) -> list[int] | None:
    if schema.keys() - {"type", "minimum", "maximum", "description", "title", "default"}:
        return None
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None or high - low >= MOST_CHOICES:
        return None
    return list(range(int(low), int(high) + 1))


def _objects(schema: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    required = schema.get("required", ())
    names, parts = [], []
    for name, described in schema.get("properties", {}).items():
        values = _values(described)
        if values is not None:
            names.append(name)
            parts.append(values)
        elif name in required:
            return None
    total = 1
    for part in parts:
        total *= len(part)
    if total > MOST_CHOICES or set(required) - set(names):
        return None
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*parts)]
