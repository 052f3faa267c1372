"""The spaces of Gymnasium as JSON: their schemas, and their values in both directions."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from shiftwork.errors import InvalidInput

Schema = dict[str, Any]

MOST_NUMBERS: Final = 1_000
"""Of an action. Nobody writes more as JSON, and players have to."""

_EXAMPLES: Final = 5


def schema_of(space: spaces.Space[Any]) -> Schema:  # noqa: PLR0911 - a table of kinds
    """The JSON schema of a space's values.

    Raises:
        InvalidInput: the space can't be written as JSON, or is too large for it.
    """
    match space:
        case spaces.Discrete():
            return _integers(int(space.start), int(space.start + space.n - 1))
        case spaces.MultiBinary():
            return _array(space, lambda _: {"type": "integer", "enum": [0, 1]})
        case spaces.MultiDiscrete():
            return _array(space, lambda at: _integers(int(space.start[at]), _last(space, at)))
        case spaces.Box():
            return _array(space, lambda at: _numbers(space, at))
        case spaces.Text():
            return _text(space)
        case spaces.Dict():
            return _object({str(name): schema_of(each) for name, each in space.spaces.items()})
        case spaces.Tuple():
            return _items([schema_of(each) for each in space.spaces])
        case spaces.OneOf():
            each_with_number = enumerate(space.spaces)
            return {"anyOf": [_items([{"const": n}, schema_of(each)]) for n, each in each_with_number]}
        case spaces.Sequence() if not space.stack:
            return {"type": "array", "items": schema_of(space.feature_space)}
    raise InvalidInput(
        f"actions of the space {type(space).__name__} can't be written as JSON; wrap the environment so that "
        "its actions are of Discrete, MultiDiscrete, MultiBinary, Box, Text, Dict or Tuple"
    )


def from_json(space: spaces.Space[Any], value: Any) -> Any:  # noqa: PLR0911 - a table of kinds
    """A value that `schema_of(space)` allows, as the environment takes it.

    Raises:
        InvalidInput: a number is too large for the space's type.
    """
    match space:
        case spaces.Discrete():
            return np.dtype(space.dtype).type(int(value))
        case spaces.Dict():
            return {name: from_json(each, value[str(name)]) for name, each in space.spaces.items()}
        case spaces.Tuple():
            return tuple(from_json(each, part) for each, part in zip(space.spaces, value, strict=True))
        case spaces.OneOf():
            number, chosen = value
            return np.int64(number), from_json(space.spaces[number], chosen)
        case spaces.Sequence():
            return tuple(from_json(space.feature_space, part) for part in value)
        case spaces.Text():
            return value
    return _array_of(space, value)


def _array_of(space: spaces.Space[Any], value: Any) -> Any:
    try:
        with np.errstate(over="ignore"):  # what comes of it is looked at
            array = np.asarray(value, dtype=space.dtype).reshape(space.shape)
    except OverflowError:
        raise InvalidInput(
            f"a number of the action is too large for {space.dtype}; give smaller ones"
        ) from None
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise InvalidInput(f"a number of the action is too large for {space.dtype}; give smaller ones")
    return array


def to_json(value: Any) -> Any:
    """A value of a space as JSON; numbers that are infinite, or no number, become None.

    Raises:
        TypeError: it holds what no space holds.
    """
    match value:
        case np.generic():
            return to_json(value.item())
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case np.ndarray():
            return to_json(value.tolist())
        case Mapping():
            return {str(name): to_json(each) for name, each in value.items()}
        case list() | tuple():
            return [to_json(each) for each in value]
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


def json_of_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """What of an `info` can be written as JSON; the rest, such as objects of the environment, is left out."""
    told = {}
    for name, value in info.items():
        try:
            told[str(name)] = to_json(value)
        except TypeError:
            continue
    return told


def _last(space: spaces.MultiDiscrete, at: tuple[int, ...]) -> int:
    return int(space.start[at]) + int(space.nvec[at]) - 1


def _integers(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _numbers(space: spaces.Box, at: tuple[int, ...]) -> Schema:
    integer = np.issubdtype(np.dtype(space.dtype), np.integer)
    schema: Schema = {"type": "integer" if integer else "number"}
    for keyword, bound in (("minimum", space.low[at]), ("maximum", space.high[at])):
        if math.isfinite(bound):
            schema[keyword] = bound.item()
    return schema


def _text(space: spaces.Text) -> Schema:
    schema: Schema = {"type": "string", "minLength": space.min_length, "maxLength": space.max_length}
    allowed = "".join(f"\\u{ord(each):04x}" for each in space.character_list if ord(each) < 0x10000)
    least = max(space.min_length, 1)
    some = space.character_list[:_EXAMPLES]
    examples = [each * least for each in some] if least <= space.max_length else [""]
    return {**schema, "pattern": f"^[{allowed}]*$", "examples": examples}


def _object(properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(space: spaces.Space[Any], item: Callable[[tuple[int, ...]], Schema]) -> Schema:
    shape = space.shape or ()
    if math.prod(shape) > MOST_NUMBERS:
        raise InvalidInput(
            f"an action of {space} has {math.prod(shape)} numbers, and at most {MOST_NUMBERS} can be given "
            "as JSON; wrap the environment so that its actions are smaller"
        )
    return _nested(shape, (), item)


def _nested(shape: tuple[int, ...], at: tuple[int, ...], item: Callable[[tuple[int, ...]], Schema]) -> Schema:
    if len(at) == len(shape):
        return item(at)
    return _items([_nested(shape, (*at, place), item) for place in range(shape[len(at)])])


def _items(parts: list[Schema]) -> Schema:
    size = {"minItems": len(parts), "maxItems": len(parts)}
    if parts and all(part == parts[0] for part in parts):
        return {"type": "array", "items": parts[0], **size}
    return {"type": "array", "prefixItems": parts, "items": False, **size}
