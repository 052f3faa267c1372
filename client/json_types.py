"""Values held against the types that a JSON schema says: JSON has types, and a text is no number.

What validates values behind this takes `"30"` for 30, `true` for 1 and `"yes"` for true.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from shiftwork.errors import InvalidInput

Schema = Mapping[str, Any]
Misfit = tuple[tuple[str | int, ...], str]
"""The place of a value, and what it must be."""

_REFERENCE = "#/components/schemas/"
_WORDS = {"string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false"}
_CONVERTED = {"number", "integer", "boolean"}
"""What is made of values of other types; what must be of another one is refused by its validation."""


def check_json(value: Any, model: type[BaseModel]) -> None:
    """Raise `InvalidInput` for the first value of JSON of another type than the model has in its place.

    It may be a patch of the model. What has no place, and null, is passed over: validation tells of these.
    """
    schema = model.model_json_schema(ref_template=f"{_REFERENCE}{{model}}")
    for place, said in misfits(value, schema, schema.get("$defs", {})):
        raise InvalidInput(f"{'.'.join(map(str, place))}: {said}.")


def misfits(value: Any, schema: Schema, named: Mapping[str, Schema]) -> Iterator[Misfit]:
    """Where a value is of another type than its schema says, and would be taken for one of that type."""
    alternatives = list(_alternatives(schema, named))
    match value:
        case dict():
            yield from _first_fitting(
                [_in_object(value, each, named) for each in alternatives if each.get("type") == "object"]
            )
        case list():
            yield from _first_fitting(
                [_in_list(value, each, named) for each in alternatives if each.get("type") == "array"]
            )
        case bool() | int() | float() | str():
            said = _misfit(value, alternatives)
            if said:
                yield (), said


def _alternatives(schema: Schema, named: Mapping[str, Schema]) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _alternatives(named[schema["$ref"].removeprefix(_REFERENCE)], named)
    elif several := [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]:
        for each in several:
            yield from _alternatives(each, named)
    else:
        yield schema


def _misfit(value: bool | float | str, alternatives: Sequence[Schema]) -> str | None:  # noqa: FBT001 - JSON's
    types = [each.get("type") for each in alternatives]
    if isinstance(value, bool):
        fitting = {"boolean"}
    else:
        fitting = {"string"} if isinstance(value, str) else {"number", "integer"}
    if None in types or fitting.intersection(types):
        return None
    # A moment is a text of some form, for which a number of seconds is taken, too.
    if not _CONVERTED.intersection(types) and not any("format" in each for each in alternatives):
        return None
    words = [_WORDS[each] for each in dict.fromkeys(types) if each in _WORDS]
    return f"must be {' or '.join(words)}"


def _first_fitting(found: Sequence[Iterator[Misfit]]) -> list[Misfit]:
    """No misfit, if one of the alternatives has none; else those of the first."""
    every = [list(each) for each in found]
    return [] if [] in every or not every else every[0]


def _in_object(value: Mapping[str, Any], schema: Schema, named: Mapping[str, Schema]) -> Iterator[Misfit]:
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    others = schema.get("additionalProperties")
    for name, each in value.items():
        fitting = [known[name]] if name in known else [patterns[p] for p in patterns if re.search(p, name)]
        if not fitting and isinstance(others, dict):
            fitting = [others]
        for one in fitting[:1]:
            for place, said in misfits(each, one, named):
                yield (name, *place), said


def _in_list(value: Sequence[Any], schema: Schema, named: Mapping[str, Schema]) -> Iterator[Misfit]:
    for index, each in enumerate(value):
        for place, said in misfits(each, schema.get("items", {}), named):
            yield (index, *place), said
