"""The parameters of an action, held against its definition before the environment sees them."""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shiftwork.environments.integers import with_integers
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.text import truncate

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

_KEPT = 512
"""Schemas that are kept checked: an environment has the same few all along."""


class BadParameters(ValueError):  # noqa: N818 - what is caught and told, in one sentence
    """Parameters that an action does not take; the text says which and why."""


def parameter_schema(action: ActionDefinition) -> dict[str, Any]:
    """The JSON schema of an action's parameters, whichever way they are written.

    Raises:
        BadParameters: the definition holds what is no JSON schema.
    """
    written = action.parameters
    schema = dict(written) if _is_schema(written) else _from_map(action.name, written)
    if "type" not in schema or schema["type"] == ["object"]:
        schema["type"] = "object"
    _validator(action.name, schema)
    return schema


def _is_schema(written: Mapping[str, Any]) -> bool:
    """Whether it is the schema of an object, and no map of parameters: each of these has a schema itself."""
    kinds, properties = written.get("type"), written.get("properties")
    if isinstance(kinds, str | list) or isinstance(written.get("$schema"), str):
        return True
    return isinstance(properties, Mapping) and all(isinstance(each, Mapping) for each in properties.values())


def _validator(action: str, schema: Mapping[str, Any]) -> "Validator":
    try:
        return _made(json.dumps(schema, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadParameters(
            f"the definition of action {action!r} is no JSON schema: {truncate(str(error), 200)}"
        ) from None


@lru_cache(maxsize=_KEPT)
def _made(schema: str) -> "Validator":
    import jsonschema  # noqa: PLC0415 - takes as long as all else here, and only who plays needs it

    loaded = json.loads(schema)
    try:
        jsonschema.Draft202012Validator.check_schema(loaded)
    except jsonschema.SchemaError as error:
        raise ValueError(error.message) from None
    _resolve_all(loaded)
    return jsonschema.Draft202012Validator(loaded)


def _resolve_all(schema: dict[str, Any]) -> None:
    from jsonschema_specifications import (  # type: ignore[import-untyped] # tells no types  # noqa: PLC0415
        REGISTRY,
    )
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415 - as above

    root = DRAFT202012.create_resource(schema)
    waiting = [(schema, REGISTRY.with_resource("", root).resolver())]
    while waiting:
        part, resolver = waiting.pop()
        resolver = resolver.in_subresource(DRAFT202012.create_resource(part))
        refers = part.get("$ref") if isinstance(part, dict) else None
        try:
            if isinstance(refers, str):
                resolver.lookup(refers)
        except Unresolvable:
            raise ValueError(f"it refers to {refers!r}, which is not there") from None
        waiting += [(each, resolver) for each in DRAFT202012.subresources_of(part)]


def _from_map(action: str, written: Mapping[str, Any]) -> dict[str, Any]:
    properties, required = {}, []
    for name, described in written.items():
        if not isinstance(described, Mapping):
            raise BadParameters(
                f"the definition of action {action!r} describes parameter {name!r} by {described!r}; give a "
                'JSON schema, such as {"type": "string"}'
            )
        own = dict(described)
        optional = own.get("required") is False or "default" in own
        if isinstance(own.get("required"), bool):
            del own["required"]
        properties[name] = own
        if not optional:
            required.append(name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def checked_parameters(action: ActionDefinition, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an action, with defaults filled in, none of them shared with the caller.

    Where an integer is asked for, a number such as 4.0 becomes one.

    Raises:
        BadParameters: one is missing, unknown or of another type, or the definition can't be used.
    """
    schema = parameter_schema(action)
    filled = deepcopy(dict(given))
    for name, described in schema.get("properties", {}).items():
        if name not in filled and isinstance(described, Mapping) and "default" in described:
            filled[name] = deepcopy(described["default"])
    error = _first_error(action, schema, filled)
    if error is not None:
        raise BadParameters(_said(action, error))
    checked: dict[str, Any] = with_integers(schema, filled)
    return checked


def _first_error(
    action: ActionDefinition, schema: Mapping[str, Any], given: Mapping[str, Any]
) -> "ValidationError | None":
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - as above

    try:
        found: ValidationError | None = best_match(_validator(action.name, schema).iter_errors(given))
    except RecursionError:
        raise BadParameters(
            f"action {action.name!r}: its parameters are nested too deeply, or its definition refers to "
            "itself without end"
        ) from None
    except ArithmeticError as error:
        raise BadParameters(
            f"the parameters of action {action.name!r} can't be held against its definition: {error}"
        ) from None
    return found


def _said(action: ActionDefinition, error: "ValidationError") -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    which = f"parameter {where!r} of action {action.name!r}" if where else f"action {action.name!r}"
    return f"{which}: {truncate(error.message, 300)}"
