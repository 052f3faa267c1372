"""What a model is told that it may give an environment's tool."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from shiftwork.environments.parameters import BadParameters, parameter_schema
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.text import one_line, truncate

TOOL_ACTIONS: Final = ("reset", "step", "observe", "stats")
"""What is done with an environment through its tool."""

_ACTION = (
    "`reset` begins an episode, `step` takes the action `action_name`, `observe` shows the newest "
    "observation again, `stats` tells how the episode goes."
)
_SEED = "For `reset`: the same number makes the same episode again; leave it out for any."
_PARAMETERS = "For `step`: what the action takes, by name."


def arguments_model(actions: Iterable[ActionDefinition]) -> type[BaseModel]:
    """The arguments of a tool for an environment with these actions; an episode may have other ones."""
    known = tuple(actions)
    # In words too: some providers' packages pass on nothing of what is within an argument.
    listed = ", ".join(f"`{each.name}` ({', '.join(_properties(each))})" for each in known)
    which = "For `step`: which of the observation's `available_actions` to take" + (
        f"; in general there are {listed}." if listed else "."
    )

    class HarnessCall(BaseModel):
        model_config = ConfigDict(extra="allow")  # what an action takes may stand beside its name

        action: Annotated[Literal["reset", "step", "observe", "stats"], Field(description=_ACTION)]
        action_name: Annotated[str | None, Field(description=truncate(which, 2000))] = None
        parameters: Annotated[
            dict[str, Any] | None, Field(description=_PARAMETERS), WithJsonSchema(_parameters(known))
        ] = None
        seed: Annotated[int | None, Field(description=_SEED)] = None

    return HarnessCall


def _parameters(actions: Iterable[ActionDefinition]) -> dict[str, Any]:
    """The parameters of every action, none required: which are, the observation says."""
    properties: dict[str, Any] = {}
    for action in actions:
        for name, schema in _properties(action).items():
            there = properties.setdefault(name, schema)
            if there != schema:
                choices = there["anyOf"] if set(there) == {"anyOf"} else [there]
                properties[name] = {"anyOf": [*choices, schema] if schema not in choices else choices}
    return {"type": "object", "description": _PARAMETERS, "properties": properties, "required": []}


def _properties(action: ActionDefinition) -> Mapping[str, Any]:
    try:
        schema = parameter_schema(action)
    except BadParameters:
        return {}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or '"$ref"' in json.dumps(properties):  # it leads elsewhere there
        return {}
    return {name: each for name, each in properties.items() if isinstance(each, Mapping)}


def invalid_arguments(error: ValidationError) -> str:
    """What is wrong with what a model gave, in one sentence."""
    problem = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the call"
    given = "" if problem["type"] == "missing" else f", and was {truncate(repr(problem['input']), 100)}"
    return one_line(f"{where}: {problem['msg']}{given}.")
