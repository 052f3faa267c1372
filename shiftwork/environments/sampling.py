"""Random parameters for actions, drawn from their JSON schemas."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from shiftwork.environments.parameters import parameter_schema
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.errors import InvalidInput

Schema = Mapping[str, Any] | bool

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.\u00e9\u00df\u03bb\u4e2d"
_MOST_TEXT: Final = 20
_MOST_ITEMS: Final = 4
_REACH: Final = 100
"""How far from its one bound, or from 0, a number without bounds is drawn."""
_MOST_DEPTH: Final = 12
_TRIES: Final = 50
_EXTREME: Final = 0.2
"""How often a number is one of its bounds: that is where faults are."""
_ANY_VALUE: Final = (None, True, 0, -1, "text")


class CannotSample(InvalidInput):
    """A schema for which no random value is found; the text says which and what to do."""


def sample_parameters(action: ActionDefinition, source: random.Random) -> dict[str, Any]:
    """Random parameters that an action takes.

    The common part of JSON schema is understood: `const`, `enum`, `examples`, types with their bounds,
    arrays, objects, `anyOf`, `oneOf` and `$ref` within the schema. What else a schema asks for (`pattern`,
    `not`, …) is met by its `examples`, by chance, or not at all.

    Args:
        source: from which chance comes; the same state gives the same parameters.

    Raises:
        CannotSample: nothing that the schema allows was found.
        BadParameters: the definition holds what is no JSON schema.
    """
    schema = parameter_schema(action)
    drawn = sample({"type": "object", **schema}, source, what=f"the parameters of action {action.name!r}")
    if not isinstance(drawn, dict):
        raise CannotSample(f"the schema of action {action.name!r} is not that of an object; make it one")
    return drawn


def sample(schema: Schema, source: random.Random, *, what: str = "the schema") -> Any:
    """A random JSON value that a schema allows.

    Raises:
        CannotSample: none was found; `what` names there what it was for.
    """
    import jsonschema  # noqa: PLC0415 - takes long, and only who plays by chance needs it

    validator = jsonschema.Draft202012Validator(schema)
    draw = _Draw(schema, source)
    reason = "nothing that the schema allows was found by chance"
    for _ in range(_TRIES):
        try:
            value = draw.value(schema, 0)
        except _NotSampled as error:
            reason = str(error)
            continue
        if validator.is_valid(value):
            return value
    raise CannotSample(f"{what} can't be drawn: {reason}; give the schema bounds, an 'enum' or 'examples'")


class _NotSampled(Exception):  # noqa: N818 - a dead end of one try; another may get through
    pass


class _Draw:
    """Draws values for the parts of one schema."""

    def __init__(self, root: Schema, source: random.Random) -> None:
        self._root = root
        self._source = source
        self._by_type: dict[str, Callable[[Mapping[str, Any], int], Any]] = {
            "null": lambda _schema, _depth: None,
            "boolean": lambda _schema, _depth: source.random() < 0.5,
            "integer": lambda schema, _depth: self._integer(schema),
            "number": lambda schema, _depth: self._number(schema),
            "string": lambda schema, _depth: self._string(schema),
            "array": self._array,
            "object": self._object,
        }

    def value(self, schema: Schema, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise _NotSampled("it is nested too deep")
        if isinstance(schema, bool) or not schema:
            return self._anything(allowed=schema is not False)
        if "const" in schema:
            return schema["const"]
        for keyword in ("enum", "examples"):
            if schema.get(keyword):
                return self._source.choice(schema[keyword])
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"]), depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                rest = {name: each for name, each in schema.items() if name != keyword}
                return self._one_of(schema[keyword], rest, depth)
        return self._by_type[self._type_of(schema)](schema, depth)

    def _anything(self, *, allowed: bool) -> Any:
        if not allowed:
            raise _NotSampled("it allows nothing")
        return self._source.choice(_ANY_VALUE)

    def _one_of(self, branches: list[Any], rest: Mapping[str, Any], depth: int) -> Any:
        branch = self._source.choice(branches)
        if not isinstance(branch, Mapping):
            return self.value(branch, depth + 1)
        return self.value({**rest, **branch}, depth + 1)

    def _type_of(self, schema: Mapping[str, Any]) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            return str(self._source.choice(named))
        if named is not None:
            return str(named)
        return next((kind for key, kind in _TELLING.items() if key in schema), "string")

    def _referred(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise _NotSampled(f"it refers to {reference!r}, outside of itself")
        found: Any = self._root
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or key not in found:
                raise _NotSampled(f"it refers to {reference!r}, which is not there")
            found = found[key]
        return found

    def _integer(self, schema: Mapping[str, Any]) -> int:
        low, high = _bounds(schema)
        step = schema.get("multipleOf", 1)
        if step != int(step):
            raise _NotSampled(f"it asks for an integer that is a multiple of {step}")
        step = int(step)
        first, last = math.ceil(low / step), math.floor(high / step)
        if "exclusiveMinimum" in schema and first * step <= schema["exclusiveMinimum"]:
            first += 1
        if "exclusiveMaximum" in schema and last * step >= schema["exclusiveMaximum"]:
            last -= 1
        if first > last:
            raise _NotSampled(f"there is no such integer from {low:g} to {high:g}")
        if self._source.random() < _EXTREME:
            return step * self._source.choice((first, last))
        return step * self._source.randint(first, last)

    def _number(self, schema: Mapping[str, Any]) -> float:
        low, high = _bounds(schema)
        if "multipleOf" in schema:
            step = schema["multipleOf"]
            first, last = math.ceil(low / step), math.floor(high / step)
            if first > last:
                raise _NotSampled(f"there is no multiple of {step:g} from {low:g} to {high:g}")
            return float(step * self._source.randint(first, last))
        if self._source.random() < _EXTREME and not {"exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
            return float(self._source.choice((low, high)))
        return self._source.uniform(low, high)

    def _string(self, schema: Mapping[str, Any]) -> str:
        least = int(schema.get("minLength", 0))
        most = int(schema.get("maxLength", max(_MOST_TEXT, least)))
        if least > most:
            raise _NotSampled(f"there is no text of at least {least} and at most {most} characters")
        length = self._source.randint(least, min(most, max(_MOST_TEXT, least)))
        return "".join(self._source.choices(_LETTERS, k=length))

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        least = int(schema.get("minItems", 0))
        most = min(int(schema.get("maxItems", max(_MOST_ITEMS, least))), max(_MOST_ITEMS, least, len(first)))
        if least > most:
            raise _NotSampled(f"there is no list of at least {least} and at most {most} items")
        known: list[Any] = []
        for place in range(self._source.randint(max(least, min(len(first), most)), most)):
            item = first[place] if place < len(first) else schema.get("items", True)
            if item is False:
                break
            known.append(self._another(item, known if schema.get("uniqueItems") else [], depth))
        return known

    def _another(self, schema: Any, known: list[Any], depth: int) -> Any:
        for _ in range(_TRIES):
            value = self.value(schema, depth + 1)
            if value not in known:
                return value
        raise _NotSampled("the items of a list have to differ, and too few were found")

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        drawn = {}
        for name in dict.fromkeys((*required, *properties)):
            if name in required or (depth < _MOST_DEPTH // 2 and self._source.random() < 0.5):
                drawn[name] = self.value(properties.get(name, True), depth + 1)
        return drawn


_TELLING: Final = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
"""The type that a keyword lets expect, where a schema names none."""


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    low = max((schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema), default=None)
    high = min((schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema), default=None)
    if low is None:
        low = -_REACH if high is None or high > 0 else high - _REACH
    if high is None:
        high = max(low, 0) + _REACH
    if low > high:
        raise _NotSampled(f"there is no number of at least {low:g} and at most {high:g}")
    return low, high
