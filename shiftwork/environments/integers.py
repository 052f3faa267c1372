"""Numbers without a fraction, as the integers that a JSON schema takes them for."""

from collections.abc import Iterable, Mapping
from typing import Any


def with_integers(schema: object, value: Any) -> Any:
    """A value that a schema allows, in which 4.0 is 4 wherever the schema asks for an integer.

    JSON knows one kind of number, and so does JSON schema; programs tell 4.0 and 4 apart.
    """
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and _asks_for_integer(schema, value) else value
    if isinstance(value, dict):
        known = schema.get("properties", {})
        other = schema.get("additionalProperties")
        value = {name: with_integers(known.get(name, other), each) for name, each in value.items()}
    elif isinstance(value, list):
        first = schema.get("prefixItems", [])
        rest = [schema.get("items")] * (len(value) - len(first))
        value = [with_integers(own, each) for own, each in zip([*first, *rest], value, strict=False)]
    for each in _branches(schema) if isinstance(value, dict | list) else ():
        value = with_integers(each, value)
    return value


def _asks_for_integer(schema: Mapping[str, Any], value: float) -> bool:
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    listed = (*schema.get("enum", ()), *((schema["const"],) if "const" in schema else ()))
    if "number" in kinds or any(_is_number(each) for each in _branches(schema)):
        return False
    return (
        "integer" in kinds
        or any(type(each) is int and each == value for each in listed)
        or any(_asks_for_integer(each, value) for each in _branches(schema))
    )


def _is_number(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type", ())
    return kinds == "number" or "number" in kinds


def _branches(schema: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    found = (each for word in ("allOf", "anyOf", "oneOf") for each in schema.get(word, ()))
    return [each for each in found if isinstance(each, Mapping)]
